"""Sampling and neighbourhoods against loops over all pairs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from xmodal_core.points import _neighbours
from xmodal_core.points._neighbours import (
    Cloud,
    balls,
    farthest_points,
    first_rows,
    gathered,
    shuffled,
    stable_order,
    three_nearest,
)

WAYS = {"compiled loops": ("cpu",), "tensors": ()}
SIZES = st.lists(st.integers(0, 30), min_size=1, max_size=3).filter(any)


def cloud(sizes: list[int], seed: int, spread: float = 3.0) -> Cloud:
    """Points on a coarse lattice, so that there are copies and equal distances."""
    draw = torch.Generator().manual_seed(seed)
    points = (torch.randn(sum(sizes), 3, generator=draw) * spread).mul(4).round().div(4)
    return Cloud(points, torch.tensor([0, *sizes]).cumsum(0))


@contextmanager
def going(way: str, pieces: int = 2**20) -> Iterator[None]:
    """Within it, points on a CPU go that way, and tensors of pairs have about so many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_neighbours, "COMPILED", WAYS[way])
        patch.setattr(_neighbours, "MOST_PAIRS", pieces)
        yield


def frames(clouds: Cloud) -> list[tuple[int, int]]:
    bounds = clouds.offsets.tolist()
    return list(pairwise(bounds))


def squares(points: Tensor, point: Tensor) -> Tensor:
    x, y, z = (points - point).unbind(1)
    return x * x + y * y + z * z


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=15, deadline=None)
@given(sizes=SIZES, count=st.integers(1, 40), seed=st.integers(0, 100))
def test_farthest_points_as_the_naive_way_takes_them(way: str, sizes: list[int], count: int, seed: int) -> None:
    here = cloud(sizes, seed)
    expected, reach = [], 0.0
    for first, last in frames(here):
        nearest = torch.full((last - first,), torch.inf)
        current = 0
        for _ in range(min(count, last - first)):
            expected.append(first + current)
            nearest = torch.minimum(nearest, squares(here.points[first:last], here.points[first + current]))
            nearest[current] = -1
            current = int(nearest.argmax())
        if last > first:
            reach = max(reach, float(nearest.max()))
    with going(way):
        found = farthest_points(here, count)
    assert found.rows.tolist() == expected
    assert found.offsets.diff().tolist() == [min(count, size) for size in sizes]
    assert found.reach == pytest.approx(max(reach, 0) ** 0.5)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=15, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 100), pieces=st.sampled_from([1, 50, 2**20]))
def test_balls_take_the_first_within_the_radius_and_repeat_the_very_first(
    way: str, sizes: list[int], seed: int, pieces: int
) -> None:
    here = cloud(sizes, seed)
    rows, offsets = first_rows(here.offsets, 7)
    centres = here.rows(rows, offsets)
    with going(way, pieces):
        found = balls(here, centres, (1.0, 2.5), (3, 8))
    for radius, size, members in zip((1.0, 2.5), (3, 8), found, strict=True):
        assert members.shape == (len(rows), size)
        for centre, row, taken in zip(centres.points, rows.tolist(), members.tolist(), strict=True):
            first, last = next(pair for pair in frames(here) if pair[0] <= row < pair[1])
            near = first + (squares(here.points[first:last], centre) < radius**2).nonzero()[:, 0]
            expected = near[:size].tolist()
            assert taken == expected + expected[:1] * (size - len(expected))


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=15, deadline=None)
@given(
    sizes=SIZES,
    seed=st.integers(0, 100),
    known=st.integers(1, 12),
    reach=st.sampled_from([0.0, 0.7, 100.0]),
    pieces=st.sampled_from([1, 50, 2**20]),
)
def test_three_nearest_are_those_of_all_pairs(
    way: str, sizes: list[int], seed: int, known: int, reach: float, pieces: int
) -> None:
    queries = cloud(sizes, seed, spread=6.0)
    rows, offsets = first_rows(queries.offsets, known)
    here = queries.rows(rows, offsets)
    with going(way, pieces):
        found = three_nearest(here, queries, reach)
    values = torch.randn(len(rows), 4, generator=torch.Generator().manual_seed(1))
    interpolated = found.interpolated(values)
    for (first, last), (begin, end) in zip(frames(queries), frames(here), strict=True):
        for query in range(first, last):
            apart = squares(here.points[begin:end], queries.points[query])
            order = torch.argsort(apart, stable=True)[:3]
            assert [int(pick.index[query]) for pick in found.picks][: len(order)] == (begin + order).tolist()
            weight = 1 / (apart[order].sqrt() + 1e-8)
            expected = (values[begin:end][order] * (weight / weight.sum())[:, None]).sum(0)
            torch.testing.assert_close(interpolated[query], expected)


@pytest.mark.parametrize("way", WAYS)
def test_points_far_from_all_others_find_their_three(way: str) -> None:
    known = Cloud(torch.tensor([[0.0, 0, 0], [500, 0, 0], [0, 700, 0], [0, 0, 900]]), torch.tensor([0, 4]))
    queries = Cloud(torch.tensor([[-300.0, -10, 0], [490, 690, 0]]), torch.tensor([0, 2]))
    with going(way):
        found = three_nearest(known, queries, 0.1)
    assert [pick.index.tolist() for pick in found.picks] == [[0, 2], [2, 1], [1, 0]]


def test_both_ways_give_the_same_bits() -> None:
    """On points that are no round numbers, in many buckets and cells, with copies, an empty frame and one far off."""
    draw = torch.Generator().manual_seed(4)
    points = torch.randn(900, 3, generator=draw) * torch.tensor([20, 20, 1])
    points[500:520] = points[480:500]
    points[899] = 1e4
    here = Cloud(points, torch.tensor([0, 600, 600, 900]))
    found = {}
    for way in WAYS:
        with going(way):
            sampled = farthest_points(here, 200)
            centres = here.rows(sampled.rows, sampled.offsets)
            members = balls(here, centres, (1.0, 4.0), (4, 16))
            near = three_nearest(centres, here, sampled.reach)
            picks = [part for pick in near.picks for part in (pick.index, pick.order, pick.count)]
            found[way] = [*sampled[:2], torch.tensor(sampled.reach), *members, near.weight, *picks]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*found.values(), strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_what_sorts_numbers_keeps_equal_ones_as_they_come(way: str) -> None:
    index = torch.tensor([3, 0, 3, 1, 0, 3])
    with going(way):
        order, count = stable_order(index, 5)
        nothing, none = stable_order(index[:0], 2)
    assert (order.tolist(), count.tolist()) == ([1, 4, 3, 0, 2, 5], [2, 1, 0, 3, 0])
    assert (nothing.tolist(), none.tolist()) == ([], [0, 0])


def test_gathered_rows_have_the_gradient_of_indexing() -> None:
    index = torch.tensor([[3, 0, 3], [1, 1, 3]])
    ours, theirs = (torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).requires_grad_() for _ in range(2))
    weight = torch.randn(6, 2)
    (gathered(index, 5).rows(ours) * weight).sum().backward()
    (theirs[index.flatten()] * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_lots_depend_on_the_point_alone_and_look_drawn() -> None:
    line = torch.stack([torch.arange(4096) * 0.25, torch.zeros(4096), torch.zeros(4096)], dim=1)
    lots = shuffled(line)
    assert len(torch.unique(lots)) == 4096
    assert torch.equal(shuffled(line.flip(0)), lots.flip(0))
    assert torch.equal(shuffled(-line[:1]), lots[:1])  # -0.0 is 0.0
    half = torch.argsort(lots)[:2048]
    assert 0.45 < (half < 2048).double().mean() < 0.55
    assert abs(torch.corrcoef(torch.stack([torch.arange(4096.0), lots.double().float()]))[0, 1]) < 0.05
