"""From a frame's number to what goes into a batch: read, find its units, cut to the network's needs, augment.

Everything random of it is drawn from the run's seed, the epoch and the frame, so neither the number of worker processes
nor where a run was stopped makes a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch.utils import data

from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.train.augment import augment
from xmodal_core.train.batch import Batch, Example, collate, make_example
from xmodal_core.train.config import AugmentConfig
from xmodal_core.train.plan import Key
from xmodal_core.train.reach import Range, within_reach
from xmodal_core.types import Frame, Ints
from xmodal_core.units import discover
from xmodal_core.units.config import UnitsConfig


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

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: Key) -> Example | Skip | Failure:
        index = int(self.indices[key.frame])
        random = np.random.default_rng([self.seed, key.epoch, index])
        try:
            return self._example(self.dataset.frame(index), random)
        except DataError as error:
            if self.skip_damaged:
                return Skip(self.dataset.name(index), f"damaged: {error.message}")
            return Failure(error.message, f"{error.hint}; a run begun with --skip-bad goes on without it")
        except InputError as error:
            return Failure(error.message, error.hint)

    def _example(self, frame: Frame, random: np.random.Generator) -> Example | Skip:
        if not frame.cameras:
            return Skip(frame.name, "no camera")
        units = discover(frame, self.units, seed=int(random.integers(2**31)))
        if not units.visible.any():
            return Skip(frame.name, "no point is seen by a camera")
        if units.count < self.min_units:  # said before its pictures are read
            return Skip(frame.name, f"fewer than {self.min_units} units")
        example = augment(make_example(frame, units, self.channels, self.image_width), self.augment, random)
        if self.reach is not None:
            example = within_reach(example, self.reach)
        if example.pooling.shape[0] < self.min_units:
            return Skip(frame.name, f"fewer than {self.min_units} units within the network's range")
        return example


def gather(results: Sequence[Example | Skip | Failure]) -> Loaded:
    """What became of the frames of one batch."""
    examples = [result for result in results if isinstance(result, Example)]
    return Loaded(
        batch=collate(examples) if examples else None,
        skipped=tuple(result for result in results if isinstance(result, Skip)),
        failure=next((result for result in results if isinstance(result, Failure)), None),
    )
