"""What a frame's labels say of its points and of its units: which object, which class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from xmodal_core import geometry
from xmodal_core.types import Boxes, Floats, Frame, Ints, Pooling


@dataclass(frozen=True)
class FrameLabels:
    """The labels of one frame, point by point; ``of`` makes them once, and all that judges units takes them.

    A frame without boxes whose per-point labels tell objects apart has these in the place of boxes.

    Args:
        object: (N,) int64 number of the box that each point lies in, the smallest one where there are several; -1.
        cls: (N,) int64 class of each point by the per-point labels, -1 where they ignore it; None without such labels.
        box, point: (P,) int64: point ``point[p]`` lies in box ``box[p]``. Sorted by box, then point; a point in two
            boxes has two entries.
        box_class: (B,) int64 class of each box, numbered as the boxes number it.
    """

    object: Ints
    cls: Ints | None
    box: Ints
    point: Ints
    box_class: Ints

    @classmethod
    def of(cls, frame: Frame) -> FrameLabels:
        """The labels of ``frame``; empty ones where it has none."""
        semantic, boxes = frame.semantic, frame.boxes
        classes = None if semantic is None else np.where(semantic.label > 0, semantic.label, -1)
        if boxes is None and semantic is not None and semantic.instance is not None:
            numbers, first, thing = np.unique(semantic.instance, return_index=True, return_inverse=True)
            none = int((numbers < 0).sum())  # the lowest numbers are those of points in no object
            owner = np.maximum(thing.reshape(-1).astype(np.int64) - none, -1)
            point = np.argsort(owner, kind="stable")[(owner < 0).sum() :]
            return cls(owner, classes, owner[point], point, semantic.label[first[none:]])
        count = 0 if boxes is None else len(boxes)
        inside = [] if boxes is None else points_in_boxes(frame.points, boxes)
        box = np.repeat(np.arange(count), [len(points) for points in inside])
        point = np.concatenate([np.zeros(0, dtype=np.int64), *inside])
        owner = np.full(len(frame), -1, dtype=np.int64)
        if boxes is not None:
            for number in np.argsort(-boxes.size.prod(axis=1), kind="stable"):
                owner[inside[number]] = number
        return cls(owner, classes, box, point, np.zeros(0, dtype=np.int64) if boxes is None else boxes.label)

    @property
    def boxes(self) -> int:
        """How many boxes there are."""
        return len(self.box_class)


class UnitLabels(NamedTuple):
    """What the units of a frame lie on.

    Args:
        object: (U,) int64 number of the box that most of a unit's weight lies in; -1: in none.
        cls: (U,) int64 class that most of its weight has; -1: unlabelled.
        has_objects, has_classes: the frame has boxes, has labels that tell classes; without, all are -1.
    """

    object: Ints
    cls: Ints
    has_objects: bool = True
    has_classes: bool = True


def labels_of_units(frame: Frame, pooling: Pooling, labels: FrameLabels | None = None) -> UnitLabels:
    """The object and the class of each unit, whatever kind of unit it is.

    A unit lies on what most of its weight lies on; points in no box, and points that the per-point labels ignore, are
    a choice of their own, -1, and where two weigh the same the lower number is taken. The class is that of the
    per-point labels where ``frame`` has them, otherwise the object's.

    Args:
        frame: with boxes, per-point labels, both or neither.
        pooling: (U x N).
        labels: those of ``frame``, where they are at hand.
    """
    labels = labels or FrameLabels.of(frame)
    thing = heaviest(pooling, labels.object)
    if labels.cls is not None:
        return UnitLabels(thing, heaviest(pooling, labels.cls), labels.boxes > 0, True)
    by_box = np.append(labels.box_class, -1)[thing]
    return UnitLabels(thing, by_box, labels.boxes > 0, labels.boxes > 0)


def heaviest(pooling: Pooling, label: Ints) -> Ints:
    """The ``label`` (N,), -1 or more, that most of the weight of each row of ``pooling`` (U x N) has: (U,) int64; -1
    for an empty row. Of two that weigh the same the lower is taken."""
    found = np.full(pooling.shape[0], -1, dtype=np.int64)
    kinds = int(label.max(initial=-1)) + 2
    key, at = np.unique(pooling.row * kinds + label[pooling.column] + 1, return_inverse=True)
    weight = np.bincount(at, pooling.weight, minlength=len(key))
    lightest_first = np.lexsort((-key, weight))
    found[key[lightest_first] // kinds] = key[lightest_first] % kinds - 1
    return found


def points_in_boxes(points: Floats, boxes: Boxes) -> list[Ints]:
    """The points inside each box, ascending, as ``geometry.points_in_box`` finds them; only those near it are looked
    at."""
    by_x = np.argsort(points[:, 0], kind="stable")
    x = points[by_x, 0]
    reach = np.linalg.norm(boxes.size[:, :2], axis=1) / 2 + 0.01  # a centimetre more than rounding could take away
    begin = np.searchsorted(x, boxes.centre[:, 0] - reach, side="left")
    end = np.searchsorted(x, boxes.centre[:, 0] + reach, side="right")
    found = []
    for number in range(len(boxes)):
        near = by_x[begin[number] : end[number]]
        found.append(np.sort(near[geometry.points_in_box(points[near], boxes, number)]).astype(np.int64))
    return found
