"""The loop of ``_bev`` as machine code for a CPU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xmodal_core.compiled import compiled
from xmodal_core.types import Ints

Floats = npt.NDArray[np.float32]


@compiled
def spread(values: Floats, rows: Ints, weights: Floats, count: int) -> Floats:
    """(count,C): zeros, and to the K rows that each row of ``rows`` names, its own of ``values`` times its ``weights``.

    Args:
        values: (N,C).
        rows: (N,K) int64 below ``count``.
        weights: (N,K).
        count: rows of the result.
    """
    result = np.zeros((count, values.shape[1]), dtype=values.dtype)
    for point in range(len(rows)):
        for corner in range(rows.shape[1]):
            row, weight = rows[point, corner], weights[point, corner]
            for feature in range(values.shape[1]):
                result[row, feature] += weight * values[point, feature]
    return result
