"""Waymo Open Dataset 3D detection: AP and APH at difficulty levels 1 and 2, of each class, overall and by distance.

Rules: waymo-open-dataset, metrics/{detection_metrics,metrics_utils,matcher,iou,breakdown_generator}.cc with the
configuration of metrics/tools/compute_detection_metrics_main.cc. Boxes are in the vehicle's coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from xmodal_core.config import Settings, setting
from xmodal_core.errors import InputError
from xmodal_core.geometry_boxes import Overlaps, box_rows, overlaps_3d
from xmodal_core.metrics._best_matching import matched_sums
from xmodal_core.metrics._waymo_objects import CLASSES, read_objects, write_objects
from xmodal_core.metrics.base import (
    DetectionProtocol,
    Detections,
    Result,
    Truth,
    labels_as,
    require_finite,
    require_same_frames,
)
from xmodal_core.types import Bools, Doubles, Ints

LEAST_IOU = {"vehicle": 0.7, "pedestrian": 0.5, "sign": 0.5, "cyclist": 0.5}
"""The IoU in space from which on a prediction may match a label."""
MEAN_OVER = ("vehicle", "pedestrian", "cyclist")
DISTANCES = {"": (0.0, np.inf), " [0, 30)": (0.0, 30.0), " [30, 50)": (30.0, 50.0), " [50, inf)": (50.0, np.inf)}
"""Metres to a box's centre by the end of a part's name. A pair across a bin's edge cannot match."""
CUTOFFS = (np.arange(101) * 0.01).astype(np.float32)
"""Predictions are matched anew at each of these least scores."""
RECALL_STEP = 0.05
"""The precision-recall curve is sampled at least this finely."""
EASY_POINTS = 5
"""Where nobody labelled a difficulty, a box with more points than this is of level 1."""
SMALLEST = 0.01
"""Metres; a box with a shorter side overlaps nothing."""
WEIGHTS_PER_IOU = 1_000_000
"""Matchings are compared by whole millionths of IoU."""


class WaymoConfig(Settings):
    """What a set of predictions means."""

    missing_frames: Literal["refuse", "empty"] = setting(
        "refuse",
        "frames without any prediction: refuse the predictions as incomplete, or take it that nothing was found there "
        "(the official file cannot tell the two apart)",
    )


class WaymoDetection(DetectionProtocol):
    """Scores boxes as the Waymo Open Dataset's 3D detection benchmark does.

    Predictions and labels are matched so that the sum of IoU is greatest, anew at each of 101 score cut-offs. A label
    of level 2 that is found counts at level 1 too, one that is missed does not. Level 2 asks for both levels. Boxes
    without points are left out. Signs are scored where there are any and stay out of the means. A class without labels
    scores 0, as in the official tool.
    """

    Config: ClassVar[type[Settings]] = WaymoConfig
    rules: ClassVar[str] = "WOD 3D detection, IoU 0.7/0.5/0.5, Hungarian"
    classes: ClassVar[tuple[str, ...]] = CLASSES
    coordinates: ClassVar[Literal["sensor", "world"]] = "sensor"
    config: WaymoConfig

    def evaluate(self, predictions: Mapping[str, Detections], truth: Mapping[str, Truth], split: str) -> Result:
        """See ``DetectionProtocol``; scores lie between 0 and 1."""
        if self.config.missing_frames == "empty":
            predictions = {**{name: Detections.none() for name in truth}, **predictions}
        require_same_frames(predictions, truth)
        if not truth:
            raise InputError("there are no frames to score", "choose a split that has labels")
        for name, boxes in predictions.items():
            _require_valid(name, boxes)
        found = _found([predictions[name] for name in truth], [truth[name].origin for name in truth])
        labels = _labelled(truth)
        parts: dict[str, dict[str, float]] = {}
        for number, name in enumerate(CLASSES):
            of_class, labels_of_class = found.where(found.label == number), labels.where(labels.label == number)
            if name in MEAN_OVER or len(labels_of_class.label):
                parts.update(_class_figures(name, of_class, labels_of_class))
        counted = np.isin(labels.label, [CLASSES.index(name) for name in MEAN_OVER])
        return Result(
            protocol=self.name,
            rules=self.rules,
            split=split,
            frames=len(truth),
            evaluated=int(counted.sum()),
            of="boxes",
            measures=_means(parts),
            parts=parts,
        )

    def write_submission(self, predictions: Mapping[str, Detections], out: Path) -> None:
        """See ``DetectionProtocol``: an ``Objects`` file (.bin), which the official ``compute_detection_metrics_main``
        scores and ``create_submission`` makes a submission of. Frames are named ``context/timestamp``."""
        for name, boxes in predictions.items():
            _require_valid(name, boxes)
        write_objects(predictions, out)

    def write_truth(self, truth: Mapping[str, Truth], out: Path) -> None:
        """Write labels as the official ``compute_detection_metrics_main`` takes them beside predictions: those that
        count, with their difficulty.

        Raises:
            InputError, RunError: as ``write_submission``.
        """
        write_objects({name: _counted(name, boxes) for name, boxes in truth.items()}, out)

    def read_submission(self, path: Path) -> dict[str, Detections]:
        """See ``DetectionProtocol``; a frame without boxes does not stand in the file."""
        return read_objects(path)


def _require_valid(name: str, found: Detections) -> None:
    require_finite(name, found)
    if len(found) and not 0 <= found.score.min() <= found.score.max() <= 1:
        raise InputError(f"frame '{name}' has a score outside 0..1", "the benchmark takes probabilities")


# ---- What counts


class _Found(NamedTuple):
    """The predictions of all frames: ``frame``, ``label`` (F,) int64, ``rows`` (F,7), ``away`` (F,) metres, ``score``
    (F,) float32, ``counts`` (F,) bool whether it is wrong where it matches nothing."""

    frame: Ints
    label: Ints
    rows: Doubles
    away: Doubles
    score: Doubles
    counts: Bools

    def where(self, keep: Bools) -> _Found:
        columns: tuple[Any, ...] = self
        return _Found(*(column[keep] for column in columns))


class _Labels(NamedTuple):
    """The labels of all frames that count, as the predictions, with the ``level`` (L,) int64 of each."""

    frame: Ints
    label: Ints
    rows: Doubles
    away: Doubles
    level: Ints

    def where(self, keep: Bools) -> _Labels:
        columns: tuple[Any, ...] = self
        return _Labels(*(column[keep] for column in columns))


def _found(frames: list[Detections], origins: list[Doubles]) -> _Found:
    columns: list[tuple[Any, ...]] = [
        (
            np.full(len(boxes), number, dtype=np.int64),
            labels_as(CLASSES, boxes),
            box_rows(boxes.centre, boxes.size, boxes.yaw),
            np.linalg.norm(boxes.centre - origin, axis=1),
            boxes.score.astype(np.float32),
            ~boxes.in_no_label_zone if boxes.in_no_label_zone is not None else np.ones(len(boxes), dtype=np.bool_),
        )
        for number, (boxes, origin) in enumerate(zip(frames, origins, strict=True))
    ]
    found = _Found(*(np.concatenate(column) for column in zip(*columns, strict=True)))
    return found.where(found.label >= 0)


def _labelled(truth: Mapping[str, Truth]) -> _Labels:
    columns: list[tuple[Any, ...]] = []
    for number, (name, all_boxes) in enumerate(truth.items()):
        boxes = _counted(name, all_boxes)
        assert boxes.difficulty is not None
        columns.append(
            (
                np.full(len(boxes), number, dtype=np.int64),
                labels_as(CLASSES, boxes),
                box_rows(boxes.centre, boxes.size, boxes.yaw),
                np.linalg.norm(boxes.centre - boxes.origin, axis=1),
                boxes.difficulty,
            )
        )
    return _Labels(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _counted(name: str, truth: Truth) -> Truth:
    """The boxes of a known class with points, each with its level: as labelled, else by the number of points."""
    points = truth.points if truth.points is not None else np.full(len(truth), -1, dtype=np.int64)
    level = truth.difficulty if truth.difficulty is not None else np.zeros(len(truth), dtype=np.int64)
    if not np.isin(level, (0, 1, 2)).all():
        raise InputError(
            f"frame '{name}' has a box of difficulty {level[level > 2][0]}", "known: 1, 2, and 0 for unknown"
        )
    by_points = np.where((points < 0) | (points > EASY_POINTS), 1, 2)
    keep = (points != 0) & (labels_as(CLASSES, truth) >= 0)
    return Truth(
        centre=truth.centre[keep],
        size=truth.size[keep],
        yaw=truth.yaw[keep],
        label=truth.label[keep],
        classes=truth.classes,
        points=points[keep],
        difficulty=np.where(level > 0, level, by_points)[keep],
        origin=truth.origin,
    )


# ---- Matching


def _class_figures(name: str, found: _Found, labels: _Labels) -> dict[str, dict[str, float]]:
    """The figures of one class, overall and by distance."""
    pairs = overlaps_3d(found.rows, labels.rows, found.frame, labels.frame, LEAST_IOU[name])
    thick = (found.rows[pairs.a, 3:6].min(axis=1, initial=np.inf) > SMALLEST) & (
        labels.rows[pairs.b, 3:6].min(axis=1, initial=np.inf) > SMALLEST
    )
    pairs = pairs.where(thick)
    figures = {}
    for end, (near, far) in DISTANCES.items():
        inside = (found.away >= near) & (found.away < far)
        asked = (labels.away >= near) & (labels.away < far)
        figures[name + end] = _figures(found, labels, pairs.where(inside[pairs.a] & asked[pairs.b]), inside, asked)
    return figures


def _figures(found: _Found, labels: _Labels, pairs: Overlaps, inside: Bools, asked: Bools) -> dict[str, float]:
    """AP and APH at both levels of the predictions ``inside`` (F,) and the labels ``asked`` for (L,)."""
    true, heading, uncounted, easy = _matched(found, labels, pairs).T
    passing = np.searchsorted(np.sort(found.score[inside & found.counts]), CUTOFFS)
    wrong = (inside & found.counts).sum() - passing - (true - uncounted)
    figures = {}
    for level, hits in ((1, easy), (2, true)):
        missed = (asked & (labels.level <= level)).sum() - hits
        recall = true / np.maximum(true + missed, 1)
        figures[f"AP_L{level}"] = _average_precision(true / np.maximum(true + wrong, 1), recall)
        figures[f"APH_L{level}"] = _average_precision(heading / np.maximum(true + wrong, 1), recall)
    return figures


def _matched(found: _Found, labels: _Labels, pairs: Overlaps) -> Doubles:
    """(cut-offs, 4) of the best matching at each: pairs, the sum of their heading accuracies, how many of them are
    predictions that would not count as wrong, and how many are labels of level 1."""
    order = np.argsort(-found.score, kind="stable")
    first = np.searchsorted(pairs.a, np.arange(len(order) + 1))
    turn = np.abs(found.rows[pairs.a, 6] - labels.rows[pairs.b, 6]) % (2 * np.pi)
    accuracy = 1.0 - np.minimum(turn, 2 * np.pi - turn) / np.pi
    values = np.column_stack(
        [np.ones(len(turn)), accuracy, ~found.counts[pairs.a], labels.level[pairs.b] <= 1],
    ).astype(np.float64)
    # Bin k + 1 of a prediction: cut-offs 0..k let it through.
    bins = np.searchsorted(CUTOFFS, found.score, side="right")
    weight = np.rint(pairs.iou * WEIGHTS_PER_IOU).astype(np.int64)
    sums: Doubles = matched_sums(order, first, pairs.b, weight, len(labels.label), values, bins, len(CUTOFFS) + 1)
    return np.column_stack([np.rint(sums[1:, 0]), sums[1:, 1], np.rint(sums[1:, 2]), np.rint(sums[1:, 3])])


# ---- Figures


def _average_precision(precision: Doubles, recall: Doubles) -> float:
    """The area under the curve of the best precision at a recall or any higher one, over all cut-offs (C,).

    Between two recalls that lie farther apart than ``RECALL_STEP`` the curve keeps the higher one's precision in steps
    of that length and falls or rises to the lower one's in the last, shorter one; at recall 0 it has its neighbour's.
    """
    recalls, place = np.unique(np.append(recall, 0.0), return_inverse=True)
    best = np.zeros(len(recalls))
    np.maximum.at(best, place[:-1], precision)
    best = np.maximum.accumulate(best[::-1])[::-1]
    gap = np.diff(recalls)
    steps = np.maximum(np.ceil((gap - 1e-6) / RECALL_STEP) - 1, 0)
    high, low = best[1:], best[:-1].copy()
    low[:1] = high[:1]
    rest = gap - steps * RECALL_STEP
    return float(np.sum(steps * RECALL_STEP * high + rest * (high + low) / 2))


def _means(parts: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The means over the classes; the one that ranks first."""
    return {
        f"m{figure}": float(np.mean([parts[name][figure] for name in MEAN_OVER]))
        for figure in ("APH_L2", "AP_L2", "APH_L1", "AP_L1")
    }
