"""Which scenes a split of nuScenes names: the official lists, the user's own, and "all"."""

from __future__ import annotations

import json
from pathlib import Path

from xmodal_core.errors import DataError, InputError

OFFICIAL = Path(__file__).with_name("nuscenes_splits.json")
"""Scene names by split, as nuscenes-devkit lists them (utils/splits.py)."""

DEFAULTS = {"v1.0-trainval": "train", "v1.0-mini": "mini_train", "v1.0-test": "test"}
"""What "auto" means for the official releases; "all" for any other folder of tables."""


def scenes_of_split(split: str, tables: Path, present: set[str]) -> set[str]:
    """The names among ``present`` that belong to ``split``.

    Args:
        split: ``auto``, ``all``, an official split or one of ``splits.json`` in the tables' folder
            ({name: [scene names]}, as nuscenes-devkit 1.2 reads it).
        tables: the version folder.
        present: names of the scenes in the tables.

    Raises:
        InputError: the split is unknown, or none of its scenes is in the tables.
        DataError: splits.json is damaged.
    """
    if split == "auto":
        split = DEFAULTS.get(tables.name, "all")
    if split == "all":
        return present
    known = {**_official(), **_own(tables / "splits.json")}
    if split not in known:
        raise InputError(f"unknown split '{split}'", f"known: auto, all, {', '.join(known)}")
    scenes = present.intersection(known[split])
    if not scenes:
        raise InputError(
            f"split '{split}' has no scene in {tables}",
            f"splits with scenes there: {', '.join(splits_with_scenes(tables, present))}",
        )
    return scenes


def absent_scenes(split: str, tables: Path, present: set[str]) -> tuple[str, ...]:
    """A line that says how many scenes of ``split`` are not in the tables; none where all are, or it was not chosen.

    Raises:
        DataError: splits.json is damaged.
    """
    wanted = {**_official(), **_own(tables / "splits.json")}.get(split, [])
    absent = sorted(set(wanted).difference(present))
    if not absent:
        return ()
    return (f"{len(absent):,} of {len(set(wanted)):,} scenes of split '{split}' are not in {tables}: {absent[0]}, …",)


def splits_with_scenes(tables: Path, present: set[str]) -> tuple[str, ...]:
    """``all``, and the splits that have a scene among ``present``.

    Raises:
        DataError: splits.json is damaged.
    """
    known = {**_official(), **_own(tables / "splits.json")}
    return ("all", *(name for name, wanted in known.items() if present.intersection(wanted)))


def _official() -> dict[str, list[str]]:
    lists: dict[str, list[str]] = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    return lists


def _own(file: Path) -> dict[str, list[str]]:
    if not file.exists():
        return {}
    try:
        lists = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): [str(scene) for scene in scenes] for name, scenes in lists.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        raise DataError(f"{file} is no list of splits", 'write it as {"name": ["scene-0001", ...]}') from None
