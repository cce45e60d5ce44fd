"""The ground seen from above: asphalt, paint, kerbs, paving and grass as a picture at a few centimetres a texel.

It is painted once for a scene; cameras look up its colour and the LiDAR its kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sample_data.compiled import fast, inner
from sample_data.noise import coverage, fractal2, hash2, stripes, value2
from sample_data.roads import FILLET, STEP, Roads
from xmodal_core.types import Doubles


class Kind(IntEnum):
    """What a place on the ground is."""

    ROAD = 0
    PAINT = 1
    KERB = 2
    SIDEWALK = 3
    GRASS = 4
    PAVING = 5
    YARD = 6
    SOIL = 7


LOT_GRASS, LOT_PAVING, LOT_YARD, LOT_SOIL = 0.0, 1.0, 2.0, 3.0

KIND_REFLECTIVITY = np.array([0.055, 0.5, 0.14, 0.13, 0.26, 0.15, 0.08, 0.16], dtype=np.float32)


@dataclass(frozen=True)
class Texture:
    """The painted ground.

    Args:
        levels: pictures of falling fineness, (H,W,3) uint8, square roots of linear albedo; each half the last one.
        kind: (H,W) uint8, ``Kind`` of each texel of the finest level.
        x, y: the corner where texel (0, 0) begins, metres; rows run along y.
        texel: width of one finest texel, metres.
    """

    levels: tuple[NDArray[np.uint8], ...]
    kind: NDArray[np.uint8]
    x: float
    y: float
    texel: float

    def kind_at(self, x: Doubles, y: Doubles) -> NDArray[np.uint8]:
        """``Kind`` at places (N,), the nearest one outside of the picture."""
        row = np.clip(((y - self.y) / self.texel).astype(np.int64), 0, self.kind.shape[0] - 1)
        column = np.clip(((x - self.x) / self.texel).astype(np.int64), 0, self.kind.shape[1] - 1)
        return np.asarray(self.kind[row, column])


def paint(
    roads: Roads, lots: Doubles, bounds: tuple[float, float, float, float], texel: float, levels: int, seed: int
) -> Texture:
    """The ground of ``roads`` within ``bounds`` (x0, y0, x1, y1).

    Args:
        lots: (L,4) s from, s to, side (1 left, -1 right), kind: what lies behind the sidewalks.
        texel: metres.
        levels: how many pictures of falling fineness.
        seed: of the grain.
    """
    x0, y0, x1, y1 = bounds
    multiple = 2 ** (levels - 1)
    width = math.ceil((x1 - x0) / texel / multiple) * multiple
    height = math.ceil((y1 - y0) / texel / multiple) * multiple
    picture = np.empty((height, width, 3), dtype=np.uint8)
    kind = np.empty((height, width), dtype=np.uint8)
    sides = np.array(
        [(r.s, r.x, r.y, r.heading, r.half, r.left, r.right) for r in roads.sides], dtype=np.float64
    ).reshape(-1, 7)
    s = roads.style
    widths = np.array(
        [s.lanes, s.lane, s.parking, s.cycle, s.median, s.verge, s.sidewalk, s.half, FILLET, float(s.works)],
        dtype=np.float64,
    )
    _paint(picture, kind, x0, y0, texel, roads.centre, widths, sides, lots, float(seed % 997) * 3.7)
    return Texture(_halved(picture, levels), kind, x0, y0, texel)


def _halved(picture: NDArray[np.uint8], levels: int) -> tuple[NDArray[np.uint8], ...]:
    result = [picture]
    for _ in range(levels - 1):
        last = result[-1]
        h, w, _c = last.shape
        mean = np.zeros((h // 2, w // 2, 3), dtype=np.uint16)
        for dy in (0, 1):
            for dx in (0, 1):
                mean += last[dy::2, dx::2]
        result.append((mean // 4).astype(np.uint8))
    return tuple(result)


@inner
def _near(x, centre):  # type: ignore[no-untyped-def]
    # The s of the centre line's point with this x.
    low, high = 0, centre.shape[0] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if centre[middle, 0] <= x:
            low = middle
        else:
            high = middle
    return low * STEP


@inner
def _main_coordinates(x, y, s, centre, steps):  # type: ignore[no-untyped-def]
    # The main road's (s, t) of a place, from a guess of s, as Roads.coordinates.
    last = centre.shape[0] - 1
    t = 0.0
    for _ in range(steps):
        f = min(max(s / STEP, 0.0), last - 1e-6)
        i = int(f)
        w = f - i
        cx = centre[i, 0] + w * (centre[i + 1, 0] - centre[i, 0])
        cy = centre[i, 1] + w * (centre[i + 1, 1] - centre[i, 1])
        heading = centre[i, 2] + w * (centre[i + 1, 2] - centre[i, 2])
        over = s - f * STEP
        c, k = math.cos(heading), math.sin(heading)
        dx, dy = x - cx - over * c, y - cy - over * k
        s += min(max(dx * c + dy * k, -40.0), 40.0)
        t = -dx * k + dy * c
    return s, t


@inner
def _distance(x, y, t, widths, sides):  # type: ignore[no-untyped-def]
    # As Roads.outside; also the nearest side road, and the place in its own coordinates.
    result = abs(t) - widths[7]
    radius = widths[8]
    nearest, along_side, across_side, best = -1, 0.0, 0.0, 1e9
    for k in range(sides.shape[0]):
        dx, dy = x - sides[k, 1], y - sides[k, 2]
        c, h = math.cos(sides[k, 3]), math.sin(sides[k, 3])
        along, across = dx * c + dy * h, -dx * h + dy * c
        wall = abs(across) - sides[k, 4]
        own = wall
        if sides[k, 5] < 0.5:
            own = max(own, along)
        if sides[k, 6] < 0.5:
            own = max(own, -along)
        u, v = max(radius - result, 0.0), max(radius - own, 0.0)
        result = max(radius, min(result, own)) - math.sqrt(u * u + v * v)
        if wall < best:
            best, nearest, along_side, across_side = wall, k, along, across
    return result, nearest, along_side, across_side


@inner
def _arrow(a, b):  # type: ignore[no-untyped-def]
    # A straight-ahead arrow 3.4 m long, its tail at a = 0.
    if 0.0 < a < 2.0:
        return 1.0 if abs(b) < 0.09 else 0.0
    if 2.0 <= a < 3.4:
        return 1.0 if abs(b) < 0.42 * (3.4 - a) / 1.4 else 0.0
    return 0.0


@inner
def _main_paint(s, t, widths, sides, texel):  # type: ignore[no-untyped-def]
    # White and yellow paint on the main road, 0..1 each.
    lanes, lane, parking, cycle, median, half = int(widths[0]), widths[1], widths[2], widths[3], widths[4], widths[7]
    white, yellow = 0.0, 0.0
    off = abs(t)
    mouth, gap, number = False, 1e9, -1
    for k in range(sides.shape[0]):
        d = abs(s - sides[k, 0])
        clear = sides[k, 4] + FILLET + 3.6
        both = sides[k, 5] > 0.5 and sides[k, 6] > 0.5
        open_here = both or (t > 0) == (sides[k, 5] > 0.5)
        if both and d < clear + 1.4:
            mouth = True
        if not both and d < sides[k, 4] + 2.0 and open_here:
            mouth = True
        if both and d - sides[k, 4] < gap:
            gap, number = d - sides[k, 4], k
    outer = median / 2 + lanes * lane
    if not mouth:
        if median < 0.1:
            if lanes == 1:
                white = max(white, coverage(off, -0.06, 0.06, texel) * stripes(s, 6.0, 0.0, 3.0, texel))
            else:
                yellow = max(yellow, coverage(off, 0.08, 0.2, texel))
        else:
            white = max(white, coverage(off, median / 2 + 0.25, median / 2 + 0.37, texel))
        for i in range(1, lanes):
            edge = median / 2 + i * lane
            white = max(white, coverage(off, edge - 0.06, edge + 0.06, texel) * stripes(s, 9.0, 0.0, 3.0, texel))
        white = max(white, coverage(off, outer - 0.06, outer + 0.06, texel))
        if cycle > 0 and parking > 0:
            white = max(white, coverage(off, outer + cycle - 0.05, outer + cycle + 0.05, texel))
        if parking > 0 and off > half - parking:
            white = max(white, stripes(s, 6.2, 0.0, 0.1, texel) * coverage(off, half - parking, half - 0.15, texel))
    if number >= 0:
        # A zebra crossing on each side of the junction, then the stop line of the lane that comes up to it.
        zebra = coverage(gap, FILLET + 0.2, FILLET + 3.2, texel)
        if zebra > 0 and off < half - 0.25 and off > median / 2:
            white = max(white, zebra * stripes(t, 1.0, 0.0, 0.5, texel))
        comes = (t < 0) == (s < sides[number, 0])
        if comes and median / 2 < off < outer:
            white = max(white, coverage(gap, FILLET + 4.2, FILLET + 4.6, texel))
            centre = median / 2 + (math.floor((off - median / 2) / lane) + 0.5) * lane
            white = max(white, _arrow(FILLET + 13.0 - gap, off - centre))
    return white, yellow


@inner
def _side_paint(along, across, t, half_main, half, texel):  # type: ignore[no-untyped-def]
    beyond = abs(t) - half_main
    white = 0.0
    if beyond > FILLET + 4.9:
        white = coverage(abs(across), -0.06, 0.06, texel) * stripes(along, 6.0, 0.0, 3.0, texel)
        white = max(white, coverage(abs(across), half - 0.4, half - 0.3, texel))
    if abs(across) < half - 0.25:
        zebra = coverage(beyond, FILLET - 2.4, FILLET + 0.6, texel)
        white = max(white, zebra * stripes(across, 1.0, 0.0, 0.5, texel))
        comes = (across < 0) == (along < 0)
        if comes:
            white = max(white, coverage(beyond, FILLET + 1.6, FILLET + 2.0, texel))
    return white


@inner
def _asphalt(x, y, s, t, lane):  # type: ignore[no-untyped-def]
    tone = 0.105 + 0.035 * (fractal2(x * 0.35, y * 0.35, 3) - 0.5)
    tone *= 0.86 + 0.28 * value2(x * 9.0, y * 9.0)
    # Tyres polish two tracks in a lane, oil darkens the middle between them.
    place = t / lane - math.floor(t / lane)
    track = math.exp(-(((place - 0.27) / 0.1) ** 2)) + math.exp(-(((place - 0.73) / 0.1) ** 2))
    tone *= 1.0 + 0.09 * track - 0.07 * math.exp(-(((place - 0.5) / 0.12) ** 2)) * value2(s * 0.2, 3.0)
    # Repairs: darker rectangles with a sealed edge; cracks: the zero line of a noise.
    cell_s, cell_t = math.floor(s / 9.0), math.floor((t + 40.0) / 2.8)
    if hash2(int(cell_s) + 11, int(cell_t) + 5) > 0.93:
        a, b = s - cell_s * 9.0, t + 40.0 - cell_t * 2.8
        length = 2.5 + 5.0 * hash2(int(cell_s), int(cell_t) + 77)
        if 0.5 < a < 0.5 + length and 0.3 < b < 2.3:
            edge = min(min(a - 0.5, 0.5 + length - a), min(b - 0.3, 2.3 - b))
            tone *= 0.55 if edge < 0.06 else 0.76
    ridge = abs(fractal2(x * 0.22 + 31.0, y * 0.22, 4) - 0.5)
    if ridge < 0.0025 and value2(x * 0.07, y * 0.07 + 9.0) > 0.62:
        tone *= 0.78
    # A manhole now and then.
    cell = math.floor(s / 23.0)
    if hash2(int(cell), 901) > 0.45:
        a, b = s - cell * 23.0 - 11.0, t - (hash2(int(cell), 33) - 0.5) * 5.0
        d = math.sqrt(a * a + b * b)
        if d < 0.36:
            tone *= 0.5 if d > 0.31 else 0.72 + 0.5 * stripes(a + b, 0.12, 0.0, 0.06, 0.04)
    return tone


@inner
def _paved(s, t, x, y, size, texel, light):  # type: ignore[no-untyped-def]
    row = math.floor(t / size)
    shift = 0.5 * size * (row - 2 * math.floor(row / 2))
    column = math.floor((s + shift) / size)
    tone = light * (0.88 + 0.24 * hash2(int(column), int(row)))
    tone *= 0.9 + 0.2 * fractal2(x * 0.6, y * 0.6, 3)
    tone *= 0.94 + 0.12 * value2(x * 11.0, y * 11.0)
    joint = max(stripes(s + shift, size, 0.0, 0.025, texel), stripes(t, size, 0.0, 0.025, texel))
    return tone * (1.0 - 0.42 * joint)


@inner
def _grass(x, y):  # type: ignore[no-untyped-def]
    broad, fine = fractal2(x * 0.12, y * 0.12, 3), value2(x * 7.0, y * 7.0)
    lush = 0.55 * broad + 0.25 * value2(x * 1.3, y * 1.3) + 0.2 * fine
    r, g, b = 0.075 + 0.085 * (1 - lush), 0.125 + 0.06 * lush, 0.028 + 0.018 * lush
    bare = fractal2(x * 0.3 + 50.0, y * 0.3, 3)
    if bare > 0.66:
        w = min((bare - 0.66) * 9.0, 0.8)
        r, g, b = r + w * (0.2 - r), g + w * (0.16 - g), b + w * (0.1 - b)
    shade = 0.8 + 0.4 * value2(x * 17.0, y * 17.0)
    return r * shade, g * shade, b * shade


@inner
def _place(x, y, s, t, texel, widths, sides, lots, seed):  # type: ignore[no-untyped-def]
    # Linear albedo (r, g, b) and kind of one place.
    f, side, along, across = _distance(x, y, t, widths, sides)
    verge, sidewalk, half, median = widths[5], widths[6], widths[7], widths[4]
    nx, ny = x + seed, y - seed
    if f < 0.0:
        on_main = abs(t) < half + 0.05
        if on_main and abs(t) < median / 2 and (side < 0 or abs(s - sides[side, 0]) > sides[side, 4] + FILLET + 4.0):
            if abs(t) > median / 2 - 0.2:
                tone = 0.34 * (0.9 + 0.2 * value2(nx * 4.0, ny * 4.0)) * (1.0 - 0.4 * stripes(s, 1.0, 0.0, 0.02, texel))
                return tone, tone, tone * 0.97, 2
            r, g, b = _grass(nx, ny)
            return r, g, b, 4
        tone = _asphalt(nx, ny, s, t if on_main else along, widths[1])
        if on_main:
            white, yellow = _main_paint(s, t, widths, sides, texel)
        else:
            yellow = 0.0
            white = _side_paint(along, across, t, half, sides[max(side, 0), 4], texel) if side >= 0 else 0.0
        if on_main and side >= 0 and abs(across) < sides[side, 4]:
            white, yellow = white if abs(along) > half else 0.0, 0.0
        # Dust in the gutter, concrete beneath.
        gutter = coverage(f, -0.3, 0.0, texel)
        tone += gutter * 0.05
        r, g, b = tone * 1.0, tone * 1.0, tone * 1.02
        outer = median / 2 + widths[0] * widths[1]
        if widths[3] > 0 and on_main and outer < abs(t) < outer + widths[3]:
            free = side < 0 or abs(s - sides[side, 0]) > sides[side, 4] + FILLET + 3.4
            if free:
                r, g, b = tone * 2.0, tone * 0.78, tone * 0.62
        wear = 0.75 + 0.25 * min(max((fractal2(nx * 3.0, ny * 3.0, 3) - 0.3) * 4.0, 0.0), 1.0)
        w, q = white * wear, yellow * wear
        r, g, b = r + w * (0.62 - r), g + w * (0.62 - g), b + w * (0.6 - b)
        r, g, b = r + q * (0.6 - r), g + q * (0.42 - g), b + q * (0.06 - b)
        return r, g, b, 1 if max(white, yellow) > 0.5 else 0
    if f < 0.18:
        joint = stripes(s + t, 1.0, 0.0, 0.02, texel)
        tone = 0.36 * (0.88 + 0.24 * value2(nx * 5.0, ny * 5.0)) * (1.0 - 0.45 * joint)
        tone *= 1.0 - 0.35 * coverage(f, 0.14, 0.18, texel)
        return tone, tone, tone * 0.97, 2
    walk = f - 0.18
    near_corner = side >= 0 and abs(across) < sides[side, 4] + 7.0 and abs(t) < half + 9.0
    if verge > 0 and walk < verge and not near_corner:
        r, g, b = _grass(nx, ny)
        edge = 1.0 - 0.25 * (walk < 0.08)
        return r * edge, g * edge, b * edge, 4
    if walk < verge + sidewalk:
        tone = _paved(s, t, nx, ny, 0.75, texel, 0.27)
        dropped = side >= 0 and (abs(abs(t) - half - FILLET + 0.9) < 1.6) and walk < 0.9
        if dropped and abs(across) < sides[side, 4] + 2.2:
            knob = stripes(s, 0.12, 0.0, 0.06, texel) * stripes(t, 0.12, 0.0, 0.06, texel)
            return 0.5 - 0.12 * knob, 0.38 - 0.1 * knob, 0.1, 3
        return tone * 1.03, tone, tone * 0.95, 3
    kind = 0.0
    left = 1.0 if t > 0 else -1.0
    for i in range(lots.shape[0]):
        if lots[i, 2] == left and lots[i, 0] <= s < lots[i, 1]:
            kind = lots[i, 3]
            break
    if kind == 1.0:
        tone = _paved(s, t, nx, ny, 0.5, texel, 0.22)
        return tone * 1.1, tone * 0.98, tone * 0.86, 5
    if kind == 2.0:
        tone = 0.2 * (0.85 + 0.3 * fractal2(nx * 0.4, ny * 0.4, 4))
        tone *= 1.0 - 0.3 * max(stripes(s, 5.0, 0.0, 0.03, texel), stripes(t, 5.0, 0.0, 0.03, texel))
        return tone, tone * 0.99, tone * 0.95, 6
    if kind == 3.0:
        tone = 0.7 + 0.5 * fractal2(nx * 1.1, ny * 1.1, 4)
        return 0.26 * tone, 0.2 * tone, 0.13 * tone, 7
    r, g, b = _grass(nx, ny)
    return r, g, b, 4


@fast
def _paint(picture, kind, x0, y0, texel, centre, widths, sides, lots, seed):  # type: ignore[no-untyped-def]
    for row in range(picture.shape[0]):
        y = y0 + (row + 0.5) * texel
        s = _near(x0, centre)
        for column in range(picture.shape[1]):
            x = x0 + (column + 0.5) * texel
            s, t = _main_coordinates(x, y, s + texel, centre, 8 if column == 0 else 2)
            r, g, b, k = _place(x, y, s, t, texel, widths, sides, lots, seed)
            picture[row, column, 0] = min(max(math.sqrt(max(r, 0.0)) * 255.0 + 0.5, 0.0), 255.0)
            picture[row, column, 1] = min(max(math.sqrt(max(g, 0.0)) * 255.0 + 0.5, 0.0), 255.0)
            picture[row, column, 2] = min(max(math.sqrt(max(b, 0.0)) * 255.0 + 0.5, 0.0), 255.0)
            kind[row, column] = k
