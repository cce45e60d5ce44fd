from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from viz.thin import thin


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 3000),
    groups=st.integers(1, 80),
    limit=st.integers(1, 2500),
    least=st.integers(1, 20),
    seed=st.integers(0, 10**6),
)
def test_no_group_and_no_seed_vanishes_and_the_limit_holds(
    count: int, groups: int, limit: int, least: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Sizes from one point to most of the cloud; -1 is no group.
    first = (rng.pareto(0.6, count) * 2).astype(np.int64).clip(-1, groups - 1) - rng.integers(0, 2, count)
    second = rng.integers(-1, groups, count)
    must = np.unique(rng.integers(0, count, rng.integers(0, 30)))
    dull = rng.random(count) < 0.5
    rows = thin([first, second], must, dull, limit=limit, least=least)

    assert (np.diff(rows) > 0).all()
    assert len(rows) == 0 or (rows[0] >= 0 and rows[-1] < count)
    assert np.isin(must, rows).all()
    for grouping in (first, second):
        assert set(grouping[rows]) - {-1} == set(grouping) - {-1}
    if count <= limit:
        assert len(rows) == count
        return
    needed = len(must) + len(set(first) - {-1}) + len(set(second) - {-1})
    assert len(rows) <= max(limit, needed)
    assert len(rows) >= min(limit, count)


def test_every_group_keeps_its_least_where_there_is_room() -> None:
    grouping = np.concatenate([np.arange(100).repeat(5), np.arange(100, 120).repeat(400), np.full(60_000, -1)])
    rows = thin([grouping], np.zeros(0, np.int64), grouping < 0, limit=6_000, least=12)
    kept = np.bincount(grouping[rows][grouping[rows] >= 0], minlength=120)
    assert (kept[:100] == 5).all()
    assert (kept[100:] >= 12).all()
    assert len(rows) == 6_000


def test_what_is_not_dull_is_drawn_three_times_as_densely() -> None:
    dull = np.arange(90_000) % 2 == 0
    rows = thin([np.full(90_000, -1)], np.zeros(0, np.int64), dull, limit=30_000)
    lively, flat = np.count_nonzero(~dull[rows]), np.count_nonzero(dull[rows])
    assert abs(lively / flat - 3) < 0.1
