"""One scene of the drive: the street, what stands and what moves in it, and the light, put together from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sample_data.atmosphere import Daylight, daylight
from sample_data.casting import Stage
from sample_data.ground import ground_mesh, median_mesh
from sample_data.ground_texture import Texture, paint
from sample_data.materials import Material
from sample_data.meshes import Mesh, box, frustum, join
from sample_data.roads import Roads, lay
from sample_data.scenery import furnish
from sample_data.seeds import generator
from sample_data.shadows import Occlusion, Swept
from sample_data.site import Site, Thing
from sample_data.styles import Style, style_of
from sample_data.traffic import EGO_START, Plan, Traffic, plan
from xmodal_core.geometry import rigid, rotation_z
from xmodal_core.types import Bools, Doubles, Floats

KEYFRAME = 0.5
"""Seconds between keyframes."""
_SEEN = 140.0  # metres beyond which what moves is left out


@dataclass(frozen=True)
class Moment:
    """The moving things at one time.

    Args:
        time: seconds.
        poses: thing number to its (4,4) pose.
        meshes, numbers: their triangles where they are now, and whose they are.
        occlusion: (H,W) uint8, how much sky the ground sees.
        swept: where their shadows may fall.
        corners: (M,8,3) corners of boxes around them.
    """

    time: float
    poses: dict[int, Doubles]
    meshes: list[Mesh]
    numbers: list[int]
    occlusion: np.ndarray
    swept: Swept
    corners: Doubles

    def near(self, pose: Doubles, lens: Doubles, width: int, height: int) -> Bools:
        """(H,W) bool: pixels whose ray may meet a moving thing, for a camera at ``pose`` (4,4) with ``lens`` (3,3)."""
        mask = np.zeros((height, width), dtype=np.bool_)
        inward = (self.corners - pose[:3, 3]) @ pose[:3, :3]
        for corners in inward:
            if corners[:, 2].max() < 0.3:
                continue
            depth = np.maximum(corners[:, 2], 0.3)
            u = corners[:, 0] / depth * lens[0, 0] + lens[0, 2]
            v = corners[:, 1] / depth * lens[1, 1] + lens[1, 2]
            if corners[:, 2].min() < 0.5:
                u0, u1, v0, v1 = 0, width, 0, height
            else:
                u0, u1 = max(int(u.min()) - 2, 0), min(int(u.max()) + 3, width)
                v0, v1 = max(int(v.min()) - 2, 0), min(int(v.max()) + 3, height)
            if u1 > u0 and v1 > v0:
                mask[v0:v1, u0:u1] = True
        return mask


@dataclass(frozen=True)
class World:
    """One scene.

    Args:
        style: the kind of street.
        roads: its geometry, in the scene's flat coordinates.
        things: all that is in it but the ground; ``things[number - 1]``.
        drive: the ego car's way through it.
        standing: triangles that never move; ``owner`` (F,) int32 the thing of each.
        parameters: (T,16) float32 for ``shading``.
        categories: nuScenes category of each thing number.
        fine, coarse: the ground's pictures.
        places: (11,) float64 where they lie (see ``shading.shade``).
        daylight: the light.
        to_global: (4,4) from the scene's coordinates to the data set's map.
    """

    style: Style
    roads: Roads
    things: tuple[Thing, ...]
    drive: Plan
    standing: Mesh
    owner: np.ndarray
    parameters: Floats
    categories: tuple[str, ...]
    fine: Texture
    coarse: Texture
    places: Doubles
    daylight: Daylight
    to_global: Doubles
    shade: Occlusion

    @property
    def moving(self) -> tuple[Thing, ...]:
        return tuple(thing for thing in self.things if thing.number > len(self.things) - self._moving_count)

    @property
    def _moving_count(self) -> int:
        return sum(1 for thing in self.things if not _stands(thing))

    def car(self, time: float) -> Doubles:
        """(4,4) the ego car's pose: its origin on the ground under the rear axle."""
        return self.drive.ego.pose(time)

    def stage(self) -> Stage:
        """What stands, ready for rays."""
        return Stage(self.standing, self.owner)

    def moment(self, time: float) -> Moment:
        """What moves, at ``time`` seconds."""
        here = self.car(time)[:2, 3]
        poses, meshes, numbers, corners = {}, [], [], []
        for thing in self.things:
            if _stands(thing):
                continue
            pose = thing.motion.pose(time)
            poses[thing.number] = pose
            if np.hypot(*(pose[:2, 3] - here)) > _SEEN:
                continue
            mesh = thing.mesh(time, pose)
            meshes.append(mesh)
            numbers.append(thing.number)
            low, high = mesh.corners.min(axis=(0, 1)), mesh.corners.max(axis=(0, 1))
            corners.append(
                [
                    [(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]]
                    for i in (0, 1)
                    for j in (0, 1)
                    for k in (0, 1)
                ]
            )
        shapes = [(poses[n], self.things[n - 1].model.size or (1.0, 1.0, 1.0)) for n in numbers]
        return Moment(
            time, poses, meshes, numbers, self.shade.with_moving(shapes),
            Swept(shapes, self.daylight.sun, self.coarse.x, self.coarse.y, self._extent()),
            np.array(corners, dtype=np.float64).reshape(-1, 8, 3),
        )  # fmt: skip

    def _extent(self) -> tuple[float, float]:
        h, w, _ = self.coarse.levels[0].shape
        return w * self.coarse.texel, h * self.coarse.texel


def _stands(thing: Thing) -> bool:
    from sample_data.motion import Standing

    return isinstance(thing.motion, Standing)


def build(seed: int, scene: int, frames: int) -> World:
    """Scene number ``scene`` (0-based) of the drive with ``seed``, long enough for ``frames`` keyframes."""
    style = style_of(scene)
    rng = generator(seed, scene, "world")
    seconds = frames * KEYFRAME
    travel = style.speed * seconds
    length = EGO_START + travel + 190.0
    roads = lay(style, length, _mouths(style, travel, rng), rng)
    site = Site(roads)
    near = (EGO_START, EGO_START + travel)
    lots = furnish(site, near, generator(seed, scene, "scenery"))
    red = _red_light(style, roads)
    drive = plan(site, seconds, red)
    Traffic(site, drive, generator(seed, scene, "traffic")).fill()
    bounds = _bounds(roads)
    fine = paint(roads, lots, _near_bounds(roads, near), 0.055, 5, seed + 31 * scene)
    coarse = paint(roads, lots, bounds, 0.25, 3, seed + 31 * scene)
    standing, owner = _standing_mesh(site, bounds)
    light = daylight(style, generator(seed, scene, "light"))
    shade = Occlusion(fine, [(t.motion.pose(0.0), t.model) for t in site.standing])
    h, w, _ = fine.levels[0].shape
    places = np.array(
        [fine.x, fine.y, fine.texel, fine.x + w * fine.texel, fine.y + h * fine.texel, coarse.x, coarse.y, coarse.texel,
         shade.x, shade.y, shade.cell]
    )  # fmt: skip
    return World(
        style, roads, (*site.standing, *site.moving), drive, standing, owner, site.parameters(),
        tuple(site.categories()), fine, coarse, places, light, _global(rng), shade,
    )  # fmt: skip


def _mouths(style: Style, travel: float, rng: np.random.Generator) -> list[tuple[float, bool, bool]]:
    # Side roads: one behind, a crossing on the way, a T-junction further on.
    first = EGO_START + float(rng.uniform(44, 54))
    left = bool(rng.random() < 0.5)
    return [
        (EGO_START - 58.0, True, True),
        (first, True, True),
        (first + 62.0, left, not left),
        (first + 135.0, True, True),
    ]


def _red_light(style: Style, roads: Roads):  # type: ignore[no-untyped-def]
    if style.setback >= 1.0 or style.lanes > 1:
        return None
    return roads.sides[1]


def _bounds(roads: Roads) -> tuple[float, float, float, float]:
    return -90.0, -125.0, roads.length + 90.0, 125.0


def _near_bounds(roads: Roads, near: tuple[float, float]) -> tuple[float, float, float, float]:
    y = roads.at(np.linspace(near[0] - 40, near[1] + 70, 40))[:, 1]
    return near[0] - 42.0, float(y.min()) - 30.0, near[1] + 78.0, float(y.max()) + 30.0


def _standing_mesh(site: Site, bounds: tuple[float, float, float, float]) -> tuple[Mesh, np.ndarray]:
    meshes = [ground_mesh(site.roads, bounds), median_mesh(site.roads)]
    owners = [0, 0]
    for thing in site.standing:
        meshes.append(thing.mesh(0.0, thing.motion.pose(0.0)))
        owners.append(thing.number)
    return join(meshes), np.repeat(np.array(owners, dtype=np.int32), [len(mesh) for mesh in meshes])


def _global(rng: np.random.Generator) -> Doubles:
    return rigid(
        rotation_z(float(rng.uniform(-np.pi, np.pi))),
        (float(rng.uniform(400, 1600)), float(rng.uniform(400, 1600)), 0.0),
    )


def ego_mesh() -> Mesh:
    """The ego car as its own LiDAR sees it: hood, roof and the rack under the sensor; its cameras look past it."""
    body = box((1.35, 0, 0.62), (4.0, 1.7, 0.7), Material.PAINT, (0.6, 0.6, 0.6))
    low = np.array([(-0.35, -0.78), (1.75, -0.78), (1.75, 0.78), (-0.35, 0.78)])
    top = np.array([(0.25, -0.5), (1.35, -0.5), (1.35, 0.5), (0.25, 0.5)])
    cabin = frustum(low, top, 0.97, 1.5, Material.PLAIN, (0.6, 0.6, 0.6))
    rack = box((0.94, 0, 1.62), (0.16, 0.16, 0.26), Material.PLAIN, (0.05, 0.05, 0.05))
    return join([body, cabin, rack])
