"""Objects of labelled frames, cut out and put into other labelled frames (ground truth sampling, Yan 2018).

A database holds the points of every labelled box of the frames that it was made from, and of no others: with a tenth of
the labels, that tenth. An object keeps the place that it had around its own sensor, so that its points look as they
would there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xmodal_core.config import Settings, setting
from xmodal_core.errors import DataError, RunError
from xmodal_core.geometry_boxes import box_rows, iou_bev, keep_apart, points_in_boxes
from xmodal_core.tasks.base import LabelledExample
from xmodal_core.types import Boxes, Doubles, Floats, Ints

POINTS, INDEX = "objects.bin", "objects.npz"
"""Of a database's folder: rows of x, y, z and channels; whose they are. The index is written last."""


class ObjectsConfig(Settings):
    """Objects of other labelled frames that are put into a frame."""

    enabled: bool = setting(True, "put objects of other labelled frames into each frame while training")
    counts: dict[str, int] = setting(
        {}, "how many of each class are tried; a class that is not named gets 'others'", unit="objects"
    )
    others: int = setting(2, "how many are tried of a class that 'counts' does not name", ge=0, le=100)
    top_up: bool = setting(False, "as many fewer of a class as the frame has of it already")
    min_points: int = setting(5, "objects with fewer points stay out of the database", unit="points", ge=1, le=1000)
    clearance: float = setting(
        0.0, "points of the frame this near to an object that is put in are taken away too", unit="m", ge=0, le=2
    )
    fade: int = setting(0, "none are put in during so many epochs at the end", unit="epochs", ge=0, le=10_000)


class Labelled(NamedTuple):
    """What is learnt of a frame: its ``boxes`` of the classes that are told apart, and ``others`` (K,7), rows of those
    that are there too, in whose place nothing can be put."""

    boxes: Boxes
    others: Doubles


class _Index(NamedTuple):
    boxes: Boxes
    start: Ints


@dataclass(frozen=True)
class ObjectStore:
    """A database in ``folder``; it is read when it is asked for, so that it is cheap to hand to another process.

    Args:
        folder: with ``POINTS`` and ``INDEX``.
        classes: of its boxes.
        channels: of its points.
    """

    folder: Path
    classes: tuple[str, ...]
    channels: tuple[str, ...]

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("folder", "classes", "channels")}

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def boxes(self) -> Boxes:
        """All its boxes."""
        return self._index.boxes

    @cached_property
    def of_class(self) -> list[Ints]:
        """The objects of each class."""
        return [np.flatnonzero(self.boxes.label == number) for number in range(len(self.classes))]

    def points(self, number: int) -> Floats:
        """(n,3+C) the points of one object in its own frame's LiDAR coordinates, with their channels."""
        first, last = self._index.start[number : number + 2]
        return np.array(self._rows[first:last])

    @cached_property
    def _index(self) -> _Index:
        file = self.folder / INDEX
        try:
            with np.load(file, allow_pickle=False) as stored:
                return _Index(_boxes(stored, self.classes), stored["start"])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{file} is no database of objects: {error}", "remove it, and it is made anew") from None

    @cached_property
    def _rows(self) -> Floats:
        if not self._index.start[-1]:
            return np.zeros((0, 3 + len(self.channels)), dtype=np.float32)
        shape = (int(self._index.start[-1]), 3 + len(self.channels))
        try:
            return np.memmap(self.folder / POINTS, np.float32, "r", shape=shape)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.folder / POINTS} is damaged: {error}", f"remove {INDEX}, and it is made anew"
            ) from None


class Cut(NamedTuple):
    """A frame whose objects are cut out: its labels, and its points with their channels, (N,3+C)."""

    labels: Labelled
    rows: Floats


def open_store(
    folder: Path, frames: Iterable[Cut], classes: tuple[str, ...], channels: tuple[str, ...], min_points: int
) -> ObjectStore:
    """The database in ``folder``, made of ``frames`` if it is not there yet, or was made of others.

    Args:
        frames: asked for one by one, and only if it has to be made.
        min_points: objects with fewer points are left out.

    Raises:
        RunError: it cannot be written.
    """
    store = ObjectStore(folder, classes, channels)
    key = np.array([*classes, "|", *channels, "|", str(min_points)])
    if not _is_there(folder / INDEX, key):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / INDEX).unlink(missing_ok=True)
            _write(folder, frames, min_points, key)
        except OSError as error:
            raise RunError(
                f"cannot write the database of objects in {folder}: {error.strerror}", "make room, or choose --out"
            ) from error
    return store


def _is_there(index: Path, key: np.ndarray[Any, Any]) -> bool:
    try:
        with np.load(index, allow_pickle=False) as stored:
            return np.array_equal(stored["key"], key)
    except (OSError, ValueError, KeyError):
        return False


def _write(folder: Path, frames: Iterable[Cut], min_points: int, key: np.ndarray[Any, Any]) -> None:
    """One frame after the other: no more than one is in memory."""
    kept: list[Boxes] = []
    sizes = [0]
    unfinished = folder / f"{POINTS}.partial"
    with unfinished.open("wb") as file:
        for labels, rows in frames:
            found = points_in_boxes(rows[:, :3], rows_of(labels.boxes))
            counts = np.bincount(found.box, minlength=len(labels.boxes))
            enough = counts >= min_points
            kept.append(chosen(labels.boxes, np.flatnonzero(enough)))
            sizes += counts[enough].tolist()
            file.write(rows[found.point[enough[found.box]]].astype(np.float32).tobytes())
    os.replace(unfinished, folder / POINTS)
    columns = {name: np.concatenate([getattr(boxes, name) for boxes in kept]) for name in COLUMNS} if kept else {}
    unfinished = folder / f"{INDEX}.partial"
    with unfinished.open("wb") as file:
        np.savez(file, **{"key": key, "start": np.cumsum(sizes, dtype=np.int64), **columns})  # type: ignore[arg-type]
    os.replace(unfinished, folder / INDEX)


COLUMNS = ("centre", "size", "yaw", "label", "track", "velocity")
"""What a database, and an enriched frame, keeps of boxes."""


def _boxes(stored: Mapping[str, Any], classes: tuple[str, ...]) -> Boxes:
    if "label" not in stored:
        return no_boxes(classes)
    return Boxes(**{name: stored[name] for name in COLUMNS}, classes=classes)


def no_boxes(classes: tuple[str, ...]) -> Boxes:
    """Of a frame in which there is nothing."""
    none, number = np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
    wide = np.zeros((0, 3), dtype=np.float32)
    return Boxes(wide, wide, none, number, classes, number, np.zeros((0, 2), dtype=np.float32))


def chosen(boxes: Boxes, rows: Ints) -> Boxes:
    """Rows of ``boxes``, without counts of points and difficulties."""
    return Boxes(**{name: getattr(boxes, name)[rows] for name in COLUMNS}, classes=boxes.classes)


def rows_of(boxes: Boxes) -> Doubles:
    """``boxes`` as rows (B,7)."""
    return box_rows(boxes.centre.astype(np.float64), boxes.size.astype(np.float64), boxes.yaw.astype(np.float64))


def put_in(
    example: LabelledExample, store: ObjectStore, config: ObjectsConfig, random: np.random.Generator
) -> LabelledExample:
    """``example``, whose labels are ``Labelled``, with objects of ``store`` where they are free of all boxes that are
    there and of one another, seen from above; points of the frame in their place are taken away."""
    labels: Labelled = example.labels
    numbers = _drawn(labels.boxes, store, config, random)
    candidates = rows_of(chosen(store.boxes, numbers))
    there = np.concatenate([rows_of(labels.boxes), labels.others])
    free = iou_bev(candidates, there).max(axis=1, initial=0.0) == 0
    numbers, candidates = numbers[free], candidates[free]
    apart = keep_apart(candidates, 0.0)
    numbers, candidates = numbers[apart], candidates[apart]
    if not len(numbers):
        return example
    covered = np.zeros(len(example.points), dtype=np.bool_)
    covered[points_in_boxes(example.points, candidates, config.clearance).point] = True
    rows = np.concatenate(
        [np.column_stack([example.points, example.channels])[~covered], *(store.points(number) for number in numbers)]
    )
    return replace(
        example,
        points=np.ascontiguousarray(rows[:, :3]),
        channels=np.ascontiguousarray(rows[:, 3:]),
        labels=labels._replace(boxes=_together([labels.boxes, chosen(store.boxes, numbers)])),
    )


def _drawn(there: Boxes, store: ObjectStore, config: ObjectsConfig, random: np.random.Generator) -> Ints:
    """Objects of each class, none twice, in random order, so that no class has the first choice of places."""
    drawn = []
    for number, (name, pool) in enumerate(zip(store.classes, store.of_class, strict=True)):
        wanted = config.counts.get(name, config.others)
        if config.top_up:
            wanted -= int(np.count_nonzero(there.label == number))
        drawn.append(random.choice(pool, max(0, min(wanted, len(pool))), replace=False))
    return random.permutation(np.concatenate(drawn).astype(np.int64))


def _together(parts: Sequence[Boxes]) -> Boxes:
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    return Boxes(**columns, classes=parts[0].classes)
