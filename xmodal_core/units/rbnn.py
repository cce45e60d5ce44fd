"""Klasing and Bauer's radially bounded nearest neighbours (2008), with a result that no order of points can change.

The original walks over the points and labels as it goes, so that its clusters depend on the order. Taken to its end it
gives the connected components of the graph that joins any two points at most r apart, which is also what
``sklearn.cluster.DBSCAN(eps=r, min_samples=1)`` gives. They are found here without lists of neighbours: in cubic cells
of edge r / sqrt(3) all points of a cell are within r of each other, so that a cell is one component from the start and
only one close pair of points has to be found for two cells to join.
"""

from __future__ import annotations

import numpy as np

from xmodal_core.compiled import compiled
from xmodal_core.types import Doubles, Floats, Ints


def connected(points: Floats | Doubles, radius: Doubles | float) -> Ints:
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
    places = np.ascontiguousarray(points, dtype=np.float64)
    radii = np.ascontiguousarray(np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(places),)))
    # A hair smaller, so that rounding cannot put two points of a cell farther apart than the radius.
    edge = float(radii.min()) / np.sqrt(3.0) * (1.0 - 1e-6)
    reach = int(np.ceil(radii.max() / edge))
    row, floor, width = _grid(places, edge, reach)
    order = np.argsort(row * (int(floor.max()) + 1) + floor)
    sorted_places = np.take(places, order, axis=0)
    found: Ints = _components(sorted_places, radii[order] ** 2, row[order], floor[order], order, width, reach, edge)
    return found


@compiled
def _grid(points: Doubles, edge: float, reach: int) -> tuple[Ints, Ints, int]:
    """The cell of each point: its row of upright cells (N,), its floor in the row (N,), and how many rows lie between
    two rows that are neighbours in x; ``reach`` of them stay empty, so that an offset in y never meets a wrong row."""
    low = points[0].copy()
    high = points[0].copy()
    for i in range(len(points)):
        for axis in range(3):
            low[axis] = min(low[axis], points[i, axis])
            high[axis] = max(high[axis], points[i, axis])
    per_metre = 1.0 / edge
    width = int((high[1] - low[1]) * per_metre) + 1 + reach
    row = np.empty(len(points), dtype=np.int64)
    floor = np.empty(len(points), dtype=np.int64)
    for i in range(len(points)):
        x = int((points[i, 0] - low[0]) * per_metre)
        y = int((points[i, 1] - low[1]) * per_metre)
        row[i] = x * width + y
        floor[i] = int((points[i, 2] - low[2]) * per_metre)
    return row, floor, width


@compiled
def _components(
    points: Doubles, squares: Doubles, row: Ints, floor: Ints, order: Ints, width: int, reach: int, edge: float
) -> Ints:
    """Components of points sorted by row, then floor. ``squares`` are squared radii, ``order`` the points' numbers in
    the caller's order."""
    cells, rows, row_key = _starts(row, floor)
    level, bound, steps = _describe(cells, floor, squares, edge)
    box = _boxes(points, cells)
    most = _largest(bound, rows)
    offset, gap = _offsets(width, reach, edge)
    parent = np.arange(len(level))
    # Nearest rows first, so that most cells are one component before the costlier far ones are looked at. Rows are
    # sorted, so the partners of one row after the other come in sorted order too: ``b`` only ever moves on.
    for k in np.argsort(gap):
        b = 0
        for a in range(len(row_key)):
            if gap[k] > most[a]:
                continue
            wanted = row_key[a] + offset[k]
            while b < len(row_key) and row_key[b] < wanted:
                b += 1
            if b < len(row_key) and row_key[b] == wanted:
                _join_rows(points, squares, cells, box, level, bound, steps, parent, rows, a, b, gap[k], edge)
    return _number(parent, cells, order)


@compiled
def _offsets(width: int, reach: int, edge: float) -> tuple[Ints, Doubles]:
    """Half of the rows around a row, and the row itself: difference of keys, and squared distance in between."""
    offset = np.empty((reach + 1) * (2 * reach + 1), dtype=np.int64)
    gap = np.empty(len(offset))
    k = 0
    for dx in range(reach + 1):
        for dy in range(-reach if dx else 0, reach + 1):
            offset[k] = dx * width + dy
            aside = max(abs(dy) - 1, 0)
            ahead = max(dx - 1, 0)
            gap[k] = edge * edge * (ahead * ahead + aside * aside)
            k += 1
    return offset[:k].copy(), gap[:k].copy()


@compiled
def _join_rows(
    points: Doubles,
    squares: Doubles,
    cells: Ints,
    box: Doubles,
    level: Ints,
    bound: Doubles,
    steps: Ints,
    parent: Ints,
    rows: Ints,
    a: int,
    b: int,
    gap: float,
    edge: float,
) -> None:
    """Join the cells of rows ``a`` and ``b`` (which may be one) where they hold a close pair of points."""
    other = rows[b]
    end = rows[b + 1]
    for one in range(rows[a], rows[a + 1]):
        lowest, highest = level[one] - steps[one], level[one] + steps[one]
        while other < end and level[other] < lowest:
            other += 1
        two = one + 1 if a == b else other
        while two < end and level[two] <= highest:
            rise = edge * max(abs(level[two] - level[one]) - 1, 0)
            # Equal parents settle it for most pairs without a walk to the root.
            if parent[one] != parent[two] and gap + rise * rise <= min(bound[one], bound[two]):
                root_one = _root(parent, one)
                root_two = _root(parent, two)
                if root_one != root_two and _touch(points, squares, cells, box, bound, one, two):
                    parent[max(root_one, root_two)] = min(root_one, root_two)
            two += 1


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
def _describe(cells: Ints, floor: Ints, squares: Doubles, edge: float) -> tuple[Ints, Doubles, Ints]:
    """Of each cell its floor, its largest squared radius, and how many floors that reaches over."""
    level = floor[cells[:-1]]
    bound = _largest(squares, cells)
    steps = np.empty(len(level), dtype=np.int64)
    for c in range(len(level)):
        steps[c] = int(np.sqrt(bound[c]) / edge) + 1
    return level, bound, steps


@compiled
def _largest(values: Doubles, starts: Ints) -> Doubles:
    """The largest value of each group."""
    result = np.empty(len(starts) - 1)
    for group in range(len(result)):
        result[group] = values[starts[group]]
        for i in range(starts[group] + 1, starts[group + 1]):
            result[group] = max(result[group], values[i])
    return result


@compiled
def _boxes(points: Doubles, cells: Ints) -> Doubles:
    """(C,6): the box around the points of each cell, its smallest and then its largest x, y, z."""
    box = np.empty((len(cells) - 1, 6))
    for c in range(len(box)):
        for axis in range(3):
            low = points[cells[c], axis]
            high = low
            for i in range(cells[c] + 1, cells[c + 1]):
                low = min(low, points[i, axis])
                high = max(high, points[i, axis])
            box[c, axis] = low
            box[c, axis + 3] = high
    return box


@compiled
def _touch(points: Doubles, squares: Doubles, cells: Ints, box: Doubles, bound: Doubles, a: int, b: int) -> bool:
    """Whether any point of cell ``a`` is close to any of cell ``b``."""
    for i in range(cells[a], cells[a + 1]):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        dx = max(box[b, 0] - x, 0.0, x - box[b, 3])
        dy = max(box[b, 1] - y, 0.0, y - box[b, 4])
        dz = max(box[b, 2] - z, 0.0, z - box[b, 5])
        if dx * dx + dy * dy + dz * dz > min(squares[i], bound[b]):
            continue
        for j in range(cells[b], cells[b + 1]):
            dx = x - points[j, 0]
            dy = y - points[j, 1]
            dz = z - points[j, 2]
            if dx * dx + dy * dy + dz * dz <= min(squares[i], squares[j]):
                return True
    return False


@compiled
def _root(parent: Ints, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


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
