"""Daylight: the sky's colours and clouds, the sun, and the haze between the eye and what it looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sample_data.compiled import inner
from sample_data.noise import fractal2
from sample_data.styles import Style
from xmodal_core.types import Doubles, Floats


@dataclass(frozen=True)
class Daylight:
    """One scene's light. Colours are linear, 1 is about the brightest white.

    Args:
        sun: (3,) unit vector towards the sun.
        numbers: (24,) float32, all of it as the compiled code takes it: sun direction, sun colour, sky colour above,
            sky colour at the horizon, cloud share, cloud offset x and y, haze length, ground bounce colour.
    """

    sun: Doubles
    numbers: Floats


def daylight(style: Style, rng: np.random.Generator) -> Daylight:
    """The light of a street of ``style``, with a little chance in the sun's place and the clouds."""
    azimuth = np.radians(style.sun[0] + rng.uniform(-12, 12))
    elevation = np.radians(style.sun[1] + rng.uniform(-3, 3))
    sun = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    warm = style.warmth
    sun_colour = np.array([2.75, 2.5 - 0.25 * warm, 2.15 - 0.75 * warm])
    zenith = np.array([0.13, 0.31, 0.78])
    horizon = np.array([0.60 + 0.16 * warm, 0.74 + 0.02 * warm, 0.94 - 0.16 * warm])
    bounce = np.array([0.20, 0.19, 0.165])
    numbers = np.r_[
        sun, sun_colour, zenith, horizon, style.cloud, rng.uniform(0, 90), rng.uniform(0, 90), style.haze, bounce
    ]
    padded = np.zeros(24, dtype=np.float32)
    padded[: len(numbers)] = numbers
    return Daylight(sun, padded)


@inner
def sky(dx, dy, dz, light, detail):  # type: ignore[no-untyped-def]
    """The sky's linear colour in a direction; ``detail`` octaves of cloud, 0 for none."""
    up = max(dz, 0.0)
    fade = math.exp(-4.2 * up)
    r = light[6] + (light[9] - light[6]) * fade
    g = light[7] + (light[10] - light[7]) * fade
    b = light[8] + (light[11] - light[8]) * fade
    toward = dx * light[0] + dy * light[1] + dz * light[2]
    if detail > 0 and dz > 0.015:
        # A layer of cumulus on a flat ceiling; its density towards the sun shades it.
        scale = 1.15 / (dz + 0.11)
        x, y = dx * scale + light[13], dy * scale + light[14]
        density = fractal2(x, y, detail)
        share = light[12]
        edge = 0.60 - 0.24 * share
        cover = min(max((density - edge) / 0.2, 0.0), 1.0)
        cover = cover * cover * (3.0 - 2.0 * cover) * min(max((dz - 0.015) * 9.0, 0.0), 1.0)
        thick = fractal2(x + 0.22 * light[0], y + 0.22 * light[1], 3)
        shade = min(max(1.06 - 1.3 * max(thick - edge, 0.0), 0.6), 1.05)
        white = 0.94 * shade
        r += cover * (white * 1.0 - r)
        g += cover * (white * 0.995 - g)
        b += cover * (white * (0.97 + 0.06 * (1.0 - shade)) - b)
    glow = max(toward, 0.0)
    halo = 0.16 * glow**8 + 0.5 * glow**90
    r += halo
    g += halo * 0.93
    b += halo * 0.78
    if toward > 0.9994:
        r, g, b = 6.0, 5.8, 5.2
    return r, g, b


@inner
def haze(r, g, b, distance, dx, dy, dz, light):  # type: ignore[no-untyped-def]
    """A colour seen through ``distance`` metres of air."""
    clear = math.exp(-distance / light[15])
    toward = max(dx * light[0] + dy * light[1] + dz * light[2], 0.0)
    lift = 1.0 + 0.25 * toward**6
    r = r * clear + (1.0 - clear) * (0.3 * light[6] + 0.66 * light[9]) * lift
    g = g * clear + (1.0 - clear) * (0.3 * light[7] + 0.66 * light[10]) * lift
    b = b * clear + (1.0 - clear) * (0.3 * light[8] + 0.66 * light[11])
    return r, g, b
