"""Step 2, seeds: farthest point sampling with height ignored, among visible points that are not ground."""

from __future__ import annotations

import numpy as np

from xmodal_core.geometry_sampling import farthest_points
from xmodal_core.types import Bools, Floats, Ints


def choose_seeds(points: Floats, candidates: Bools, count: int, seed: int, sampling: str = "farthest") -> Ints:
    """The seeds of a frame.

    Args:
        points: (N,3) metres.
        candidates: (N,) bool, the points that may become seeds.
        count: how many; all candidates where there are fewer.
        seed: chooses the first one, the others follow from it; or draws them all.
        sampling: ``farthest`` or ``random``.

    Returns:
        (S,) point indices in the order of choice, each once.
    """
    index = np.flatnonzero(candidates)
    if len(index) == 0:
        return np.zeros(0, dtype=np.int64)
    random = np.random.default_rng(seed)
    if sampling == "random":
        drawn: Ints = random.permutation(index)[:count]
        return drawn
    start = int(random.integers(len(index)))
    chosen, _ = farthest_points(points[index, :2].astype(np.float64), count, start)
    seeds: Ints = index[chosen]
    return seeds
