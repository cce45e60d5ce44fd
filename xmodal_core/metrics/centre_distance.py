"""Plain detection AP of any classes: nuScenes' average precision over centre distances, without its other rules.

For data whose benchmark is not among the protocols, or has none. It is no benchmark's figure and says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from xmodal_core.config import Settings, setting
from xmodal_core.datasets._files import read_text
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry_boxes import box_rows
from xmodal_core.metrics._centre_matching import MATCH_DISTANCES, average_precision, match_in_turn, near_pairs, turns
from xmodal_core.metrics.base import (
    DetectionProtocol,
    Detections,
    Result,
    Truth,
    labels_as,
    require_finite,
    require_same_frames,
    write_whole,
)
from xmodal_core.types import Bools, Doubles, Ints

RANGES = {"": (0.0, np.inf), " [0, 30)": (0.0, 30.0), " [30, 50)": (30.0, 50.0), " [50, inf)": (50.0, np.inf)}
"""Metres along the ground from the sensor to a box's centre by the end of a part's name; a pair across an edge cannot
match."""


class CentreDistanceConfig(Settings):
    """Options of ``centre_distance``."""

    classes: tuple[str, ...] = setting(
        ("car", "pedestrian", "cyclist"), "which classes count; one without labels stays out of the mean"
    )


class CentreDistance(DetectionProtocol):
    """Mean over classes and over 0.5, 1, 2 and 4 m of nuScenes' average precision.

    A prediction, surest first, matches the nearest free label of its class that is nearer than the distance and shares
    some height with it. All boxes count, whatever their range, but those known to have no points.
    """

    Config: ClassVar[type[Settings]] = CentreDistanceConfig
    rules: ClassVar[str] = "plain AP over centre distances of 0.5, 1, 2 and 4 m, no official benchmark"
    coordinates: ClassVar[Literal["sensor", "world"]] = "sensor"
    config: CentreDistanceConfig

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        self.classes = self.config.classes  # type: ignore[misc]  # other protocols' are fixed, these are chosen

    def evaluate(self, predictions: Mapping[str, Detections], truth: Mapping[str, Truth], split: str) -> Result:
        """See ``DetectionProtocol``."""
        require_same_frames(predictions, truth)
        if not truth:
            raise InputError("there are no frames to score", "choose a split that has labels")
        for name, boxes in predictions.items():
            require_finite(name, boxes)
        names = list(truth)
        labels = _gather([truth[name] for name in names], names, truth, self.config.classes)
        found = _gather([predictions[name] for name in names], names, truth, self.config.classes)
        parts = {
            name + end: _figures(found.where(found.of(number, within)), labels.where(labels.of(number, within)))
            for number, name in enumerate(self.config.classes)
            for end, within in RANGES.items()
            if labels.of(number, within).any()
        }
        whole = [parts[name]["AP"] for name in self.config.classes if name in parts]
        return Result(
            protocol=self.name,
            rules=self.rules,
            split=split,
            frames=len(truth),
            evaluated=len(labels.frame),
            of="boxes",
            measures={"mAP": float(np.mean(whole)) if whole else 0.0},
            parts=parts,
        )

    def write_submission(self, predictions: Mapping[str, Detections], out: Path) -> None:
        """See ``DetectionProtocol``: one JSON file, for each frame its boxes as rows of x, y, z, length, width, height,
        yaw, their class names and scores."""
        frames = {}
        for name, found in predictions.items():
            require_finite(name, found)
            frames[name] = {
                "boxes": box_rows(found.centre, found.size, found.yaw).tolist(),
                "names": [found.classes[number] for number in found.label],
                "scores": found.score.tolist(),
            }
        write_whole(out, json.dumps({"frames": frames}, allow_nan=False).encode())

    def read_submission(self, path: Path) -> dict[str, Detections]:
        """See ``DetectionProtocol``."""
        try:
            frames = json.loads(read_text(path))["frames"]
            return {str(name): _detections_of(rows) for name, rows in frames.items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            what = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise DataError(f"{path} is no file of predicted boxes: {what}", "write it anew") from None


class _Boxes(NamedTuple):
    """The boxes of all frames that count: ``frame``, ``label`` (B,), ``centre`` (B,3), ``tall`` (B,) metres,
    ``away`` (B,) metres from the sensor along the ground, ``score`` (B,), 1 for a label."""

    frame: Ints
    label: Ints
    centre: Doubles
    tall: Doubles
    away: Doubles
    score: Doubles

    def of(self, label: int, within: tuple[float, float]) -> Bools:
        """(B,) which are of a class and a range."""
        return np.asarray(
            (self.label == label) & (self.away >= within[0]) & (self.away < within[1]),
            dtype=np.bool_,
        )

    def where(self, keep: Bools) -> _Boxes:
        columns: tuple[Any, ...] = self
        return _Boxes(*(column[keep] for column in columns))


def _gather(
    frames: list[Truth] | list[Detections], names: list[str], truth: Mapping[str, Truth], classes: tuple[str, ...]
) -> _Boxes:
    columns: list[tuple[Any, ...]] = []
    for number, (name, boxes) in enumerate(zip(names, frames, strict=True)):
        label = labels_as(classes, boxes)
        keep = label >= 0
        if isinstance(boxes, Truth) and boxes.points is not None:
            keep &= boxes.points != 0
        apart = boxes.centre[keep, :2] - truth[name].origin[:2]
        score = boxes.score[keep] if isinstance(boxes, Detections) else np.ones(keep.sum())
        frame = np.full(keep.sum(), number, dtype=np.int64)
        away = np.hypot(apart[:, 0], apart[:, 1])
        columns.append((frame, label[keep], boxes.centre[keep], boxes.size[keep, 2], away, score))
    return _Boxes(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _figures(found: _Boxes, labels: _Boxes) -> dict[str, float]:
    """AP of one class and range, over all distances and at each."""
    order, rank = turns(found.score)
    pairs = near_pairs(found, labels, max(MATCH_DISTANCES))
    above = np.abs(found.centre[pairs.found, 2] - labels.centre[pairs.label, 2])
    level = above < (found.tall[pairs.found] + labels.tall[pairs.label]) / 2
    figures = {}
    for distance in MATCH_DISTANCES:
        near = level & (pairs.away < distance)
        match = match_in_turn(pairs.found[near], pairs.label[near], pairs.away[near], rank, len(labels.frame))
        figures[f"AP@{distance:g}m"] = min(1.0, average_precision(match[order] >= 0, len(labels.frame)))
    return {"AP": float(np.mean(list(figures.values()))), **figures}


def _detections_of(rows: Mapping[str, Any]) -> Detections:
    names, scores = list(rows["names"]), rows["scores"]
    boxes = np.array(rows["boxes"], dtype=np.float64).reshape(-1, 7)
    if not len(names) == len(boxes) == len(scores):
        raise ValueError(f"{len(names)} names, {len(boxes)} boxes and {len(scores)} scores in a frame")
    classes = tuple(dict.fromkeys(names))
    return Detections(
        centre=boxes[:, :3].copy(),
        size=boxes[:, 3:6].copy(),
        yaw=boxes[:, 6].copy(),
        label=np.array([classes.index(name) for name in names], dtype=np.int64),
        classes=classes,
        score=np.array(scores, dtype=np.float64),
    )
