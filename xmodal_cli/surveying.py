"""From the shared options to numbers: the units of many frames, found, judged and compared one frame after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmodal_cli.chosen import TEACHER, Balance, chosen, chosen_balance, load_on_device
from xmodal_core import plugins
from xmodal_core.errors import DataError, InputError, RunError

if TYPE_CHECKING:
    from xmodal_core.datasets.base import Dataset
    from xmodal_core.images import Teacher
    from xmodal_core.types import Bools, Frame, Units
    from xmodal_core.units.config import UnitsConfig
    from xmodal_core.units.miscalibration import Miscalibration
    from xmodal_core.units.statistics import FrameStatistics, Summary
    from xmodal_core.units.ways import NegativesOf, Peer, Way

MEANINGS = {
    "ground": "share of the returns that ground removal takes",
    "seeds": "points that farthest point sampling chooses, not ground and seen by a camera",
    "merged_seeds": "seeds that lie in a kept cluster: all of one cluster become one unit",
    "instances": "clusters that the filters keep",
    "units": "instances with a seed, and every seed outside all instances",
    "coverage": "share of the returns that a camera sees, that are in range and not ground, that lie in a unit",
    "milliseconds": "to find the units of a frame; medians of the steps",
    "instance_recall": "share of the boxes of 20 returns or more that an instance matches at a point-IoU of 0.5, "
    "whether or not a camera sees them",
    "mean_iou": "mean over these boxes of the best instance's IoU; a box's returns include the ground under it",
    "over_segmentation": "share of these boxes of whose returns the best instance has less than half (Held et al., RSS "
    "2016); also those that no instance meets",
    "under_segmentation": "share of these boxes whose best instance has less than half of its returns in the box",
    "purity": "share of the units' returns that have their unit's main label: the class where returns are labelled, "
    "else the box or background, in units that touch a box",
    "ground_precision": "share of what was taken for ground whose class is ground; recall: share of such returns found",
    "false_negative_object": "share of all negative pairs whose two units lie mostly in the same box; unlabelled units "
    "count as lying on different things",
    "false_negative_class": "share of all negative pairs whose two units are mostly of the same class, by the returns' "
    "labels, else by their boxes",
    "moved": "pixels between where a unit's returns are taken to be and where they are, by the calibration as stated",
    "kept": "share of the pairs of a unit and a pixel whose pixel still shows the unit",
    "similarity balance": "only the least similar units of a frame are negatives (the method's negatives), here by the "
    "image network's own features, before any projection head has learnt",
    "means": "every frame counts the same; frames without boxes to judge are left out of what is judged by boxes",
}
"""What the numbers are, for the report."""


@dataclass
class Survey:
    """What was measured; no frame is kept.

    Args:
        numbers: of the frames that were measured.
        frames: their statistics.
        ways: of each frame, the ways to units side by side.
        miscalibrations: of each frame; none where the calibration is as stated.
        notes: what is left out and why, one line each.
        left_out: returns that are no points of their frames, not finite, or the vehicle itself.
        interrupted: it was broken off before the last frame.
    """

    numbers: list[int] = field(default_factory=list)
    frames: list[FrameStatistics] = field(default_factory=list)
    ways: list[tuple[Way, ...]] = field(default_factory=list)
    miscalibrations: list[Miscalibration] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: int = 0
    interrupted: bool = False

    @property
    def words(self) -> str:
        """Which frames these are."""
        numbers = self.numbers
        if len(numbers) == 1:
            return f"frame {numbers[0]} · {self.frames[0].name}"
        steps = {after - before for before, after in pairwise(numbers)}
        spaced = f" in steps of {min(steps)}" if len(steps) == 1 and steps != {1} else ""
        return f"{len(numbers):,} frames, {numbers[0]} to {numbers[-1]}{spaced}"

    @property
    def summary(self) -> Summary:
        """All frames in one."""
        from xmodal_core.units.statistics import average

        return average(self.frames)

    @property
    def miscalibration(self) -> dict[str, float]:
        """By how many pixels the wrong calibration moves units and which share of pairs it leaves on their unit, means
        of the frames; empty where the calibration is as stated."""
        from xmodal_core.units.statistics import mean

        if not self.miscalibrations:
            return {}
        return {name: mean([getattr(frame, name) for frame in self.miscalibrations]) for name in ("moved", "kept")}

    @property
    def compared(self) -> tuple[Way, ...]:
        """The ways to units, each in the mean of the frames."""
        from xmodal_core.units.ways import average_ways

        return average_ways(self.ways)

    def as_json(self) -> dict[str, Any]:
        """What all frames together come to, as values that JSON can hold."""
        from xmodal_core.units.statistics import rounded

        told = {
            **self.summary.as_json(),
            "false_negative_pairs": [way.as_json() for way in self.compared],
            "notes": list(self.notes),
        }
        if self.miscalibrations:
            told["miscalibration"] = {name: rounded(value) for name, value in self.miscalibration.items()}
        return told

    def rows(self) -> list[dict[str, Any]]:
        """One row a frame: its number, and all that was measured."""
        return [
            {"frame": number, **frame.as_row(), **dict(_columns(ways))}
            for number, frame, ways in zip(self.numbers, self.frames, self.ways, strict=True)
        ]


def _columns(ways: Sequence[Way]) -> Iterator[tuple[str, float | None]]:
    """The numbers of all ways of one frame side by side."""
    for way in ways:
        for name, value in way.as_json().items():
            if name not in ("name", "title"):
                yield f"{way.name}_{name}", value


@dataclass
class Surveying:
    """Measures frames of a data set.

    Args:
        dataset: opened.
        units: settings of discovery.
        seed: of discovery and of the peers.
        balanced: judge the negatives that similarity balance leaves, where labels judge and a teacher can be had.
        teacher: its name; None for the one in the settings. A named one has to be had.
        peers: also measure what other systems take as units.
        skip_bad: leave frames with a damaged file out, and say so; else the first one ends the survey.
        config, assignments: where the teacher's and the method's settings are read from.
        on_step: told what is being done, in words, and how many frames are.
    """

    dataset: Dataset
    units: UnitsConfig
    seed: int = 0
    balanced: bool = True
    teacher: str | None = None
    peers: bool = False
    skip_bad: bool = True
    config: Path | None = None
    assignments: Sequence[str] = ()
    on_step: Callable[[str, int], None] = lambda words, done: None
    _balance: NegativesOf | None = None

    @property
    def title(self) -> str:
        """The data set's name."""
        return plugins.name_of(self.dataset)

    @property
    def changed(self) -> list[tuple[str, str, str]]:
        """What differs from the defaults in the settings of units, data set and cameras: name, value, default."""
        from xmodal_core.config import entries

        of = {"units": self.units, "dataset": self.dataset.config, "rig": self.dataset.rig}
        found = []
        for section, settings in of.items():
            usual = {entry.path: entry.default for entry in entries(type(settings), f"{section}.")}
            given = {entry.path: entry.default for entry in entries(type(settings), f"{section}.", settings)}
            found += [(path, _text(given[path]), _text(usual[path])) for path in usual if given[path] != usual[path]]
        return found

    def survey(self, numbers: Sequence[int], stop: Callable[[], bool] = lambda: False) -> Survey:
        """Measure the frames ``numbers``; where ``stop`` says so, those are left that are not done yet.

        A frame with a damaged file is left out, and a note says so.

        Raises:
            DataError: no frame could be measured, and the first one's file is why; or any one, where that ends it.
            InputError: an option of the teacher or the method is wrong, or the teacher that was named cannot be had.
        """
        done = Survey(notes=list(self.dataset.notes()))
        peers = self._peers(done.notes) if self.peers else []
        damaged: list[DataError] = []
        for count, number in enumerate(numbers):
            self.on_step("measuring", count)
            if stop():
                done.interrupted = True
                done.notes.append(f"stopped when asked: {len(done.frames):,} of {len(numbers):,} frames were measured")
                break
            try:
                self._measure(number, peers, done)
            except DataError as error:
                if not self.skip_bad:
                    raise DataError(error.message, f"{error.hint}; --skip-bad goes on without it") from error
                damaged.append(error)
        else:
            self.on_step("done", len(numbers))
        if damaged and not done.frames:
            raise damaged[0]
        if done.left_out:
            done.notes.append(f"{done.left_out:,} returns are left out in all: not finite, or the vehicle itself")
        if damaged:
            done.notes.append(f"left out for a damaged file: {len(damaged):,} frames; the first: {damaged[0].message}")
        return done

    def _measure(self, number: int, peers: Sequence[tuple[str, str, Peer]], done: Survey) -> None:
        from xmodal_core.units.discovery import discover
        from xmodal_core.units.miscalibration import measure_miscalibration
        from xmodal_core.units.ways import examine

        frame = self.dataset.frame(number)
        done.left_out += frame.left_out
        if not done.frames:
            # The first call in a process also loads compiled code.
            discover(frame, self.units, seed=self.seed)
        negatives_of = None
        if self.balanced and (frame.boxes is not None or frame.semantic is not None):
            negatives_of = self._negatives_of(done.notes)
        found = examine(frame, self.units, seed=self.seed, negatives_of=negatives_of, peers=peers)
        if self.dataset.rig.perturb_calibration:
            done.miscalibrations.append(measure_miscalibration(frame, found.units, self.dataset.rig))
        done.numbers.append(number)
        done.frames.append(found.statistics)
        done.ways.append(found.ways)

    def _peers(self, notes: list[str]) -> list[tuple[str, str, Peer]]:
        """The peers that can be had, with their libraries loaded, so that this is in no frame's time; a note about each
        other one."""
        from xmodal_core.units import peers

        found: list[tuple[str, str, Peer]] = []
        for name in peers.names():
            self.on_step(f"loading {name}", 0)
            try:
                peer = peers.load(name)
                peer(_few_points(), self.seed)
            except RunError as error:
                notes.append(f"{name} left out: {error.message}")
            else:
                found.append((name, f"{name} ({peer.system})", peer))
        return found

    def _negatives_of(self, notes: list[str]) -> NegativesOf | None:
        """Which units stay negatives by the teacher's features, as the method has it; None where no teacher can be had,
        and a note."""
        if self._balance is None:
            try:
                self._balance = self._load()
            except RunError as error:
                if self.teacher is not None:
                    raise InputError(f"units cannot be compared: {error.message}", error.hint) from error
                notes.append(f"no similarity balance: {error.message}")
                self.balanced = False
        return self._balance

    def _load(self) -> NegativesOf:
        if find_spec("torch") is None:
            raise RunError("torch is not installed", "pip install torch")
        self.on_step("loading the image network", 0)
        balance = chosen_balance(self.config, self.assignments)
        name, options = chosen(plugins.TEACHER, TEACHER, self.config, self.assignments, self.teacher)
        try:
            return negatives_by_teacher(load_on_device(name, options), balance)
        except DataError as error:  # of its weights, not of the frame
            raise RunError(error.message, error.hint) from error


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def negatives_by_teacher(teacher: Teacher, balance: Balance) -> NegativesOf:
    """The negatives that ``balance`` leaves by ``teacher``'s features."""
    from xmodal_core.images import unit_negatives

    def negatives_of(frame: Frame, units: Units) -> Bools:
        return unit_negatives(
            frame, units, teacher, balance.negatives, literal=balance.literal, standardise=balance.standardise
        )

    return negatives_of


def _few_points() -> Frame:
    """A frame that costs a peer nothing but to be ready."""
    import numpy as np

    from xmodal_core.types import Frame, Sensor

    points = np.random.default_rng(0).uniform(-1, 1, (64, 3)).astype(np.float32)
    return Frame("few", "few", 0.0, points, {}, Sensor("none", 1, (1.0, 0.0), None, 1.0))
