"""The numbers of one frame's units, and their summary over many frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from xmodal_core.types import Bools, Frame, Ints, Reason, Units
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.discovery import in_range
from xmodal_core.units.false_negatives import false_negatives
from xmodal_core.units.labels import FrameLabels, labels_of_units
from xmodal_core.units.members import unit_of_points
from xmodal_core.units.quality import coverage, ground_quality, overlaps, purity, recall_of, segmentation_errors

SIZES = tuple(2**power for power in range(14))
"""Bins of the histogram of points per unit: from each of these up to the next, the last without an end."""

REASONS: tuple[Reason, ...] = ("kept", "too_few_points", "too_small", "too_large", "too_elongated", "too_flat")
NAN = float("nan")


@dataclass(frozen=True)
class Quality:
    """Units against labels; NaN where a frame lacks the labels, or has nothing of that kind to judge.

    Args:
        instance_recall: share of boxes of 20 points or more that an instance reaches an IoU of 0.5 with.
        mean_iou: mean over these boxes of the best instance's IoU.
        over_segmentation, under_segmentation: shares of these boxes; see ``quality.segmentation_errors``.
        purity: share of the units' points that have their unit's main label; see ``quality.purity``.
        ground_precision, ground_recall: by per-point labels.
        false_negative_object, false_negative_class: shares of the negative pairs; see ``false_negatives``.
    """

    instance_recall: float = NAN
    mean_iou: float = NAN
    over_segmentation: float = NAN
    under_segmentation: float = NAN
    purity: float = NAN
    ground_precision: float = NAN
    ground_recall: float = NAN
    false_negative_object: float = NAN
    false_negative_class: float = NAN

    def known(self) -> dict[str, float]:
        """What is not NaN, by name."""
        values = {entry.name: float(getattr(self, entry.name)) for entry in fields(self)}
        return {name: value for name, value in values.items() if not np.isnan(value)}


@dataclass(frozen=True)
class FrameStatistics:
    """The numbers of one frame.

    Args:
        name, scene: the frame's.
        points: returns of the sweep.
        ground: share of them that is ground.
        seeds: chosen by farthest point sampling.
        reasons: how many clusters were kept, and rejected for each reason.
        units: how many there are.
        merged_seeds: seeds that lie in a kept cluster.
        coverage: share of the points that are seen, in range and not ground that lie in a unit; NaN without any.
        sizes: (len(SIZES),) int64, how many units have so many points.
        cameras: share of the units that each camera sees a point of, by its name, in the data set's order.
        milliseconds: how long each step took.
        sensor_height: metres, stated or estimated.
        quality: against labels; None where the frame has none.
    """

    name: str
    scene: str
    points: int
    ground: float
    seeds: int
    reasons: Mapping[Reason, int]
    units: int
    merged_seeds: int
    coverage: float
    sizes: Ints
    cameras: Mapping[str, float]
    milliseconds: Mapping[str, float]
    sensor_height: float
    quality: Quality | None = None

    @property
    def clusters(self) -> int:
        """All raw clusters, kept or not."""
        return sum(self.reasons.values())

    @property
    def instances(self) -> int:
        """Clusters that were kept."""
        return self.reasons["kept"]

    def as_row(self) -> dict[str, Any]:
        """All numbers side by side, as a table has them; of the quality what is known."""
        return {
            "name": self.name,
            "scene": self.scene,
            "points": self.points,
            "ground": rounded(self.ground),
            "seeds": self.seeds,
            "clusters": self.clusters,
            **{name: count for name, count in self.reasons.items() if name != "kept"},
            "instances": self.instances,
            "units": self.units,
            "merged_seeds": self.merged_seeds,
            "coverage": rounded(self.coverage),
            **{f"seen_by_{name}": rounded(share) for name, share in self.cameras.items()},
            **{f"ms_{step}": round(value, 2) for step, value in self.milliseconds.items()},
            **{name: rounded(value) for name, value in (self.quality.known() if self.quality else {}).items()},
        }


def measure(
    frame: Frame,
    units: Units,
    config: UnitsConfig | None = None,
    *,
    labels: FrameLabels | None = None,
    negatives: Bools | None = None,
) -> FrameStatistics:
    """The numbers of ``units``, found in ``frame`` by ``config``.

    Args:
        frame: with boxes and per-point labels, as far as there are any.
        units: found in it.
        config: what they were found with; of it only the range matters. None: the defaults.
        labels: those of ``frame``. They take longer to make than all else, so whoever looks at a frame again keeps
            them.
        negatives: (U,U) bool, the negatives of each unit; None: all others.
    """
    config = config or UnitsConfig()
    owner = unit_of_points(units)
    near = in_range(frame.points, config.range)
    return FrameStatistics(
        name=frame.name,
        scene=frame.scene,
        points=len(frame),
        ground=float(units.ground.mean()) if len(frame) else 0.0,
        seeds=len(units.seeds),
        reasons={reason: units.reasons.count(reason) for reason in REASONS},
        units=units.count,
        merged_seeds=int((units.instance[units.seeds] >= 0).sum()),
        coverage=coverage(owner, units.visible & ~units.ground & near),
        sizes=size_histogram(owner),
        cameras=seen_by(frame, units),
        milliseconds=dict(units.milliseconds),
        sensor_height=units.sensor_height,
        quality=_quality(frame, units, owner, config, labels, negatives),
    )


def _quality(
    frame: Frame, units: Units, owner: Ints, config: UnitsConfig, labels: FrameLabels | None, negatives: Bools | None
) -> Quality | None:
    if frame.boxes is None and frame.semantic is None:
        return None
    labels = labels or FrameLabels.of(frame)
    found = overlaps(labels, units.instance)
    recall, errors = recall_of(found), segmentation_errors(found)
    pairs = false_negatives(labels_of_units(frame, units.pooling, labels), negatives)
    limits = (config.range.nearest, config.range.farthest)
    ground = frame.semantic and ground_quality(frame.points, frame.semantic, units.ground, *limits)
    return Quality(
        instance_recall=recall.matched,
        mean_iou=recall.mean_iou,
        over_segmentation=errors.over,
        under_segmentation=errors.under,
        purity=purity(labels, owner),
        ground_precision=ground.precision if ground else NAN,
        ground_recall=ground.recall if ground else NAN,
        false_negative_object=pairs.object,
        false_negative_class=pairs.cls,
    )


def size_histogram(unit: Ints) -> Ints:
    """How many units have as many points as each bin of ``SIZES`` says, (len(SIZES),); ``unit`` (N,) of each point."""
    size = np.bincount(unit[unit >= 0])
    power = np.frexp(size[size > 0].astype(np.float64))[1] - 1
    return np.bincount(np.minimum(power, len(SIZES) - 1), minlength=len(SIZES)).astype(np.int64)


def seen_by(frame: Frame, units: Units) -> dict[str, float]:
    """The share of ``units`` of which each camera sees a point that the unit's feature is averaged over, by the
    camera's name; 0 without units."""
    shares: dict[str, float] = {}
    for number, camera in enumerate(frame.cameras):
        seen = np.zeros(len(frame), dtype=np.bool_)
        seen[units.pixels.point[units.pixels.camera == number]] = True
        hit = np.zeros(units.count, dtype=np.bool_)
        hit[units.pooling.row[seen[units.pooling.column]]] = True
        shares[camera.name] = float(hit.mean()) if units.count else 0.0
    return shares


@dataclass(frozen=True)
class Summary:
    """Many frames in one: means over the frames that have a number (so a frame without boxes to judge does not count
    in ``instance_recall``, and every other frame counts the same, however many boxes it has); of times medians.

    Args:
        frames: how many.
        means: of the counts and shares, by name, as in ``FrameStatistics``.
        reasons: mean number of clusters kept and rejected, by reason.
        sizes: mean number of units in each bin of ``SIZES``.
        cameras: mean share of units seen, by camera; over the frames that have it.
        milliseconds: median of each step.
        quality: means, by name; only what some frame has.
        ends: the least and the greatest value of any frame, of each of ``means`` and ``quality``.
    """

    frames: int
    means: Mapping[str, float]
    reasons: Mapping[str, float]
    sizes: tuple[float, ...]
    cameras: Mapping[str, float]
    milliseconds: Mapping[str, float]
    quality: Mapping[str, float] = field(default_factory=dict)
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Values that JSON can hold."""
        return {
            "frames": self.frames,
            **{name: rounded(value) for name, value in self.means.items()},
            "milliseconds": {name: round(value, 2) for name, value in self.milliseconds.items()},
            "quality": {name: rounded(value) for name, value in self.quality.items()},
            "clusters_by_reason": {name: rounded(value) for name, value in self.reasons.items()},
            "seen_by": {name: rounded(value) for name, value in self.cameras.items()},
            "points_per_unit": {str(low): rounded(value) for low, value in zip(SIZES, self.sizes, strict=True)},
        }


MEANS = ("points", "ground", "seeds", "clusters", "instances", "units", "merged_seeds", "coverage", "sensor_height")


def average(frames: Sequence[FrameStatistics]) -> Summary:
    """The summary of at least one frame."""
    counts = [{name: float(getattr(frame, name)) for name in MEANS} for frame in frames]
    judged = [frame.quality.known() for frame in frames if frame.quality]
    return Summary(
        frames=len(frames),
        means={name: mean([row[name] for row in counts]) for name in MEANS},
        reasons=_by_name([frame.reasons for frame in frames], np.mean),
        sizes=tuple(float(value) for value in np.mean([frame.sizes for frame in frames], axis=0)),
        cameras=_by_name([frame.cameras for frame in frames], np.mean),
        milliseconds=_by_name([frame.milliseconds for frame in frames], np.median),
        quality=_by_name(judged, np.mean),
        ends={name: (low, high) for rows in (counts, judged) for name, low, high in _ends(rows)},
    )


def _ends(rows: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, float, float]]:
    """The least and the greatest value of each name, NaN passed over."""
    lows, highs = _by_name(rows, np.fmin.reduce), _by_name(rows, np.fmax.reduce)
    yield from ((name, lows[name], highs[name]) for name in lows)


def mean(values: Sequence[float]) -> float:
    """The mean of those that are not NaN; NaN without any."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else NAN


def _by_name(rows: Sequence[Mapping[Any, float]], middle: Callable[[list[float]], Any]) -> dict[str, float]:
    """``middle`` of the values of each name, over the rows that have it, in the order of first appearance."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {str(name): float(middle([row[name] for row in rows if name in row])) for name in names}


def rounded(value: float) -> float | None:
    """Short, for JSON, which has no NaN: None."""
    if np.isnan(value):
        return None
    return round(value, 2) if abs(value) >= 10 else float(f"{value:.4g}")
