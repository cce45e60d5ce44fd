"""nuScenes detection: mAP over centre distances, five errors of true positives, and NDS (detection_cvpr_2019).

Rules: nuscenes-devkit, eval/detection/{evaluate,algo,data_classes}.py and eval/common/{loaders,utils}.py. Predictions
and labels are in global coordinates, as in the submission file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmodal_core.config import Settings
from xmodal_core.datasets._files import read_text
from xmodal_core.datasets._nuscenes_classes import DETECTION
from xmodal_core.errors import DataError, InputError
from xmodal_core.metrics._centre_matching import (
    FIRST,
    MATCH_DISTANCES,
    RECALLS,
    average_precision,
    match_in_turn,
    near_pairs,
    turns,
)
from xmodal_core.metrics._nuscenes import SubmissionMeta
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
from xmodal_core.types import Bools, Doubles, Frame, Ints

if TYPE_CHECKING:
    from xmodal_core.datasets.base import Dataset

CLASS_RANGE = {
    "car": 50.0,
    "truck": 50.0,
    "bus": 50.0,
    "trailer": 50.0,
    "construction_vehicle": 50.0,
    "pedestrian": 40.0,
    "motorcycle": 40.0,
    "bicycle": 40.0,
    "traffic_cone": 30.0,
    "barrier": 30.0,
}
"""Metres from the vehicle, along the ground, within which boxes count."""

ERROR_DISTANCE = 2.0
"""The one of them at which errors are measured."""
MAX_BOXES = 500
AP_WEIGHT = 5.0

ATTRIBUTES = (
    "pedestrian.moving",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "cycle.with_rider",
    "cycle.without_rider",
    "vehicle.moving",
    "vehicle.parked",
    "vehicle.stopped",
)
ERRORS = ("ATE", "ASE", "AOE", "AVE", "AAE")
"""Of place (m), size (1 - IoU of aligned boxes), heading (rad), velocity (m/s), attribute (1 - accuracy)."""
UNDEFINED = {"traffic_cone": ("AOE", "AVE", "AAE"), "barrier": ("AVE", "AAE")}
RACK = "static_object.bicycle_rack"
CYCLES = ("bicycle", "motorcycle")


class NuScenesDetection(DetectionProtocol):
    """Scores boxes as the nuScenes detection benchmark does.

    Of equal scores the later prediction is matched first, as in the devkit; all else does not depend on any order.
    An empty set of predictions, at which the devkit stops, scores zero. Predictions without velocity are taken to
    stand still, as the submission file says of them; a single NaN leaves its error out, as in the devkit.
    """

    Config: ClassVar[type[Settings]] = SubmissionMeta
    rules: ClassVar[str] = "detection_cvpr_2019"
    classes: ClassVar[tuple[str, ...]] = DETECTION
    coordinates: ClassVar[Literal["sensor", "world"]] = "world"

    def truth(self, dataset: Dataset) -> dict[str, Truth]:
        """The labels of all frames of ``dataset``; of nuScenes they come straight from its tables, with the counts of
        points, the attributes and the vehicle's place, and no sweep is read."""
        from xmodal_core.datasets.nuscenes import NuScenes

        if not isinstance(dataset, NuScenes):
            return super().truth(dataset)
        truth = {dataset.name(index): _truth_of(dataset, index) for index in range(len(dataset))}
        if not any(map(len, truth.values())):
            raise DataError(
                f"{dataset.root} has no labelled boxes in this split", "the labels of 'test' are not public"
            )
        return truth

    def truth_of(self, dataset: Dataset, index: int, frame: Frame) -> Truth:
        """See ``DetectionProtocol``; of nuScenes with all that its tables say."""
        from xmodal_core.datasets.nuscenes import NuScenes

        return _truth_of(dataset, index) if isinstance(dataset, NuScenes) else super().truth_of(dataset, index, frame)

    def evaluate(self, predictions: Mapping[str, Detections], truth: Mapping[str, Truth], split: str) -> Result:
        """See ``DetectionProtocol``; at most 500 boxes a frame are taken."""
        require_same_frames(predictions, truth)
        if not truth:
            raise InputError("there are no frames to score", "choose a split that has labels")
        for name, boxes in predictions.items():
            _require_valid(name, boxes)
        labels = _Boxes.gather([_counted(truth[name], truth[name]) for name in predictions])
        found = _Boxes.gather([_counted(predictions[name], truth[name]) for name in predictions])
        parts = _score(found, labels)
        return Result(
            protocol=self.name,
            rules=self.rules,
            split=split,
            frames=len(truth),
            evaluated=len(labels.frame),
            of="boxes",
            measures=_summary(parts),
            parts=parts,
        )

    def write_submission(self, predictions: Mapping[str, Detections], out: Path) -> None:
        """See ``DetectionProtocol``: one JSON file in global coordinates."""
        frames = []  # as text one by one: the rows of a whole split would fill gigabytes
        for name, found in predictions.items():
            _require_valid(name, found)
            frames.append(f"{json.dumps(name)}: {json.dumps(_rows_of(name, found), allow_nan=False)}")
        meta = json.dumps(self.config.model_dump())
        write_whole(out, f'{{"meta": {meta}, "results": {{{", ".join(frames)}}}}}'.encode())

    def read_submission(self, path: Path) -> dict[str, Detections]:
        """See ``DetectionProtocol``."""
        try:
            results = json.loads(read_text(path))["results"]
            return {str(name): _detections_of(str(name), rows) for name, rows in results.items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            what = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
            raise DataError(f"{path} is no nuScenes detection result: {what}", "write it anew") from None


def _truth_of(dataset: Any, index: int) -> Truth:
    labels = dataset.annotations(index)
    return Truth(
        centre=labels.centre,
        size=labels.size,
        yaw=yaws_of(labels.rotation),
        label=labels.label,
        classes=labels.classes,
        velocity=labels.velocity,
        attribute=labels.attribute,
        points=labels.points,
        origin=labels.ego,
    )


def yaws_of(wxyz: Doubles) -> Doubles:
    """(B,) radians, the heading of the x-axis that each quaternion (B,4) turns; they need not be normalised."""
    w, x, y, z = wxyz.T
    return np.asarray(np.arctan2(2 * (x * y + w * z), w * w + x * x - y * y - z * z), dtype=np.float64)


# ---- What counts


class _Boxes(NamedTuple):
    """The boxes of all frames that count: ``frame`` (B,) number of the frame, ``label`` (B,) in ``DETECTION``, …"""

    frame: Ints
    label: Ints
    centre: Doubles
    size: Doubles
    yaw: Doubles
    velocity: Doubles
    attribute: NDArray[np.str_]
    score: Doubles

    @classmethod
    def gather(cls, frames: list[_Boxes]) -> _Boxes:
        """One after the other, numbered by their place in the list, which has one at least."""
        columns = [np.concatenate(column) for column in zip(*frames, strict=True)]
        columns[0] = np.repeat(np.arange(len(frames)), [len(boxes.frame) for boxes in frames])
        return cls(*columns)


def _require_valid(name: str, found: Detections) -> None:
    require_finite(name, found)
    if len(found) > MAX_BOXES:
        raise InputError(
            f"frame '{name}' has {len(found)} predictions, the benchmark takes {MAX_BOXES}", "keep those scored highest"
        )
    if found.velocity is not None and np.isinf(found.velocity).any():
        raise InputError(f"frame '{name}' has a prediction of infinite velocity", "NaN stands for an unknown one")
    if found.attribute is not None and not np.isin(found.attribute, ("", *ATTRIBUTES)).all():
        wrong = found.attribute[~np.isin(found.attribute, ("", *ATTRIBUTES))][0]
        raise InputError(f"frame '{name}' has the unknown attribute '{wrong}'", f"known: {', '.join(ATTRIBUTES)}")


def _counted(boxes: Detections | Truth, truth: Truth) -> _Boxes:
    """The boxes of one frame that count: of the classes, in range, with points, not in a bicycle rack."""
    label = labels_as(DETECTION, boxes)
    reach = np.array([CLASS_RANGE[name] for name in DETECTION])
    away = np.sqrt(((boxes.centre[:, :2] - truth.origin[:2]) ** 2).sum(axis=1))
    kept = (label >= 0) & (away < reach[label])
    if isinstance(boxes, Truth) and boxes.points is not None:
        kept &= boxes.points != 0
    cycles = kept & np.isin(label, [DETECTION.index(name) for name in CYCLES])
    kept[cycles] = ~_in_a_rack(boxes.centre[cycles], truth)
    count = len(boxes)
    unknown = np.nan if isinstance(boxes, Truth) else 0.0
    velocity = boxes.velocity if boxes.velocity is not None else np.full((count, 2), unknown)
    attribute = boxes.attribute if boxes.attribute is not None else np.full(count, "", dtype=np.str_)
    score = boxes.score if isinstance(boxes, Detections) else np.zeros(count)
    frame = np.zeros(count, dtype=np.int64)  # numbered when all are gathered
    columns = (frame, label, boxes.centre, boxes.size, boxes.yaw, velocity, attribute, score)
    return _Boxes(*(column[kept] for column in columns))


def _in_a_rack(centre: Doubles, truth: Truth) -> Bools:
    """(B,) bool: whether each ``centre`` (B,3) lies in or on a labelled bicycle rack."""
    racks = np.flatnonzero(labels_as((RACK,), truth) == 0)
    apart = centre[:, None] - truth.centre[racks]
    c, s = np.cos(truth.yaw[racks]), np.sin(truth.yaw[racks])
    along, across = c * apart[..., 0] + s * apart[..., 1], c * apart[..., 1] - s * apart[..., 0]
    beyond = np.abs(np.stack([along, across, apart[..., 2]], axis=-1)) - truth.size[racks] / 2
    return np.asarray((beyond.max(axis=2) <= 0).any(axis=1), dtype=np.bool_)


# ---- Curves and figures


@dataclass(frozen=True)
class _Ranked:
    """All predictions of one class by falling score: ``index`` (F,) of each, ``score`` (F,)."""

    index: Ints
    score: Doubles
    positives: int


def _score(found: _Boxes, labels: _Boxes) -> dict[str, dict[str, float]]:
    """Every figure of every class."""
    order, rank = turns(found.score)
    pairs = near_pairs(found, labels, max(MATCH_DISTANCES))
    matches = {}
    for distance in MATCH_DISTANCES:
        near = pairs.away < distance
        matches[distance] = match_in_turn(
            pairs.found[near], pairs.label[near], pairs.away[near], rank, len(labels.frame)
        )
    errors = _errors(found, labels, matches[ERROR_DISTANCE])
    parts = {}
    for number, name in enumerate(DETECTION):
        index = order[found.label[order] == number]
        ranked = _Ranked(index, found.score[index], int((labels.label == number).sum()))
        parts[name] = _class_figures(name, ranked, matches, errors)
    return parts


def _class_figures(
    name: str, ranked: _Ranked, matches: Mapping[float, Ints], errors: Mapping[str, Doubles]
) -> dict[str, float]:
    precisions = {
        distance: average_precision(match[ranked.index] >= 0, ranked.positives) for distance, match in matches.items()
    }
    figures = {"AP": float(np.mean(list(precisions.values())))}
    figures.update({f"AP@{distance:g}m": value for distance, value in precisions.items()})
    for error in ERRORS:
        figures[error] = (
            float("nan")
            if error in UNDEFINED.get(name, ())
            else _mean_error(ranked, matches[ERROR_DISTANCE], errors[error])
        )
    return figures


def _mean_error(ranked: _Ranked, match: Ints, error: Doubles) -> float:
    """The mean error over the recalls from ``FIRST`` to the highest that was reached; 1 where that is below."""
    hit = match[ranked.index] >= 0
    if not ranked.positives or not hit.any():
        return 1.0
    score = np.interp(RECALLS, np.cumsum(hit) / ranked.positives, ranked.score, right=0.0)
    reached = np.flatnonzero(score)
    last = int(reached[-1]) if len(reached) else 0
    if last < FIRST:
        return 1.0
    so_far = _running_mean(error[ranked.index[hit]])
    along = np.interp(score[::-1], ranked.score[hit][::-1], so_far[::-1])[::-1]
    return float(np.mean(along[FIRST : last + 1]))


def _running_mean(values: Doubles) -> Doubles:
    """The mean up to each place, of what is known; 1 everywhere where nothing is, 0 before the first that is."""
    known = ~np.isnan(values)
    if not known.any():
        return np.ones(len(values))
    count = np.cumsum(known)
    return np.asarray(np.nancumsum(values) / np.maximum(count, 1), dtype=np.float64)


def _errors(found: _Boxes, labels: _Boxes, match: Ints) -> dict[str, Doubles]:
    """(F,) of each prediction that has a match, NaN where the error is unknown; 0 for the others."""
    errors = {name: np.zeros(len(match)) for name in ERRORS}
    hit = np.flatnonzero(match >= 0)
    other = match[hit]
    apart = found.centre[hit, :2] - labels.centre[other, :2]
    errors["ATE"][hit] = np.sqrt((apart**2).sum(axis=1))
    errors["ASE"][hit] = 1.0 - _aligned_iou(found.size[hit], labels.size[other])
    period = np.where(labels.label[other] == DETECTION.index("barrier"), np.pi, 2 * np.pi)
    errors["AOE"][hit] = _turn(labels.yaw[other], found.yaw[hit], period)
    errors["AVE"][hit] = np.sqrt(((found.velocity[hit] - labels.velocity[other]) ** 2).sum(axis=1))
    wrong = (found.attribute[hit] != labels.attribute[other]).astype(np.float64)
    errors["AAE"][hit] = np.where(labels.attribute[other] == "", np.nan, wrong)
    return errors


def _aligned_iou(first: Doubles, second: Doubles) -> Doubles:
    """(B,) IoU of boxes of two sizes (B,3) that share centre and heading."""
    shared = np.minimum(first, second).prod(axis=1)
    return np.asarray(shared / (first.prod(axis=1) + second.prod(axis=1) - shared), dtype=np.float64)


def _turn(first: Doubles, second: Doubles, period: Doubles) -> Doubles:
    """(B,) radians >= 0 between two headings that mean the same after ``period``."""
    return np.asarray(np.abs((first - second + period / 2) % period - period / 2), dtype=np.float64)


def _summary(parts: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    mean_ap = float(np.mean([part["AP"] for part in parts.values()]))
    means = {f"m{error}": float(np.nanmean([part[error] for part in parts.values()])) for error in ERRORS}
    scores = [max(0.0, 1.0 - error) for error in means.values()]
    score = (AP_WEIGHT * mean_ap + sum(scores)) / (AP_WEIGHT + len(scores))
    return {"NDS": score, "mAP": mean_ap, **means}


# ---- Attributes

MOVING_SPEED = 0.2
"""Metres a second from which on a thing is taken to move."""
_VEHICLES = ("car", "truck", "trailer", "construction_vehicle")
AT_SPEED = {
    **dict.fromkeys(_VEHICLES, ("vehicle.parked", "vehicle.moving")),
    "bus": ("vehicle.stopped", "vehicle.moving"),
    **dict.fromkeys(CYCLES, ("cycle.without_rider", "cycle.with_rider")),
    "pedestrian": ("pedestrian.standing", "pedestrian.moving"),
}
"""The attribute of a class at rest and in motion; other classes have none."""


def with_attributes(found: Detections) -> Detections:
    """``found`` with the attribute that its class mostly has at its speed, as detectors without a head for attributes
    state it (det3d/datasets/nuscenes/nuscenes.py in tianweiy/CenterPoint does alike)."""
    speed = np.zeros(len(found)) if found.velocity is None else np.linalg.norm(found.velocity, axis=1)
    names = [
        AT_SPEED.get(found.classes[number], ("", ""))[int(moves)]
        for number, moves in zip(found.label, speed > MOVING_SPEED, strict=True)
    ]
    return replace(found, attribute=np.array(names, dtype=np.str_))


# ---- The submission file


def _rows_of(name: str, found: Detections) -> list[dict[str, Any]]:
    label = labels_as(DETECTION, found)
    velocity = np.zeros((len(found), 2)) if found.velocity is None else found.velocity
    if np.isnan(velocity).any():
        raise InputError(f"frame '{name}' has a prediction of unknown velocity", "the file has no word for it: give 0")
    attribute = found.attribute if found.attribute is not None else np.full(len(found), "")
    return [
        {
            "sample_token": name,
            "translation": found.centre[row].tolist(),
            "size": found.size[row, [1, 0, 2]].tolist(),  # width, length, height
            "rotation": [float(np.cos(found.yaw[row] / 2)), 0.0, 0.0, float(np.sin(found.yaw[row] / 2))],
            "velocity": velocity[row].tolist(),
            "detection_name": DETECTION[label[row]],
            "detection_score": float(found.score[row]),
            "attribute_name": str(attribute[row]),
        }
        for row in np.flatnonzero(label >= 0)
    ]


def _detections_of(name: str, rows: list[dict[str, Any]]) -> Detections:
    def column(field: str, width: int) -> Doubles:
        return np.array([row[field] for row in rows], dtype=np.float64).reshape(len(rows), width)

    place = {name: number for number, name in enumerate(DETECTION)}
    for row in rows:
        if row["detection_name"] not in place:
            raise ValueError(f"the class {row['detection_name']!r} is unknown")
        if row["sample_token"] != name:
            raise ValueError(f"a box of sample {row['sample_token']!r} stands among those of {name!r}")
    rotation = column("rotation", 4)
    if (np.abs(rotation).max(axis=1, initial=0.0) < 1e-6).any():
        raise ValueError(f"a box of sample {name!r} has a rotation that is no quaternion")
    return Detections(
        centre=column("translation", 3),
        size=column("size", 3)[:, [1, 0, 2]],
        yaw=yaws_of(rotation),
        label=np.array([place[row["detection_name"]] for row in rows], dtype=np.int64),
        classes=DETECTION,
        velocity=column("velocity", 2),
        attribute=np.array([row["attribute_name"] for row in rows], dtype=np.str_),
        score=column("detection_score", 1)[:, 0],
    )
