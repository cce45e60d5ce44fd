"""How much upright boxes overlap: exact, seen from above and in space.

Boxes are rows (N,7) float64: centre x, y, z, length (along the heading), width, height in metres, yaw in radians about
+z from +x. Two boxes that only touch do not overlap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core.compiled import compiled
from xmodal_core.types import Bools, Doubles, Floats, Ints


def box_rows(centre: Doubles, size: Doubles, yaw: Doubles) -> Doubles:
    """The rows (N,7) of boxes with ``centre`` (N,3), ``size`` (N,3) and ``yaw`` (N,)."""
    return np.column_stack([centre, size, yaw]).astype(np.float64)


def iou_bev(a: Doubles, b: Doubles) -> Doubles:
    """(A,B) intersection over union of the boxes' outlines seen from above; 0 where both are without area.

    Raises:
        ValueError: rows are not (N,7), not finite, or a size is negative.
    """
    overlaps: Doubles = _overlaps(_checked(a), _checked(b), False)
    return overlaps


def iou_3d(a: Doubles, b: Doubles) -> Doubles:
    """(A,B) intersection over union of the boxes' volumes; 0 where both are without volume.

    Raises:
        ValueError: as ``iou_bev``.
    """
    overlaps: Doubles = _overlaps(_checked(a), _checked(b), True)
    return overlaps


class Overlaps(NamedTuple):
    """Pairs of boxes that overlap: ``a`` and ``b`` (P,) int64 rows, sorted by ``a``, then ``b``, and ``iou`` (P,)."""

    a: Ints
    b: Ints
    iou: Doubles

    def where(self, keep: Bools) -> Overlaps:
        """The pairs that ``keep`` (P,) says."""
        return Overlaps(self.a[keep], self.b[keep], self.iou[keep])


def overlaps_3d(a: Doubles, b: Doubles, group_a: Ints, group_b: Ints, least: float) -> Overlaps:
    """All pairs of boxes of the same group (a frame, a frame's class) whose volumes' IoU is at least ``least``.

    Args:
        a, b: (A,7) and (B,7) rows.
        group_a, group_b: (A,) and (B,) int64, each sorted.
        least: above 0.

    Raises:
        ValueError: as ``iou_bev``, the groups are not sorted, or ``least`` is not above 0.
    """
    if least <= 0:
        raise ValueError("least must be above 0: every pair of boxes has an IoU of at least 0")
    for group in (group_a, group_b):
        if (np.diff(group) < 0).any():
            raise ValueError("groups must be sorted")
    first = np.searchsorted(group_b, group_a, side="left")
    last = np.searchsorted(group_b, group_a, side="right")
    return Overlaps(*_pairs(_checked(a), _checked(b), first, last, least))


def keep_apart(rows: Doubles, most: float, count: int | None = None) -> Ints:
    """Which boxes are left, of ``rows`` (N,7) in falling order of their scores, when each takes away those behind it
    that it overlaps, seen from above, by an IoU above ``most`` (non-maximum suppression); ``count`` at most.

    Returns:
        (K,) int64 rows, rising.

    Raises:
        ValueError: as ``iou_bev``.
    """
    kept: Ints = _kept_apart(_checked(rows), most, len(rows) if count is None else count)
    return kept


def keep_distant(centre: Doubles, radius: float, count: int | None = None) -> Ints:
    """As ``keep_apart``, but a box takes away those whose ``centre`` (N,2 or more columns) lies within ``radius``
    metres of its own along the ground."""
    flat = np.ascontiguousarray(centre[:, :2], dtype=np.float64)
    kept: Ints = _kept_distant(flat, radius, len(flat) if count is None else count)
    return kept


class Inside(NamedTuple):
    """Pairs of a box and a point in it: ``box`` and ``point`` (P,) int64 rows, sorted by box, then point."""

    box: Ints
    point: Ints


def points_in_boxes(points: Floats, rows: Doubles, margin: float = 0.0) -> Inside:
    """Which ``points`` (N,3) lie in which boxes, each grown by ``margin`` metres on every side.

    Raises:
        ValueError: as ``iou_bev``.
    """
    return Inside(*_inside(np.ascontiguousarray(points), _checked(rows), margin))


def _checked(rows: Doubles) -> Doubles:
    if rows.ndim != 2 or rows.shape[1] != 7:
        raise ValueError(f"boxes must be rows (N, 7), not {rows.shape}")
    if not np.isfinite(rows).all() or (rows[:, 3:6] < 0).any():
        raise ValueError("boxes must be finite and their sizes not negative")
    return np.ascontiguousarray(rows, dtype=np.float64)


@compiled
def _clipped(
    x: Doubles, y: Doubles, count: int, axis: int, sign: float, half: float, to_x: Doubles, to_y: Doubles
) -> int:
    """Cut a polygon by the half plane ``sign * coordinate[axis] <= half`` (Sutherland and Hodgman 1974): how many
    corners ``to_x``, ``to_y`` hold."""
    kept = 0
    for corner in range(count):
        before = corner - 1 if corner > 0 else count - 1
        here = half - sign * (x[corner] if axis == 0 else y[corner])
        there = half - sign * (x[before] if axis == 0 else y[before])
        if (here > 0.0) != (there > 0.0):
            share = there / (there - here)
            to_x[kept] = x[before] + share * (x[corner] - x[before])
            to_y[kept] = y[before] + share * (y[corner] - y[before])
            kept += 1
        if here > 0.0:
            to_x[kept] = x[corner]
            to_y[kept] = y[corner]
            kept += 1
    return kept


@compiled
def _shared_area(a: Doubles, b: Doubles, room: Doubles) -> float:
    """The area that two boxes share seen from above; ``room`` (4,16) is scratch memory.

    Everything is computed in the first box's own axes, so that large coordinates cost no digits and its sides are four
    axis-parallel cuts through the second one's outline.
    """
    dx = b[0] - a[0]
    dy = b[1] - a[1]
    reach = 0.5 * (np.sqrt(a[3] * a[3] + a[4] * a[4]) + np.sqrt(b[3] * b[3] + b[4] * b[4]))
    if dx * dx + dy * dy >= reach * reach:
        return 0.0
    cos_a, sin_a = np.cos(a[6]), np.sin(a[6])
    x0 = cos_a * dx + sin_a * dy
    y0 = cos_a * dy - sin_a * dx
    turn = b[6] - a[6]
    along_x, along_y = 0.5 * b[3] * np.cos(turn), 0.5 * b[3] * np.sin(turn)
    across_x, across_y = -0.5 * b[4] * np.sin(turn), 0.5 * b[4] * np.cos(turn)
    x, y, to_x, to_y = room[0], room[1], room[2], room[3]
    x[0], y[0] = x0 + along_x + across_x, y0 + along_y + across_y
    x[1], y[1] = x0 - along_x + across_x, y0 - along_y + across_y
    x[2], y[2] = x0 - along_x - across_x, y0 - along_y - across_y
    x[3], y[3] = x0 + along_x - across_x, y0 + along_y - across_y
    count = _clipped(x, y, 4, 0, 1.0, 0.5 * a[3], to_x, to_y)
    count = _clipped(to_x, to_y, count, 0, -1.0, 0.5 * a[3], x, y)
    count = _clipped(x, y, count, 1, 1.0, 0.5 * a[4], to_x, to_y)
    count = _clipped(to_x, to_y, count, 1, -1.0, 0.5 * a[4], x, y)
    twice = 0.0
    for corner in range(count):
        before = corner - 1 if corner > 0 else count - 1
        twice += x[before] * y[corner] - x[corner] * y[before]
    return max(0.0, 0.5 * twice)


@compiled
def _overlap(a: Doubles, b: Doubles, volume: bool, room: Doubles) -> float:
    height = 1.0
    if volume:
        top = min(a[2] + 0.5 * a[5], b[2] + 0.5 * b[5])
        height = top - max(a[2] - 0.5 * a[5], b[2] - 0.5 * b[5])
        if height <= 0.0:
            return 0.0
    shared = height * _shared_area(a, b, room)
    all_a = a[3] * a[4] * (a[5] if volume else 1.0)
    all_b = b[3] * b[4] * (b[5] if volume else 1.0)
    either = all_a + all_b - shared
    return min(1.0, shared / either) if either > 0.0 else 0.0


@compiled
def _overlaps(a: Doubles, b: Doubles, volume: bool) -> Doubles:
    found = np.empty((len(a), len(b)))
    room = np.empty((4, 16))
    for i in range(len(a)):
        for j in range(len(b)):
            found[i, j] = _overlap(a[i], b[j], volume, room)
    return found


@compiled
def _pairs(a: Doubles, b: Doubles, first: Ints, last: Ints, least: float) -> tuple[Ints, Ints, Doubles]:
    rows = np.empty(64, dtype=np.int64)
    columns = np.empty(64, dtype=np.int64)
    ious = np.empty(64)
    room = np.empty((4, 16))
    count = 0
    for i in range(len(a)):
        for j in range(first[i], last[i]):
            iou = _overlap(a[i], b[j], True, room)
            if iou < least:
                continue
            if count == len(rows):
                rows = np.append(rows, np.empty_like(rows))
                columns = np.append(columns, np.empty_like(columns))
                ious = np.append(ious, np.empty_like(ious))
            rows[count], columns[count], ious[count] = i, j, iou
            count += 1
    return rows[:count], columns[:count], ious[:count]


@compiled
def _kept_apart(rows: Doubles, most: float, count: int) -> Ints:
    kept = np.empty(len(rows), dtype=np.int64)
    room = np.empty((4, 16))
    found = 0
    for i in range(len(rows)):
        if found >= count:
            break
        alone = True
        for k in range(found):
            if _overlap(rows[kept[k]], rows[i], False, room) > most:
                alone = False
                break
        if alone:
            kept[found] = i
            found += 1
    return kept[:found]


@compiled
def _kept_distant(centre: Doubles, radius: float, count: int) -> Ints:
    kept = np.empty(len(centre), dtype=np.int64)
    found = 0
    for i in range(len(centre)):
        if found >= count:
            break
        alone = True
        for k in range(found):
            dx = centre[kept[k], 0] - centre[i, 0]
            dy = centre[kept[k], 1] - centre[i, 1]
            if dx * dx + dy * dy <= radius * radius:
                alone = False
                break
        if alone:
            kept[found] = i
            found += 1
    return kept[:found]


@compiled
def _inside(points: Floats, rows: Doubles, margin: float) -> tuple[Ints, Ints]:
    boxes = np.empty(256, dtype=np.int64)
    found = np.empty(256, dtype=np.int64)
    count = 0
    for box in range(len(rows)):
        x, y, z, length, width, height, yaw = rows[box]
        half_x, half_y, half_z = 0.5 * length + margin, 0.5 * width + margin, 0.5 * height + margin
        reach = half_x * half_x + half_y * half_y
        cos, sin = np.cos(yaw), np.sin(yaw)
        for point in range(len(points)):
            dx, dy, dz = points[point, 0] - x, points[point, 1] - y, points[point, 2] - z
            if dx * dx + dy * dy > reach or abs(dz) > half_z:
                continue
            if abs(cos * dx + sin * dy) > half_x or abs(cos * dy - sin * dx) > half_y:
                continue
            if count == len(found):
                boxes = np.append(boxes, np.empty_like(boxes))
                found = np.append(found, np.empty_like(found))
            boxes[count], found[count] = box, point
            count += 1
    return boxes[:count], found[:count]
