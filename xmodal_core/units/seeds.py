"""Step 2, seeds: farthest point sampling with height ignored, among visible points that are not ground.

The result is that of the naive algorithm, point for point. It is fast because the candidates lie in buckets of
neighbours: a new seed farther from a bucket's bounding box than the bucket's largest current distance cannot change
any distance in it, so nearly all buckets are passed over.
"""

from __future__ import annotations

import numpy as np

from xmodal_core.types import Bools, Doubles, Floats, Ints
from xmodal_core.units.compiled import compiled

BUCKET = 64
"""Points in a bucket; 32 to 128 make no difference that can be measured."""


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
    chosen: Ints = index[farthest_points(points[index, :2].astype(np.float64), count, start)]
    return chosen


def farthest_points(positions: Doubles, count: int, start: int) -> Ints:
    """Farthest point sampling in the plane.

    Each step takes the point whose nearest chosen point is farthest away; of several the one with the lowest index.
    No point is taken twice, coincident ones follow last.

    Args:
        positions: (N,2) metres.
        count: how many to choose; all where there are fewer.
        start: index of the first one.

    Returns:
        (min(count, N),) int64 indices in the order of choice.
    """
    if len(positions) == 0:
        return np.zeros(0, dtype=np.int64)
    order = np.argsort(_curve(positions), kind="stable")
    home = np.empty(len(order), dtype=np.int64)
    home[order] = np.arange(len(order))
    chosen = _sample(positions[order], order, min(count, len(order)), int(home[start]))
    return order[chosen]


def _curve(positions: Doubles) -> Ints:
    """Each point's place along a Z-order curve with 1024 x 1024 squares: neighbours on it are neighbours in space."""
    low = positions.min(axis=0)
    scale = 1023.0 / max(float((positions.max(axis=0) - low).max()), 1e-9)
    square = ((positions - low) * scale).astype(np.int64)
    return _spread(square[:, 0]) | (_spread(square[:, 1]) << 1)


def _spread(values: Ints) -> Ints:
    """Ten bits moved apart, a zero between each two."""
    values = (values | (values << 8)) & 0x00FF00FF
    values = (values | (values << 4)) & 0x0F0F0F0F
    values = (values | (values << 2)) & 0x33333333
    return (values | (values << 1)) & 0x55555555


@compiled
def _sample(positions: Doubles, index: Ints, count: int, start: int) -> Ints:
    n = len(positions)
    buckets = (n + BUCKET - 1) // BUCKET
    box = _bounding_boxes(positions, buckets)
    distance = np.full(n, np.inf)
    farthest = np.full(buckets, np.inf)
    place = np.zeros(buckets, dtype=np.int64)
    chosen = np.empty(count, dtype=np.int64)
    current = start
    for step in range(count):
        chosen[step] = current
        distance[current] = -1.0
        x, y = positions[current, 0], positions[current, 1]
        best = -1
        for b in range(buckets):
            dx = max(box[b, 0] - x, 0.0, x - box[b, 2])
            dy = max(box[b, 1] - y, 0.0, y - box[b, 3])
            if dx * dx + dy * dy < farthest[b] or b == current // BUCKET:
                _update(positions, index, distance, farthest, place, b, x, y)
            if best < 0 or _beats(farthest[b], index[place[b]], farthest[best], index[place[best]]):
                best = b
        current = place[best]
    return chosen


@compiled
def _bounding_boxes(positions: Doubles, buckets: int) -> Doubles:
    """(buckets,4): the smallest x and y, the largest x and y."""
    box = np.empty((buckets, 4))
    for b in range(buckets):
        members = positions[b * BUCKET : (b + 1) * BUCKET]
        box[b, 0], box[b, 1] = members[:, 0].min(), members[:, 1].min()
        box[b, 2], box[b, 3] = members[:, 0].max(), members[:, 1].max()
    return box


@compiled
def _beats(distance: float, index: int, other_distance: float, other_index: int) -> bool:
    return distance > other_distance or (distance == other_distance and index < other_index)


@compiled
def _update(
    positions: Doubles,
    index: Ints,
    distance: Doubles,
    farthest: Doubles,
    place: Ints,
    bucket: int,
    x: float,
    y: float,
) -> None:
    """Bring a bucket's distances and its farthest point up to date with a seed at (x, y)."""
    first = bucket * BUCKET
    best = first
    for i in range(first, min(first + BUCKET, len(positions))):
        dx = positions[i, 0] - x
        dy = positions[i, 1] - y
        distance[i] = min(distance[i], dx * dx + dy * dy)
        if _beats(distance[i], index[i], distance[best], index[best]):
            best = i
    farthest[bucket] = distance[best]
    place[bucket] = best
