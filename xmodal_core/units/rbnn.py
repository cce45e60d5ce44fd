"""Klasing and Bauer's radially bounded nearest neighbours (2008), with a result that no order of points can change.

The original walks over the points and labels as it goes, so that its clusters depend on the order. Taken to its end it
gives the connected components of the graph that joins any two points at most r apart, which is also what
``sklearn.cluster.DBSCAN(eps=r, min_samples=1)`` gives. They are found here without lists of neighbours: in cubic cells
of edge r / sqrt(3) all points of a cell are within r of each other, so that a cell is one component from the start and
only one close pair of points has to be found for two cells to join.
"""

from __future__ import annotations

import numpy as np

from xmodal_core.types import Doubles, Floats, Ints
from xmodal_core.units.compiled import compiled


def connected(points: Floats, radius: Doubles | float) -> Ints:
    """The connected components of the graph of close points.

    Args:
        points: (N,3) metres.
        radius: metres; one for all, or (N,) one for each point: two points are joined when their distance is at most
            the smaller one of their radii.

    Returns:
        (N,) int64 component of each point, numbered 0.. by first appearance.
    """
    if len(points) == 0:
        return np.zeros(0, dtype=np.int64)
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(points),))
    edge = float(radii.min()) / np.sqrt(3.0) * (1.0 - 1e-6)
    places = points.astype(np.float64)
    cell = np.floor((places - places.min(axis=0)) / edge).astype(np.int64)
    reach = int(np.ceil(radii.max() / edge))
    depth = int(cell[:, 2].max()) + 1
    row = cell[:, 0] * (int(cell[:, 1].max()) + 1 + reach) + cell[:, 1]
    width = int(cell[:, 1].max()) + 1 + reach
    order = np.argsort(row * depth + cell[:, 2], kind="stable")
    found: Ints = _components(places[order], radii[order] ** 2, row[order], cell[order, 2], order, width, edge)
    return found


@compiled
def _components(
    points: Doubles, squares: Doubles, row: Ints, floor: Ints, order: Ints, width: int, edge: float
) -> Ints:
    """Components of points sorted by row of cells, then cell. ``squares`` are squared radii, ``order`` the points'
    numbers in the caller's order."""
    cells, rows, row_key = _starts(row, floor)
    bound = _largest(squares, cells)
    parent = np.arange(len(cells) - 1)
    widest = np.sqrt(squares.max())
    reach = int(np.ceil(widest / edge))
    # Rows of cells are sorted, so a row's neighbours at a fixed offset come in sorted order too: one pointer each.
    pointer = np.zeros((reach + 1, 2 * reach + 1), dtype=np.int64)
    for a in range(len(rows) - 1):
        most = bound[rows[a] : rows[a + 1]].max()
        for dx in range(reach + 1):
            for dy in range(-reach if dx else 0, reach + 1):
                gap = edge * edge * (max(dx - 1, 0) ** 2 + max(abs(dy) - 1, 0) ** 2)
                if gap > most:
                    continue
                b = pointer[dx, dy + reach]
                wanted = row_key[a] + dx * width + dy
                while b < len(rows) - 1 and row_key[b] < wanted:
                    b += 1
                pointer[dx, dy + reach] = b
                if b < len(rows) - 1 and row_key[b] == wanted:
                    _join_rows(
                        points, squares, floor, cells, bound, parent, rows[a : a + 2], rows[b : b + 2], gap, edge
                    )
    return _number(parent, cells, order)


@compiled
def _starts(row: Ints, floor: Ints) -> tuple[Ints, Ints, Ints]:
    """Where each cell begins (in points), where each row begins (in cells), both with the end appended; row keys."""
    n = len(row)
    cells = np.empty(n + 1, dtype=np.int64)
    rows = np.empty(n + 1, dtype=np.int64)
    keys = np.empty(n, dtype=np.int64)
    c = 0
    r = 0
    for i in range(n):
        new_row = i == 0 or row[i] != row[i - 1]
        if new_row:
            rows[r] = c
            keys[r] = row[i]
            r += 1
        if new_row or floor[i] != floor[i - 1]:
            cells[c] = i
            c += 1
    cells[c] = n
    rows[r] = c
    return cells[: c + 1].copy(), rows[: r + 1].copy(), keys[:r].copy()


@compiled
def _largest(squares: Doubles, cells: Ints) -> Doubles:
    """The largest squared radius in each cell."""
    result = np.empty(len(cells) - 1)
    for c in range(len(result)):
        result[c] = squares[cells[c] : cells[c + 1]].max()
    return result


@compiled
def _join_rows(
    points: Doubles,
    squares: Doubles,
    floor: Ints,
    cells: Ints,
    bound: Doubles,
    parent: Ints,
    one: Ints,
    other: Ints,
    gap: float,
    edge: float,
) -> None:
    """Join the cells of two rows (or of one with itself) that hold a close pair of points."""
    same = one[0] == other[0]
    first = other[0]
    for a in range(one[0], one[1]):
        level = floor[cells[a]]
        steps = int(np.sqrt(bound[a]) / edge) + 1
        while first < other[1] and floor[cells[first]] < level - steps:
            first += 1
        b = a + 1 if same else first
        while b < other[1] and floor[cells[b]] <= level + steps:
            dz = max(abs(floor[cells[b]] - level) - 1, 0) * edge
            if gap + dz * dz <= min(bound[a], bound[b]):
                root_a, root_b = _root(parent, a), _root(parent, b)
                if root_a != root_b and _touch(points, squares, cells, a, b):
                    parent[max(root_a, root_b)] = min(root_a, root_b)
            b += 1


@compiled
def _root(parent: Ints, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@compiled
def _touch(points: Doubles, squares: Doubles, cells: Ints, a: int, b: int) -> bool:
    """Whether any point of cell ``a`` is close to any of cell ``b``."""
    for i in range(cells[a], cells[a + 1]):
        for j in range(cells[b], cells[b + 1]):
            dx = points[i, 0] - points[j, 0]
            dy = points[i, 1] - points[j, 1]
            dz = points[i, 2] - points[j, 2]
            if dx * dx + dy * dy + dz * dz <= min(squares[i], squares[j]):
                return True
    return False


@compiled
def _number(parent: Ints, cells: Ints, order: Ints) -> Ints:
    """Component of each point in the caller's order, numbered by first appearance."""
    root = np.empty(len(order), dtype=np.int64)
    for c in range(len(parent)):
        top = _root(parent, c)
        for i in range(cells[c], cells[c + 1]):
            root[order[i]] = top
    number = np.full(len(parent), -1, dtype=np.int64)
    count = 0
    for i in range(len(root)):
        if number[root[i]] < 0:
            number[root[i]] = count
            count += 1
        root[i] = number[root[i]]
    return root
