"""Fewer points where a picture would choke on them, so that no unit, cluster or seed disappears."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmodal_core.types import Bools, Ints

LIMIT = 60_000
"""What a browser turns smoothly without a graphics card; far below where plots of points begin to fail."""


def thin(
    groups: Sequence[Ints], must: Ints, dull: Bools, *, limit: int = LIMIT, least: int = 12, seed: int = 0
) -> Ints:
    """Which points to draw: sorted rows, all N where N is at most ``limit``.

    In order of right: the points of ``must``; of every group in every grouping ``least`` points (fewer, down to one,
    where ``limit`` does not allow it), spread over the group; then as many more as fit, those that are not ``dull``
    three times as densely as those that are. Only ``must`` and one point a group may together exceed ``limit``.

    Args:
        groups: groupings, each (N,) int64: a group number from 0, or -1 for none.
        must: rows that are always drawn.
        dull: (N,) bool, points that matter least (the ground).
        limit: how many points to draw.
        least: how many points of a group to keep, if it has as many.
        seed: of the order in which the rest is taken.
    """
    count = len(dull)
    if count <= limit:
        return np.arange(count, dtype=np.int64)
    # Rank of every point for being drawn, the smallest first: must, then the first of each group, the second, …
    order = np.random.default_rng(seed).random(count)
    rank = np.where(dull, 3.0, 1.0) * order + least + 1
    for grouping in groups:
        place = _place_in_group(grouping, order)
        rank = np.where(place < least, np.minimum(rank, place + 1.0), rank)
    rank[must] = 0.0
    needed = int(np.count_nonzero(rank < 2.0))
    chosen = np.argpartition(rank, max(limit, needed) - 1)[: max(limit, needed)]
    return np.sort(chosen).astype(np.int64)


def _place_in_group(grouping: Ints, order: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Ints:
    """(N,) the place of each point in the random order of its group, from 0; a large number outside all groups."""
    inside = np.flatnonzero(grouping >= 0)
    by_group = inside[np.lexsort((order[inside], grouping[inside]))]
    label = grouping[by_group]
    first = np.flatnonzero(np.r_[True, label[1:] != label[:-1]]) if len(label) else np.zeros(0, dtype=np.int64)
    sizes = np.diff(np.r_[first, len(label)])
    place = np.full(len(grouping), np.iinfo(np.int64).max, dtype=np.int64)
    place[by_group] = np.arange(len(label)) - np.repeat(first, sizes)
    return place
