"""The loops of ``_neighbours`` as machine code for a CPU, one frame at a time: the same numbers, bit for bit.

Every square of a distance is computed in the precision of the points, which are in single precision, and in the order
in which the tensor operations compute it. Cells and bounds only decide what need not be looked at.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from xmodal_core.compiled import compiled
from xmodal_core.types import Ints

Points = npt.NDArray[np.floating[Any]]

CELLS_PER_POINT = 32
"""The most of a grid: more would cost memory, and time where a search goes through many empty ones."""


def ball(points: Points, centres: Points, radius: float, size: int) -> Ints:
    """(M,size) int64: the first ``size`` of ``points`` nearer to each of ``centres`` than ``radius``, the very first
    again where there are fewer; there is one at least."""
    grid = grid_of(points, radius * 1.001)  # so that rounding moves no point of the next cell beyond it
    limit: Any = points.dtype.type(radius)
    limit *= limit
    return _ball(points, centres, grid.cell(centres), limit, size, grid.begin, grid.row, grid.shape)


def three_nearest(points: Points, queries: Points, edge: float) -> tuple[Ints, Points]:
    """The three of ``points``, at least one, nearest to each of ``queries``, of several as near the first.

    Args:
        points: (M,3) metres.
        queries: (Q,3) metres.
        edge: of the cells that are looked through, in metres; of no influence on what is found.

    Returns:
        (Q,3) int64 rows, -1 where there are fewer points; (Q,3) their squares, infinite there.
    """
    grid = grid_of(points, edge)
    index = np.full((len(queries), 3), -1, dtype=np.int64)
    squares = np.full((len(queries), 3), np.inf, dtype=points.dtype)
    _three(points[grid.row], queries, grid.cell(queries), index, squares, grid.begin, grid.row, grid.shape, grid.edge)
    return index, squares


@compiled
def order(index: Ints, rows: int) -> tuple[Ints, Ints]:
    """What sorts ``index``, numbers below ``rows``, equal ones as they come; how often each is there."""
    count = np.zeros(rows, dtype=np.int64)
    for number in index:
        count[number] += 1
    place = np.zeros(rows, dtype=np.int64)
    for number in range(1, rows):
        place[number] = place[number - 1] + count[number - 1]
    found = np.empty(len(index), dtype=np.int64)
    for i in range(len(index)):
        found[place[index[i]]] = i
        place[index[i]] += 1
    return found, count


@compiled
def _square(points: Points, i: int, x: float, y: float, z: float) -> float:
    """The square of the distance of point ``i`` from (x, y, z)."""
    dx, dy, dz = points[i, 0] - x, points[i, 1] - y, points[i, 2] - z
    square: float = dx * dx + dy * dy + dz * dz
    return square


# ---- Neighbours


class Grid(NamedTuple):
    """The points of a frame by cubic cells.

    Args:
        begin: (cells+1,) where in ``row`` each cell begins, z running fastest, and where the last ends.
        row: (N,) the points in that order, those of a cell in their own.
        low: (3,) the corner in metres: no point lies below.
        shape: (3,) cells along each axis.
        edge: of a cell in metres.
    """

    begin: Ints
    row: Ints
    low: Points
    shape: Ints
    edge: float

    def cell(self, points: Points) -> Ints:
        """(N,3) the cells of ``points``, of those outside the grid the nearest."""
        return _cells(points, self.low, self.shape, self.edge)


def grid_of(points: Points, edge: float) -> Grid:
    """``points``, at least one, by cells of ``edge`` metres, or of larger ones where those would be too many."""
    low = points.min(axis=0).astype(np.float64)
    wide = points.max(axis=0) - low
    while np.prod(np.floor(wide / edge) + 1) > CELLS_PER_POINT * len(points):
        edge *= 1.25
    shape = np.floor(wide / edge).astype(np.int64) + 1
    x, y, z = _cells(points, low, shape, edge).T
    row, count = order((x * shape[1] + y) * shape[2] + z, int(np.prod(shape)))
    begin = np.zeros(len(count) + 1, dtype=np.int64)
    np.cumsum(count, out=begin[1:])
    return Grid(begin, row, low, shape, edge)


def _cells(points: Points, low: Points, shape: Ints, edge: float) -> Ints:
    # In double precision, since ``low`` is.
    cells: Ints = np.clip(np.floor((points - low) / edge), 0, shape - 1).astype(np.int64)
    return cells


@compiled
def _ball(
    points: Points, centres: Points, home: Ints, limit: float, size: int, begin: Ints, row: Ints, shape: Ints
) -> Ints:
    """As ``ball``: the squares are below ``limit``; ``home`` (M,3) is the cell of each centre."""
    members = np.empty((len(centres), size), dtype=np.int64)
    for q in range(len(centres)):
        found = 0
        for x in range(max(home[q, 0] - 1, 0), min(home[q, 0] + 2, shape[0])):
            for y in range(max(home[q, 1] - 1, 0), min(home[q, 1] + 2, shape[1])):
                for z in range(max(home[q, 2] - 1, 0), min(home[q, 2] + 2, shape[2])):
                    cell = (x * shape[1] + y) * shape[2] + z
                    for k in range(begin[cell], begin[cell + 1]):
                        if found == size and row[k] > members[q, size - 1]:
                            break  # so are all that come later in this cell
                        if _square(points, row[k], centres[q, 0], centres[q, 1], centres[q, 2]) < limit:
                            found = _insert(members, q, found, row[k])
        for k in range(found, size):
            members[q, k] = members[q, 0]
    return members


@compiled
def _insert(members: Ints, q: int, found: int, row: int) -> int:
    """Put ``row`` among the ``found`` members of ``q``, which ascend, and drop the last of them where they are full;
    how many there are then."""
    full: int = members.shape[1]
    place = min(found, full - 1)
    while place > 0 and members[q, place - 1] > row:
        members[q, place] = members[q, place - 1]
        place -= 1
    members[q, place] = row
    return min(found + 1, full)


@compiled
def _three(
    points: Points,
    queries: Points,
    home: Ints,
    index: Ints,
    squares: Points,
    begin: Ints,
    row: Ints,
    shape: Ints,
    edge: float,
) -> None:
    """Fill ``index`` and ``squares`` (Q,3), as ``three_nearest`` gives them; ``points`` are in the order of ``row``.

    Looks through the cells around each query's ``home`` (Q,3), ring after ring, until all that is farther out is
    farther off than the third.
    """
    for q in range(len(queries)):
        cx, cy, cz = home[q, 0], home[q, 1], home[q, 2]
        all_rings = max(cx, shape[0] - 1 - cx, cy, shape[1] - 1 - cy, cz, shape[2] - 1 - cz)
        for ring in range(1, max(all_rings, 1) + 1):
            for x in range(max(cx - ring, 0), min(cx + ring + 1, shape[0])):
                for y in range(max(cy - ring, 0), min(cy + ring + 1, shape[1])):
                    column = (x * shape[1] + y) * shape[2]
                    first, last = max(cz - ring, 0), min(cz + ring, shape[2] - 1)
                    if ring == 1 or max(abs(x - cx), abs(y - cy)) == ring:
                        _look(points, row, begin[column + first], begin[column + last + 1], queries, q, index, squares)
                        continue
                    # Of a column within, only the ends are new.
                    if cz >= ring:
                        _look(points, row, begin[column + first], begin[column + first + 1], queries, q, index, squares)
                    if cz + ring < shape[2]:
                        _look(points, row, begin[column + last], begin[column + last + 1], queries, q, index, squares)
            reach = 0.999 * ring * edge  # 0.999: for what rounding does to a square
            if squares[q, 2] <= reach * reach:
                break


@compiled
def _look(
    points: Points, row: Ints, first: int, last: int, queries: Points, q: int, index: Ints, squares: Points
) -> None:
    """Put those points from ``first`` to ``last`` among the three of query ``q`` that are nearer than those."""
    for k in range(first, last):
        square = _square(points, k, queries[q, 0], queries[q, 1], queries[q, 2])
        place = 3
        while place > 0 and (
            square < squares[q, place - 1] or (square == squares[q, place - 1] and row[k] < index[q, place - 1])
        ):
            if place < 3:
                squares[q, place], index[q, place] = squares[q, place - 1], index[q, place - 1]
            place -= 1
        if place < 3:
            squares[q, place], index[q, place] = square, row[k]
