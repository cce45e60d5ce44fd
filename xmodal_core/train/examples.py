"""From a frame's number to what goes into a batch: read, find its units, cut to the network's needs, augment.

Everything random of it is drawn from the run's seed, the epoch and the frame, so neither the number of worker processes
nor where a run was stopped makes a difference. Only the seeds of a variant are the frame's own, so that runs of other
seeds share what is kept of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar
from zlib import crc32

import numpy as np
from torch.utils import data

from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.train.augment import augment
from xmodal_core.train.batch import Batch, Example, ToKeep, collate, make_example, stack_channels
from xmodal_core.train.config import AugmentConfig
from xmodal_core.train.plan import Key
from xmodal_core.train.reach import Range, within_reach
from xmodal_core.train.recipe import entry_of
from xmodal_core.train.remember import Known, Memory
from xmodal_core.types import Frame, Ints, Pixels, Pooling, Units
from xmodal_core.units import discover
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.pool import image_pooling
from xmodal_core.units.steps import Steps

T = TypeVar("T")


class Skip(NamedTuple):
    """A frame that cannot be trained on, and why."""

    frame: str
    reason: str


class Failure(NamedTuple):
    """A frame whose error ends the run: the error's message and hint.

    Errors travel as values, since a DataLoader turns what a worker raises into a page of text.
    """

    message: str
    hint: str


class Loaded(NamedTuple):
    """One batch as a DataLoader gives it: None where no frame of it could be used."""

    batch: Batch | None
    skipped: tuple[Skip, ...]
    failure: Failure | None


def guarded(make: Callable[[], T], name: str, skip_damaged: bool) -> T | Skip | Failure:
    """What ``make`` gives of the frame ``name``; a damaged file as a value, to ``skip_damaged`` or to end the run."""
    try:
        return make()
    except DataError as error:
        if skip_damaged:
            return Skip(name, f"damaged: {error.message}")
        return Failure(error.message, f"{error.hint}; a run begun with --skip-bad goes on without it")
    except InputError as error:
        return Failure(error.message, error.hint)


@dataclass(frozen=True)
class Examples(data.Dataset[Example | Skip | Failure]):
    """The examples of a run, by ``Key``.

    Args:
        dataset: where frames come from.
        indices: (F,) the frames of it that take part; a key's frame is a place in here.
        units: how units are found.
        augment: how points are moved.
        channels: the per-point channels that the network takes.
        image_width: wider pictures are shrunk to it.
        reach: the box of points that the network takes; None: it takes all.
        min_units: frames with fewer units within reach are skipped.
        skip_damaged: frames with a missing or damaged file are skipped; else they end the run.
        seed: of the run.
        variants: how many sets of units a frame has, one an epoch in turn; 0: another one in every epoch.
        memory: where is kept what the teacher has seen of them.
    """

    dataset: Dataset
    indices: Ints
    units: UnitsConfig
    augment: AugmentConfig
    channels: tuple[str, ...]
    image_width: int
    reach: Range | None
    min_units: int
    skip_damaged: bool
    seed: int
    variants: int = 0
    memory: Memory | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: Key) -> Example | Skip | Failure:
        index = int(self.indices[key.frame])
        random = np.random.default_rng([self.seed, key.epoch, index])
        return guarded(
            lambda: self._example(self.dataset.frame(index), self._variant(key.epoch, index), random),
            self.dataset.name(index),
            self.skip_damaged,
        )

    def _variant(self, epoch: int, index: int) -> int:
        """Which set of units a frame has in an epoch: all of them in turn, and not all frames the same."""
        return (self.seed + epoch + index) % self.variants if self.variants else 0

    def _example(self, frame: Frame, variant: int, random: np.random.Generator) -> Example | Skip:
        drawn = int(random.integers(2**31))
        if not frame.cameras:
            return Skip(frame.name, "no camera")
        example = self._found(frame, variant, drawn)
        if isinstance(example, Skip):
            return example
        example = augment(example, self.augment, random)
        if self.reach is not None:
            example = within_reach(example, self.reach)
        if example.pooling.shape[0] < self.min_units:
            return Skip(frame.name, f"fewer than {self.min_units} units within the network's range")
        return example

    def _found(self, frame: Frame, variant: int, drawn: int) -> Example | Skip:
        """``frame`` with its units as they are kept, else found now."""
        entry = None if self.memory is None else entry_of(frame)
        known = None if self.memory is None or entry is None else self.memory.find(entry, variant, len(frame))
        if known is not None:
            few = self._too_few(frame, known.pooling.shape[0])
            return few or remembered(frame, known, self.channels)
        steps = Steps()
        units = discover(frame, self.units, seed=variant_seed(frame, variant) if self.variants else drawn, steps=steps)
        if not units.visible.any():
            return Skip(frame.name, "no point is seen by a camera")
        if few := self._too_few(frame, units.count):  # said before its pictures are read
            return few
        example = make_example(frame, units, self.channels, self.image_width)
        if self.memory is None or entry is None or not self.memory.takes_more:
            return example
        variants = (
            units if number == variant else discover(frame, self.units, seed=variant_seed(frame, number), steps=steps)
            for number in range(self.variants)
        )
        return replace(example, to_keep=to_keep(entry, variant, tuple(variants)))

    def _too_few(self, frame: Frame, units: int) -> Skip | None:
        return Skip(frame.name, f"fewer than {self.min_units} units") if units < self.min_units else None


def variant_seed(frame: Frame, variant: int) -> int:
    """What the seeds of a variant are drawn from: the frame's name and the variant alone."""
    return int(np.random.default_rng([variant, crc32(frame.name.encode())]).integers(2**31))


def remembered(frame: Frame, known: Known, channels: Sequence[str]) -> Example:
    """The example of ``frame`` whose units are ``known``: neither pictures nor pixels are needed."""
    nothing, none = np.zeros(0, np.int64), np.zeros(0, np.float32)
    return Example(
        name=frame.name,
        points=frame.points,
        channels=stack_channels(frame, channels),
        pooling=known.pooling,
        image_pooling=Pooling(nothing, nothing, none, (known.pooling.shape[0], 0)),
        pixels=Pixels(nothing, nothing, none, none),
        images=(),
        seen=known.seen,
    )


def to_keep(entry: str, variant: int, variants: Sequence[Units]) -> ToKeep:
    """What is to be kept as ``entry`` of a frame with ``variants``, of which ``variant`` takes part now, whole."""
    return ToKeep(
        entry,
        variant,
        np.arange(variants[variant].count),
        tuple((units.pooling, image_pooling(units)) for units in variants),
    )


def gather(results: Sequence[Example | Skip | Failure]) -> Loaded:
    """What became of the frames of one batch."""
    examples = [result for result in results if isinstance(result, Example)]
    return Loaded(
        batch=collate(examples) if examples else None,
        skipped=tuple(result for result in results if isinstance(result, Skip)),
        failure=next((result for result in results if isinstance(result, Failure)), None),
    )
