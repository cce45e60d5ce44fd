"""KITTI 3D object detection: AP of cars, pedestrians and cyclists at 40 recalls, in space and from above.

Rules: object development kit, cpp/evaluate_object.cpp, with the 40 recalls that the benchmark has had since 2019. Boxes
are in the rectified coordinates of camera 0, with axes ahead, left and up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from xmodal_core.datasets import _kitti
from xmodal_core.datasets._files import read_text
from xmodal_core.datasets._kitti_labels import EASY, HARD, LEVELS, MODERATE
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry_boxes import Overlaps, box_rows, overlaps_3d
from xmodal_core.metrics._kitti_matching import COUNTS, IGNORED, OTHER, average_precision
from xmodal_core.metrics.base import (
    DetectionProtocol,
    Detections,
    P,
    Result,
    Truth,
    labels_as,
    moved,
    require_finite,
    require_same_frames,
    write_whole,
)
from xmodal_core.types import Doubles, Frame, Ints

if TYPE_CHECKING:
    from xmodal_core.datasets.base import Dataset
    from xmodal_core.datasets.kitti_object import Calibration

CLASSES = ("Car", "Pedestrian", "Cyclist")
NEIGHBOURS = {"Car": "Van", "Pedestrian": "Person_sitting"}
"""Labels that may be found as another class: that neither gains nor costs."""
LEAST_IOU = {"Car": 0.7, "Pedestrian": 0.5, "Cyclist": 0.5}
"""The IoU above which a prediction may match a label, in space and from above."""
DIFFICULTIES = {"easy": EASY, "moderate": MODERATE, "hard": HARD}
RECALLS = 40

AXES = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
"""From a camera's axes (right, down, ahead) to ahead, left, up."""
NEAREST = 0.1
"""Metres ahead of the camera at which a box's corners that are nearer, or behind it, are seen."""
NOWHERE = (-1.0, -1.0, -1.0, -1.0)
"""In a file, the box in the picture of what has none."""


class KittiDetection(DetectionProtocol):
    """Scores boxes as the KITTI benchmark does.

    A level of difficulty (easy, moderate, hard) takes labels by their height in the picture, their occlusion and the
    share that is cut off; harder ones, and those of a neighbouring class (vans for cars, people who sit for
    pedestrians), may be found without gain or cost. So may be found whatever is less tall in the picture than the level
    asks for, whatever its class. DontCare regions count in the benchmark's figures of the picture alone, which are not
    here: they have no box in space.

    The official tool gives a class of n < 41 labels an AP of (n-1)/40 at most, since no score stands for more than one
    recall. Here such a class has all recalls that its scores reach, so that few frames can be scored too; with 41
    labels and more the figures are the official tool's. A class without labels at a level has no figure there and stays
    out of the mean, where the official tool has 0.
    """

    rules: ClassVar[str] = "KITTI 3D object detection, AP at 40 recalls, IoU 0.7 of cars and 0.5"
    classes: ClassVar[tuple[str, ...]] = CLASSES
    naming: ClassVar[str] = "{:06d}"
    coordinates: ClassVar[Literal["sensor", "world", "camera"]] = "camera"

    def truth(self, dataset: Dataset) -> dict[str, Truth]:
        """See ``DetectionProtocol``.

        Raises:
            InputError: ``dataset`` is not KITTI's object benchmark.
            DataError: a frame has no labels.
        """
        return {dataset.name(index): self._truth(dataset, index) for index in range(len(dataset))}

    def truth_of(self, dataset: Dataset, index: int, frame: Frame) -> Truth:
        """See ``DetectionProtocol``."""
        return self._truth(dataset, index)

    def _truth(self, dataset: Dataset, index: int) -> Truth:
        boxes = dataset.boxes(index)
        if boxes is None:
            raise DataError(f"frame '{dataset.name(index)}' has no labelled boxes", "choose a split that has labels")
        return _in_camera(_calibration(dataset, index), Truth.of(boxes))

    def found_of(self, dataset: Dataset, index: int, frame: Frame, found: Detections) -> Detections:
        """See ``DetectionProtocol``: with their boxes in the left colour picture."""
        calibration = _calibration(dataset, index)
        placed = _in_camera(calibration, found)
        return replace(placed, image_box=image_boxes(placed, calibration))

    def evaluate(self, predictions: Mapping[str, Detections], truth: Mapping[str, Truth], split: str) -> Result:
        """See ``DetectionProtocol``; labels without a difficulty are easy ones, and predictions without a box in the
        picture are as tall as may be."""
        require_same_frames(predictions, truth)
        if not truth:
            raise InputError("there are no frames to score", "choose a split that has labels")
        for name, boxes in predictions.items():
            require_finite(name, boxes)
        found = _Found.gather([predictions[name] for name in truth])
        labels = _Labels.gather(list(truth.values()))
        views = {"": _pairs(labels, found), "BEV ": _pairs(labels, found, _from_above)}
        parts: dict[str, dict[str, float]] = {}
        for group in CLASSES:
            for level in DIFFICULTIES:
                wanted, offered = labels.role(group, DIFFICULTIES[level]), found.role(group, DIFFICULTIES[level])
                if (wanted == COUNTS).any():
                    parts[f"{group}, {level}"] = {
                        f"{view}AP": average_precision(
                            pairs.where(pairs.iou > LEAST_IOU[group]), wanted, offered, found.score, _cuts, RECALLS
                        )
                        for view, pairs in views.items()
                    }
        return Result(
            protocol=self.name,
            rules=self.rules,
            split=split,
            frames=len(truth),
            evaluated=int(((labels.difficulty <= HARD) & (labels.group >= 0)).sum()),
            of="boxes",
            measures={
                f"{view}mAP {level}": _mean(
                    [parts[part][f"{view}AP"] for part in (f"{group}, {level}" for group in CLASSES) if part in parts]
                )
                for view in views
                for level in ("moderate", "easy", "hard")
            },
            parts=parts,
        )

    def write_submission(self, predictions: Mapping[str, Detections], out: Path) -> None:
        """See ``DetectionProtocol``: a folder with a text file a frame, a line a box. Boxes that are not in the picture
        are left out, as the benchmark knows nothing there."""
        texts = {}
        for name, found in predictions.items():
            require_finite(name, found)
            texts[name] = (
                "\n".join(_lines(name, found)) + "\n"
            )  # of no box an empty line: an empty file is a damaged one
        for name, text in texts.items():
            write_whole(out / f"{name}.txt", text.encode())

    def read_submission(self, path: Path) -> dict[str, Detections]:
        """See ``DetectionProtocol``."""
        files = sorted(path.glob("*.txt"))
        if not files:
            raise DataError(f"{path} holds no file of predictions (000000.txt …)", "give the folder that has them")
        return {file.stem: _read(file) for file in files}


def image_boxes(boxes: Detections, calibration: Calibration) -> Doubles:
    """(B,4) pixels, left, top, right, bottom: what ``boxes``, in the protocol's coordinates, cover of the left colour
    picture, to its edge; NaN where that is nothing."""
    if not len(boxes):
        return np.zeros((0, 4))
    signs = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    local = signs * boxes.size[:, None]
    cos, sin = np.cos(boxes.yaw)[:, None], np.sin(boxes.yaw)[:, None]
    turned = np.stack(
        [cos * local[..., 0] - sin * local[..., 1], sin * local[..., 0] + cos * local[..., 1], local[..., 2]], axis=2
    )
    corners = (turned + boxes.centre[:, None]) @ AXES[:3, :3]  # the inverse of a rotation is its transpose
    behind = (corners[..., 2] < NEAREST).all(axis=1)
    corners[..., 2] = np.maximum(corners[..., 2], NEAREST)
    seen = corners @ calibration.projection[:, :3].T + calibration.projection[:, 3]
    pixels = seen[..., :2] / seen[..., 2:]
    edge = np.array(calibration.size) - 1.0
    box = np.concatenate([np.clip(pixels.min(axis=1), 0.0, edge), np.clip(pixels.max(axis=1), 0.0, edge)], axis=1)
    box[behind | (box[:, 2] <= box[:, 0]) | (box[:, 3] <= box[:, 1])] = np.nan
    return box


def _calibration(dataset: Dataset, index: int) -> Calibration:
    from xmodal_core.datasets.kitti_object import KittiObject

    if not isinstance(dataset, KittiObject):
        raise InputError(
            f"'kitti_detection' judges KITTI's object benchmark, not {type(dataset).__name__}",
            "choose data of kitti_object, or another protocol",
        )
    return dataset.calibration(index)


def _in_camera(calibration: Calibration, boxes: P) -> P:
    return moved(boxes, AXES @ calibration.lidar_to_rectified)


# ---- What counts


class _Labels(NamedTuple):
    """The labels of all frames: ``frame`` (A,), ``group`` (A,) in ``CLASSES`` and ``neighbour`` (A,) to which of them
    (-1: none), ``difficulty`` (A,), ``rows`` (A,7)."""

    frame: Ints
    group: Ints
    neighbour: Ints
    difficulty: Ints
    rows: Doubles

    @classmethod
    def gather(cls, frames: list[Truth]) -> _Labels:
        columns: list[tuple[Any, ...]] = []
        neighbours = tuple(NEIGHBOURS.get(name, "") for name in CLASSES)
        for number, boxes in enumerate(frames):
            group, neighbour = labels_as(CLASSES, boxes), labels_as(neighbours, boxes)
            keep = (group >= 0) | (neighbour >= 0)
            level = np.zeros(len(boxes), dtype=np.int64) if boxes.difficulty is None else boxes.difficulty
            rows = box_rows(boxes.centre, boxes.size, boxes.yaw)
            frame = np.full(keep.sum(), number, dtype=np.int64)
            columns.append((frame, group[keep], neighbour[keep], level[keep], rows[keep]))
        return cls(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    def role(self, group: str, level: int) -> Ints:
        """(A,) what each label is to a class at a level of difficulty."""
        number = CLASSES.index(group)
        role = np.where((self.group == number) | (self.neighbour == number), IGNORED, OTHER)
        role[(self.group == number) & (self.difficulty <= level)] = COUNTS
        return role


class _Found(NamedTuple):
    """The predictions of all frames: ``frame`` and ``group`` (B,), ``tall`` (B,) pixels, ``rows`` (B,7), ``score``."""

    frame: Ints
    group: Ints
    tall: Doubles
    rows: Doubles
    score: Doubles

    @classmethod
    def gather(cls, frames: list[Detections]) -> _Found:
        columns: list[tuple[Any, ...]] = []
        for number, boxes in enumerate(frames):
            group = labels_as(CLASSES, boxes)
            keep = group >= 0
            tall = np.full(len(boxes), np.inf)
            if boxes.image_box is not None:
                tall = np.nan_to_num(boxes.image_box[:, 3] - boxes.image_box[:, 1])
            rows = box_rows(boxes.centre, boxes.size, boxes.yaw)
            frame = np.full(keep.sum(), number, dtype=np.int64)
            columns.append((frame, group[keep], tall[keep], rows[keep], boxes.score[keep]))
        return cls(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    def role(self, group: str, level: int) -> Ints:
        """(B,) what each prediction is to a class at a level. Height has the last word, as in the official tool: also
        small ones of other classes are ignored, and can be what a label finds."""
        role = np.where(self.group == CLASSES.index(group), COUNTS, OTHER)
        role[self.tall < LEVELS[level][0]] = IGNORED
        return role


def _from_above(rows: Doubles) -> Doubles:
    """Boxes of one height at one level: their volumes overlap as their footprints do."""
    flat = rows.copy()
    flat[:, 2], flat[:, 5] = 0.0, 1.0
    return flat


def _pairs(labels: _Labels, found: _Found, view: Callable[[Doubles], Doubles] = lambda rows: rows) -> Overlaps:
    """Labels (``a``) and predictions (``b``) that overlap enough for some class, as ``view`` has them."""
    return overlaps_3d(view(labels.rows), view(found.rows), labels.frame, found.frame, min(LEAST_IOU.values()))


def _cuts(scores: Doubles, count: int) -> Doubles:
    """The least score at each recall 0, 1/40, 2/40, … that the matched ``scores``, falling, reach; ``count`` labels. Of
    the two scores around a recall it is that which comes nearer to it."""
    cuts: list[float] = []
    level = 0.0
    for place, score in enumerate(scores, start=1):
        last = place == len(scores)
        here = place / count
        beyond = here if last else (place + 1) / count
        if beyond - level < level - here and not last:
            continue
        cuts.append(score)
        level += 1 / RECALLS
        while count <= RECALLS and beyond - level >= level - here - 1e-9:  # see the class
            cuts.append(score)
            level += 1 / RECALLS
    return np.array(cuts[: RECALLS + 1])


def _mean(figures: list[float]) -> float:
    return float(np.mean(figures)) if figures else 0.0


# ---- The submission files


def _lines(name: str, found: Detections) -> list[str]:
    """A line a box: class, truncation and occlusion (unknown), alpha, the box in the picture, height, width, length,
    the middle of the bottom in the camera's axes, the rotation about its y-axis, the score."""
    label = labels_as(_kitti.CLASSES, found)
    if (label < 0).any():
        unknown = found.classes[found.label[label < 0][0]]
        known = ", ".join(_kitti.CLASSES)
        raise InputError(f"frame '{name}' has a box of the unknown class '{unknown}'", f"known: {known}")
    boxes = np.tile(NOWHERE, (len(found), 1)) if found.image_box is None else found.image_box
    bottom = (found.centre - [0.0, 0.0, 0.5] * found.size) @ AXES[:3, :3]
    rotation_y = _wrapped(-found.yaw - np.pi / 2)
    alpha = _wrapped(rotation_y - np.arctan2(bottom[:, 0], bottom[:, 2]))
    lines = []
    for number in np.flatnonzero(np.isfinite(boxes).all(axis=1)):
        values = (alpha[number], *boxes[number], *found.size[number, ::-1], *bottom[number], rotation_y[number])
        # Height, width, length: of our length, width, height the last comes first.
        written = " ".join(f"{value:.6f}" for value in values)
        lines.append(f"{_kitti.CLASSES[label[number]]} -1 -1 {written} {found.score[number]:.8g}")
    return lines


def _wrapped(angle: Doubles) -> Doubles:
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)


def _read(file: Path) -> Detections:
    names, rows = [], []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        name, *words = line.split()
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) != 15 or not np.isfinite(values).all() or name not in _kitti.CLASSES:
            raise DataError(f"{file}, line {number} is no prediction of 16 values: '{line}'", "write it anew")
        names.append(name)
        rows.append(values)
    table = np.array(rows, dtype=np.float64).reshape(-1, 15)
    size = table[:, [9, 8, 7]].copy()
    image_box = table[:, 3:7].copy()
    unknown = (image_box == NOWHERE).all(axis=1)
    return Detections(
        centre=table[:, 10:13] @ AXES[:3, :3].T + [0.0, 0.0, 0.5] * size,
        size=size,
        yaw=_wrapped(-table[:, 13] - np.pi / 2),
        label=np.array([_kitti.CLASSES.index(name) for name in names], dtype=np.int64),
        classes=_kitti.CLASSES,
        score=table[:, 14].copy(),
        image_box=None if unknown.all() else image_box,
    )
