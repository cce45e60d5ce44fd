"""What a protocol is: the rules by which one benchmark scores predictions, and the file in which it wants them.

Everything is keyed by frame name, so that the order of frames never matters. All measures are plain floats; shares
(AP, IoU, recall) lie between 0 and 1, never in percent.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from xmodal_core import plugins
from xmodal_core.config import Settings
from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.types import Bools, Boxes, Doubles, Frame, Ints

if TYPE_CHECKING:
    from xmodal_core.datasets.base import Dataset
    from xmodal_core.metrics._confusion import Confusion

Names = NDArray[np.str_]
P = TypeVar("P", bound="_Placed")


@dataclass(frozen=True)
class _Placed:
    """Upright boxes of one frame, float64, in the coordinates that the protocol asks for.

    Args:
        centre: (B,3) metres, geometric centres.
        size: (B,3) metres: length (along the heading), width, height.
        yaw: (B,) radians about +z from +x.
        label: (B,) int64, index into ``classes``.
        classes: names of classes; a protocol leaves out those that it does not know.
        velocity: (B,2) metres a second along x and y, NaN where unknown; None: all unknown.
        attribute: (B,) names such as ``vehicle.parked``, empty where there is none; None: none anywhere.
    """

    centre: Doubles
    size: Doubles
    yaw: Doubles
    label: Ints
    classes: tuple[str, ...]
    velocity: Doubles | None = None
    attribute: Names | None = None

    def __post_init__(self) -> None:
        n = len(self.centre)
        _check("centre", self.centre, (n, 3), np.float64)
        _check("size", self.size, (n, 3), np.float64)
        _check("yaw", self.yaw, (n,), np.float64)
        _check("label", self.label, (n,), np.int64)
        _check("velocity", self.velocity, (n, 2), np.float64)
        _check("attribute", self.attribute, (n,), np.str_)
        if n and not 0 <= self.label.min() <= self.label.max() < len(self.classes):
            raise ValueError(f"labels must lie in 0..{len(self.classes) - 1}")

    def __len__(self) -> int:
        return len(self.centre)


@dataclass(frozen=True)
class Detections(_Placed):
    """Predicted boxes of one frame.

    Args:
        score: (B,) confidence, the higher the surer; NaN is refused.
        in_no_label_zone: (B,) bool, whether the box overlaps a region that nobody labelled; None: none does.
        image_box: (B,4) pixels, left, top, right, bottom of the box in the picture that its benchmark is about; NaN
            where it is not in it, None: unknown.
    """

    score: Doubles = field(default_factory=lambda: np.zeros(0))
    in_no_label_zone: Bools | None = None
    image_box: Doubles | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("score", self.score, (len(self),), np.float64)
        _check("in_no_label_zone", self.in_no_label_zone, (len(self),), np.bool_)
        _check("image_box", self.image_box, (len(self), 4), np.float64)

    @classmethod
    def none(cls, classes: tuple[str, ...] = ()) -> Detections:
        """Of a frame in which nothing was found."""
        return cls(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0, dtype=np.int64), classes)

    @classmethod
    def of(cls, boxes: Boxes, score: Doubles) -> Detections:
        """``boxes`` as they stand in the LiDAR's coordinates, with a ``score`` each."""
        return cls(**_double(boxes), score=np.asarray(score, dtype=np.float64))


@dataclass(frozen=True)
class Truth(_Placed):
    """Labelled boxes of one frame.

    Args:
        points: (B,) int64, how many points of the sensors lie in the box by the data set's own count, -1 unknown;
            None: all unknown.
        difficulty: (B,) int64 level as labelled, 0 where nobody said; None: nobody said anywhere.
        origin: (3,) metres, the place from which a protocol measures how far a box is.
    """

    points: Ints | None = None
    difficulty: Ints | None = None
    origin: Doubles = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("points", self.points, (len(self),), np.int64)
        _check("difficulty", self.difficulty, (len(self),), np.int64)
        _check("origin", self.origin, (3,), np.float64)

    @classmethod
    def none(cls, classes: tuple[str, ...] = ()) -> Truth:
        """Of a frame in which nothing is labelled."""
        return cls(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0, dtype=np.int64), classes)

    @classmethod
    def of(cls, boxes: Boxes) -> Truth:
        """``boxes`` as they stand in the LiDAR's coordinates."""
        return cls(**_double(boxes), points=boxes.points, difficulty=boxes.difficulty)


def _double(boxes: Boxes) -> dict[str, Any]:
    return {
        "centre": boxes.centre.astype(np.float64),
        "size": boxes.size.astype(np.float64),
        "yaw": boxes.yaw.astype(np.float64),
        "label": boxes.label,
        "classes": boxes.classes,
        "velocity": None if np.isnan(boxes.velocity).all() else boxes.velocity.astype(np.float64),
    }


def moved(boxes: P, transform: Doubles) -> P:
    """``boxes`` moved by a rigid 4x4 ``transform``, e.g. a frame's pose: from the LiDAR's coordinates to the world's.

    Boxes stay upright: only the heading of a tilted transform is kept.
    """
    rotation = transform[:3, :3]
    heading = np.stack([np.cos(boxes.yaw), np.sin(boxes.yaw), np.zeros(len(boxes))], axis=1) @ rotation.T
    changed: dict[str, Any] = {
        "centre": boxes.centre @ rotation.T + transform[:3, 3],
        "yaw": np.arctan2(heading[:, 1], heading[:, 0]),
    }
    if boxes.velocity is not None:
        changed["velocity"] = boxes.velocity @ rotation[:2, :2].T
    if isinstance(boxes, Truth):
        changed["origin"] = rotation @ boxes.origin + transform[:3, 3]
    return replace(boxes, **changed)


@dataclass(frozen=True)
class Result:
    """What a protocol says of a set of predictions.

    Args:
        protocol: its name, e.g. ``nuscenes_detection``.
        rules: the benchmark's own name for its rules, with the options that change figures.
        split: which frames, e.g. ``val``.
        frames: how many they were.
        evaluated: how many labelled boxes or points counted.
        of: ``boxes`` or ``points``.
        measures: the figures by name, the one that ranks first; NaN where a figure is not defined.
        parts: the figures of each class, class and range, …, by its name.
        conditions: how the predictions were made where that changes figures, e.g. ``{"tta": "none"}``.
    """

    protocol: str
    rules: str
    split: str
    frames: int
    evaluated: int
    of: Literal["boxes", "points"]
    measures: Mapping[str, float]
    parts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)

    @property
    def main(self) -> float:
        """The figure that ranks."""
        return next(iter(self.measures.values()))

    def line(self) -> str:
        """One line with the figures and all that one must know to compare them with others."""
        figures = ", ".join(f"{name} {value:.4f}" for name, value in self.measures.items())
        conditions = "".join(f", {name}: {value}" for name, value in self.conditions.items())
        frames = f"{self.frames:,} frame{'' if self.frames == 1 else 's'}"
        return (
            f"{self.protocol} ({self.rules}), split {self.split}, {frames}, "
            f"{self.evaluated:,} {self.of}{conditions}: {figures}"
        )

    def as_json(self) -> dict[str, Any]:
        """The result as ``--json`` prints it; an undefined figure is null."""
        return {
            "protocol": self.protocol,
            "rules": self.rules,
            "split": self.split,
            "frames": self.frames,
            f"evaluated_{self.of}": self.evaluated,
            "conditions": dict(self.conditions),
            "metrics": _plain(self.measures),
            "parts": {name: _plain(part) for name, part in self.parts.items()},
        }


def _plain(measures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: float(value) if math.isfinite(value) else None for name, value in measures.items()}


class NoOptions(Settings):
    """For a protocol that leaves nothing to choose."""


class Protocol(ABC):
    """One benchmark's rules.

    A plugin extends ``DetectionProtocol`` or ``SegmentationProtocol`` and gives ``Config`` (its options), ``rules``
    (the benchmark's own name for them), ``classes`` (those that count, in the benchmark's order) and ``naming`` (frame
    names that its files can hold, as a pattern of a number).
    """

    Config: ClassVar[type[Settings]] = NoOptions
    rules: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    naming: ClassVar[str] = "drive/{:d}"

    def __init__(self, config: Settings | None = None) -> None:
        self.config = config if config is not None else self.Config()

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return plugins.name_of(self)


class DetectionProtocol(Protocol):
    """Scores boxes. A plugin also states ``coordinates``: those in which it takes predictions and truth, ``sensor``
    for each frame's own, ``world`` for those that ``Frame.pose`` leads to, ``camera`` for those of a camera, with axes
    ahead, left and up; who wants the last gives ``truth``, ``truth_of`` and ``found_of``."""

    coordinates: ClassVar[Literal["sensor", "world", "camera"]] = "sensor"

    def truth(self, dataset: Dataset) -> dict[str, Truth]:
        """The labelled boxes of all frames of ``dataset``, in this protocol's coordinates.

        Raises:
            DataError: a frame has no labels, or no pose where the world's coordinates are asked for.
        """
        if self.coordinates == "sensor":  # no sweep need be read
            names = [dataset.name(index) for index in range(len(dataset))]
            return {name: Truth.of(_labelled(name, dataset.boxes(index))) for index, name in enumerate(names)}
        return {frame.name: self.truth_of(dataset, index, frame) for index, frame in enumerate(dataset)}

    def truth_of(self, dataset: Dataset, index: int, frame: Frame) -> Truth:
        """As ``truth``, of ``frame``, which is number ``index`` of ``dataset`` and has been read already."""
        return self.place(frame, Truth.of(_labelled(frame.name, frame.boxes)))

    def found_of(self, dataset: Dataset, index: int, frame: Frame, found: Detections) -> Detections:
        """What was ``found`` in ``frame``, number ``index`` of ``dataset``, in LiDAR coordinates, as this protocol
        takes it: in its own coordinates, and with what its rules need beside boxes.

        Raises:
            DataError: see ``place``; a file of the frame is missing or damaged.
        """
        return self.place(frame, found)

    def place(self, frame: Frame, boxes: P) -> P:
        """``boxes`` of ``frame``'s LiDAR coordinates in this protocol's own.

        Raises:
            DataError: the frame has no pose where the world's coordinates are asked for.
        """
        if self.coordinates == "sensor":
            return boxes
        if frame.pose is None:
            raise DataError(
                f"frame '{frame.name}' has no pose, and '{self.name}' wants boxes in the world's coordinates",
                "choose a protocol that takes sensor coordinates",
            )
        return moved(boxes, frame.pose)

    @abstractmethod
    def evaluate(self, predictions: Mapping[str, Detections], truth: Mapping[str, Truth], split: str) -> Result:
        """Score ``predictions`` of the frames of ``truth``.

        Raises:
            InputError: the two have not the same frames, or a prediction is not what the benchmark takes.
        """

    @abstractmethod
    def write_submission(self, predictions: Mapping[str, Detections], out: Path) -> None:
        """Write the official file or folder ``out``, whole or not at all.

        Raises:
            InputError: the benchmark would refuse these predictions.
            RunError: it cannot be written.
        """

    @abstractmethod
    def read_submission(self, path: Path) -> dict[str, Detections]:
        """What an official file holds, by frame name.

        Raises:
            DataError: it is missing, damaged or not of this format.
        """


def _labelled(name: str, boxes: Boxes | None) -> Boxes:
    if boxes is None:
        hint = "choose a split that has labels; for once also --set dataset.annotated_only=true"
        raise DataError(f"frame '{name}' has no labelled boxes", hint)
    return boxes


class LabelledPoints(NamedTuple):
    """One frame's points: ``name`` of the frame, ``predicted`` and ``true`` (N,) int64 numbers in the protocol's
    ``classes``, where 0 is what does not count."""

    name: str
    predicted: Ints
    true: Ints


class SegmentationProtocol(Protocol):
    """Scores a class for each point. Frames stream through: only the confusion matrix is kept.

    ``classes`` begins with the one that does not count, so that class numbers are indices into it; ``least`` is the
    lowest of them that may be predicted.
    """

    least: ClassVar[int] = 0

    def true_labels(self, frame: Frame) -> Ints:
        """(N,) the labels of ``frame`` as numbers in ``classes``, found by name; a class that is not there is 0.

        Raises:
            DataError: the frame's points have no labels.
        """
        if frame.semantic is None:
            raise DataError(f"the points of frame '{frame.name}' have no labels", "choose a split that has labels")
        place = {name: number for number, name in enumerate(self.classes)}
        lookup = np.array([place.get(name, 0) for name in frame.semantic.classes], dtype=np.int64)
        return lookup[frame.semantic.label]

    def submission_name(self, dataset: Dataset, index: int) -> str:
        """The name by which the official files call frame ``index``."""
        return dataset.name(index)

    def evaluate(self, frames: Iterable[LabelledPoints], split: str) -> Result:
        """Score all ``frames``.

        Raises:
            InputError: a frame comes twice, has another number of predictions than labels, or a class is unknown.
        """
        from xmodal_core.metrics._confusion import confusion

        return self.score(confusion(frames, len(self.classes), self.least), split)

    @abstractmethod
    def score(self, counts: Confusion, split: str) -> Result:
        """What the benchmark makes of how often each class was taken for each other."""

    @abstractmethod
    def write_submission(self, frames: Iterable[tuple[str, Ints]], out: Path, split: str) -> None:
        """Write the official folder ``out`` for ``split`` from (frame name, predicted (N,) class numbers), each file
        whole or not at all.

        Raises:
            InputError: the benchmark would refuse these predictions.
            RunError: it cannot be written.
        """

    @abstractmethod
    def read_submission(self, path: Path, split: str) -> Iterable[tuple[str, Ints]]:
        """What an official folder holds for ``split``, frame by frame.

        Raises:
            DataError: it is missing, damaged or not of this format.
        """


def require_same_frames(predictions: Mapping[str, Any], truth: Mapping[str, Any]) -> None:
    """Predictions are for exactly the frames that have labels; a frame in which nothing was found has an empty entry.

    Raises:
        InputError: a frame is missing, or one of another split is there.
    """
    missing = [name for name in truth if name not in predictions]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(truth)} frames have no predictions, the first is '{missing[0]}'",
            "predict every frame of the split; one in which nothing was found has an empty entry",
        )
    surplus = [name for name in predictions if name not in truth]
    if surplus:
        raise InputError(
            f"{len(surplus)} frames with predictions are not in the split, the first is '{surplus[0]}'",
            "choose the split that the predictions were made on",
        )


def require_finite(name: str, found: Detections) -> None:
    """Boxes and scores of frame ``name`` are finite numbers and sizes are positive.

    Raises:
        InputError: they are not.
    """
    for what, values in (("centre", found.centre), ("size", found.size), ("yaw", found.yaw), ("score", found.score)):
        if not np.isfinite(values).all():
            raise InputError(
                f"frame '{name}' has a prediction whose {what} is not a finite number", "look at the network's output"
            )
    if (found.size <= 0).any():
        raise InputError(f"frame '{name}' has a predicted box without extent", "sizes are length, width and height")


def labels_as(classes: Sequence[str], of: _Placed) -> Ints:
    """(B,) int64 the place of each box's class in ``classes``, -1 for a class that is not there."""
    place = {name: number for number, name in enumerate(classes)}
    lookup = np.array([place.get(name, -1) for name in of.classes], dtype=np.int64)
    return lookup[of.label] if len(of) else np.zeros(0, dtype=np.int64)


def _check(name: str, array: object, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    """As the vocabulary's own check, but None is allowed and text of any width."""
    if array is None:
        return
    if not isinstance(array, np.ndarray) or not np.issubdtype(array.dtype, dtype):
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name} must be an array of {dtype.__name__}, not {found}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, not {array.shape}")


def write_whole(file: Path, content: bytes) -> None:
    """Write ``file``, whole or not at all.

    Raises:
        RunError: there is no room or no permission.
    """
    unfinished = file.with_name(f"{file.name}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        os.replace(unfinished, file)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise RunError(f"cannot write {file}: {error.strerror}", "choose another place, or make room") from error
