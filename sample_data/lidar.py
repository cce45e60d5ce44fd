"""The LiDAR: an HDL-32E's sweep, firing by firing, with its noise, its drop-outs and what each surface sends back.

The sweep is given as motion-compensated: all of it as if seen at its time stamp. Like the real files it holds a row for
every firing of every beam; where nothing came back the row lies at the sensor itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample_data.casting import Stage
from sample_data.ground_texture import KIND_REFLECTIVITY, Kind
from sample_data.materials import Material, reflectivity
from sample_data.rig import LIDAR
from sample_data.world import World
from xmodal_core.types import Bools, Doubles, Floats

BEAMS = 32
ELEVATIONS = np.radians(np.linspace(-30.67, 10.67, BEAMS))
"""Radians, lowest beam first: 1.333 degrees apart."""
REACH = 100.0
"""Metres beyond which nothing comes back."""
RANGE_NOISE = 0.018
_FIRINGS = 1085
_START = np.radians(-172.0)
_NOTHING = np.array([-0.0005, -0.4518, -0.0145], dtype=np.float32)
_GAIN = 255.0


@dataclass(frozen=True)
class Sweep:
    """One turn of the LiDAR.

    Args:
        rows: (N,5) float32 x, y, z in the sensor's coordinates, intensity 0..255, ring 0..31; row i has ring i % 32.
        thing: (N,) int32, what was hit; -1 for no return.
        kind: (N,) uint8 ``ground_texture.Kind`` where the ground was hit.
        returned: (N,) bool.
    """

    rows: Floats
    thing: NDArray[np.int32]
    kind: NDArray[np.uint8]
    returned: Bools


def sweep(world: World, stage: Stage, car: Doubles, rng: np.random.Generator) -> Sweep:
    """A sweep of the world as it stands on the stage, from the car at pose ``car`` (4,4)."""
    firings = _FIRINGS + int(rng.integers(-2, 3))
    directions = _directions(firings, rng)
    pose = car @ LIDAR.transform
    rays = np.empty((len(directions), 6), dtype=np.float32)
    rays[:, :3] = pose[:3, 3]
    rays[:, 3:] = directions @ pose[:3, :3].T
    hits = stage.cast(rays)
    hit = hits.triangle >= 0
    triangle = np.maximum(hits.triangle, 0)
    surfaces = stage.surfaces
    places = rays[:, :3] + np.where(hit, hits.distance, 0.0)[:, None] * rays[:, 3:]
    kind = world.fine.kind_at(places[:, 0].astype(np.float64), places[:, 1].astype(np.float64))
    kind[np.abs(surfaces.normals[triangle, 0, 2]) < 0.6] = Kind.KERB
    cosine = np.abs(np.einsum("nd,nd->n", surfaces.normals[triangle, 0], rays[:, 3:]))
    material = surfaces.material[triangle]
    power = reflectivity()[material] * np.where(material == Material.GROUND, KIND_REFLECTIVITY[kind] / 0.06, 1.0)
    power = power * _tint(surfaces.colour[triangle], material)
    echo = power * (0.15 + 0.85 * cosine) / (1.0 + (hits.distance / 45.0) ** 2)
    returned = hit & (hits.distance < REACH) & _comes_back(echo, material, hits.distance, cosine, rng)
    distance = hits.distance + rng.normal(0.0, RANGE_NOISE, len(hits.distance)).astype(np.float32)
    leafy = material == Material.LEAF
    distance[leafy] += rng.normal(0.0, 0.03, int(leafy.sum())).astype(np.float32)
    rows = np.empty((len(directions), 5), dtype=np.float32)
    rows[:, :3] = np.where(returned[:, None], directions * distance[:, None], _NOTHING)
    strength = _GAIN * echo * rng.lognormal(0.0, 0.22, len(echo))
    stray = rng.integers(0, 8, len(echo))
    rows[:, 3] = np.where(returned, np.clip(np.round(strength), 0, 255), stray)
    rows[:, 4] = np.tile(np.arange(BEAMS), firings)
    thing = np.where(returned, surfaces.thing[triangle], -1).astype(np.int32)
    return Sweep(rows, thing, kind, returned)


def _directions(firings: int, rng: np.random.Generator) -> Floats:
    # (firings*32, 3) unit vectors, azimuth falling, beams 0..31 in turn within a firing; the beams of one firing
    # leave one after another while the head turns on.
    step = 2 * np.pi / _FIRINGS
    azimuth = _START + rng.uniform(-0.02, 0.02) - np.arange(firings)[:, None] * step - np.arange(BEAMS) / BEAMS * step
    azimuth = azimuth.ravel()
    elevation = np.tile(ELEVATIONS, firings)
    flat = np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1).astype(np.float32)


def _tint(colour: Floats, material: NDArray[np.uint8]) -> Floats:
    # Dark paint and dark cloth send less back than white ones.
    bright = colour.mean(axis=1)
    coloured = np.isin(
        material,
        [
            Material.PAINT,
            Material.CABIN,
            Material.CLOTH,
            Material.CARGO,
            Material.COACH,
            Material.PLAIN,
            Material.FACADE,
        ],
    )
    return np.where(coloured, 0.3 + 1.6 * bright, 1.0).astype(np.float32)


def _comes_back(
    echo: Floats, material: NDArray[np.uint8], distance: Floats, cosine: Floats, rng: np.random.Generator
) -> Bools:
    # Weak echoes fade into noise, glass lets most light through, and a few firings fail for no reason.
    chance = 1.0 - np.exp(-echo / 0.0012)
    chance = np.where(np.isin(material, [Material.GLASS]), 0.3, chance)
    return np.asarray(rng.random(len(echo)) < chance * 0.985)
