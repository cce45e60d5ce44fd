"""ONCE 3D detection: orientation-aware AP of vehicles, pedestrians and cyclists at 50 recalls, overall and by distance.

Rules: once_devkit, once_eval/{evaluation,eval_utils,iou_utils}.py. Boxes are in the LiDAR's coordinates.

The official tool turns boxes clockwise by their yaw, while the data, its own drawings and everybody's networks turn
them counter-clockwise: it measures overlap in a mirrored scene, in which a wrong heading costs other amounts. Published
figures contain this, so it is the default here; ``rotation: true`` measures the overlap that is there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from xmodal_core.config import Settings, setting
from xmodal_core.datasets._files import read_text
from xmodal_core.datasets._once_file import CLASSES
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry_boxes import Overlaps, box_rows, overlaps_3d
from xmodal_core.metrics._kitti_matching import COUNTS, IGNORED, OTHER, average_precision
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
from xmodal_core.types import Doubles, Frame, Ints

if TYPE_CHECKING:
    from xmodal_core.datasets.base import Dataset

GROUPS = ("Vehicle", "Pedestrian", "Cyclist")
GROUP_OF = np.array([GROUPS.index(name) if name in GROUPS else 0 for name in CLASSES])
"""Cars, buses and trucks are vehicles."""
LEAST_IOU = {"Vehicle": 0.7, "Pedestrian": 0.3, "Cyclist": 0.5}
"""The IoU in space above which a prediction may match a label."""
DISTANCES = {"": (0.0, np.inf), " [0, 30)": (0.0, 30.0), " [30, 50)": (30.0, 50.0), " [50, inf)": (50.0, np.inf)}
"""Metres from the LiDAR to a box's centre by the end of a part's name."""
RECALLS = 50


class OnceConfig(Settings):
    """Which of the two readings of a box's heading."""

    rotation: Literal["official", "true"] = setting(
        "official",
        "how overlap reads a box's heading: official turns boxes the wrong way round, as the published figures do; "
        "true turns them as the data mean it",
    )


class OnceDetection(DetectionProtocol):
    """Scores boxes as the ONCE benchmark does.

    Cars, buses and trucks are one class, vehicles. A pair whose headings differ by more than 90 degrees cannot match.
    By distance, all boxes out of range are ignored whatever their class, as in the official tool: they can take a
    prediction out of the reckoning. Frames without boxes, at which the official tool stops, count like any other, and a
    recall at which nothing is left to judge has precision 0, where the official tool gives NaN.
    """

    Config: ClassVar[type[Settings]] = OnceConfig
    rules: ClassVar[str] = "ONCE 3D detection, AP@50"
    classes: ClassVar[tuple[str, ...]] = CLASSES
    coordinates: ClassVar[Literal["sensor", "world"]] = "sensor"
    config: OnceConfig

    def truth(self, dataset: Dataset) -> dict[str, Truth]:
        """See ``DetectionProtocol``; the counts of points are left out, since the official tool asks for every box."""
        return {name: replace(boxes, points=None) for name, boxes in super().truth(dataset).items()}

    def truth_of(self, dataset: Dataset, index: int, frame: Frame) -> Truth:
        """See ``DetectionProtocol``; without counts of points, as ``truth``."""
        return replace(super().truth_of(dataset, index, frame), points=None)

    def evaluate(self, predictions: Mapping[str, Detections], truth: Mapping[str, Truth], split: str) -> Result:
        """See ``DetectionProtocol``; labels of which ``truth`` says that they have no points are left out."""
        require_same_frames(predictions, truth)
        if not truth:
            raise InputError("there are no frames to score", "choose a split that has labels")
        for name, boxes in predictions.items():
            require_finite(name, boxes)
        origins = [boxes.origin for boxes in truth.values()]
        found = _Boxes.gather([predictions[name] for name in truth], origins)
        labels = _Boxes.gather(list(truth.values()), origins)
        pairs = self._pairs(found, labels)
        parts = {
            group + end: {"AP": _average_precision(found, labels, pairs, group, within)}
            for group in GROUPS
            for end, within in DISTANCES.items()
        }
        return Result(
            protocol=self.name,
            rules=f"{self.rules}, {self.config.rotation} rotation",
            split=split,
            frames=len(truth),
            evaluated=len(labels.group),
            of="boxes",
            measures={f"mAP{end}": float(np.mean([parts[group + end]["AP"] for group in GROUPS])) for end in DISTANCES},
            parts=parts,
        )

    def _pairs(self, found: _Boxes, labels: _Boxes) -> Overlaps:
        """Labels (``a``) and predictions (``b``) of any two classes that overlap enough for some class."""
        turned = np.array([1, 1, 1, 1, 1, 1, -1 if self.config.rotation == "official" else 1])
        pairs = overlaps_3d(
            labels.rows * turned, found.rows * turned, labels.frame, found.frame, min(LEAST_IOU.values())
        )
        apart = np.abs(labels.rows[pairs.a, 6] - found.rows[pairs.b, 6])
        if self.config.rotation == "true":
            apart %= 2 * np.pi
        return pairs.where(np.where(apart >= np.pi, 2 * np.pi - apart, apart) <= np.pi / 2)

    def write_submission(self, predictions: Mapping[str, Detections], out: Path) -> None:
        """See ``DetectionProtocol``: one JSON file, a list with an entry a frame in the official tool's terms. Frames
        are named ``sequence/frame`` or by the frame alone."""
        entries = []
        for name, found in predictions.items():
            require_finite(name, found)
            entries.append(_entry(name, found))
        write_whole(out, json.dumps(entries, allow_nan=False).encode())

    def read_submission(self, path: Path) -> dict[str, Detections]:
        """See ``DetectionProtocol``."""
        try:
            found = [(_name_of(entry), _detections_of(entry)) for entry in json.loads(read_text(path))]
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            what = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise DataError(f"{path} is no ONCE detection result: {what}", "write it anew") from None
        frames: dict[str, Detections] = {}
        for name, boxes in found:
            if name in frames:
                raise DataError(f"{path} has frame '{name}' twice", "write it anew")
            frames[name] = boxes
        return frames


# ---- What counts


class _Boxes(NamedTuple):
    """The boxes of all frames: ``frame`` and ``group`` (B,) int64, the latter in ``GROUPS``, ``rows`` (B,7), ``away``
    (B,) metres, ``score`` (B,), 1 for a label."""

    frame: Ints
    group: Ints
    rows: Doubles
    away: Doubles
    score: Doubles

    @classmethod
    def gather(cls, frames: list[Detections] | list[Truth], origins: list[Doubles]) -> _Boxes:
        """One after the other, without classes that the benchmark does not know and labels known to have no points."""
        columns: list[tuple[Any, ...]] = []
        for number, (boxes, origin) in enumerate(zip(frames, origins, strict=True)):
            label = labels_as(CLASSES, boxes)
            keep = label >= 0
            if isinstance(boxes, Truth) and boxes.points is not None:
                keep &= boxes.points != 0
            columns.append(
                (
                    np.full(keep.sum(), number, dtype=np.int64),
                    GROUP_OF[label[keep]],
                    box_rows(boxes.centre, boxes.size, boxes.yaw)[keep],
                    np.linalg.norm(boxes.centre - origin, axis=1)[keep],
                    boxes.score[keep] if isinstance(boxes, Detections) else np.ones(keep.sum()),
                )
            )
        return cls(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    def role(self, group: str, within: tuple[float, float]) -> Ints:
        """(B,) what each box is to a part. Distance has the last word, so that a box out of range is ignored whatever
        its class."""
        role = np.where(self.group == GROUPS.index(group), COUNTS, OTHER)
        role[(self.away < within[0]) | (self.away >= within[1])] = IGNORED
        return role


# ---- Figures


def _average_precision(
    found: _Boxes, labels: _Boxes, pairs: Overlaps, group: str, within: tuple[float, float]
) -> float:
    """Over the recalls 1/50, 2/50, …, 1."""
    wanted, offered = labels.role(group, within), found.role(group, within)
    near = pairs.where(pairs.iou > LEAST_IOU[group])
    return average_precision(near, wanted, offered, found.score, _cuts, RECALLS)


def _cuts(scores: Doubles, count: int) -> Doubles:
    """The least score at each recall 0, 1/50, 2/50, … that the matched ``scores``, falling, reach; ``count`` labels.

    A recall is reached between the two scores around it, with the official tool's slack for those that it hits.
    """
    levels = 2 * np.append(0.0, np.cumsum(np.full(RECALLS + 1, 1 / RECALLS)))  # summed up, as there: ties depend on it
    cuts: list[float] = []
    for place, score in enumerate(scores):
        last = place == len(scores) - 1
        recall = (place + 1) / count
        both = recall + (recall if last else (place + 2) / count)
        if both < levels[len(cuts)] and not last:
            continue
        cuts.append(score)
        cuts += [score] * int(np.count_nonzero(levels[len(cuts) :] < both + 1e-6))
    return np.array(cuts[: RECALLS + 1])


# ---- The submission file


def _entry(name: str, found: Detections) -> dict[str, Any]:
    label = labels_as(CLASSES, found)
    if (label < 0).any():
        unknown = found.classes[found.label[label < 0][0]]
        raise InputError(f"frame '{name}' has a box of the unknown class '{unknown}'", f"known: {', '.join(CLASSES)}")
    sequence, _, frame = name.rpartition("/")
    return {
        **({"sequence_id": sequence} if sequence else {}),
        "frame_id": frame,
        "name": [CLASSES[number] for number in label],
        "boxes_3d": box_rows(found.centre, found.size, found.yaw).tolist(),
        "score": found.score.tolist(),
    }


def _name_of(entry: Mapping[str, Any]) -> str:
    return f"{entry['sequence_id']}/{entry['frame_id']}" if "sequence_id" in entry else str(entry["frame_id"])


def _detections_of(entry: Mapping[str, Any]) -> Detections:
    names, boxes, scores = entry["name"], entry["boxes_3d"], entry["score"]
    frame = entry["frame_id"]
    unknown = sorted(set(names) - set(CLASSES))
    if unknown:
        raise ValueError(f"frame '{frame}' has the unknown class {unknown[0]!r}")
    if not len(names) == len(boxes) == len(scores):
        raise ValueError(f"frame '{frame}' has {len(names)} names, {len(boxes)} boxes and {len(scores)} scores")
    if any(len(box) != 7 for box in boxes):
        raise ValueError(f"frame '{frame}' has a box that is not 7 numbers")
    rows = np.array(boxes, dtype=np.float64).reshape(-1, 7)
    return Detections(
        centre=rows[:, :3].copy(),
        size=rows[:, 3:6].copy(),
        yaw=rows[:, 6].copy(),
        label=np.array([CLASSES.index(name) for name in names], dtype=np.int64),
        classes=CLASSES,
        score=np.array(scores, dtype=np.float64),
    )
