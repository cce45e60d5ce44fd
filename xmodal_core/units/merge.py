"""Step 5, merge: seeds in one kept cluster become one unit, whose feature is the average of theirs."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from xmodal_core.types import Floats, Ints, Pooling
from xmodal_core.units.context import Context


def merge_seeds(seeds: Ints, instance: Ints) -> Ints:
    """The unit of each seed, (S,), numbered by first seed: one unit a kept cluster, one for each seed outside all."""
    inside = instance[seeds]
    key = np.where(inside >= 0, inside, instance.max(initial=-1) + 1 + np.arange(len(seeds)))
    _, first, unit = np.unique(key, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    merged: Ints = rank[unit]
    return merged


def pooling_matrix(context: Context, unit: Ints, points: int) -> Pooling:
    """W, (U x ``points``): the row of a unit is the average of its seeds' rows, a seed's row the average over its
    context. Rows sum to 1."""
    units = int(unit.max(initial=-1)) + 1
    if units == 0:
        none = np.zeros(0, dtype=np.int64)
        return Pooling(none, none, np.zeros(0, dtype=np.float32), (0, points))
    size, count = np.diff(context.begin), np.bincount(unit)
    average = csr_array((np.repeat(1.0 / size, size), context.point, context.begin), shape=(len(unit), points))
    members = csr_array((1.0 / count[unit], (unit, np.arange(len(unit)))), shape=(units, len(unit)))
    matrix = members @ average
    matrix.sort_indices()
    row = np.repeat(np.arange(units), np.diff(matrix.indptr))
    weight: Floats = matrix.data.astype(np.float32)
    return Pooling(row, matrix.indices.astype(np.int64), weight, (units, points))
