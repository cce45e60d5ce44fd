"""What a search looks for. Every objective is held by guards, so that no empty victory counts: see each class.

A trial's score is between 0 and 1, more is better, as long as all guards hold; else it is the negative of how far they
are broken, so that whatever breaks one is worse than whatever does not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np

from xmodal_core.types import Bools, Frame, Pooling, Units
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.discovery import discover, in_range
from xmodal_core.units.labels import FrameLabels, labels_of_units
from xmodal_core.units.members import unit_of_points
from xmodal_core.units.quality import coverage, ground_quality, is_ground_class, overlaps, recall_of
from xmodal_core.units.statistics import mean
from xmodal_core.units.steps import Steps

MIN_POINTS = 20
"""Boxes with fewer returns are not judged, as in ``quality.instance_recall``."""

FEET = 0.2
"""Metres above a box's bottom below which returns count for nothing: they are of the ground as often as of the object,
and who counts them is told to leave the ground under a car in."""

MEMORY = 4 * 2**30
"""Bytes that the steps of all frames may take: hundreds of frames."""

Measures = Mapping[str, float]
"""Of a frame, or means over frames; NaN where a frame has nothing of the kind."""

CLUSTERING = (
    "ground.max_slope",
    "ground.max_fit_error",
    "ground.max_long_height",
    "ground.max_start_height",
    "ground.max_dist_to_line",
    "instances.radius",
    "instances.radius_growth",
    "instances.max_radius",
    "instances.vertical_reach",
)
"""The settings that decide which returns become one cluster."""


@dataclass(frozen=True)
class Case:
    """One frame of a search: its labels, made once, and its steps, so that only what changed is done again.

    Args:
        frame: pictures are not read.
        start: the settings that a search begins with.
        seed: of discovery.
        labels: of the frame.
        bodies: the same without the points at the feet of boxes.
        feet: (N,) bool, these.
        wanted: (N,) bool, what a unit should cover: points that are seen, in range and not ground by ``start``.
        steps: those of its last discovery; None: all is done anew each time, which saves their memory.
    """

    frame: Frame
    start: UnitsConfig
    seed: int
    labels: FrameLabels
    bodies: FrameLabels
    feet: Bools
    wanted: Bools
    steps: Steps | None

    @classmethod
    def of(cls, frame: Frame, start: UnitsConfig, seed: int = 0) -> Case:
        """The case that ``frame`` makes."""
        steps = Steps()
        units = discover(frame, start, seed=seed, steps=steps)
        wanted = units.visible & ~units.ground & in_range(frame.points, start.range)
        labels = FrameLabels.of(frame)
        bodies, feet = without_feet(frame, labels)
        return cls(frame, start, seed, labels, bodies, feet, wanted, steps)

    def units(self, config: UnitsConfig) -> Units:
        """The frame's units by ``config``."""
        return discover(self.frame, config, seed=self.seed, steps=self.steps)

    @property
    def nbytes(self) -> int:
        """The memory that it takes, nearly: the frame's and the remembered steps' arrays."""
        channels = sum(values.nbytes for values in self.frame.channels.values())
        return self.frame.points.nbytes + channels + (self.steps.nbytes if self.steps else 0)


def make_cases(frames: Iterable[Frame], start: UnitsConfig, seed: int = 0, memory: int = MEMORY) -> Iterator[Case]:
    """The cases of ``frames``; those whose remembered steps no more fit into ``memory`` bytes remember none."""
    for frame in frames:
        case = Case.of(frame, start, seed)
        memory -= case.nbytes
        yield case if memory > 0 else replace(case, steps=None)


def without_feet(frame: Frame, labels: FrameLabels) -> tuple[FrameLabels, Bools]:
    """``labels`` whose boxes begin ``FEET`` above their bottoms, and (N,) bool the points that this leaves out."""
    feet = np.zeros(len(frame), dtype=np.bool_)
    if frame.boxes is None:
        return labels, feet
    bottom = frame.boxes.centre[:, 2] - frame.boxes.size[:, 2] / 2
    low = frame.points[labels.point, 2] < bottom[labels.box] + FEET
    feet[labels.point[low]] = True
    return replace(labels, box=labels.box[~low], point=labels.point[~low]), feet


class Guard(NamedTuple):
    """``measure`` must stay between ``least`` and ``most`` times what the start has."""

    measure: str
    least: float = 0.0
    most: float = np.inf

    def beyond(self, means: Measures, before: Measures) -> float:
        """How far outside of that ``means`` are, as a share of what the start has ``before``; 0: not at all, or one of
        them has nothing of the kind."""
        if not before[self.measure] > 0 or np.isnan(means[self.measure]):
            return 0.0
        ratio = means[self.measure] / before[self.measure]
        return max(self.least - ratio, 0.0) + max(ratio - self.most, 0.0)

    def in_words(self, means: Measures, before: Measures) -> str:
        """What is wrong, where something is."""
        low = means[self.measure] < before[self.measure]
        limit = f"at least {self.least:g}" if low else f"at most {self.most:g}"
        ratio = means[self.measure] / before[self.measure]
        return f"{self.measure.replace('_', ' ')} is {ratio:.3g} times what it was, not {limit} times"


class Objective(ABC):
    """One thing to search for.

    A subclass gives ``words`` (what it is, in one line), ``needs`` (the labels it judges by; empty: none), ``vary``
    (the settings that are varied where nobody chose) and ``guards``.
    """

    words: ClassVar[str]
    needs: ClassVar[str]
    vary: ClassVar[tuple[str, ...]] = CLUSTERING
    guards: ClassVar[tuple[Guard, ...]] = (Guard("units", least=0.8),)

    @abstractmethod
    def can_judge(self, case: Case) -> bool:
        """Whether the frame has something of the kind."""

    @abstractmethod
    def look(self, case: Case, units: Units) -> dict[str, float]:
        """The measures of one frame, those of the guards among them."""

    @abstractmethod
    def value(self, means: Measures) -> float:
        """How good measures are, 0 to 1."""

    def score(self, frames: Sequence[Measures], start: Sequence[Measures]) -> float:
        """The score of settings by the measures of some frames, where ``start`` has those of the same frames by the
        settings to begin with."""
        means, before = average(frames), average(start)
        broken = sum(guard.beyond(means, before) for guard in self.guards)
        return -broken if broken > 0 else self.value(means)


def average(frames: Sequence[Measures]) -> dict[str, float]:
    """The mean of each measure over the frames that have it."""
    return {name: mean([frame[name] for frame in frames]) for name in frames[0]}


class Recall(Objective):
    """Labelled objects found as one instance: the mean of the share that is matched and of the IoU.

    (The share alone moves in steps of one object, and does not tell which of two settings comes nearer to the next.)
    What lies at the feet of a box does not count, see ``FEET``; so both differ a little from ``units stats``.

    To keep every cluster would raise it, and would make one unit of each wall and each hedge; so there must be at least
    0.8 times as many units as at the start.
    """

    words = "labelled objects found as one instance (matched share and IoU)"
    needs = "boxes of 20 returns or more"

    def can_judge(self, case: Case) -> bool:
        return bool((np.bincount(case.bodies.box) >= MIN_POINTS).any())

    def look(self, case: Case, units: Units) -> dict[str, float]:
        bodies = np.where(case.feet, -1, units.instance)
        found = recall_of(overlaps(case.bodies, bodies), min_points=MIN_POINTS)
        return {"instance_recall": found.matched, "mean_iou": found.mean_iou, "units": float(units.count)}

    def value(self, means: Measures) -> float:
        return (means["instance_recall"] + means["mean_iou"]) / 2


class FalseNegatives(Recall):
    """Pairs of units on one object, which the loss would push apart: the share that merging takes away, of those that
    the seeds alone would make.

    The plain share of all pairs falls when there are more units anywhere, whatever becomes of the objects; this one
    does not. To lose the objects among the ground, or to merge them with what is around them, costs IoU, which must not
    fall. More seeds would give merging more to take away, so there must be as many as at the start (within 5 %), and at
    least 0.8 times as many units.
    """

    words = "pairs of seeds on one object that become one unit, so that they are no false negatives"
    guards = (Guard("units", least=0.8), Guard("mean_iou", least=1.0), Guard("seeds", least=0.95, most=1.05))

    def look(self, case: Case, units: Units) -> dict[str, float]:
        on = case.labels.object[units.seeds]
        of_seeds = np.bincount(on[on >= 0])
        unit = labels_of_units(case.frame, units.pooling, case.labels).object
        of_units = np.bincount(unit[unit >= 0])
        pairs = {"pairs_of_seeds": _pairs(of_seeds), "pairs_left": _pairs(of_units)}
        return {**super().look(case, units), **pairs, "seeds": float(len(units.seeds))}

    def value(self, means: Measures) -> float:
        if not means["pairs_of_seeds"] > 0:
            return 0.0
        return max(1 - means["pairs_left"] / means["pairs_of_seeds"], 0.0)


def _pairs(size: np.ndarray) -> float:
    return float((size * (size - 1)).sum())


class Coverage(Objective):
    """Points that lie in a unit, of those that the start takes for objects that a camera sees; needs no labels.

    To call more of the sweep ground does not help, since the start says what is to be covered. Wide contexts would
    cover everything and mean nothing, and so would a few huge instances or any number of seeds: units that are no
    instances must not reach farther than 1.25 times as far as at the start, and there must be 0.95 to 1.25 times as
    many units.
    """

    words = "points of objects that lie in a unit (needs no labels)"
    needs = ""
    vary = (
        "context.kind",
        "context.neighbours",
        "context.radius",
        "context.pillar_size",
        "instances.radius",
        "instances.radius_growth",
        "instances.max_radius",
        "instances.min_points",
        "instances.min_size",
        "instances.max_aspect",
        "instances.min_flatness",
    )
    guards = (Guard("units", least=0.95, most=1.25), Guard("reach", most=1.25))

    def can_judge(self, case: Case) -> bool:
        return bool(case.wanted.any())

    def look(self, case: Case, units: Units) -> dict[str, float]:
        return {
            "coverage": coverage(unit_of_points(units), case.wanted),
            "units": float(units.count),
            "reach": reach(case.frame, units),
        }

    def value(self, means: Measures) -> float:
        return means["coverage"]


def reach(frame: Frame, units: Units) -> float:
    """How far the points of a unit that is no instance lie from its middle, metres: root mean square over points, mean
    over units; NaN without such units."""
    alone = ~units.merged
    if not alone.any():
        return float("nan")
    points = frame.points.astype(np.float64)
    squares = _pooled(units.pooling, (points * points).sum(axis=1))
    middle = sum(_pooled(units.pooling, points[:, axis]) ** 2 for axis in range(3))
    return float(np.sqrt(np.maximum(squares - middle, 0.0))[alone].mean())


def _pooled(pooling: Pooling, values: np.ndarray) -> np.ndarray:
    """The mean of ``values`` (N,) in each unit, (U,)."""
    return np.bincount(pooling.row, pooling.weight * values[pooling.column], minlength=pooling.shape[0])


class Ground(Objective):
    """Ground against per-point labels: the harmonic mean of precision and recall, among returns in the range that the
    start has. Both errors count, so it needs no guard."""

    words = "ground against per-point labels (precision and recall)"
    needs = "per-point labels with ground among their classes"
    vary = (
        "ground.max_slope",
        "ground.max_fit_error",
        "ground.long_threshold",
        "ground.beam_gaps",
        "ground.max_long_height",
        "ground.max_start_height",
        "ground.max_dist_to_line",
        "ground.line_search_angle",
    )
    guards = ()

    def can_judge(self, case: Case) -> bool:
        semantic = case.frame.semantic
        if semantic is None:
            return False
        flat = [is_ground_class(name) for name in semantic.classes]
        return bool(np.array(flat)[semantic.label[semantic.label > 0]].any())

    def look(self, case: Case, units: Units) -> dict[str, float]:
        assert case.frame.semantic is not None
        limits = (case.start.range.nearest, case.start.range.farthest)
        quality = ground_quality(case.frame.points, case.frame.semantic, units.ground, *limits)
        both = quality.precision + quality.recall
        return {"harmonic": 2 * quality.precision * quality.recall / both if both > 0 else 0.0}

    def value(self, means: Measures) -> float:
        return means["harmonic"]


OBJECTIVES: dict[str, Objective] = {
    "recall": Recall(),
    "false-negatives": FalseNegatives(),
    "coverage": Coverage(),
    "ground": Ground(),
}
