"""Smooth random patterns, compiled: the grain of every surface and the clouds."""

from __future__ import annotations

import math

import numpy as np

from sample_data.compiled import inner


@inner
def hash2(x, y):  # type: ignore[no-untyped-def]
    """0..1 for a whole-numbered place in the plane."""
    h = np.uint32(x) * np.uint32(374761393) + np.uint32(y) * np.uint32(668265263)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(2246822519)
    return np.float32(((h ^ (h >> np.uint32(15))) & np.uint32(0xFFFFFF)) * np.float32(1.0 / 16777216.0))


@inner
def value2(x, y):  # type: ignore[no-untyped-def]
    """0..1, smooth, with features one unit wide."""
    ix, iy = math.floor(x), math.floor(y)
    fx, fy = np.float32(x - ix), np.float32(y - iy)
    fx, fy = fx * fx * (np.float32(3) - 2 * fx), fy * fy * (np.float32(3) - 2 * fy)
    i, j = np.int64(ix), np.int64(iy)
    a, b = hash2(i, j), hash2(i + 1, j)
    c, d = hash2(i, j + 1), hash2(i + 1, j + 1)
    low, high = a + (b - a) * fx, c + (d - c) * fx
    return np.float32(low + (high - low) * fy)


@inner
def fractal2(x, y, octaves):  # type: ignore[no-untyped-def]
    """0..1: ``octaves`` of ``value2``, each twice as fine and half as strong."""
    total, weight, scale = np.float32(0), np.float32(0), np.float32(1)
    for octave in range(octaves):
        total += scale * value2(x + 17.3 * octave, y - 9.7 * octave)
        weight += scale
        scale *= np.float32(0.5)
        x *= 2.03
        y *= 2.03
    return np.float32(total / weight)


@inner
def value3(x, y, z):  # type: ignore[no-untyped-def]
    """0..1, smooth, in space."""
    iz = math.floor(z)
    f = np.float32(z - iz)
    f = f * f * (np.float32(3) - 2 * f)
    k = iz * 57.31
    low, high = value2(x + k, y - k), value2(x + k + 57.31, y - k - 57.31)
    return np.float32(low + (high - low) * f)


@inner
def coverage(x, low, high, width):  # type: ignore[no-untyped-def]
    """The share of a sample ``width`` wide around ``x`` that lies between ``low`` and ``high``: a stripe's colour
    without jagged edges at any distance."""
    half = np.float32(0.5) * max(width, np.float32(1e-5))
    inside = min(x + half, high) - max(x - half, low)
    return np.float32(min(max(inside / (2 * half), 0.0), 1.0))


@inner
def stripes(x, period, low, high, width):  # type: ignore[no-untyped-def]
    """``coverage`` of a stripe from ``low`` to ``high`` that comes again each ``period``; far away its mean."""
    if width > 0.7 * period:
        return np.float32((high - low) / period)
    x = x - period * math.floor(x / period)
    return np.float32(
        min(
            coverage(x, low, high, width)
            + coverage(x - period, low, high, width)
            + coverage(x + period, low, high, width),
            1.0,
        )
    )
