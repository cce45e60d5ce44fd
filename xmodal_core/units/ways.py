"""The ways to contrastive units side by side, on one frame: the paper's steps one after the other, and its peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from xmodal_core.types import Bools, Frame, Ints, Pooling, Units
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.discovery import discover, in_range
from xmodal_core.units.false_negatives import false_negatives
from xmodal_core.units.labels import FrameLabels, labels_of_units
from xmodal_core.units.members import row_of_columns, unit_of_points
from xmodal_core.units.quality import coverage, overlaps, purity, recall_of
from xmodal_core.units.statistics import NAN, FrameStatistics, mean, measure, rounded
from xmodal_core.units.steps import Steps

NegativesOf = Callable[[Frame, Units], Bools]
"""Of a frame and its units: (U,U) bool, the negatives of each unit."""

Peer = Callable[[Frame, int], Pooling]
"""Of a frame and a seed: another kind of units, (U x N)."""

SEEDS, INSTANCES, BALANCE = "seeds", "instances", "balance"
TITLES = {
    SEEDS: "FPS seeds only",
    INSTANCES: "+ instances",
    BALANCE: "+ similarity balance",
}


@dataclass(frozen=True)
class Way:
    """One way to units in one frame, or in the mean over frames; NaN where a number does not apply or labels lack.

    Args:
        name: ``seeds``, ``instances``, ``balance``, or a peer's.
        title: in words.
        units: how many there are.
        false_negative_object, false_negative_class: shares of the negative pairs; see ``false_negatives``.
        negatives_object, negatives_class: how many negatives a unit has, in the mean, that lie on its own object, on
            its own class.
        instance_recall: share of boxes that a unit's points match at an IoU of 0.5; only where units are sets of points
            meant to be objects or parts.
        coverage: share of the points that are seen, in range and not ground that lie in a unit.
        purity: see ``quality.purity``.
        milliseconds: to find the units and their negatives.
    """

    name: str
    title: str
    units: float
    false_negative_object: float
    false_negative_class: float
    negatives_object: float
    negatives_class: float
    instance_recall: float
    coverage: float
    purity: float
    milliseconds: float

    def as_json(self) -> dict[str, Any]:
        """Values that JSON can hold; NaN left out."""
        values = {name: getattr(self, name) for name in NUMBERS}
        return {
            "name": self.name,
            "title": self.title,
            **{name: rounded(float(value)) for name, value in values.items() if not np.isnan(value)},
        }


NUMBERS = (
    "units",
    "false_negative_object",
    "false_negative_class",
    "negatives_object",
    "negatives_class",
    "instance_recall",
    "coverage",
    "purity",
    "milliseconds",
)


class Examined(NamedTuple):
    """One frame: the units and the ``statistics`` of the way that is configured, and the ``ways`` side by side."""

    units: Units
    statistics: FrameStatistics
    ways: tuple[Way, ...]


def examine(
    frame: Frame,
    config: UnitsConfig | None = None,
    *,
    seed: int = 0,
    negatives_of: NegativesOf | None = None,
    peers: Iterable[tuple[str, str, Peer]] = (),
) -> Examined:
    """All numbers of one frame.

    Args:
        frame: with labels, as far as there are any.
        config: the settings of discovery; None for the defaults. Where they leave instances out, no way has any.
        seed: of discovery and of the peers.
        negatives_of: the similarity balance; None: no such way, and all other units of a frame are a unit's negatives.
        peers: other ways to units: a name, a title, and what makes them.

    Raises:
        DataError: a picture of ``frame`` that a peer or the balance needs is missing or damaged.
        RunError: a library that a peer needs cannot be loaded.
    """
    config = config or UnitsConfig()
    labels, steps = FrameLabels.of(frame), Steps()
    units = discover(frame, config, seed=seed, steps=steps)
    wanted = units.visible & ~units.ground & in_range(frame.points, config.range)
    judge = _Judge(frame, labels, wanted)
    found = sum(units.milliseconds.values())
    negatives, spent = _timed(lambda: None if negatives_of is None else negatives_of(frame, units))
    statistics = measure(frame, units, config, labels=labels, negatives=negatives)

    alone = config.model_copy(update={"instances": config.instances.model_copy(update={"enabled": False})})
    seeds = discover(frame, alone, seed=seed, steps=steps)
    ways = [judge(SEEDS, TITLES[SEEDS], seeds.pooling, unit_of_points(seeds), sum(seeds.milliseconds.values()))]
    owner = unit_of_points(units)
    if config.instances.enabled:
        ways.append(judge(INSTANCES, TITLES[INSTANCES], units.pooling, owner, found, units.instance))
    if negatives is not None:
        segment = units.instance if config.instances.enabled else None
        ways.append(judge(BALANCE, TITLES[BALANCE], units.pooling, owner, found + spent, segment, negatives))
    for name, title, peer in peers:
        pooling, spent = _timed(lambda peer=peer: peer(frame, seed))  # type: ignore[misc]
        owner = row_of_columns(pooling)
        sets = len(pooling.row) > pooling.shape[0]
        ways.append(judge(name, title, pooling, owner, spent, owner if sets else None))
    return Examined(units, statistics, tuple(ways))


class _Judge(NamedTuple):
    """Judges any kind of units of one frame; ``wanted`` (N,) bool are the points that should lie in a unit."""

    frame: Frame
    labels: FrameLabels
    wanted: Bools

    def __call__(
        self,
        name: str,
        title: str,
        pooling: Pooling,
        owner: Ints,
        milliseconds: float,
        segment: Ints | None = None,
        negatives: Bools | None = None,
    ) -> Way:
        """``owner`` (N,) is the unit of each point; ``segment`` (N,) what is taken for an object, None: nothing."""
        pairs = false_negatives(labels_of_units(self.frame, pooling, self.labels), negatives)
        each = pairs.pairs / max(pooling.shape[0], 1)
        labelled = self.frame.boxes is not None or self.frame.semantic is not None
        return Way(
            name=name,
            title=title,
            units=pooling.shape[0],
            false_negative_object=pairs.object,
            false_negative_class=pairs.cls,
            negatives_object=pairs.object * each,
            negatives_class=pairs.cls * each,
            instance_recall=NAN if segment is None else recall_of(overlaps(self.labels, segment)).matched,
            coverage=coverage(owner, self.wanted),
            purity=purity(self.labels, owner) if labelled else NAN,
            milliseconds=milliseconds,
        )


def _timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What ``function`` gives, and the milliseconds it took."""
    start = perf_counter()
    result = function()
    return result, (perf_counter() - start) * 1e3


def average_ways(frames: Sequence[Sequence[Way]]) -> tuple[Way, ...]:
    """Each way in the mean over the frames that have its numbers; the median of its milliseconds."""
    rows: dict[str, list[Way]] = {}
    for ways in frames:
        for way in ways:
            rows.setdefault(way.name, []).append(way)
    return tuple(_average(of) for of in rows.values())


def _average(ways: Sequence[Way]) -> Way:
    means = {name: mean([getattr(way, name) for way in ways]) for name in NUMBERS}
    means["milliseconds"] = float(np.median([way.milliseconds for way in ways]))
    return Way(ways[0].name, ways[0].title, **means)
