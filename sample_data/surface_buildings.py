"""Colours of walls and roofs where a ray meets them: brick, plaster, panels, windows, shop fronts, doors.

Every function takes metres along and up a wall and the width ``w`` of a pixel there, and gives back linear red, green,
blue and how much the place mirrors (0 matt, 1 a window).
"""

from __future__ import annotations

import math

from sample_data.compiled import inner
from sample_data.noise import coverage, fractal2, hash2, stripes, value2

PLASTER, BRICK, PANELS, CURTAIN, CORRUGATED, BOARDS = 0.0, 1.0, 2.0, 3.0, 4.0, 5.0


@inner
def wall(u, v, w, style, seed, r, g, b):  # type: ignore[no-untyped-def]
    """The bare wall."""
    tone = 0.9 + 0.2 * fractal2(u * 0.5 + seed, v * 0.5, 3)
    tone *= 1.0 - 0.22 * math.exp(-v * 1.6) * value2(u * 0.9 + seed, 7.0)
    if style == BRICK:
        row = math.floor(v / 0.075)
        shift = 0.12 * (row - 2 * math.floor(row / 2))
        column = math.floor((u + shift) / 0.24)
        fade = min(max(1.6 - w / 0.06, 0.0), 1.0)
        tone *= 1.0 + fade * 0.42 * (hash2(int(column), int(row)) - 0.5)
        mortar = max(stripes(v, 0.075, 0.0, 0.012, w), stripes(u + shift, 0.24, 0.0, 0.012, w))
        r, g, b = r + mortar * (0.42 - r) * 0.7, g + mortar * (0.4 - g) * 0.7, b + mortar * (0.36 - b) * 0.7
    elif style == PANELS:
        joint = max(stripes(u, 2.4, 0.0, 0.03, w), stripes(v, 1.5, 0.0, 0.03, w))
        tone *= (1.0 - 0.4 * joint) * (0.94 + 0.12 * hash2(math.floor(u / 2.4), math.floor(v / 1.5) + 5))
    elif style == CORRUGATED:
        tone *= 0.82 + 0.3 * stripes(u, 0.25, 0.0, 0.12, w)
        tone *= 1.0 - 0.25 * stripes(v, 3.0, 0.0, 0.05, w)
    elif style == BOARDS:
        tone *= 1.0 - 0.35 * stripes(v, 0.16, 0.0, 0.02, w)
        tone *= 0.95 + 0.1 * hash2(math.floor(v / 0.16), 3)
    else:
        tone *= 0.96 + 0.08 * value2(u * 14.0, v * 14.0)
    return r * tone, g * tone, b * tone


@inner
def _pane(a, c, wide, high, w, seed, frame_r, frame_g, frame_b):  # type: ignore[no-untyped-def]
    # A window: `a`, `c` metres from its lower left corner. Frame, cross bars, blinds, curtains, a dark room.
    frame = 0.07
    inner = coverage(a, frame, wide - frame, w) * coverage(c, frame, high - frame, w)
    if wide > 1.3:
        inner *= 1.0 - coverage(a, wide / 2 - 0.03, wide / 2 + 0.03, w)
    elif high > 1.5:
        inner *= 1.0 - coverage(c, high * 0.68 - 0.025, high * 0.68 + 0.025, w)
    r, g, b = 0.035, 0.042, 0.05
    if seed > 0.62:
        drop = high * (1.0 - (seed - 0.62) * 1.9)
        if c > drop:
            blind = 0.42 - 0.1 * stripes(c, 0.08, 0.0, 0.03, w)
            r, g, b = blind, blind * 0.97, blind * 0.88
    elif seed < 0.22:
        edge = min(a, wide - a)
        if edge < wide * (0.12 + 0.7 * seed):
            fold = 0.36 + 0.12 * math.sin(a * 40.0)
            r, g, b = fold, fold * 0.94, fold * 0.82
    top = coverage(c, high - 0.22, high, w)
    r, g, b = r * (1.0 - 0.6 * top), g * (1.0 - 0.6 * top), b * (1.0 - 0.6 * top)
    return (
        frame_r + inner * (r - frame_r),
        frame_g + inner * (g - frame_g),
        frame_b + inner * (b - frame_b),
        inner * (1.0 - 0.35 * top),
    )


@inner
def _shop(u, v, w, width, high, seed, p):  # type: ignore[no-untyped-def]
    # A shop front: plinth, large panes, a door, a painted fascia above.
    r, g, b = p[12], p[13], p[14]
    if v > high - 0.75:
        edge = stripes(v - high + 0.75, 5.0, 0.0, 0.05, w) + stripes(v - high + 0.06, 5.0, 0.0, 0.06, w)
        return r * (1.0 - 0.4 * edge), g * (1.0 - 0.4 * edge), b * (1.0 - 0.4 * edge), 0.04
    bay = 2.6
    column = math.floor(u / bay)
    a = u - column * bay
    lower = 0.5
    if hash2(int(column) + int(seed * 999.0), 41) > 0.68:
        lower = 0.06
    pane = coverage(a, 0.12, bay - 0.12, w) * coverage(v, lower, high - 0.9, w)
    if lower < 0.1:
        pane *= 1.0 - coverage(a, bay / 2 - 0.05, bay / 2 + 0.05, w)
    # Behind the glass a lit room: lamps in rows under the ceiling, a shelf, and goods on it and on the sill.
    shop = int(seed * 501.0)
    deep = 0.09 + 0.05 * coverage(v, lower, lower + 1.1, 1.2)
    lamp = stripes(a, 0.87, 0.36, 0.5, max(w, 0.05)) * coverage(v, high - 1.35, high - 1.27, max(w, 0.03))
    ir, ig, ib = deep * 1.15 + 0.8 * lamp, deep + 0.74 * lamp, deep * 0.8 + 0.6 * lamp
    for row in range(2):
        base = lower + 0.95 * row
        board = coverage(v, base - 0.05, base, max(w, 0.02))
        ir, ig, ib = ir + board * (0.16 - ir), ig + board * (0.11 - ig), ib + board * (0.07 - ib)
        size = 0.34 if row == 0 else 0.24
        place = math.floor(a / size)
        key = int(place) + 31 * int(column) + 7 * row
        if hash2(key, shop + 5) < 0.22:
            continue
        tall = (0.25 + 0.45 * hash2(key, shop)) * (1.0 if row == 0 else 0.7)
        slim = 0.5 * size * (0.45 + 0.4 * hash2(key, shop + 9))
        bow = 1.0 - 0.5 * max((v - base) / tall, 0.0) * hash2(key, shop + 2)  # bottles, boxes, hats
        item = coverage(a - size * (place + 0.5), -slim * bow, slim * bow, max(w, 0.02))
        item *= coverage(v, base, base + tall, max(w, 0.02))
        hue = 6.2832 * hash2(key, shop + 1)
        shine = 0.16 + 0.16 * hash2(key, 3)
        ir += item * (shine * (1.0 + 0.6 * math.cos(hue)) - ir)
        ig += item * (shine * (0.9 + 0.4 * math.cos(hue - 2.1)) - ig)
        ib += item * (shine * (0.8 + 0.5 * math.cos(hue + 2.1)) - ib)
    return r + pane * (ir - r), g + pane * (ig - g), b + pane * (ib - b), 0.55 * pane


@inner
def facade(u, v, length, w, p, r, g, b):  # type: ignore[no-untyped-def]
    """A wall with its windows. ``p`` are the house's parameters: storey height, window spacing, window width and
    height as shares, ground floor height, wall style, frame colour (3), shop (1) or dwelling (0) or none (-1), seed,
    total height, shop colour (3)."""
    storey, spacing, ground, style = p[0], p[1], p[4], p[5]
    seed, total = p[10], p[11]
    r, g, b = wall(u, v, w, style, seed * 50.0, r, g, b)
    mirror = 0.0
    if v > total - 0.25 or v < 0.0 or length < 1.6:
        return r, g, b, mirror
    if v < ground and p[9] > 0.5:
        return _shop(u, v, w, length, ground, seed, p)
    if style == CURTAIN:
        bar = max(stripes(u, spacing, 0.0, 0.08, w), stripes(v, storey, 0.0, 0.1, w))
        spandrel = stripes(v, storey, 0.0, 0.9, w)
        cell = hash2(math.floor(u / spacing) + int(seed * 99.0), math.floor(v / storey))
        tone = 0.03 + 0.03 * cell
        ir, ig, ib = tone + spandrel * r * 0.5, tone * 1.15 + spandrel * g * 0.5, tone * 1.3 + spandrel * b * 0.5
        f = p[6], p[7], p[8]
        return ir + bar * (f[0] - ir), ig + bar * (f[1] - ig), ib + bar * (f[2] - ib), (1.0 - bar) * (0.9 - 0.3 * cell)
    columns = math.floor((length - 0.7) / spacing)
    if columns < 1:
        return r, g, b, mirror
    margin = (length - columns * spacing) / 2
    column = math.floor((u - margin) / spacing)
    if column < 0 or column >= columns:
        return r, g, b, mirror
    level, base = 0, 0.0
    if v >= ground:
        level = 1 + math.floor((v - ground) / storey)
        base = ground + (level - 1) * storey
    high_of = storey if level > 0 else ground
    wide, high = p[2] * spacing, p[3] * storey
    a = u - margin - column * spacing - (spacing - wide) / 2
    c = v - base - (0.9 if style != CORRUGATED else 1.6)
    if base + 0.9 + high > total - 0.3:
        return r, g, b, mirror
    key = int(seed * 9973.0)
    if level == 0 and p[9] > -0.5:
        door = int(hash2(key, 5) * columns)
        if column == door:
            d = u - margin - (column + 0.5) * spacing
            leaf = coverage(d, -0.5, 0.5, w) * coverage(v, 0.0, 2.15, w)
            rim = coverage(d, -0.62, 0.62, w) * coverage(v, 0.0, 2.3, w)
            r, g, b = r + rim * (p[6] - r), g + rim * (p[7] - g), b + rim * (p[8] - b)
            panel = 0.85 + 0.3 * coverage(abs(d) - 0.24, -0.14, 0.14, w) * stripes(v, 0.95, 0.2, 0.85, w)
            r, g, b = (
                r + leaf * (p[12] * panel - r),
                g + leaf * (p[13] * panel - g),
                b + leaf * (p[14] * panel - b),
            )
            return r, g, b, 0.0
    if level > 0 and style == CORRUGATED and level > 1:
        return r, g, b, mirror
    if high_of < 2.0:
        return r, g, b, mirror
    # The sill below, the lintel's shadow, then the pane itself.
    sill = coverage(a, -0.1, wide + 0.1, w) * coverage(c, -0.12, 0.0, w)
    r, g, b = r + sill * (0.5 - r), g + sill * (0.48 - g), b + sill * (0.44 - b)
    under = coverage(a, -0.05, wide + 0.05, w) * coverage(c, -0.2, -0.12, w)
    r, g, b = r * (1 - 0.4 * under), g * (1 - 0.4 * under), b * (1 - 0.4 * under)
    inside = coverage(a, 0.0, wide, w) * coverage(c, 0.0, high, w)
    if inside > 0.0:
        chance = hash2(int(column) + key, level * 7 + key)
        pr, pg, pb, glass = _pane(a, c, wide, high, w, chance, p[6], p[7], p[8])
        r, g, b = r + inside * (pr - r), g + inside * (pg - g), b + inside * (pb - b)
        mirror = inside * glass
    return r, g, b, mirror


@inner
def tiles(u, v, w, r, g, b):  # type: ignore[no-untyped-def]
    """A tiled roof, ``v`` metres up its slope."""
    row = math.floor(v / 0.3)
    shift = 0.15 * (row - 2 * math.floor(row / 2))
    column = math.floor((u + shift) / 0.3)
    fade = min(max(1.5 - w / 0.2, 0.0), 1.0)
    tone = 1.0 + fade * 0.3 * (hash2(int(column), int(row)) - 0.5)
    tone *= 1.0 - 0.45 * stripes(v, 0.3, 0.0, 0.05, w) - 0.15 * stripes(u + shift, 0.3, 0.0, 0.03, w)
    tone *= 0.85 + 0.3 * fractal2(u * 0.4, v * 0.4, 3)
    return r * tone, g * tone, b * tone
