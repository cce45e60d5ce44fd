"""ONCE: sequences of a 40-beam roof LiDAR with seven cameras, a small part labelled, a million frames raw.

Points stay in the LiDAR's frame, whose axes are x left, y back, z up: forward is -y. Pictures are projected into as
they are stored, through each camera's distortion. Format: once_devkit, once.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import field_validator

from xmodal_core.config import Settings, setting
from xmodal_core.datasets._files import image_size, plausible_rows, read_image, read_rows, read_text, unless_all
from xmodal_core.datasets._once_example import example
from xmodal_core.datasets._once_file import CLASSES, read_sequence
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError, known_names
from xmodal_core.types import Bools, Boxes, Camera, Frame, Sensor

__all__ = ["Once", "OnceConfig", "example"]

CAMERAS = ("cam01", "cam03", "cam05", "cam06", "cam07", "cam08", "cam09")
"""Front, front with the narrower view, left back, left front, right front, right back, back (once_devkit, once.py)."""

COLUMNS = 4
"""x, y, z, intensity: a row of a .bin file."""

SPLITS = ("train", "val", "test", "raw_small", "raw_medium", "raw_large")
OFFICIAL = {
    "train": ("000076", "000080", "000092", "000104", "000113", "000121"),
    "val": ("000027", "000028", "000112", "000201"),
    "test": (
        "000034", "000077", "000168", "000200", "000273", "000275", "000303", "000318", "000322", "000334",
    ),
}  # fmt: skip
"""For folders without ImageSets; the raw splits, each within the next, are too long to be here."""

MISSING_SWEEP = (
    "unpack the part of the release that holds it, or leave such frames out: --set dataset.skip_missing=true"
)


class OnceConfig(Settings):
    """Options of ``once``."""

    split: str = setting(
        "train", "train, val, test, raw_small, raw_medium, raw_large, another list in ImageSets/, or all that is there"
    )
    sequences: tuple[str, ...] = setting((), "Which sequences of the split, e.g. 000076; empty: all that are there")
    cameras: tuple[str, ...] = setting(CAMERAS, "Which cameras, in which order")
    annotated_only: bool = setting(False, "Leave out frames without annotation, most of those of train and val")
    skip_missing: bool = setting(True, "Leave out frames whose LiDAR file is absent (a partial download), and say so")

    @field_validator("sequences", mode="before")
    @classmethod
    def _as_written(cls, value: Any) -> Any:
        """YAML reads 000076 as a number, but 000027 as an octal one."""
        if isinstance(value, (list, tuple)) and any(isinstance(one, int) for one in value):
            raise ValueError("quote the names of sequences, as in ['000076'], since YAML reads them as numbers")
        return value


class Once(Dataset):
    """Frames of ONCE's sequences.

    Points that are not finite are dropped. A frame without annotation has no boxes (None); an annotated one may have
    none in it. Boxes' velocity is unknown (NaN), and so is which of them are one object (track -1). ``pose`` is LiDAR
    to the sequence's first frame; None in frames whose pose cannot be used: the release has some with a zero
    quaternion.
    """

    Config: ClassVar[type[Settings]] = OnceConfig
    layout: ClassVar[tuple[str, ...]] = (
        "data/*/lidar_roof/*.bin  sweeps of a sequence (data/000076/lidar_roof)",
        "data/*/*.json            calibration, poses and labels of a sequence",
        "data/*/cam01/*.jpg       pictures, a folder for each camera, optional",
        "ImageSets/*.txt          splits as lists of sequences, optional: only the raw ones need it",
    )
    channels: ClassVar[tuple[str, ...]] = ("intensity",)
    sensor: ClassVar[Sensor] = Sensor(
        "40-beam roof LiDAR", beams=40, forward=(0.0, -1.0), height=None, intensity_max=255.0
    )

    def __init__(self, root: Path, config: OnceConfig) -> None:
        for camera in config.cameras:
            if camera not in CAMERAS:
                raise InputError(f"unknown camera '{camera}'", f"known: {', '.join(CAMERAS)}")
        super().__init__(_find_root(root.expanduser(), self.expected()), config)
        wanted, there = _of_split(self.root, config.split), _sequences(self.root)
        self._absent = [name for name in wanted if name not in there]
        names = [name for name in wanted if name in there]
        if not names:
            raise DataError(
                f"{self.root / 'data'} has no sequence of split '{config.split}'",
                f"splits with sequences there: {', '.join(self.splits())}",
            )
        for name in config.sequences:
            if name not in names:
                raise InputError(
                    f"there is no sequence '{name}' in split '{config.split}' of {self.root}", known_names(names, name)
                )
        chosen = list(config.sequences) or names
        self._sequences = [_Sequence(self.root / "data" / name, config) for name in chosen]
        self._frames = [(sequence, row) for sequence in self._sequences for row in sequence.rows]
        if not self._frames:
            raise DataError(
                f"{self.root / 'data'} has no frame to read in split '{config.split}'",
                "leave out annotated_only or skip_missing, or choose another split",
            )

    def __len__(self) -> int:
        return len(self._frames)

    def name(self, index: int) -> str:
        """Sequence and frame, e.g. ``000076/1616343527200``."""
        sequence, row = self._frames[index]
        return f"{sequence.name}/{sequence.frame(row)}"

    def scene(self, index: int) -> str:
        """The sequence."""
        return self._frames[index][0].name

    def _boxes_alone(self, index: int) -> Boxes | None:
        """See ``Dataset``; of the sequence's file."""
        sequence, row = self._frames[index]
        return sequence.boxes(row)

    def splits(self) -> tuple[str, ...]:
        """``all`` and the splits that have a sequence here."""
        there = set(_sequences(self.root))
        return ("all", *(split for split in _known(self.root) if there.intersection(_of_split(self.root, split))))

    def notes(self) -> tuple[str, ...]:
        """Sequences that are not there, frames left out, and sequences without pictures, poses or annotation."""
        notes = []
        if self._absent:
            notes.append(
                f"{_count(len(self._absent), 'sequence')} of the split not in the folder: {_some(self._absent)}"
            )
        without: dict[str, list[str]] = {}
        for one in self._sequences:
            if one.without_pictures:
                without.setdefault(", ".join(one.without_pictures), []).append(one.name)
        notes += [
            f"no pictures of {what} in {_count(len(of), 'sequence')}: {_some(of)}" for what, of in without.items()
        ]
        for what in ("without a sweep, left out", "without annotation", "without a usable pose"):
            counts = {one.name: count for one in self._sequences if (count := one.counts[what])}
            if counts:
                notes.append(f"{_count(sum(counts.values()), 'frame')} {what}, in {_some(counts)}")
        return tuple(notes)

    def _read(self, index: int) -> Frame:
        sequence, row = self._frames[index]
        values = read_rows(sequence.sweep(row), COLUMNS, MISSING_SWEEP)
        kept = plausible_rows(values)
        values = values[kept]
        return Frame(
            name=self.name(index),
            scene=sequence.name,
            timestamp=sequence.frame(row) * 1e-3,
            points=values[:, :3].copy(),
            channels={"intensity": values[:, 3].copy()},
            sensor=self.sensor,
            cameras=tuple(sequence.cameras(row)),
            pose=sequence.file.pose_of(row),
            boxes=sequence.boxes(row),
            stored=unless_all(kept),
        )


class _Sequence:
    """One sequence's folder, and the ``rows`` of its file that are frames of the data set."""

    def __init__(self, folder: Path, config: OnceConfig) -> None:
        self.folder = folder
        self.name = folder.name
        self.without_pictures = [camera for camera in config.cameras if not (folder / camera).is_dir()]
        self._cameras = tuple(camera for camera in config.cameras if camera not in self.without_pictures)
        self.file = read_sequence(folder / f"{self.name}.json", self._cameras)
        kept = np.ones(len(self.file), dtype=np.bool_)
        if config.skip_missing:
            kept = self._present()
        self.counts = {"without a sweep, left out": int((~kept).sum())}
        if config.annotated_only:
            kept = kept & self.file.annotated
        # A raw or test sequence is expected to have none at all.
        self.counts["without annotation"] = int((~self.file.annotated[kept]).sum()) if self.file.annotated.any() else 0
        self.counts["without a usable pose"] = int(np.isnan(self.file.pose[kept, 3]).sum())
        self.rows: list[int] = np.flatnonzero(kept).tolist()

    def frame(self, row: int) -> int:
        """The frame's name: its milliseconds."""
        return int(self.file.milliseconds[row])

    def sweep(self, row: int) -> Path:
        return self.folder / "lidar_roof" / f"{self.frame(row)}.bin"

    def cameras(self, row: int) -> Iterator[Camera]:
        for name in self._cameras:
            picture = self.folder / name / f"{self.frame(row)}.jpg"
            width, height = image_size(picture)
            intrinsics, lidar_to_camera, lens = self.file.cameras[name]
            read = partial(read_image, picture, width, height)
            yield Camera(name, width, height, intrinsics, lidar_to_camera, read, lens)

    def boxes(self, row: int) -> Boxes | None:
        if not self.file.annotated[row]:
            return None
        which = slice(int(self.file.box_start[row]), int(self.file.box_start[row + 1]))
        box, points = self.file.box[which], self.file.points[which]
        turn = np.arctan2(np.sin(box[:, 6]), np.cos(box[:, 6]))
        return Boxes(
            centre=box[:, :3].astype(np.float32),
            size=box[:, 3:6].astype(np.float32),
            yaw=turn.astype(np.float32),
            label=self.file.kind[which].copy(),
            classes=CLASSES,
            track=np.full(len(box), -1, dtype=np.int64),
            velocity=np.full((len(box), 2), np.nan, dtype=np.float32),
            points=points.copy() if (points >= 0).all() and len(points) else None,
        )

    def _present(self) -> Bools:
        there = {path.name for path in (self.folder / "lidar_roof").glob("*.bin")}
        return np.array([self.sweep(row).name in there for row in range(len(self.file))], dtype=np.bool_)


def _find_root(root: Path, hint: str) -> Path:
    """``root``, or the folder around it where it is ``data`` or a sequence; ``hint`` tells the layout."""
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint)
    if (root / "data").is_dir():
        return root
    full = root.resolve()
    for folder in (full, full.parent):
        if folder.name == "data" and _sequences(folder.parent):
            return folder.parent
    raise DataError(f"{root} holds no sequence of ONCE (data/000076)", hint)


def _sequences(root: Path) -> list[str]:
    """The sequences that are there, sorted."""
    return sorted(path.name for path in (root / "data").iterdir() if _is_sequence(path.name) and path.is_dir())


def _is_sequence(name: str) -> bool:
    return re.fullmatch(r"[0-9]{6}", name) is not None


def _known(root: Path) -> list[str]:
    """The splits of which the sequences are known."""
    lists = [_split_of(file) for file in sorted(root.glob("ImageSets/*.txt"))]
    return list(dict.fromkeys([split for split in SPLITS if split in lists or split in OFFICIAL] + lists))


def _split_of(file: Path) -> str:
    """The devkit also calls lists ``test_set.txt`` and ``train_split.txt``."""
    return file.stem.removesuffix("_set").removesuffix("_split")


def _of_split(root: Path, split: str) -> list[str]:
    """The sequences of ``split``, whether they are there or not."""
    if split == "all":
        return _sequences(root)
    lists = {_split_of(file): file for file in sorted(root.glob("ImageSets/*.txt"))}
    if split in lists:
        names = read_text(lists[split]).split()
        for name in names:
            if not _is_sequence(name):
                raise DataError(f"{lists[split]} names '{name}', which is no sequence", "write one sequence a line")
        return list(dict.fromkeys(names))
    if split in OFFICIAL:
        return list(OFFICIAL[split])
    if split in SPLITS:
        raise DataError(
            f"{root / 'ImageSets' / split}.txt is missing", "fetch the release's ImageSets, or take split=all"
        )
    raise InputError(f"unknown split '{split}'", known_names(dict.fromkeys([*SPLITS, *lists, "all"]), split))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _some(names: Iterable[str]) -> str:
    """The first few of many names."""
    first, *rest = list(names)
    more = f" and {len(rest) - 2} more" if len(rest) > 3 else ""
    return ", ".join([first, *(rest[:2] if more else rest)]) + more
