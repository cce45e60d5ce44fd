"""Farthest point sampling, in the plane or in space: the result of the naive algorithm, point for point.

It is fast because points lie in buckets of neighbours: a chosen point that is farther from a bucket's bounding box than
any of the bucket's points is from its nearest chosen one cannot change a distance there, so nearly all buckets are
passed over.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xmodal_core.compiled import compiled
from xmodal_core.types import Ints

Points = npt.NDArray[np.floating[Any]]

BUCKET = 64
"""Points in a bucket; 32 to 128 make no difference that can be measured."""


def farthest_points(points: Points, count: int, start: int = 0) -> tuple[Ints, float]:
    """Farthest point sampling (Qi et al., PointNet++, 2017).

    Each step takes the point whose nearest chosen one is farthest away; of several the one with the lowest index. No
    point is taken twice, coincident ones follow last. Every square of a distance is computed in the points' own
    precision, axis after axis.

    Args:
        points: (N,2) or (N,3) metres.
        count: how many to choose; all where there are fewer.
        start: index of the first one.

    Returns:
        (min(count, N),) int64 indices in the order of choice; the square of the farthest that a point is from a chosen
        one, in square metres, 0 where there is no point.
    """
    if len(points) == 0:
        return np.zeros(0, dtype=np.int64), 0.0
    if points.shape[1] == 2:
        points = np.column_stack([points, np.zeros_like(points[:, 0])])
    index = np.argsort(_curve(points), kind="stable")
    points, begin = points[index], np.arange(0, len(points), BUCKET)
    low, high = np.minimum.reduceat(points, begin), np.maximum.reduceat(points, begin)
    nearest = np.full(len(points), np.inf, dtype=points.dtype)
    home = int(np.flatnonzero(index == start)[0])
    chosen = _sample(points, index, low, high, nearest, min(count, len(points)), home)
    return chosen, max(float(nearest.max()), 0.0)


def _curve(points: Points) -> Ints:
    """Each point's place along a Z-order curve with 1024 cubes a side: neighbours on it are neighbours in space."""
    low = points.min(axis=0)
    scale = 1023.0 / max(float((points.max(axis=0) - low).max()), 1e-9)
    x, y, z = _spread(((points - low) * scale).astype(np.int64)).T
    place: Ints = x | (y << 1) | (z << 2)
    return place


def _spread(values: Ints) -> Ints:
    """Ten bits moved apart, two zeros between each two."""
    values = (values | (values << 16)) & 0x030000FF
    values = (values | (values << 8)) & 0x0300F00F
    values = (values | (values << 4)) & 0x030C30C3
    return (values | (values << 2)) & 0x09249249


@compiled
def _sample(points: Points, index: Ints, low: Points, high: Points, nearest: Points, count: int, start: int) -> Ints:
    """The ``index`` of each that is chosen of ``points``, which lie bucket by bucket, from ``start`` on.

    Fills ``nearest``, the square of each point's distance from its nearest chosen one, -1 of a chosen one itself.
    """
    buckets = len(low)
    farthest = np.full(buckets, np.inf, dtype=points.dtype)  # of each bucket the largest of ``nearest``
    place = np.zeros(buckets, dtype=np.int64)  # and whose it is
    chosen = np.empty(count, dtype=np.int64)
    zero = points[0, 0] - points[0, 0]  # in the points' own precision
    current = start
    for step in range(count):
        chosen[step] = index[current]
        nearest[current] = -1  # no point twice: its copies follow when nothing else is left
        x, y, z = points[current, 0], points[current, 1], points[current, 2]
        best = -1
        for b in range(buckets):
            dx = max(low[b, 0] - x, zero, x - high[b, 0])
            dy = max(low[b, 1] - y, zero, y - high[b, 1])
            dz = max(low[b, 2] - z, zero, z - high[b, 2])
            if dx * dx + dy * dy + dz * dz < farthest[b] or b == current // BUCKET:
                place[b] = _update(points, index, nearest, b * BUCKET, x, y, z)
                farthest[b] = nearest[place[b]]
            if best < 0 or _beats(farthest[b], index[place[b]], farthest[best], index[place[best]]):
                best = b
        current = place[best]
    return chosen


@compiled
def _beats(square: float, index: int, other_square: float, other_index: int) -> bool:
    """Whether a point is farther off than the other, or as far and before it."""
    return square > other_square or (square == other_square and index < other_index)


@compiled
def _update(points: Points, index: Ints, nearest: Points, first: int, x: float, y: float, z: float) -> int:
    """Bring ``nearest`` of the bucket from ``first`` on up to date with a chosen point at (x, y, z); its farthest."""
    best = first
    for i in range(first, min(first + BUCKET, len(points))):
        dx, dy, dz = points[i, 0] - x, points[i, 1] - y, points[i, 2] - z
        nearest[i] = min(nearest[i], dx * dx + dy * dy + dz * dz)
        if _beats(nearest[i], index[i], nearest[best], index[best]):
            best = i
    return best
