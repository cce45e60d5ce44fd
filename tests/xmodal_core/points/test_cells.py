"""Points into cells and back, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from xmodal_core.points._cells import Cells, find_cells

SHAPE = (3, 2, 4)


def naive(place: Tensor, inside: Tensor, offsets: Tensor) -> dict[tuple[int, ...], list[int]]:
    """The points of every cell, by frame and place."""
    found: dict[tuple[int, ...], list[int]] = {}
    for frame, (first, last) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        for point in range(first, last):
            if inside[point]:
                found.setdefault((frame, *place[point].tolist()), []).append(point)
    return found


@st.composite
def scattered(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    sizes = draw(st.lists(st.integers(0, 12), min_size=1, max_size=4))
    number = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    place = number.integers(0, SHAPE, (sum(sizes), 3))
    inside = number.random(sum(sizes)) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    place[~inside] = -(2**40)
    return torch.from_numpy(place), torch.from_numpy(inside), torch.tensor([0, *np.cumsum(sizes)])


def example(seed: int = 0) -> tuple[Cells, dict[tuple[int, ...], list[int]]]:
    number = torch.Generator().manual_seed(seed)
    place = torch.stack([torch.randint(side, (40,), generator=number) for side in SHAPE], dim=1)
    inside, offsets = torch.rand(40, generator=number) < 0.8, torch.tensor([0, 15, 15, 40])
    return find_cells(place, inside, offsets, SHAPE), naive(place, inside, offsets)


@given(scattered())
@settings(max_examples=60, deadline=None)
def test_cells_are_those_of_a_plain_loop(data: tuple[Tensor, Tensor, Tensor]) -> None:
    cells, expected = find_cells(*data, SHAPE), naive(*data)
    keys = [tuple(row) for row in cells.index.tolist()]
    assert keys == sorted(expected)
    assert cells.index.dtype == torch.int32
    assert cells.count.tolist() == [len(expected[key]) for key in keys]
    assert cells.point.tolist() == [point for key in keys for point in expected[key]]
    assert cells.cell.tolist() == [row for row, key in enumerate(keys) for _ in expected[key]]


def test_means_and_maxima_of_a_plain_loop() -> None:
    cells, expected = example()
    values = torch.randn(40, 5)
    in_order = values[cells.point]
    rows = [values[expected[tuple(key)]] for key in cells.index.tolist()]
    torch.testing.assert_close(cells.mean(in_order), torch.stack([row.mean(0) for row in rows]))
    torch.testing.assert_close(cells.max(in_order), torch.stack([row.amax(0) for row in rows]))


def test_every_point_gets_its_cells_row_and_others_zeros() -> None:
    cells, expected = example()
    values = torch.randn(len(cells), 5)
    spread = torch.zeros(40, 5)
    for row, key in enumerate(cells.index.tolist()):
        spread[expected[tuple(key)]] = values[row]
    assert torch.equal(cells.to_points(values), spread)
    assert torch.equal(cells.spread(values), spread[cells.point])


@pytest.mark.parametrize("take", ["mean", "max", "spread", "to_points"])
def test_gradients(take: str) -> None:
    cells, _ = example()
    rows = len(cells.point) if take in ("mean", "max") else len(cells)
    values = torch.randn(rows, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(getattr(cells, take), (values,))


def test_nothing_at_all() -> None:
    cells = find_cells(torch.zeros(4, 3).long(), torch.zeros(4, dtype=torch.bool), torch.tensor([0, 4]), SHAPE)
    assert len(cells) == 0
    empty = torch.zeros(0, 2, requires_grad=True)
    for value in (cells.mean(empty), cells.max(empty), cells.spread(empty)):
        assert value.shape == (0, 2)
    cells.to_points(empty).sum().backward()
    assert torch.equal(cells.to_points(empty), torch.zeros(4, 2))


def test_numbers_of_cells_beyond_32_bits() -> None:
    shape = (4000, 4000, 400)
    place = torch.tensor([[3999, 3999, 399], [3999, 3999, 399], [0, 0, 1]])
    cells = find_cells(place, torch.ones(3, dtype=torch.bool), torch.tensor([0, 0, 3]), shape)
    assert cells.index.tolist() == [[1, 0, 0, 1], [1, 3999, 3999, 399]]
