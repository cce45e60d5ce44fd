"""Which pixels of a picture each cluster or unit covers.

A sweep is sparse on an image: beams lie many pixels apart. A mask closes the gaps between returns of the same thing, as
wide as the sensor's own spacing and no wider (a morphological closing with an ellipse), and nearer things lie over
farther ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmodal_core.compiled import compiled
from xmodal_core.types import Bools, Floats, Ints


def paint_masks(
    shape: tuple[int, int], uv: Floats, group: Ints, distance: Floats, brush: tuple[float, float]
) -> NDArray[np.int32]:
    """The pixels that each group covers, (h,w) int32 of group numbers, -1 elsewhere.

    Args:
        shape: (h, w).
        uv: (R,2) pixels of points within the picture.
        group: (R,) group of each, or -1.
        distance: (R,) of each from the sensor; a group's median decides what covers what.
        brush: pixels between neighbouring returns, across and down.
    """
    mask = np.full(shape, -1, dtype=np.int32)
    inside = np.flatnonzero(group >= 0)
    if not len(inside):
        return mask
    order = inside[np.lexsort((distance[inside], group[inside]))]
    begin = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0])
    end = np.r_[begin[1:], len(order)]
    away = distance[order]
    median = (away[(begin + end - 1) // 2] + away[(begin + end) // 2]) / 2
    farthest_first = np.argsort(-median, kind="stable")
    at = np.round(uv[order]).astype(np.int64)
    bridge = ellipse(brush[0] * 1.8 + 1.0, brush[1] * 0.85 + 1.0)
    touch = ellipse(brush[0] * 0.5 + 0.7, max(brush[0] * 0.5, brush[1] * 0.2) + 0.7)
    _paint(mask, at, group[order], begin[farthest_first], end[farthest_first], bridge, touch)
    return mask


def ellipse(across: float, down: float) -> Ints:
    """(2d+1,) of an ellipse of these half axes around a pixel, how many pixels it reaches to either side in each of
    its rows, the pixel's own in the middle."""
    row = np.arange(-int(down), int(down) + 1) * (across / down)
    column = np.arange(int(across) + 1)
    within = np.sqrt(row[:, None] ** 2 + column[None] ** 2) <= across
    # The outermost row may miss even its middle pixel by rounding: it then reaches nowhere.
    return np.asarray(within.sum(axis=1) - 1, dtype=np.int64)


@compiled
def _paint(mask: NDArray[np.int32], at: Ints, group: Ints, begin: Ints, end: Ints, bridge: Ints, touch: Ints) -> None:
    """Each group's body onto ``mask``, in the order given: group ``k`` has the dots ``at[begin[k]:end[k]]``."""
    height, width = mask.shape
    for k in range(len(begin)):
        dots = at[begin[k] : end[k]]
        left, top, body = _body(dots, bridge, touch)
        for y in range(max(0, -top), min(body.shape[0], height - top)):
            for x in range(max(0, -left), min(body.shape[1], width - left)):
                if body[y, x]:
                    mask[top + y, left + x] = group[begin[k]]


@compiled
def _body(dots: Ints, bridge: Ints, touch: Ints) -> tuple[int, int, Bools]:
    """The dots (K,2), closed by ``bridge`` and grown by ``touch``: left and top of a window, and the pixels in it."""
    across, down = max(bridge.max(), touch.max()) + 1, max(len(bridge), len(touch)) // 2 + 1
    left, top = dots[0, 0], dots[0, 1]
    right, bottom = left, top
    for x, y in dots:
        left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
    left, top = left - across, top - down
    shape = (bottom + down - top + 1, right + across - left + 1)
    body = _grown(dots, left, top, shape, touch)
    _add_closed(body, _grown(dots, left, top, shape, bridge), bridge)
    return left, top, body


@compiled
def _grown(dots: Ints, left: int, top: int, shape: tuple[int, int], reach: Ints) -> Bools:
    """All pixels of a window that an ellipse around one of ``dots`` covers."""
    middle = len(reach) // 2
    # Where runs of covered pixels begin and end, row by row: their sum from the left counts those that cover a pixel.
    steps = np.zeros((shape[0], shape[1] + 1), dtype=np.int32)
    for x, y in dots:
        for row in range(len(reach)):
            if reach[row] >= 0:
                steps[y - top + row - middle, x - left - reach[row]] += 1
                steps[y - top + row - middle, x - left + reach[row] + 1] -= 1
    grown = np.zeros(shape, dtype=np.bool_)
    for y in range(shape[0]):
        covering = 0
        for x in range(shape[1]):
            covering += steps[y, x]
            grown[y, x] = covering > 0
    return grown


@compiled
def _add_closed(body: Bools, grown: Bools, reach: Ints) -> None:
    """Add to ``body`` the pixels around which the whole ellipse lies in ``grown``, whose outermost pixels are empty."""
    height, width = grown.shape
    middle = len(reach) // 2
    # How far the nearest empty pixel of its row is from each pixel, to the nearer side.
    room = np.zeros((height, width), dtype=np.int32)
    for y in range(height):
        free = 0
        for x in range(width):
            free = free + 1 if grown[y, x] else 0
            room[y, x] = free
        free = 0
        for x in range(width - 1, -1, -1):
            free = free + 1 if grown[y, x] else 0
            room[y, x] = min(room[y, x], free)
    for y in range(middle, height - middle):
        for x in range(width):
            if not body[y, x] and room[y, x] > reach[middle]:
                body[y, x] = _fits(room, y, x, reach)


@compiled
def _fits(room: NDArray[np.int32], y: int, x: int, reach: Ints) -> bool:
    """Whether the ellipse around a pixel has room in every row; the outermost, which most often lack it, first."""
    middle = len(reach) // 2
    for away in range(middle, 0, -1):
        if room[y - away, x] <= reach[middle - away] or room[y + away, x] <= reach[middle + away]:
            return False
    return True
