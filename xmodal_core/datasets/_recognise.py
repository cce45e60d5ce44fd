"""Which data set a folder holds: the readers' layouts decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from xmodal_core import plugins
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import InputError

DEEPEST = 3
"""How many folders a root may lie within its data set: people also give the folder of a date, or of the tables."""


def recognise(root: Path) -> str:
    """The name of the data set whose layout the folder ``root`` has, or a folder around it.

    Raises:
        InputError: none, or several; the message names them.
    """
    if not root.expanduser().is_dir():
        raise InputError(f"{root} is not a folder", "check the path")
    kinds = dict(_readers())
    place = root.expanduser().resolve()
    for depth in range(min(DEEPEST, len(place.parts) - 1) + 1):
        found = _most_special({name: kind for name, kind in kinds.items() if _matches(place, depth, kind)})
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"{root} may be of several data sets: {', '.join(found)}", f"choose one with --dataset {found[0]}"
            )
    if (nearest := _nearest(place, kinds)) is not None:
        return nearest
    raise InputError(
        f"{root} holds none of the data sets that are known: {', '.join(kinds)}",
        f"choose one with --dataset NAME, to be told what is missing; your own sensor: --dataset folder, "
        f"{kinds['folder'].expected() if 'folder' in kinds else ''}",
    )


def _nearest(place: Path, kinds: Mapping[str, type[Dataset]]) -> str | None:
    """The one data set more than half of whose needed files are there: a download without pictures, say."""
    shares: dict[str, float] = {}
    for name, kind in kinds.items():
        patterns = required(kind)
        shares[name] = sum(_any(place, pattern) for pattern in patterns) / max(len(patterns), 1)
    most = max(shares.values(), default=0.0)
    best = _most_special({name: kinds[name] for name, share in shares.items() if share == most})
    return best[0] if most > 0.5 and len(best) == 1 else None


def _readers() -> Iterator[tuple[str, type[Dataset]]]:
    for name in plugins.names(plugins.DATASET):
        with suppress(InputError):  # a library of it is not installed: it could not be read either
            yield name, plugins.load(plugins.DATASET, name)


def _most_special(kinds: Mapping[str, type[Dataset]]) -> list[str]:
    """The names of ``kinds`` without those whose class another one's extends."""
    return [
        name
        for name, kind in kinds.items()
        if not any(other is not kind and issubclass(other, kind) for other in kinds.values())
    ]


def required(kind: type[Dataset]) -> list[str]:
    """The patterns of its layout that a folder of it must match."""
    return [line.split()[0] for line in kind.layout if "optional" not in line]


def _matches(place: Path, depth: int, kind: type[Dataset]) -> bool:
    """Whether the folder ``depth`` above ``place`` has all that ``kind`` requires, and ``place`` a part of it."""
    above = [place, *place.parents][depth]
    names = place.parts[len(place.parts) - depth :]
    patterns = required(kind)
    if not all(_any(above, pattern) for pattern in patterns):
        return False
    return any(_leads(pattern, names) and _any(place, "/".join(pattern.split("/")[depth:])) for pattern in patterns)


def _leads(pattern: str, names: Sequence[str]) -> bool:
    parts = pattern.split("/")
    return len(parts) > len(names) and all(fnmatch(name, part) for name, part in zip(names, parts, strict=False))


def _any(folder: Path, pattern: str) -> bool:
    try:
        return any(True for _ in folder.glob(pattern))
    except OSError:
        return False
