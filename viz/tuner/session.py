"""What the tuner works out when a setting or the frame changes: units, their numbers, and the scene that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from viz.compose import compose
from viz.members import telling_unit
from viz.pictures import shown_pictures
from viz.similarity import Similarity, compare
from viz.viewers._page import describe
from xmodal_core.types import Bools, Floats, Frame, Units
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.discovery import discover
from xmodal_core.units.labels import FrameLabels
from xmodal_core.units.members import why_none
from xmodal_core.units.statistics import FrameStatistics, measure
from xmodal_core.units.steps import Steps


class Comparison(Protocol):
    """How the units of one frame are compared.

    Args:
        share: L, how many least similar units stay negatives, as ``viz.similarity.compare`` takes it.
        literal: the paper's reading of it.
    """

    @property
    def share(self) -> float: ...

    @property
    def literal(self) -> bool: ...

    def features(self, units: Units) -> Floats:
        """(U,D) image features of ``units``."""

    def negatives(self, features: Floats) -> Bools:
        """(U,U) bool, the negatives of each unit."""


class Source(Protocol):
    """Where frames come from.

    Args:
        title: the data set's name.
        options: what opens the same data set again, e.g. ``--dataset nuscenes --root /data``.
    """

    options: str

    @property
    def title(self) -> str: ...

    def __len__(self) -> int: ...

    def frame(self, number: int) -> Frame:
        """Frame ``number``; raises DataError where a file of it is missing or damaged."""

    def comparison(self, frame: Frame) -> Comparison | None:
        """How the units of ``frame`` are compared; None where they cannot be."""


class OpenFrame:
    """The frame that is looked at, and what of it does not depend on settings: pictures are read, labels looked up and
    shown to the image network once."""

    def __init__(self, source: Source, number: int) -> None:
        self.number = number
        self.frame = source.frame(number)
        self.title = f"{source.title} · frame {number}"
        self.pictures = shown_pictures(self.frame)
        self.labels = FrameLabels.of(self.frame)
        self.comparison = source.comparison(self.frame) if self.frame.cameras else None


@dataclass(frozen=True)
class Found:
    """What one set of settings finds in the open frame.

    Args:
        units: the units.
        statistics: their numbers.
        features: of the units; None where they are not compared.
        ran: the steps that had to run again.
    """

    units: Units
    statistics: FrameStatistics
    features: Floats | None
    ran: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """What goes to the browser.

    Args:
        scene: of the settings that are being tuned, B, as ``describe`` puts it; without pictures that it has.
        pinned_scene: of the pinned ones, A; None where nothing is pinned or the browser has it.
        found: B's.
        pinned: A's; None where nothing is pinned.
        reason: why B finds no unit; empty where it does.
        left_out: how many returns are no points of the frame.
        milliseconds: how long all of it took here.
    """

    scene: dict[str, Any]
    pinned_scene: dict[str, Any] | None
    found: Found
    pinned: Found | None
    reason: str
    left_out: int
    milliseconds: float


class Session:
    """One frame at a time, under the settings being tuned, B, and, where some are pinned, under those, A."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._open: OpenFrame | None = None
        self._steps = {"A": Steps(), "B": Steps()}

    def look(self, number: int, config: UnitsConfig, pinned: UnitsConfig | None = None, *, whole: bool = True) -> Shown:
        """Frame ``number`` under ``config`` and, where given, beside ``pinned``.

        Args:
            number: of the frame.
            config: the settings being tuned.
            pinned: those to compare with.
            whole: with the pictures and the scene of ``pinned``; else only what a changed setting changes.

        Raises:
            DataError: a file of the frame is missing or damaged; the frame looked at before stays open.
        """
        start = perf_counter()
        fresh = self._open is None or self._open.number != number
        opened = OpenFrame(self.source, number) if fresh or self._open is None else self._open
        if fresh:
            self._open, self._steps = opened, {"A": Steps(), "B": Steps()}
        found = self._find(opened, config, "B")
        before = None if pinned is None else self._find(opened, pinned, "A")
        scene = self._scene(opened, found, before, whole)
        pinned_scene = self._scene(opened, before, None, whole) if before and whole else None
        reason = why_none(opened.frame, found.units)
        took = (perf_counter() - start) * 1e3
        return Shown(scene, pinned_scene, found, before, reason, opened.frame.left_out, took)

    def _find(self, opened: OpenFrame, config: UnitsConfig, which: str) -> Found:
        steps = self._steps[which]
        units = discover(opened.frame, config, steps=steps)
        features = negatives = None
        if opened.comparison is not None and units.count > 1:
            features = opened.comparison.features(units)
            negatives = opened.comparison.negatives(features)
        statistics = measure(opened.frame, units, config, labels=opened.labels, negatives=negatives)
        return Found(units, statistics, features, tuple(steps.ran))

    def _scene(self, opened: OpenFrame, found: Found, before: Found | None, whole: bool) -> dict[str, Any]:
        scene = compose(
            opened.frame,
            found.units,
            _similarity(opened, found, whole),
            "units",
            title=opened.title,
            pictures=opened.pictures,
            before=None if before is None else before.units,
        )
        return describe(scene, pictures=whole)


def _similarity(opened: OpenFrame, found: Found, telling: bool) -> Similarity | None:
    """One unit compared with all others; any other may be chosen where the scene is looked at."""
    if found.features is None or opened.comparison is None:
        return None
    unit = telling_unit(opened.frame, found.units) if telling else 0
    return compare(found.features, unit, opened.comparison.share, literal=opened.comparison.literal)
