"""Colours of vehicles where a ray meets them: lamps, grilles, doors, plates, windows, all from the vehicle's own
coordinates (x ahead, y left, z up, metres). As in ``surface_buildings`` each gives red, green, blue, mirroring; lamps
add a glow as fifth."""

from __future__ import annotations

import math

from sample_data.compiled import inner
from sample_data.noise import coverage, hash2, stripes


@inner
def _mix(w, r, g, b, tr, tg, tb):  # type: ignore[no-untyped-def]
    return r + w * (tr - r), g + w * (tg - g), b + w * (tb - b)


@inner
def _arches(x, z, w, p, r, g, b):  # type: ignore[no-untyped-def]
    # The dark of the wheel houses, and a darker sill between them.
    radius = p[5] * 1.16
    dark = 0.0
    for axle in (p[3], p[4]):
        d = math.sqrt((x - axle) ** 2 + (z - p[5]) ** 2)
        dark = max(dark, coverage(d, -1.0, radius, w))
    return _mix(dark, r, g, b, 0.008, 0.008, 0.009), dark


@inner
def car_body(x, y, z, w, p, banners, r, g, b):  # type: ignore[no-untyped-def]
    """A car's painted body; parameters as ``vehicles.car`` lists them."""
    half, wide, belt = p[0], p[1], p[6]
    mirror, glow = 0.30, 0.0
    (r, g, b), dark = _arches(x, z, w, p, r, g, b)
    if dark > 0.5 and abs(y) > 0.75 * wide:
        return r, g, b, 0.0, 0.0
    sill = coverage(z, 0.0, 0.27, w)
    r, g, b = _mix(0.85 * sill, r, g, b, 0.02, 0.02, 0.022)
    nose, tail = half - x, half + x
    top = belt - 0.12
    side = abs(y) > 0.86 * wide
    if side and nose > 0.5 and tail > 0.35:
        line = 0.0
        door_front, door_mid = p[11] - 0.12, p[8] * 0.5 * (p[11] - p[12]) + 0.5 * (p[11] + p[12])
        line = max(line, coverage(x, door_front - 0.012, door_front + 0.012, w))
        line = max(line, coverage(x, door_mid - 0.012, door_mid + 0.012, w))
        back = p[9]
        if back > -1.5:
            door_back = back * 0.5 * (p[11] - p[12]) + 0.5 * (p[11] + p[12])
            line = max(line, coverage(x, door_back - 0.012, door_back + 0.012, w))
            handle = coverage(x, door_back + 0.08, door_back + 0.26, w) * coverage(z, belt - 0.2, belt - 0.155, w)
            r, g, b = _mix(0.7 * handle, r, g, b, 0.05, 0.05, 0.05)
        handle = coverage(x, door_mid + 0.08, door_mid + 0.26, w) * coverage(z, belt - 0.2, belt - 0.155, w)
        r, g, b = _mix(0.7 * handle, r, g, b, 0.05, 0.05, 0.05)
        line *= coverage(z, 0.3, belt, w)
        r, g, b = _mix(0.75 * line, r, g, b, 0.0, 0.0, 0.0)
        trim = coverage(z, belt - 0.07, belt - 0.035, w)
        r, g, b = _mix(0.6 * trim, r, g, b, 0.02, 0.02, 0.02)
        if p[14] > 0.5:
            check = coverage(z, 0.55, 0.72, w)
            black = stripes(x + 0.09 * (math.floor(z / 0.085) % 2), 0.18, 0.0, 0.09, w)
            r, g, b = _mix(check * black, r, g, b, 0.01, 0.01, 0.01)
    if nose < 0.62:
        lamp = coverage(z, top - 0.27, top - 0.08, w) * coverage(abs(y), 0.56 * wide, 0.97 * wide, w)
        lamp *= coverage(nose, -0.1, 0.07 + 0.24 * (abs(y) / wide) ** 4, w)
        bulb = coverage(math.sqrt((abs(y) - 0.72 * wide) ** 2 + (z - top + 0.175) ** 2), -1.0, 0.065, w)
        tone = 0.3 + 0.5 * bulb
        r, g, b = _mix(lamp, r, g, b, tone, tone * 1.03, tone * 1.05)
        glow = max(glow, 0.3 * lamp * bulb)
        mirror += 0.3 * lamp
        if nose < 0.2:
            grille = coverage(z, top - 0.28, top - 0.1, w) * coverage(abs(y), -1.0, 0.5 * wide, w)
            grille = max(grille, coverage(z, 0.26, 0.42, w) * coverage(abs(y), -1.0, 0.72 * wide, w))
            bars = 0.018 + 0.1 * stripes(z, 0.05, 0.0, 0.015, w)
            r, g, b = _mix(grille, r, g, b, bars, bars, bars)
            badge = coverage(math.sqrt(y * y + (z - top + 0.19) ** 2), -1.0, 0.06, w)
            r, g, b = _mix(badge, r, g, b, 0.55, 0.55, 0.57)
    if tail < 0.5:
        lamp = coverage(z, belt - 0.24, belt - 0.05, w) * coverage(abs(y), 0.62 * wide, 1.1 * wide, w)
        lamp *= coverage(tail, -0.1, 0.09 + 0.25 * (abs(y) / wide) ** 3, w)
        r, g, b = _mix(lamp, r, g, b, 0.62, 0.012, 0.012)
        glow = max(glow, 0.22 * lamp)
        if tail < 0.2:
            lid = coverage(abs(y), 0.58 * wide, 0.58 * wide + 0.02, w) * coverage(z, 0.42, belt, w)
            lid = max(lid, coverage(z, 0.42, 0.44, w) * coverage(abs(y), -1.0, 0.6 * wide, w))
            r, g, b = _mix(0.7 * lid, r, g, b, 0.0, 0.0, 0.0)
            lower = coverage(z, 0.2, 0.36, w)
            r, g, b = _mix(0.8 * lower, r, g, b, 0.02, 0.02, 0.02)
    middle = 0.47 if nose < 0.25 else 0.62
    if nose < 0.22 or tail < 0.22:
        across = y if nose < 0.25 else -y
        plate = coverage(across, -0.26, 0.26, w) * coverage(z, middle - 0.06, middle + 0.06, w)
        if plate > 0.0:
            tr, tg, tb = banner(0.5 + across / 0.52, (z - middle) / 0.12 + 0.5, p[13], w / 0.52, banners)
            r, g, b = _mix(plate, r, g, b, tr, tg, tb)
            mirror *= 1.0 - plate
    return r, g, b, mirror, glow


@inner
def cabin(x, sy, f, w, p, r, g, b):  # type: ignore[no-untyped-def]
    """A car's upper part: ``x`` metres ahead, ``sy`` -1..1 across its plan and ``f`` 0..1 up to the roof; windows
    between pillars."""
    if f > 0.9:
        return r, g, b, 0.3
    rise = max(f, 0.0) ** 1.15
    front, back = p[11] + (p[16] - p[11]) * rise, p[12] + (p[17] - p[12]) * rise
    half = 0.5 * (front - back)
    sx = (x - 0.5 * (front + back)) / half
    pane = coverage(f, 0.09, 0.86, w / 0.5)
    lengthwise = abs(sx) < 0.965
    if lengthwise:
        wx = w / max(half, 0.3)
        pane *= coverage(sx, max(p[10], -0.93), 0.93, wx)
        pane *= 1.0 - coverage(sx, p[8] - 0.035, p[8] + 0.035, wx)
        pane *= 1.0 - coverage(sx, p[9] - 0.045, p[9] + 0.045, wx)
    else:
        pane *= coverage(abs(sy), -1.0, 0.9, w / p[1])
        if sx < 0 and p[10] > -0.5:
            pane *= 0.0
    r, g, b = _mix(pane, r, g, b, 0.018, 0.02, 0.022)
    seat = coverage(f, 0.0, 0.42, 0.1) * pane
    return r + 0.012 * seat, g + 0.012 * seat, b + 0.012 * seat, 0.3 + 0.5 * pane


@inner
def rim(a, c, w, r, g, b):  # type: ignore[no-untyped-def]
    """A wheel's face, ``a`` and ``c`` -1..1 from its hub."""
    d = math.sqrt(a * a + c * c)
    angle = math.atan2(c, a)
    spoke = stripes(angle, 2 * math.pi / 5, 0.0, 0.62, w / max(d, 0.1))
    if d < 0.24:
        spoke = 1.0
    if d > 0.88:
        spoke = 1.0
    tone = 0.06 + 0.94 * spoke
    return r * tone, g * tone, b * tone, 0.25 * spoke


@inner
def coach(x, y, z, w, p, banners, r, g, b):  # type: ignore[no-untyped-def]
    """A bus. Parameters: half length, half width, height, front and rear axle, wheel radius, window band from and to,
    stripe colour (3), banner number, seed."""
    half, wide = p[0], p[1]
    mirror, glow = 0.25, 0.0
    (r, g, b), dark = _arches(x, z, w, p, r, g, b)
    if dark > 0.5 and abs(y) > 0.75 * wide:
        return r, g, b, 0.0, 0.0
    band = coverage(z, p[6], p[7], w)
    nose, tail = half - x, half + x
    skirt = coverage(z, 0.0, 0.42, w)
    r, g, b = _mix(skirt, r, g, b, 0.05, 0.05, 0.055)
    stripe = coverage(z, 0.62, 0.9, w) + coverage(z, p[7] + 0.12, p[7] + 0.3, w)
    r, g, b = _mix(stripe, r, g, b, p[8], p[9], p[10])
    if nose < 0.16:
        pane = coverage(z, 1.0, p[7] + 0.05, w) * coverage(abs(y), -1.0, wide - 0.14, w)
        r, g, b = _mix(pane, r, g, b, 0.02, 0.022, 0.026)
        mirror += 0.45 * pane
        sign = coverage(y, -0.8, 0.8, w) * coverage(z, p[7] + 0.1, p[7] + 0.42, w)
        if sign > 0.0:
            tr, tg, tb = banner(0.5 + y / 1.6, (z - p[7] - 0.1) / 0.32, p[11], w / 1.6, banners)
            r, g, b = _mix(sign, r, g, b, tr, tg, tb)
            glow = 0.5 * sign
        lamp = coverage(z, 0.5, 0.74, w) * coverage(abs(y), wide - 0.5, wide - 0.14, w)
        r, g, b = _mix(lamp, r, g, b, 0.75, 0.78, 0.8)
        glow = max(glow, 0.35 * lamp)
    elif tail < 0.16:
        pane = coverage(z, 1.5, p[7], w) * coverage(abs(y), -1.0, wide - 0.3, w)
        r, g, b = _mix(pane, r, g, b, 0.02, 0.022, 0.026)
        mirror += 0.4 * pane
        lamp = coverage(z, 0.7, 1.25, w) * coverage(abs(y), wide - 0.3, wide - 0.1, w)
        r, g, b = _mix(lamp, r, g, b, 0.62, 0.012, 0.012)
        glow = 0.22 * lamp
        vent = coverage(z, 0.6, 1.2, w) * coverage(abs(y), -1.0, 0.7, w)
        tone = 0.03 + 0.08 * stripes(z, 0.09, 0.0, 0.04, w)
        r, g, b = _mix(vent, r, g, b, tone, tone, tone)
    elif abs(y) > 0.9 * wide:
        pane = band * (1.0 - stripes(x, 1.45, 0.0, 0.1, w)) * coverage(x, -half + 0.35, half - 0.25, w)
        if y < 0:
            for place in (half - 1.3, -0.1 * half):
                door = coverage(x, place - 0.62, place + 0.62, w) * coverage(z, 0.34, p[7], w)
                leaf = coverage(abs(abs(x - place) - 0.31), -1.0, 0.25, w) * coverage(z, 0.5, p[7] - 0.08, w)
                pane = pane * (1.0 - door) + leaf * door
                r, g, b = _mix(door, r, g, b, 0.06, 0.06, 0.065)
        r, g, b = _mix(pane, r, g, b, 0.018, 0.021, 0.025)
        mirror += 0.5 * pane
        people = pane * coverage(z, p[6], p[6] + 0.42, w)
        if hash2(math.floor(x / 0.72) + 50, int(p[12] * 999.0)) > 0.45:
            head = coverage(
                math.sqrt((x - 0.72 * (math.floor(x / 0.72) + 0.5)) ** 2 + (z - p[6] - 0.25) ** 2), -1.0, 0.13, w
            )
            r, g, b = _mix(0.7 * people * head, r, g, b, 0.16, 0.1, 0.075)
    return r, g, b, mirror, glow


@inner
def cargo(x, y, z, w, p, banners, r, g, b):  # type: ignore[no-untyped-def]
    """A truck's or trailer's box. Parameters: half length, half width, top, floor, middle x, ribs (0 smooth), stripe
    colour (3 at 8), banner number (11, negative for none), seed."""
    half, wide, top, low = p[0], p[1], p[2], p[3]
    x = x - p[4]
    glow = 0.0
    if abs(y) > wide - 0.03:
        if p[5] > 0.5:
            tone = 0.8 + 0.25 * stripes(x, 0.28, 0.0, 0.15, w)
            r, g, b = r * tone, g * tone, b * tone
        else:
            seam = stripes(x + half, 1.25, 0.0, 0.02, w)
            r, g, b = r * (1 - 0.25 * seam), g * (1 - 0.25 * seam), b * (1 - 0.25 * seam)
        band = coverage(z, low + 0.28, low + 0.5, w)
        r, g, b = _mix(band, r, g, b, p[8], p[9], p[10])
        if p[11] >= 0.0:
            long = min(half * 1.1, 2.6)
            logo = coverage(x, -long, long, w) * coverage(z, low + 0.8, low + 0.8 + long * 0.5, w)
            if logo > 0.0:
                across = x if y < 0 else -x
                tr, tg, tb = banner(
                    0.5 + across / (2 * long), (z - low - 0.8) / (long * 0.5), p[11], w / (2 * long), banners
                )
                r, g, b = _mix(logo, r, g, b, tr, tg, tb)
        mark = coverage(z, low + 0.05, low + 0.13, w) * stripes(x, 0.6, 0.0, 0.3, w)
        r, g, b = _mix(mark, r, g, b, 0.6, 0.35, 0.03)
    elif x < -half + 0.05:
        door = coverage(abs(y), -1.0, 0.02, w)
        rod = coverage(abs(abs(y) - 0.4), -1.0, 0.025, w)
        frame = coverage(abs(y), wide - 0.08, wide + 1, w) + coverage(z, top - 0.1, top + 1, w)
        r, g, b = _mix(0.7 * max(door, min(frame, 1.0) * 0.5), r, g, b, 0.03, 0.03, 0.03)
        r, g, b = _mix(0.8 * rod, r, g, b, 0.35, 0.35, 0.36)
        mark = coverage(z, low + 0.1, low + 0.3, w)
        red = stripes(y + z, 0.36, 0.0, 0.18, w)
        r, g, b = _mix(mark * red, r, g, b, 0.6, 0.02, 0.02)
        r, g, b = _mix(mark * (1 - red), r, g, b, 0.65, 0.62, 0.6)
        lamp = coverage(z, low + 0.02, low + 0.1, w) * coverage(abs(y), wide - 0.35, wide - 0.05, w)
        r, g, b = _mix(lamp, r, g, b, 0.62, 0.012, 0.012)
        glow = 0.25 * lamp
    rim_ = coverage(z, top - 0.06, top + 1.0, w)
    return r * (1 - 0.3 * rim_), g * (1 - 0.3 * rim_), b * (1 - 0.3 * rim_), 0.1, glow


@inner
def banner(u, v, number, w, banners):  # type: ignore[no-untyped-def]
    """A place on one of the printed pictures, ``u`` to the right and ``v`` up, 0..1."""
    n = int(number + 0.5) % banners.shape[0]
    high, wide = banners.shape[1], banners.shape[2]
    y, x = (1.0 - v) * high - 0.5, u * wide - 0.5
    step = min(w * wide * 0.5, 12.0)
    r, g, b = 0.0, 0.0, 0.0
    for i in range(2):
        for j in range(2):
            # Four places, each between its four nearest texels: half a pixel apart, or at one spot where that is less
            # than a texel.
            cy, cx = y + (i - 0.5) * step, x + (j - 0.5) * step
            cy, cx = min(max(cy, 0.0), high - 1.001), min(max(cx, 0.0), wide - 1.001)
            m, k = int(cy), int(cx)
            fy, fx = cy - m, cx - k
            for c in range(3):
                low = banners[n, m, k, c] * (1 - fx) + banners[n, m, k + 1, c] * fx
                top = banners[n, m + 1, k, c] * (1 - fx) + banners[n, m + 1, k + 1, c] * fx
                value = (low * (1 - fy) + top * fy) * 0.25 / 255.0
                if c == 0:
                    r += value
                elif c == 1:
                    g += value
                else:
                    b += value
    return r * r * 0.85, g * g * 0.85, b * b * 0.85
