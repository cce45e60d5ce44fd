"""The colour of what a ray meets: material, sunlight and shadow, the sky's light, mirrored sky, haze. Compiled.

A place's diffuse light is sun x shadow x cosine, plus the sky above and the ground's bounce below; glossy materials
mirror the sky by Schlick's approximation of Fresnel's law.
"""

from __future__ import annotations

import math

import numpy as np

from sample_data.atmosphere import haze, sky
from sample_data.compiled import fast, inner
from sample_data.materials import Material
from sample_data.noise import coverage, fractal2, hash2, stripes, value2, value3
from sample_data.surface_buildings import facade, tiles
from sample_data.surface_vehicles import banner, cabin, car_body, cargo, coach, rim

GROUND, FACADE, TILES, PLAIN, PAINT, CABIN, TYRE, RIM = 0, 1, 2, 3, 4, 5, 6, 7
METAL, LEAF, BARK, SKIN, CLOTH, GLASS, LAMP, SIGN = 8, 9, 10, 11, 12, 13, 14, 15
BANNER, CONE, BARRIER, WOOD, COACH, CARGO, CONCRETE, DISTANT, FENCE = 16, 17, 18, 19, 20, 21, 22, 23, 24
assert all(globals()[material.name] == material for material in Material)


@inner
def _texel(level, x, y):  # type: ignore[no-untyped-def]
    # Between the four nearest texels of one picture; x, y in its texels.
    h, w = level.shape[0], level.shape[1]
    x, y = min(max(x - 0.5, 0.0), w - 1.001), min(max(y - 0.5, 0.0), h - 1.001)
    i, j = int(y), int(x)
    fy, fx = np.float32(y - i), np.float32(x - j)
    a, b = (1 - fy) * (1 - fx), (1 - fy) * fx
    c, d = fy * (1 - fx), fy * fx
    r = a * level[i, j, 0] + b * level[i, j + 1, 0] + c * level[i + 1, j, 0] + d * level[i + 1, j + 1, 0]
    g = a * level[i, j, 1] + b * level[i, j + 1, 1] + c * level[i + 1, j, 1] + d * level[i + 1, j + 1, 1]
    bl = a * level[i, j, 2] + b * level[i, j + 1, 2] + c * level[i + 1, j, 2] + d * level[i + 1, j + 1, 2]
    return r, g, bl


@inner
def _pick(fine, coarse, places, x, y, width):  # type: ignore[no-untyped-def]
    # The ground's picture where it is fine enough, filtered to `width` metres.
    if places[0] < x < places[3] and places[1] < y < places[4]:
        n = int(min(max(math.log2(max(width, 1e-4) / places[2]) + 0.5, 0.0), len(fine) - 1.0))
        size = places[2] * (1 << n)
        return _texel(fine[n], (x - places[0]) / size, (y - places[1]) / size)
    n = int(min(max(math.log2(max(width, 1e-4) / places[7]), 0.0), len(coarse) - 1.0))
    size = places[7] * (1 << n)
    return _texel(coarse[n], (x - places[5]) / size, (y - places[6]) / size)


@inner
def _ground(x, y, dx, dy, short, long, fine, coarse, places, wet):  # type: ignore[no-untyped-def]
    # Four samples along the pixel's long, narrow footprint.
    across = max(short, long * 0.25)
    flat = math.sqrt(dx * dx + dy * dy) + 1e-6
    ux, uy = dx / flat * long, dy / flat * long
    r, g, b = 0.0, 0.0, 0.0
    taps = 4 if long > 2.0 * short and long > 0.5 * places[2] else 1
    for k in range(taps):
        o = (k + 0.5) / taps - 0.5
        pr, pg, pb = _pick(fine, coarse, places, x + ux * o, y + uy * o, across)
        r, g, b = r + pr, g + pg, b + pb
    r, g, b = r / (255.0 * taps), g / (255.0 * taps), b / (255.0 * taps)
    grain = 1.0
    fade = min(max(1.2 - long / 0.12, 0.0), 1.0)
    if fade > 0:
        grain += fade * 0.3 * (value2(x * 31.0, y * 31.0) - 0.5)
    return r * r * grain, g * g * grain, b * b * grain


@inner
def _leaf(x, y, z, lx, ly, w, r, g, b):  # type: ignore[no-untyped-def]
    clump = value3(x * 0.9, y * 0.9, z * 0.9)
    tone = 0.62 + 0.6 * clump
    fade = min(max(1.3 - w / 0.12, 0.0), 1.0)
    if fade > 0.0:  # single leaves, light and dark, where they can be told apart
        tone *= 1.0 + fade * (0.9 * value3(x * 11.0, y * 11.0, z * 11.0) - 0.45)
    vein = 1.0 - 0.25 * coverage(abs(lx), -1.0, 0.05, w)
    tip = 0.85 + 0.25 * ly
    yellow = 0.1 * (clump - 0.5)
    return r * (tone + yellow) * vein * tip, g * tone * vein * tip, b * (tone - yellow) * vein * tip


@inner
def _albedo(kind, x, y, z, a, b_, c, w, p, signs, banners, r, g, b):  # type: ignore[no-untyped-def]
    # (r, g, b, mirroring, glow, sheen) of everything but the ground; a, b_, c are the texture coordinates.
    mirror, glow, sheen = 0.0, 0.0, 0.0
    if kind == FACADE:
        r, g, b, mirror = facade(a, b_, c, w, p, r, g, b)
    elif kind == LEAF:
        r, g, b = _leaf(x, y, z, a, b_, w, r, g, b)
    elif kind == PAINT:
        r, g, b, mirror, glow = car_body(a, b_, c, w, p, banners, r, g, b)
        sheen = 0.5
    elif kind == CABIN:
        r, g, b, mirror = cabin(a, b_, c, w, p, r, g, b)
        sheen = 0.6
    elif kind == RIM:
        r, g, b, mirror = rim(a, b_, w / 0.25, r, g, b)
    elif kind == COACH:
        r, g, b, mirror, glow = coach(a, b_, c, w, p, banners, r, g, b)
        sheen = 0.4
    elif kind == CARGO:
        r, g, b, mirror, glow = cargo(a, b_, c, w, p, banners, r, g, b)
        sheen = 0.15
    elif kind == TILES:
        r, g, b = tiles(a, b_, w, r, g, b)
    elif kind == SIGN:
        n = min(max(int(c + 0.5), 0), signs.shape[0] - 1)
        size = signs.shape[1]
        i = min(max(int((1.0 - b_) * size), 0), size - 1)
        j = min(max(int(a * size), 0), size - 1)
        r, g, b = signs[n, i, j, 0] / 255.0, signs[n, i, j, 1] / 255.0, signs[n, i, j, 2] / 255.0
        r, g, b = 0.85 * r * r, 0.85 * g * g, 0.85 * b * b
        mirror = 0.05
    elif kind == BANNER:
        r, g, b = banner(a, b_, c, w / 2.0, banners)
    elif kind == CONE:
        white = stripes(c, 0.26, 0.15, 0.25, w)
        r, g, b = r + white * (0.78 - r), g + white * (0.78 - g), b + white * (0.76 - b)
    elif kind == BARRIER:
        red = stripes(a + b_, 0.5, 0.0, 0.25, w)
        r, g, b = 0.72 + red * (0.62 - 0.72), 0.7 + red * (0.03 - 0.7), 0.68 + red * (0.025 - 0.68)
    elif kind == BARK:
        tone = 0.7 + 0.6 * value2((a + b_) * 34.0, c * 3.1) * (0.6 + 0.8 * value2((a - b_) * 21.0, c * 1.3))
        r, g, b = r * tone, g * tone, b * tone
    elif kind == WOOD:
        tone = (0.8 + 0.4 * value2(a * 2.0 + b_ * 2.0, c * 20.0)) * (1.0 - 0.4 * stripes(c, 0.12, 0.0, 0.015, w))
        r, g, b = r * tone, g * tone, b * tone
    elif kind == CONCRETE:
        tone = 0.82 + 0.36 * fractal2(a * 1.3 + b_, c * 1.3, 3)
        r, g, b = r * tone, g * tone, b * tone
    elif kind == METAL:
        mirror, sheen = 0.25, 0.3
    elif kind == GLASS:
        mirror = 0.9
    elif kind == LAMP:
        glow = 0.8
    elif kind == CLOTH:
        tone = 0.9 + 0.2 * value3(x * 14.0, y * 14.0, z * 9.0)
        r, g, b = r * tone, g * tone, b * tone
    elif kind == TYRE:
        tone = 0.9 + 0.4 * value2(a * 20.0, c * 20.0)
        r, g, b = r * tone, g * tone, b * tone
    elif kind == DISTANT:
        tone = 0.8 + 0.4 * fractal2(a * 0.08, c * 0.16, 4)
        if r > g:  # houses, not woods
            tone *= 1.0 - 0.45 * stripes(a + b_, 3.2, 0.0, 1.5, w) * stripes(c, 3.2, 0.9, 2.4, w)
        r, g, b = r * tone, g * tone, b * tone
    elif kind == FENCE:
        tone = 1.0 - 0.45 * stripes(a, 0.16, 0.0, 0.03, w)
        r, g, b = r * tone, g * tone, b * tone
    return r, g, b, mirror, glow, sheen


@inner
def _mirrored(x, y, z, light):  # type: ignore[no-untyped-def]
    # What a mirror sees: sky, a skyline of houses with windows and of trees, street.
    if z < -0.02:
        return 0.17, 0.17, 0.165
    turn = math.atan2(y, x) * 5.0
    cell = math.floor(turn)
    along, key = turn - cell, int(cell) + 40
    kind = hash2(key, 19)
    if kind > 0.55:  # a tree
        bulge = 2.0 * along - 1.0
        roof = (0.16 + 0.12 * hash2(key, 7)) * math.sqrt(max(1.0 - bulge * bulge, 0.0))
        roof *= 0.8 + 0.5 * value2(turn * 7.0, 1.0)
        if z < roof:
            tone = 0.7 + 0.6 * value2(turn * 14.0, z * 60.0)
            return 0.05 * tone, 0.085 * tone, 0.03 * tone
    house = 0.10 + 0.22 * hash2(math.floor(turn * 0.6) + 90, 3)
    if z > house:
        return sky(x, y, z, light, 3)
    tone = 0.22 + 0.2 * hash2(math.floor(turn * 0.6) + 90, 11)
    pane = stripes(turn, 0.28, 0.08, 0.2, 0.05) * stripes(z, 0.055, 0.02, 0.045, 0.012)
    tone *= 1.0 - 0.55 * pane
    return tone, tone * 0.94, tone * 0.86


@fast
def shade(  # type: ignore[no-untyped-def]
    rays, distance, triangle, u, v, lit, normals, local, colour, material, thing, parameters, fine, coarse, places,
    occlusion, light, signs, banners, angle, out,
):  # fmt: skip
    """Linear colours of rays' ends.

    Args:
        rays: (N,6) float32 origin, direction; distance, triangle, u, v: (N,) what they met (see ``casting.Hits``).
        lit: (N,) bool, in the sun.
        normals, local, colour, material, thing: see ``casting.Surfaces``.
        parameters: (T,``PARAMETERS``) float32 of the things.
        fine, coarse: levels of the ground's pictures (see ``ground_texture.Texture``).
        places: (11,) float64 corner x, y, texel and far corner x, y of the fine picture; corner x, y and texel of the
            coarse one; corner x, y and cell of the ``occlusion`` grid.
        occlusion: (H,W) uint8, how much sky the ground sees, 255 all.
        light: (24,) float32, see ``atmosphere.Daylight``.
        signs, banners: see ``atlas``.
        angle: width of a pixel in radians.
        out: (N,3) float32, filled here.
    """
    for n in range(rays.shape[0]):
        dx, dy, dz = rays[n, 3], rays[n, 4], rays[n, 5]
        f = triangle[n]
        if f < 0:
            out[n, 0], out[n, 1], out[n, 2] = sky(dx, dy, dz, light, 5)
            continue
        t = distance[n]
        x, y, z = rays[n, 0] + t * dx, rays[n, 1] + t * dy, rays[n, 2] + t * dz
        wb, wc = u[n], v[n]
        wa = 1.0 - wb - wc
        nx = wa * normals[f, 0, 0] + wb * normals[f, 1, 0] + wc * normals[f, 2, 0]
        ny = wa * normals[f, 0, 1] + wb * normals[f, 1, 1] + wc * normals[f, 2, 1]
        nz = wa * normals[f, 0, 2] + wb * normals[f, 1, 2] + wc * normals[f, 2, 2]
        size = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
        nx, ny, nz = nx * size, ny * size, nz * size
        kind = material[f]
        facing = -(nx * dx + ny * dy + nz * dz)
        if facing < 0.0 and kind != LEAF:
            nx, ny, nz, facing = -nx, -ny, -nz, -facing
        w = t * angle / math.sqrt(max(abs(facing), 0.08))
        r, g, b = colour[f, 0], colour[f, 1], colour[f, 2]
        mirror, glow, sheen, open_ = 0.0, 0.0, 0.0, 1.0
        if kind == GROUND:
            if nz > 0.6:
                r, g, b = _ground(x, y, dx, dy, t * angle, t * angle / max(facing, 0.02), fine, coarse, places, 0.0)
            else:
                r, g, b = 0.33, 0.33, 0.32
            i, j = int((y - places[9]) / places[10]), int((x - places[8]) / places[10])
            if 0 <= i < occlusion.shape[0] - 1 and 0 <= j < occlusion.shape[1] - 1:
                fy, fx = (y - places[9]) / places[10] - i, (x - places[8]) / places[10] - j
                open_ = ((1 - fy) * ((1 - fx) * occlusion[i, j] + fx * occlusion[i, j + 1])
                         + fy * ((1 - fx) * occlusion[i + 1, j] + fx * occlusion[i + 1, j + 1])) / 255.0  # fmt: skip
        else:
            a = wa * local[f, 0, 0] + wb * local[f, 1, 0] + wc * local[f, 2, 0]
            e = wa * local[f, 0, 1] + wb * local[f, 1, 1] + wc * local[f, 2, 1]
            c = wa * local[f, 0, 2] + wb * local[f, 1, 2] + wc * local[f, 2, 2]
            r, g, b, mirror, glow, sheen = _albedo(
                kind, x, y, z, a, e, c, w, parameters[thing[f]], signs, banners, r, g, b
            )
        cosine = nx * light[0] + ny * light[1] + nz * light[2]
        if kind == LEAF:
            # Light passes through leaves: they glow against the sun, and their shade is never black.
            cosine = 0.62 * max(cosine, 0.0) + 0.25 + 0.13 * cosine
            through = max(-(dx * light[0] + dy * light[1] + dz * light[2]), 0.0)
            cosine *= 1.0 + 0.3 * (1.0 - through)
        sun = max(cosine, 0.0) if lit[n] else (0.12 if kind == LEAF else 0.0)
        up = 0.5 + 0.5 * nz
        side = 0.25 * (1.0 - abs(nz))
        ar = open_ * (up * (0.4 * light[6] + 0.6 * light[9]) + side * light[9]) * 0.85 + (1 - up) * light[16] * 0.8
        ag = open_ * (up * (0.4 * light[7] + 0.6 * light[10]) + side * light[10]) * 0.85 + (1 - up) * light[17] * 0.8
        ab = open_ * (up * (0.4 * light[8] + 0.6 * light[11]) + side * light[11]) * 0.85 + (1 - up) * light[18] * 0.8
        r *= sun * light[3] + ar + glow * 2.2
        g *= sun * light[4] + ag + glow * 2.2
        b *= sun * light[5] + ab + glow * 2.2
        if mirror > 0.02:
            k = 2.0 * facing
            mx, my, mz = dx + k * nx, dy + k * ny, dz + k * nz
            fresnel = mirror * (0.1 + 0.9 * (1.0 - min(facing, 1.0)) ** 5) if mirror < 0.35 else mirror * (
                0.22 + 0.78 * (1.0 - min(facing, 1.0)) ** 4)  # fmt: skip
            sr, sg, sb = _mirrored(mx, my, mz, light)
            r, g, b = r + fresnel * (sr - r), g + fresnel * (sg - g), b + fresnel * (sb - b)
            if lit[n] and sheen > 0.0:
                spot = max(mx * light[0] + my * light[1] + mz * light[2], 0.0) ** 60
                r, g, b = r + sheen * spot * 2.2, g + sheen * spot * 2.1, b + sheen * spot * 1.9
        r, g, b = haze(r, g, b, t, dx, dy, dz, light)
        out[n, 0], out[n, 1], out[n, 2] = r, g, b


@fast
def aim(turn, eye, lens, u, v, out):  # type: ignore[no-untyped-def]
    """Rays (N,6) through pixels ``u``, ``v`` (N,) of a camera at ``eye`` (3,) turned by ``turn`` (3,3)."""
    for n in range(u.shape[0]):
        x, y = (u[n] - lens[0, 2]) / lens[0, 0], (v[n] - lens[1, 2]) / lens[1, 1]
        size = 1.0 / math.sqrt(x * x + y * y + 1.0)
        for axis in range(3):
            out[n, axis] = eye[axis]
            out[n, 3 + axis] = (turn[axis, 0] * x + turn[axis, 1] * y + turn[axis, 2]) * size


@fast
def feelers(rays, distance, triangle, normals, material, sun, rows, out):  # type: ignore[no-untyped-def]
    """Rays towards the sun from where ``rays`` ended, for the places that face it.

    Fills ``rows`` (N,) with the numbers of those places and ``out`` (N,6) with their rays; returns how many. A face
    turned away from the sun is dark without asking; a leaf is lit from both sides.
    """
    count = 0
    for n in range(rays.shape[0]):
        f = triangle[n]
        t = distance[n]
        if f < 0 or t > 400.0:
            continue
        nx, ny, nz = normals[f, 0, 0], normals[f, 0, 1], normals[f, 0, 2]
        cosine = nx * sun[0] + ny * sun[1] + nz * sun[2]
        side = -1.0 if nx * rays[n, 3] + ny * rays[n, 4] + nz * rays[n, 5] > 0 else 1.0
        if cosine * side < -0.05 and material[f] != LEAF:
            continue
        lift = (0.006 + 0.0004 * t) * side
        rows[count] = n
        out[count, 0] = rays[n, 0] + t * rays[n, 3] + lift * nx + 0.01 * sun[0]
        out[count, 1] = rays[n, 1] + t * rays[n, 4] + lift * ny + 0.01 * sun[1]
        out[count, 2] = rays[n, 2] + t * rays[n, 5] + lift * nz + 0.01 * sun[2]
        out[count, 3], out[count, 4], out[count, 5] = sun[0], sun[1], sun[2]
        count += 1
    return count


@fast
def edges(triangle, thing, material, distance, normals, lit, height, width, out):  # type: ignore[no-untyped-def]
    """Marks in ``out`` (height*width,) bool the pixels where one thing ends and another begins, where a face turns or
    a shadow falls."""
    for i in range(height):
        for j in range(width):
            n = i * width + j
            mark = False
            for step in (1, width):
                if (step == 1 and j + 1 == width) or (step > 1 and i + 1 == height):
                    continue
                f, h = triangle[n], triangle[n + step]
                if f >= 0 and h >= 0 and lit[n] != lit[n + step] and material[f] != LEAF and material[h] != LEAF:
                    mark = True
                elif f == h:
                    continue
                elif (
                    f < 0
                    or h < 0
                    or thing[f] != thing[h]
                    or material[f] != material[h]
                    or (material[f] != LEAF and abs(distance[n] - distance[n + step]) > 0.06 * distance[n] + 0.3)
                ):
                    mark = True
                elif material[f] != LEAF and material[f] != GROUND:
                    turn = (normals[f, 0, 0] * normals[h, 0, 0] + normals[f, 0, 1] * normals[h, 0, 1]
                            + normals[f, 0, 2] * normals[h, 0, 2])  # fmt: skip
                    mark = turn < 0.6
                if mark:
                    out[n] = True
                    out[n + step] = True
                    mark = False


@fast
def develop(linear, grain, exposure, curve, out):  # type: ignore[no-untyped-def]
    """A camera's curve: (H,W,3) linear colours to (H,W,3) uint8, with a soft shoulder, a little vignette and grain.

    ``curve`` (n,) float32 is the last step, from linear to what a screen shows, 0..1 to 0..1.
    """
    height, width = linear.shape[0], linear.shape[1]
    last = curve.shape[0] - 1
    for i in range(height):
        for j in range(width):
            y, x = (i + 0.5) / height - 0.5, (j + 0.5) / width - 0.5
            level = exposure * (1.0 - 0.32 * (x * x + y * y))
            for c in range(3):
                k = linear[i, j, c] * level
                k = (k * (2.35 * k + 0.06)) / (k * (2.25 * k + 0.75) + 0.12)
                k = curve[int(min(max(k, 0.0), 1.0) * last + 0.5)] + grain[i, j]
                out[i, j, c] = min(max(k * 255.0 + 0.5, 0.0), 255.0)
