"""Which units the network can see: those beyond its range would have no feature of their own to contrast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xmodal_core.train.batch import Example
from xmodal_core.types import Bools, Pooling

Range = tuple[float, float, float, float, float, float]
"""The box of points that a network takes, metres: x, y, z from, x, y, z to (the end excluded)."""


def within_reach(example: Example, reach: Range) -> Example:
    """``example`` without the units that have more than half of their weight outside ``reach``."""
    points, pooling = example.points, example.pooling
    low, high = np.array(reach, dtype=np.float32).reshape(2, 3)
    inside: Bools = np.asarray(((points >= low) & (points < high)).all(axis=1))
    share = np.bincount(pooling.row, pooling.weight * inside[pooling.column], minlength=pooling.shape[0])
    kept: Bools = np.asarray(share >= 0.5)
    return keep_units(example, kept)


def keep_units(example: Example, kept: Bools) -> Example:
    """``example`` with those of its units alone that ``kept`` (U,) says, in their order."""
    if kept.all():
        return example
    seen, to_keep = example.seen, example.to_keep
    return replace(
        example,
        pooling=_keep_rows(example.pooling, kept),
        image_pooling=_keep_rows(example.image_pooling, kept),
        seen=None if seen is None else seen[kept],
        to_keep=None if to_keep is None else to_keep._replace(units=to_keep.units[kept]),
    )


def _keep_rows(pooling: Pooling, kept: Bools) -> Pooling:
    number = np.cumsum(kept) - 1
    mask: Bools = np.asarray(kept[pooling.row])
    return Pooling(
        number[pooling.row[mask]], pooling.column[mask], pooling.weight[mask], (int(kept.sum()), pooling.shape[1])
    )
