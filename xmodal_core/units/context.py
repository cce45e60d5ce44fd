"""Step 3, context: the points around a seed whose features are averaged into its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from xmodal_core.types import Bools, Floats, Ints
from xmodal_core.units.config import ContextConfig


class Context(NamedTuple):
    """``point[begin[s] : begin[s + 1]]`` are the points that seed number s averages: (K,) and (S+1,) int64."""

    point: Ints
    begin: Ints


def gather_context(points: Floats, seeds: Ints, members: Bools, config: ContextConfig) -> Context:
    """The context of each seed among the points in ``members`` (N,) bool; every seed is in its own.

    Args:
        points: (N,3) metres.
        seeds: (S,) point indices, all of them members.
        members: the points that may be averaged.
        config: neighbours or pillar, and their size.
    """
    index = np.flatnonzero(members)
    if len(seeds) == 0:
        return Context(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64))
    if config.kind == "pillar":
        return _pillar(points, seeds, index, config.pillar_size)
    return _neighbours(points, seeds, index, config.neighbours, config.radius)


def _neighbours(points: Floats, seeds: Ints, index: Ints, count: int, radius: float) -> Context:
    tree = cKDTree(points[index], compact_nodes=False, balanced_tree=False)
    _, near = tree.query(points[seeds], k=np.arange(1, count + 1), distance_upper_bound=radius * (1.0 + 1e-12))
    found = near < len(index)
    begin = np.concatenate([[0], np.cumsum(found.sum(axis=1))])
    return Context(index[near[found]], begin.astype(np.int64))


def _pillar(points: Floats, seeds: Ints, index: Ints, size: float) -> Context:
    tree = cKDTree(points[index, :2], compact_nodes=False, balanced_tree=False)
    near = tree.query_ball_point(points[seeds, :2], size / 2, p=np.inf, return_sorted=True)
    begin = np.concatenate([[0], np.cumsum([len(members) for members in near])])
    return Context(index[np.concatenate([np.asarray(m, dtype=np.int64) for m in near])], begin.astype(np.int64))
