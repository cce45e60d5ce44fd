"""The image side of a unit: its pooling matrix carried over from points to the pixels at which cameras see them."""

from __future__ import annotations

import numpy as np

from xmodal_core.types import Floats, Pooling, Units


def image_pooling(units: Units) -> Pooling:
    """W', (U x rows of ``units.pixels``): W restricted to visible points, each point averaged over its cameras.

    Rows sum to 1. (A unit without a visible point would have an empty row; ``discover`` makes none, since a seed is
    visible.)
    """
    pooling, pixels = units.pooling, units.pixels
    seen = np.bincount(pixels.point, minlength=pooling.shape[1])
    begin = np.cumsum(seen) - seen
    times = seen[pooling.column]
    row = np.repeat(pooling.row, times)
    # The rows of one point lie side by side: its first one, and then a count within the point.
    within = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
    column = np.repeat(begin[pooling.column], times) + within
    weight = np.repeat(pooling.weight / np.maximum(times, 1), times).astype(np.float64)
    total = np.bincount(row, weight, minlength=units.count)
    weights: Floats = (weight / total[row]).astype(np.float32)
    return Pooling(row, column, weights, (units.count, len(pixels)))
