"""The context of a seed equals what a look at every point gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.units.config import ContextConfig
from xmodal_core.units.context import gather_context


def made(seed, number=300, grid=None):
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 3, (number, 3)).astype(np.float32)
    if grid:
        points = np.round(points / grid) * np.float32(grid)
    members = rng.random(number) < 0.7
    members[0] = True
    return points, rng.choice(np.flatnonzero(members), 20), members


def groups(context):
    return [context.point[a:b] for a, b in zip(context.begin[:-1], context.begin[1:], strict=True)]


@given(st.integers(0, 10_000), st.sampled_from([1, 4, 16, 100]), st.sampled_from([0.3, 1.0, 5.0]))
def test_neighbours_are_the_nearest_members_within_the_radius(seed, count, radius):
    points, seeds, members = made(seed)
    config = ContextConfig(neighbours=count, radius=radius)
    for number, near in zip(seeds, groups(gather_context(points, seeds, members, config)), strict=True):
        distance = np.linalg.norm(points.astype(np.float64) - points[number], axis=1)
        distance[~members | (distance > radius)] = np.inf
        expected = np.argsort(distance)[: min(count, np.isfinite(distance).sum())]
        assert set(near) == set(expected)
        assert number in near


def test_a_neighbour_exactly_at_the_radius_belongs():
    points = np.array([[0, 0, 0], [1, 0, 0], [1.0001, 0, 0]], np.float32)
    context = gather_context(points, np.array([0]), np.ones(3, np.bool_), ContextConfig(radius=1.0))
    assert sorted(context.point) == [0, 1]


@given(st.integers(0, 10_000), st.sampled_from([0.2, 1.0, 3.0]), st.sampled_from([None, 0.5]))
def test_a_pillar_holds_every_member_above_and_below(seed, size, grid):
    points, seeds, members = made(seed, grid=grid)
    config = ContextConfig(kind="pillar", pillar_size=size)
    for number, near in zip(seeds, groups(gather_context(points, seeds, members, config)), strict=True):
        aside = np.abs(points[:, :2].astype(np.float64) - points[number, :2]).max(axis=1)
        assert set(near) == set(np.flatnonzero(members & (aside <= size / 2)))


@pytest.mark.parametrize("kind", ["neighbours", "pillar"])
def test_no_seeds(kind):
    points, _, members = made(0)
    context = gather_context(points, np.zeros(0, np.int64), members, ContextConfig(kind=kind))
    assert context.point.shape == (0,)
    assert context.begin.tolist() == [0]


@pytest.mark.parametrize("kind", ["neighbours", "pillar"])
def test_coincident_points(kind):
    points = np.zeros((40, 3), np.float32)
    context = gather_context(points, np.arange(5), np.ones(40, np.bool_), ContextConfig(kind=kind, neighbours=16))
    assert {len(group) for group in groups(context)} == {16 if kind == "neighbours" else 40}
    assert all(len(set(group)) == len(group) for group in groups(context))
