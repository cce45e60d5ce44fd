"""The cameras: a ray for each pixel, a second one towards the sun, more of both where an edge would look jagged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample_data import atlas, shading
from sample_data.casting import Hits, Stage
from sample_data.models import PARAMETERS
from sample_data.rig import Mount
from sample_data.world import LEVELS_COARSE, LEVELS_FINE, Moment, World
from xmodal_core.types import Bools, Doubles, Floats, Image

_EXPOSURE = 0.74
_CURVE = np.linspace(0.0, 1.0, 1 << 14, dtype=np.float32) ** np.float32(1 / 2.2)
_BESIDE = ((-0.36, -0.12), (0.28, -0.32), (0.1, 0.36))  # places in a pixel beside its middle


@dataclass(frozen=True)
class Picture:
    """What one camera saw.

    Args:
        image: (H,W,3) uint8.
        thing: (H,W) int32, number of the thing that each pixel's middle shows; -1 for the sky.
        distance: (H,W) float32 metres along the pixel's ray; infinite for the sky.
    """

    image: Image
    thing: NDArray[np.int32]
    distance: Floats


def take(
    world: World, stage: Stage, moment: Moment, mount: Mount, car: Doubles, size: tuple[int, int], grain: Floats
) -> Picture:
    """A picture of the world as it stands on the stage.

    Args:
        moment: what moves, at the moment of the shot; the stage must have been set to it.
        car: (4,4) the car's pose at the moment of the shot.
        size: width, height in pixels.
        grain: (H,W) float32, the sensor's noise.
    """
    width, height = size
    pose = car @ mount.transform
    lens = mount.intrinsics(width, height)
    ray = _rays(pose, lens, *_grid(width, height, 0.0, 0.0))
    near = moment.near(pose, lens, width, height).ravel()
    hits = stage.cast(ray, near)
    lit = _in_sun(world, stage, ray, hits, moment)
    linear = _light(world, stage, ray, hits, lit, moment, 1.0 / lens[0, 0])
    surfaces = stage.surfaces
    edge = np.zeros(width * height, dtype=np.bool_)
    shading.edges(
        hits.triangle, surfaces.thing, surfaces.material, hits.distance, surfaces.normals, lit, height, width, edge
    )
    _smooth(world, stage, pose, lens, edge, near, linear, moment, width)
    image = np.empty((height, width, 3), dtype=np.uint8)
    shading.develop(linear.reshape(height, width, 3), grain, _EXPOSURE, _CURVE, image)
    seen = np.where(hits.triangle >= 0, surfaces.thing[hits.triangle], -1).astype(np.int32)
    return Picture(image, seen.reshape(height, width), hits.distance.reshape(height, width))


def compile_shading() -> None:
    """Compile the slowest part of taking pictures now, by shading no ray at all."""
    none, one = np.zeros((0, 6), np.float32), np.zeros(0, np.float32)
    whole, solid = np.zeros(0, np.int32), np.zeros((0, 3, 3), np.float32)
    levels = tuple(np.zeros((1, 1, 3), np.uint8) for _ in range(LEVELS_FINE))
    shading.shade(
        none, one, whole, one, one, np.zeros(0, np.bool_), solid, solid, np.zeros((0, 3), np.float32),
        np.zeros(0, np.uint8), whole, np.zeros((0, PARAMETERS), np.float32), levels, levels[:LEVELS_COARSE],
        np.zeros(11), np.zeros((1, 1), np.uint8), np.zeros(24, np.float32), atlas.signs(), atlas.banners(),
        np.float32(0.0), np.zeros((0, 3), np.float32),
    )  # fmt: skip


def _grid(width: int, height: int, du: float, dv: float) -> tuple[Floats, Floats]:
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    return (u + du).ravel(), (v + dv).ravel()


def _rays(pose: Doubles, lens: Doubles, u: Floats, v: Floats) -> Floats:
    rays = np.empty((len(u), 6), dtype=np.float32)
    shading.aim(pose[:3, :3].copy(), pose[:3, 3].copy(), lens, u, v, rays)
    return rays


def _light(world: World, stage: Stage, rays: Floats, hits: Hits, lit: Bools, moment: Moment, angle: float) -> Floats:
    out = np.empty((len(rays), 3), dtype=np.float32)
    surfaces = stage.surfaces
    shading.shade(
        rays, hits.distance, hits.triangle, hits.u, hits.v, lit, surfaces.normals, surfaces.local, surfaces.colour,
        surfaces.material, surfaces.thing, world.parameters, world.fine.levels, world.coarse.levels, world.places,
        moment.occlusion, world.daylight.numbers, atlas.signs(), atlas.banners(), np.float32(angle), out,
    )  # fmt: skip
    return out


def _in_sun(world: World, stage: Stage, rays: Floats, hits: Hits, moment: Moment) -> Bools:
    lit = np.zeros(len(rays), dtype=np.bool_)
    sun = world.daylight.sun.astype(np.float32)
    rows, feeler = np.empty(len(rays), dtype=np.int64), np.empty_like(rays)
    surfaces = stage.surfaces
    count = shading.feelers(rays, hits.distance, hits.triangle, surfaces.normals, surfaces.material, sun, rows, feeler)
    rows, feeler = rows[:count], feeler[:count]
    lit[rows] = ~stage.blocked(feeler, moment.swept.holds(feeler[:, 0], feeler[:, 1]))
    return lit


def _smooth(
    world: World,
    stage: Stage,
    pose: Doubles,
    lens: Doubles,
    edge: Bools,
    near: Bools,
    linear: Floats,
    moment: Moment,
    width: int,
) -> None:
    # Where an edge runs through a pixel its colour becomes the mean of four places in it, its middle one of them.
    pixel = np.flatnonzero(edge)
    if not len(pixel):
        return
    v, u = np.divmod(pixel, width)
    u4 = np.concatenate([u + du for du, _ in _BESIDE]).astype(np.float32)
    v4 = np.concatenate([v + dv for _, dv in _BESIDE]).astype(np.float32)
    rays = _rays(pose, lens, u4, v4)
    hits = stage.cast(rays, np.tile(near[pixel], len(_BESIDE)))
    lit = _in_sun(world, stage, rays, hits, moment)
    colour = _light(world, stage, rays, hits, lit, moment, 1.0 / lens[0, 0])
    # Bright sky beside a dark twig would outshine it: what the picture shows as white counts as white.
    total = np.minimum(colour, 1.6).reshape(len(_BESIDE), len(pixel), 3).sum(axis=0)
    linear[pixel] = (np.minimum(linear[pixel], 1.6) + total) / (1 + len(_BESIDE))
