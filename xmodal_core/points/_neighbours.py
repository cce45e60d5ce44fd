"""Sampling and neighbourhoods of points, frame by frame, on the points' own device: what PointNet++ is made of.

Nothing here is of the order of all pairs: neighbours are looked for in the cells of a grid around a point, and pairs
are worked off in pieces of at most ``MOST_PAIRS``. Whatever has a choice takes the point that comes first, so that the
same points give the same result on every device. Points on a CPU go through compiled loops (``_neighbours_compiled``),
which are faster there and give the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xmodal_core import geometry_sampling as sampling
from xmodal_core.points import _neighbours_compiled as loops

COMPILED = ("cpu",)
"""The kinds of device whose memory the compiled loops read."""
MOST_PAIRS = 2**21
"""The most pairs of points that are held at once."""
WIDER = 4
"""By how much cells grow for points whose nearest neighbours are not in the cells around them."""


class Cloud(NamedTuple):
    """Points of a batch.

    Args:
        points: (N,3) metres, finite, the frames one after the other.
        offsets: (B+1,) int64, frame b is rows offsets[b]:offsets[b+1].
    """

    points: Tensor
    offsets: Tensor

    @property
    def frame(self) -> Tensor:
        """(N,) int64, each point's frame."""
        return torch.repeat_interleave(self.offsets.diff(), output_size=len(self.points))

    def rows(self, rows: Tensor, offsets: Tensor) -> Cloud:
        """Those points, which ``offsets`` part into frames."""
        return Cloud(self.points.index_select(0, rows), offsets)

    @property
    def compiled(self) -> bool:
        """Whether the compiled loops take these points."""
        return self.points.device.type in COMPILED and self.points.dtype == torch.float32

    def arrays(self) -> Iterator[tuple[int, loops.Points]]:
        """The first row of each frame, and its (n,3) points; of points on a CPU."""
        points = self.points.detach().contiguous().numpy()
        return ((first, points[first:last]) for first, last in pairwise(self.offsets.tolist()))


@dataclass(frozen=True)
class Gathered:
    """Rows of a matrix, picked many times.

    Args:
        index: (K,) int64, which rows.
        order: (K,) int64, what sorts ``index``.
        count: (N,) int64, how often each row is picked.
    """

    index: Tensor
    order: Tensor
    count: Tensor

    def rows(self, values: Tensor) -> Tensor:
        """(K,C): the rows of ``values`` (N,C)."""
        picked: Tensor = _Gather.apply(values, self.index, self.order, self.count)
        return picked


def gathered(index: Tensor, rows: int) -> Gathered:
    """The picking of ``index`` (any shape) among as many ``rows``."""
    index = index.flatten()
    return Gathered(index, *stable_order(index, rows))


def stable_order(index: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """What sorts ``index`` (K,), int64 below ``rows``, equal ones as they come, and how often each number is there."""
    if index.device.type in COMPILED:
        order, count = loops.order(index.numpy(), rows)
        return torch.from_numpy(order), torch.from_numpy(count)
    return torch.argsort(index, stable=True), torch.bincount(index, minlength=rows)


class _Gather(torch.autograd.Function):
    """Rows picked in any order; the gradient is summed row by row, so that it has the same bits every time."""

    @staticmethod
    def forward(context: Any, values: Tensor, index: Tensor, order: Tensor, count: Tensor) -> Tensor:
        context.save_for_backward(order, count)
        return values.index_select(0, index)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        order, count = context.saved_tensors
        rows = gradients[0].index_select(0, order)
        return torch.segment_reduce(rows, "sum", lengths=count, unsafe=True), None, None, None


def shuffled(points: Tensor) -> Tensor:
    """(N,) int64, a number for each of ``points`` (N,3) as if drawn by lot, but always the same for the same point.

    Sorted by it, points are in an order that tells nothing of how they came; only copies of a point are told apart by
    their places.
    """
    bits = (points.float() + 0.0).view(torch.int32).long()  # + 0.0: there is one zero only
    mixed = torch.zeros_like(bits[:, 0])
    for axis in range(3):  # the mixing steps of SplitMix64 (Steele 2014), in 62 bits
        mixed = (mixed ^ bits[:, axis]) * 0x1F58476D1CE4E5B9
        mixed = (mixed ^ ((mixed >> 30) & 0x3FFFFFFFF)) * 0x14D049BB133111EB
        mixed = mixed ^ ((mixed >> 27) & 0x1FFFFFFFFF)
    return mixed & 0x3FFFFFFFFFFFFFFF


def first_rows(offsets: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first ``count`` rows of each frame, or all it has: their numbers and the offsets of what was picked."""
    sizes = offsets.diff().clamp(max=count)
    picked = nn.functional.pad(sizes.cumsum(0), (1, 0))
    total = int(picked[-1])
    frame = torch.repeat_interleave(sizes, output_size=total)
    return torch.arange(total, device=offsets.device) - picked[frame] + offsets[frame], picked


class Sampled(NamedTuple):
    """What farthest point sampling chose.

    Args:
        rows: (M,) int64, of each frame in the order of choice.
        offsets: (B+1,) int64, frame b is rows offsets[b]:offsets[b+1] of ``rows``.
        reach: metres; no point of any frame is farther than that from a chosen one.
    """

    rows: Tensor
    offsets: Tensor
    reach: float


@torch.no_grad()
def farthest_points(cloud: Cloud, count: int) -> Sampled:
    """Farthest point sampling of each frame (Qi 2017) from its first point on: min(count, n) points of each.

    Each step takes the point whose nearest chosen one is farthest away, of several the first. At least one frame has a
    point.
    """
    return _frame_by_frame(cloud, count) if cloud.compiled else _side_by_side(cloud, count)


def _frame_by_frame(cloud: Cloud, count: int) -> Sampled:
    rows, furthest = [], cloud.points.new_zeros(())
    for first, points in cloud.arrays():
        if len(points):
            chosen, square = sampling.farthest_points(points, count)
            rows.append(torch.from_numpy(chosen) + first)
            furthest = furthest.clamp(min=square)
    return Sampled(torch.cat(rows), first_rows(cloud.offsets, count)[1], float(furthest.sqrt()))


def _side_by_side(cloud: Cloud, count: int) -> Sampled:
    sizes = cloud.offsets.diff()
    frames, longest = len(sizes), int(sizes.max())
    count = min(count, longest)
    place = torch.arange(longest, device=sizes.device)
    rows = (cloud.offsets[:-1, None] + place).clamp(max=len(cloud.points) - 1)
    points = cloud.points[rows].permute(2, 0, 1).contiguous()  # (3,B,n): an axis after the other
    nearest = points.new_full((frames, longest), torch.inf).masked_fill_(place >= sizes[:, None], -1.0)
    chosen = sizes.new_zeros(frames, count)
    steps, squares = torch.empty_like(points), torch.empty_like(nearest)
    current = chosen[:, :1].clone()
    for step in range(count):
        chosen[:, step] = current[:, 0]
        torch.sub(points, points.gather(2, current.expand(3, -1, -1)), out=steps)
        torch.sum(steps.square_(), 0, out=squares)
        torch.minimum(nearest, squares, out=nearest)
        nearest.scatter_(1, current, -1.0)  # no point twice: its copies follow when nothing else is left
        current = nearest.argmax(1, keepdim=True)
    _, offsets = first_rows(cloud.offsets, count)
    kept = torch.arange(count, device=sizes.device) < sizes[:, None]
    reach = float(nearest.max().clamp(min=0).sqrt())
    return Sampled((chosen + cloud.offsets[:-1, None])[kept], offsets, reach)


class Pairs(NamedTuple):
    """Some queries and all points that may be near them.

    Args:
        rows: (Q,) int64, the queries.
        query: (P,) int64 ascending, the place in ``rows`` of each pair's query.
        point: (P,) int64, its point.
        squares: (P,) square metres between them.
    """

    rows: Tensor
    query: Tensor
    point: Tensor
    squares: Tensor


@dataclass(frozen=True)
class Grid:
    """The points of a cloud, at least one, by cells of one ``edge``.

    Args:
        cloud: the points.
        edge: of a cell, in metres.
        low: (3,) the corner: no point lies below.
        shape: (3,) int64, cells along each axis that points are in; the first is number 1, around them lie empty ones.
        key: (N,) int64 ascending, the cell of each point.
        row: (N,) int64, the points in that order; those of a cell in their own.
    """

    cloud: Cloud
    edge: float
    low: Tensor
    shape: Tensor
    key: Tensor
    row: Tensor

    @property
    def sees_all(self) -> bool:
        """Whether there are so few cells that from each of them every point of the frame is around."""
        return bool((self.shape <= 2).all())

    def pairs(self, queries: Cloud, rows: Tensor) -> Iterator[Pairs]:
        """Each of ``rows`` of ``queries`` with every point of its frame in its cell and the 26 around it, in pieces.

        What is nearer than ``edge`` is among them.
        """
        begin, count = self.around(self.cell(queries, rows))
        total = count.sum(1)
        sizes = _pieces(total)
        for own, first, many, each in zip(
            *(torch.split(part, sizes) for part in (rows, begin, count, total)), strict=True
        ):
            query = torch.repeat_interleave(each)
            point = self.row[_ranges(first, many)]
            x, y, z = (queries.points[own[query]] - self.cloud.points[point]).unbind(1)
            yield Pairs(own, query, point, x * x + y * y + z * z)

    def cell(self, queries: Cloud, rows: Tensor) -> Tensor:
        """(Q,) the cell of each of ``rows`` of ``queries``.

        Far off ones stand in the outermost cells: from there they see more than from where they are.
        """
        cell = _cells(queries.points[rows], self.low, self.edge).clamp(min=1).minimum(self.shape)
        return _keys(queries.frame[rows], cell, self.shape)

    def around(self, cell: Tensor) -> tuple[Tensor, Tensor]:
        """(Q,9) where in ``row`` the points of the nine columns of three cells around each ``cell`` begin, and how
        many they are."""
        step = torch.tensor([-1, 0, 1], device=cell.device)
        column = (step[:, None] * (self.shape[1] + 2) + step).flatten() * (self.shape[2] + 2)
        middle = cell[:, None] + column
        begin = torch.searchsorted(self.key, middle - 1)
        return begin, torch.searchsorted(self.key, middle + 1, right=True) - begin


def grid_of(cloud: Cloud, edge: float) -> Grid:
    """The points of ``cloud`` by cells of ``edge`` metres."""
    edge *= 1.001  # so that rounding moves no point of the next cell beyond it
    low = cloud.points.amin(0)
    cell = _cells(cloud.points, low, edge)
    shape = cell.amax(0)
    key, row = torch.sort(_keys(cloud.frame, cell, shape), stable=True)
    return Grid(cloud, edge, low, shape, key, row)


def _pieces(many: Tensor) -> list[int]:
    """How to part as many things so that the sums of ``many`` stay near ``MOST_PAIRS``."""
    piece = many.cumsum(0) // MOST_PAIRS
    sizes: list[int] = torch.unique_consecutive(piece, return_counts=True)[1].tolist()
    return sizes


def _ranges(begin: Tensor, count: Tensor) -> Tensor:
    """begin, begin + 1 … of each of the ranges, one after the other."""
    begin, count = begin.flatten(), count.flatten()
    shift = torch.repeat_interleave(begin - count.cumsum(0) + count, count)
    return torch.arange(len(shift), device=shift.device) + shift


def _cells(points: Tensor, low: Tensor, edge: float) -> Tensor:
    return torch.floor((points - low) / edge).long() + 1


def _keys(frame: Tensor, cell: Tensor, shape: Tensor) -> Tensor:
    x, y, z = cell.unbind(-1)
    return ((frame * (shape[0] + 2) + x) * (shape[1] + 2) + y) * (shape[2] + 2) + z


@torch.no_grad()
def balls(cloud: Cloud, centres: Cloud, radii: tuple[float, ...], sizes: tuple[int, ...]) -> list[Tensor]:
    """The points around each of ``centres``, which are points of ``cloud`` themselves, within each of ``radii``.

    As the ball query of PointNet++: the first ``size`` of the cloud nearer than the radius, in the cloud's own order;
    the first of all again where there are fewer.

    Returns:
        for each radius (M,size) int64 rows of ``cloud``.
    """
    return (_balls_by_loops if cloud.compiled else _balls_by_pairs)(cloud, centres, radii, sizes)


def _balls_by_loops(cloud: Cloud, centres: Cloud, radii: tuple[float, ...], sizes: tuple[int, ...]) -> list[Tensor]:
    found: list[list[Tensor]] = [[] for _ in radii]
    for (first, points), (_, middles) in zip(cloud.arrays(), centres.arrays(), strict=True):
        for members, radius, size in zip(found, radii, sizes, strict=True):
            if len(middles):
                members.append(torch.from_numpy(loops.ball(points, middles, radius, size)) + first)
    return [torch.cat(members) for members in found]


def _balls_by_pairs(cloud: Cloud, centres: Cloud, radii: tuple[float, ...], sizes: tuple[int, ...]) -> list[Tensor]:
    grid = grid_of(cloud, max(radii))
    found = [grid.row.new_empty(len(centres.points), size) for size in sizes]
    for pairs in grid.pairs(centres, torch.arange(len(centres.points), device=grid.row.device)):
        near = pairs.squares < cloud.points.new_tensor(max(radii)).square()
        key, order = torch.sort(pairs.query[near] * len(cloud.points) + pairs.point[near])
        squares, query, point = pairs.squares[near][order], key // len(cloud.points), key % len(cloud.points)
        for members, radius, size in zip(found, radii, sizes, strict=True):
            inside = squares < cloud.points.new_tensor(radius).square()
            members[pairs.rows] = _first_of_each(query[inside], point[inside], len(pairs.rows), size)
    return found


def _first_of_each(query: Tensor, point: Tensor, queries: int, size: int) -> Tensor:
    """(Q,size) the first points of each query, which has at least one; the very first where there are no more."""
    count = torch.bincount(query, minlength=queries)
    begin = count.cumsum(0) - count
    rank = torch.arange(size, device=query.device)
    return point[begin[:, None] + torch.where(rank < count[:, None], rank, 0)]


@dataclass(frozen=True)
class Nearest:
    """The three nearest points of each query.

    Args:
        picks: the nearest, the next, the third.
        weight: (N,3) of each, by the inverse of the distance, together 1.
    """

    picks: tuple[Gathered, ...]
    weight: Tensor

    def interpolated(self, values: Tensor) -> Tensor:
        """(N,C) of each query the weighted mean of its points' ``values`` (M,C)."""
        weights = self.weight.to(values.dtype)[:, :, None].unbind(1)
        first, second, third = (weight * pick.rows(values) for weight, pick in zip(weights, self.picks, strict=True))
        return first + second + third


@torch.no_grad()
def three_nearest(cloud: Cloud, queries: Cloud, reach: float) -> Nearest:
    """The three points of ``cloud`` nearest to each of ``queries``, of several as near the first.

    A frame with fewer than three points has those; one with queries has at least one.

    Args:
        cloud: the points.
        queries: where to look from.
        reach: metres, about as far as the nearest point is; of no influence on what is found.
    """
    edge = max(1.5 * reach, 0.1)
    index, squares = (_three_by_loops if cloud.compiled else _three_by_cells)(cloud, queries, edge)
    inverse = 1.0 / (squares.sqrt() + 1e-8)  # three_nn and PointnetFPModule of OpenPCDet
    picks = tuple(gathered(column, len(cloud.points)) for column in index.unbind(1))
    return Nearest(picks, inverse / inverse.sum(1, keepdim=True))


def _three_by_loops(cloud: Cloud, queries: Cloud, edge: float) -> tuple[Tensor, Tensor]:
    """(N,3) rows of ``cloud``, 0 where there are fewer, and their squares, infinite there."""
    index = queries.offsets.new_zeros(len(queries.points), 3)
    squares = queries.points.new_full(index.shape, torch.inf)
    for (first, points), (row, places) in zip(cloud.arrays(), queries.arrays(), strict=True):
        if len(places):
            near, apart = map(torch.from_numpy, loops.three_nearest(points, places, edge))
            index[row : row + len(places)] = torch.where(near < 0, 0, near + first)
            squares[row : row + len(places)] = apart
    return index, squares


def _three_by_cells(cloud: Cloud, queries: Cloud, edge: float) -> tuple[Tensor, Tensor]:
    """(N,3) rows of ``cloud``, 0 where there are fewer, and their squares, infinite there."""
    index = queries.offsets.new_zeros(len(queries.points), 3)
    squares = queries.points.new_full(index.shape, torch.inf)
    left = torch.arange(len(index), device=index.device)
    while len(left):
        grid = grid_of(cloud, edge)
        for rows, nearest, apart in _three_around(grid, queries, left):
            index[rows], squares[rows] = nearest, apart
        if grid.sees_all:
            break
        left = left[squares[left, 2] > edge * edge]
        edge *= WIDER
    return index, squares


def _three_around(grid: Grid, queries: Cloud, rows: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Of some of ``rows`` (Q,) after the other: they, the three nearest (Q,3) points of the cells around, and their
    squares; point 0, infinitely far, where there are fewer.

    All queries in a cell see the same points, so these are laid out once a cell, padded; cells with about as many
    points go together.
    """
    cell, home = torch.unique(grid.cell(queries, rows), return_inverse=True)
    begin, count = grid.around(cell)
    seen = count.sum(1)
    order = torch.argsort(seen[home] * len(cell) + home)
    rows, home = rows[order], home[order]
    sizes = _pieces(seen[home])
    for own, cells in zip(torch.split(rows, sizes), torch.split(home, sizes), strict=True):
        used, local = torch.unique_consecutive(cells, return_inverse=True)
        table = _table(grid.row[_ranges(begin[used], count[used])], seen[used], len(grid.cloud.points))
        places = nn.functional.pad(grid.cloud.points, (0, 0, 0, 1), value=torch.inf)[table].unbind(2)
        squares = torch.zeros(len(own), table.shape[1], device=table.device, dtype=queries.points.dtype)
        for place, axis in zip(places, queries.points[own].unbind(1), strict=True):
            squares += place[local].sub_(axis[:, None]).square_()
        nearest, apart = [], []
        for _ in range(3):
            at = squares.argmin(1, keepdim=True)
            apart.append(squares.gather(1, at))
            nearest.append(table[local[:, None], at])
            squares.scatter_(1, at, torch.inf)
        distance = torch.cat(apart, dim=1)
        yield own, torch.where(torch.isfinite(distance), torch.cat(nearest, dim=1), 0), distance


def _table(values: Tensor, count: Tensor, padding: int) -> Tensor:
    """(U,K) the ``count`` (U,) next of ``values`` in each row, ascending, then ``padding``; one column at least."""
    row = torch.repeat_interleave(count)
    column = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    table = values.new_full((len(count), max(int(count.max()), 1)), padding)
    table[row, column] = values
    return table.sort(1)[0]
