"""Which frames each step of a run takes: a pure function of the settings, so that a run can go on anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import NamedTuple

import numpy as np

from xmodal_core.types import Ints


class Key(NamedTuple):
    """A frame of the data set, by its index there, in an epoch: what its random numbers are drawn from."""

    epoch: int
    frame: int


@dataclass(frozen=True)
class Plan:
    """The order of frames through a whole run.

    Every epoch takes every frame once, in an order of its own. A step takes up to ``batch_size x devices x
    accumulate`` frames; the last one of an epoch takes what is left.

    Args:
        frames: how many there are.
        batch_size: frames a batch and device.
        devices: how many train together.
        accumulate: batches a step and device.
        epochs: how often each frame is taken.
        seed: of the orders.
    """

    frames: int
    batch_size: int
    devices: int
    accumulate: int
    epochs: int
    seed: int

    @property
    def effective(self) -> int:
        """Frames a step: per device x devices x accumulation."""
        return self.batch_size * self.devices * self.accumulate

    @property
    def steps_per_epoch(self) -> int:
        return ceil(self.frames / self.effective)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.epochs

    def epoch(self, step: int) -> int:
        """The epoch that ``step`` (from 0) lies in, from 0."""
        return step // self.steps_per_epoch

    def ends_epoch(self, step: int) -> bool:
        """Whether ``step`` is the last one of its epoch."""
        return (step + 1) % self.steps_per_epoch == 0

    def batches(self, step: int, rank: int = 0) -> list[list[Key]]:
        """What ``step`` takes on device ``rank``: at most ``accumulate`` batches, as many on every device.

        Where an epoch's last frames do not go round all devices, some of its first ones are taken again.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        order = _order(self.seed, epoch, self.frames)
        order = np.resize(order, ceil(self.frames / self.devices) * self.devices)
        mine = order[place * self.effective : (place + 1) * self.effective][rank :: self.devices]
        return [
            [Key(epoch, int(frame)) for frame in mine[first : first + self.batch_size]]
            for first in range(0, len(mine), self.batch_size)
        ]


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, frames: int) -> Ints:
    return np.random.default_rng([seed, epoch]).permutation(frames)


@dataclass(frozen=True)
class BatchSampler:
    """The batches of device ``rank`` from step ``first`` to the end of the run, as a DataLoader asks for them."""

    plan: Plan
    rank: int
    first: int

    def __iter__(self) -> Iterator[list[Key]]:
        for step in range(self.first, self.plan.steps):
            yield from self.plan.batches(step, self.rank)


def evenly_spread(total: int, wanted: int | None) -> Ints:
    """(min(total, wanted),) indices of ``total`` frames, ascending; all of them where ``wanted`` is None."""
    if wanted is None or wanted >= total:
        return np.arange(total)
    return np.arange(wanted) * total // wanted
