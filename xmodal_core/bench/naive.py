"""Farthest point sampling as it is usually written: every point against every new seed. Compiled, to be a fair peer."""

from __future__ import annotations

import numpy as np

from xmodal_core.compiled import compiled
from xmodal_core.types import Doubles, Ints


@compiled
def naive_farthest_points(positions: Doubles, count: int, start: int) -> Ints:
    """See ``xmodal_core.geometry_sampling.farthest_points``, whose result this defines."""
    n = len(positions)
    count = min(count, n)
    chosen = np.empty(count, dtype=np.int64)
    distance = np.full(n, np.inf)
    current = start
    for step in range(count):
        chosen[step] = current
        distance[current] = -1.0  # no point is taken twice
        farthest = 0
        for i in range(n):
            dx = positions[i, 0] - positions[current, 0]
            dy = positions[i, 1] - positions[current, 1]
            distance[i] = min(distance[i], dx * dx + dy * dy)
            if distance[i] > distance[farthest]:
                farthest = i
        current = farthest
    return chosen
