"""Points into cells and back, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spconv.pytorch.utils import PointToVoxel
from torch import Tensor

from xmodal_core.points._cells import Cells, find_cells, on_grid

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


def first_come(
    place: Tensor, inside: Tensor, offsets: Tensor, per_cell: int | None, most: int | None
) -> dict[tuple[int, ...], list[int]]:
    """The loop of hard voxelisation: point after point, a cell opened where there is room, filled where there is."""
    found: dict[tuple[int, ...], list[int]] = {}
    for frame, (first, last) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        opened = 0
        for point in range(first, last):
            key = (frame, *place[point].tolist())
            if not inside[point]:
                continue
            if key not in found:
                if most is not None and opened >= most:
                    continue
                opened += 1
                found[key] = []
            if per_cell is None or len(found[key]) < per_cell:
                found[key].append(point)
    return found


@given(scattered(), st.sampled_from([None, 1, 2, 100]), st.sampled_from([None, 1, 2, 5, 100]))
@settings(max_examples=80, deadline=None)
def test_limits_are_first_come_first_served(
    data: tuple[Tensor, Tensor, Tensor], per_cell: int | None, most: int | None
) -> None:
    cells, expected = find_cells(*data, SHAPE).limited(per_cell, most), first_come(*data, per_cell, most)
    keys = [tuple(row) for row in cells.index.tolist()]
    assert keys == sorted(expected)
    assert cells.count.tolist() == [len(expected[key]) for key in keys]
    assert cells.point.tolist() == [point for key in keys for point in expected[key]]
    assert cells.cell.tolist() == [row for row, key in enumerate(keys) for _ in expected[key]]
    assert cells.slot.tolist() == [slot for key in keys for slot in range(len(expected[key]))]


@pytest.mark.parametrize(("per_cell", "most"), [(3, 20), (2, 1000), (100, 5)])
def test_limits_are_those_of_spconv(per_cell: int, most: int) -> None:
    low, size, shape = (-1.0, 0.0, 0.0), (0.5, 0.5, 1.0), (6, 8, 2)
    draw = torch.Generator().manual_seed(0)
    points = torch.rand(300, 4, generator=draw) * torch.tensor([4, 5, 3, 1.0]) + torch.tensor([-1.5, -0.5, -0.5, 0])
    place, inside = on_grid(points[:, :3], low, size, shape)
    cells = find_cells(place, inside, torch.tensor([0, 300]), shape).limited(per_cell, most)
    theirs = PointToVoxel([*size], [*low, 2.0, 4.0, 2.0], 4, most, per_cell)
    kept, index, count = theirs(points)  # index is z, y, x
    order = sorted(range(len(index)), key=lambda row: index[row].tolist()[::-1])
    assert len(cells) == len(index)
    assert len(cells) <= most
    assert torch.equal(cells.index[:, 1:], index[order].flip(1))
    assert torch.equal(cells.count, count[order].long())
    assert torch.equal(cells.slots(points[cells.point], per_cell), kept[order])


def test_slots_hold_the_points_of_a_cell_and_zeros() -> None:
    cells, expected = example()
    values = torch.randn(40, 5)
    found = cells.slots(values[cells.point], 9)
    for row, key in zip(found, (tuple(key) for key in cells.index.tolist()), strict=True):
        assert torch.equal(row[: len(expected[key])], values[expected[key]])
        assert not row[len(expected[key]) :].any()


def test_a_point_is_on_the_grid_by_its_cell() -> None:
    """Just below the upper end, single precision rounds a place up to a cell that is none."""
    just_below = torch.nextafter(torch.tensor(80.0), torch.tensor(0.0)).item()
    x = torch.tensor([-80.0, -80.01, 0.0, 79.99, just_below, 80.0, float("nan"), float("inf"), -float("inf"), 1e30])
    place, inside = on_grid(x[:, None], [-80.0], [0.25], [640])
    assert inside.tolist() == [True, False, True, True, False, False, False, False, False, False]
    assert place[inside][:, 0].tolist() == [0, 320, 639]
