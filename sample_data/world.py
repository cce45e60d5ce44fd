"""One scene of the drive: the street, what stands and what moves in it, and the light, put together from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sample_data import kerbside, lanes, maps, walkers
from sample_data.atmosphere import Daylight, daylight
from sample_data.casting import Stage
from sample_data.ground import ground_mesh, median_mesh
from sample_data.ground_texture import Texture, paint
from sample_data.materials import Material
from sample_data.meshes import Mesh, box, frustum, join
from sample_data.roads import Roads, SideRoad, lay
from sample_data.scenery import furnish
from sample_data.seeds import generator
from sample_data.shadows import Occlusion, Swept
from sample_data.site import Site, Thing
from sample_data.styles import Style, style_of
from sample_data.traffic import EGO_START, Plan, Traffic, plan
from xmodal_core.types import Bools, Doubles, Floats

KEYFRAME = 0.5
"""Seconds between keyframes."""
_FINE, _COARSE = 0.055, 0.25  # metres a texel of the ground near the drive and far from it
LEVELS_FINE, LEVELS_COARSE = 5, 3
"""How many pictures of falling fineness there are of the ground near the drive and far from it."""
_SEEN = 140.0  # metres beyond which what moves is left out
_NEAREST = 0.2  # metres before a camera within which nothing ever comes
_EDGES = np.array([(i, i | bit) for i in range(8) for bit in (1, 2, 4) if not i & bit])  # of a box, by its corners


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
        for corners in (self.corners - pose[:3, 3]) @ pose[:3, :3]:
            seen = _before_lens(corners)
            if not len(seen):
                continue
            u = seen[:, 0] / seen[:, 2] * lens[0, 0] + lens[0, 2]
            v = seen[:, 1] / seen[:, 2] * lens[1, 1] + lens[1, 2]
            u0, u1 = np.clip((u.min() - 2, u.max() + 3), 0, width).astype(int)
            v0, v1 = np.clip((v.min() - 2, v.max() + 3), 0, height).astype(int)
            mask[v0:v1, u0:u1] = True
        return mask


def _before_lens(corners: Doubles) -> Doubles:
    # Corners of the part of a box (8,3) that lies further than _NEAREST before the camera; none if all of it is behind.
    depth = corners[:, 2]
    before = depth >= _NEAREST
    if before.all() or not before.any():
        return corners[before]
    cut = _EDGES[before[_EDGES[:, 0]] != before[_EDGES[:, 1]]]
    a, b = corners[cut[:, 0]], corners[cut[:, 1]]
    share = (_NEAREST - a[:, 2:]) / (b[:, 2:] - a[:, 2:])
    return np.concatenate([corners[before], a + share * (b - a)])


@dataclass(frozen=True)
class World:
    """One scene.

    Args:
        style: the kind of street.
        roads: its geometry, in the scene's flat coordinates.
        things: all that is in it but the ground; ``things[number - 1]``.
        moving: those of them that move.
        rest: thing number to (4,4) pose of those that stand.
        drive: the ego car's way through it.
        standing: triangles that never move; ``owner`` (F,) int32 the thing of each.
        parameters: (T,``PARAMETERS``) float32 for ``shading``.
        categories: nuScenes category of each thing number.
        fine, coarse: the ground's pictures.
        places: (11,) float64 where they lie (see ``shading.shade``).
        daylight: the light.
        bounds: x0, y0, x1, y1 of it all.
        to_global: (4,4) from the scene's coordinates to its map's.
    """

    style: Style
    roads: Roads
    things: tuple[Thing, ...]
    moving: tuple[Thing, ...]
    rest: dict[int, Doubles]
    drive: Plan
    standing: Mesh
    owner: np.ndarray
    parameters: Floats
    categories: tuple[str, ...]
    fine: Texture
    coarse: Texture
    places: Doubles
    daylight: Daylight
    bounds: tuple[float, float, float, float]
    to_global: Doubles
    shade: Occlusion

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
        for thing in self.moving:
            pose = thing.motion.pose(time)
            poses[thing.number] = pose
            if np.hypot(*(pose[:2, 3] - here)) < _SEEN:
                meshes.append(thing.mesh(time, pose))
                numbers.append(thing.number)
                corners.append(thing.model.bounds @ pose[:3, :3].T + pose[:3, 3])
        shapes = [(poses[n], self.things[n - 1].model.size or (1.0, 1.0, 1.0)) for n in numbers]
        swept = Swept(shapes, self.daylight.sun, self.coarse.x, self.coarse.y, self._extent())
        around = np.array(corners, dtype=np.float64).reshape(-1, 8, 3)
        return Moment(time, poses, meshes, numbers, self.shade.with_moving(shapes), swept, around)

    def pose(self, thing: Thing, moment: Moment) -> Doubles:
        """(4,4) a thing's pose at a moment, whether it stands or moves."""
        return moment.poses[thing.number] if thing.number in moment.poses else self.rest[thing.number]

    def _extent(self) -> tuple[float, float]:
        h, w, _ = self.coarse.levels[0].shape
        return w * self.coarse.texel, h * self.coarse.texel


@dataclass(frozen=True)
class Layout:
    """A scene's street with everybody in it, before anything is painted.

    Args:
        site: what stands and moves, along its roads.
        drive: the ego car's way.
        lots: (L,4) what lies behind the sidewalks, see ``ground_texture.paint``.
        near: from and to which s of the main road the ego car drives.
    """

    site: Site
    drive: Plan
    lots: Doubles
    near: tuple[float, float]


def lay_out(seed: int, scene: int, frames: int) -> Layout:
    """The street of scene number ``scene`` (0-based), long enough for ``frames`` keyframes."""
    style = style_of(scene)
    rng = generator(seed, scene, "roads")
    seconds = frames * KEYFRAME
    travel = style.speed * seconds
    roads = lay(style, EGO_START + travel + 190.0, _mouths(style, travel, rng), rng)
    site = Site(roads)
    near = (EGO_START, EGO_START + travel)
    lots = furnish(site, near, generator(seed, scene, "scenery"))
    drive = plan(site, seconds, _red_light(roads))
    kerbside.put_signals(site, drive)
    _populate(Traffic(site, drive, generator(seed, scene, "traffic")))
    return Layout(site, drive, lots, near)


def build(seed: int, scene: int, frames: int) -> World:
    """Scene number ``scene`` (0-based) of the drive with ``seed``, ready for its sensors."""
    layout = lay_out(seed, scene, frames)
    site, roads = layout.site, layout.site.roads
    bounds = _bounds(roads)
    grain = seed + 31 * scene
    fine = paint(roads, layout.lots, _near_bounds(roads, layout.near), _FINE, LEVELS_FINE, grain)
    coarse = paint(roads, layout.lots, bounds, _COARSE, LEVELS_COARSE, grain)
    rest = {thing.number: thing.motion.pose(0.0) for thing in site.standing}
    standing, owner = _standing_mesh(site, rest, bounds)
    shade = Occlusion(fine, [(rest[thing.number], thing.model) for thing in site.standing])
    return World(
        style=roads.style,
        roads=roads,
        things=tuple(sorted((*site.standing, *site.moving), key=lambda thing: thing.number)),
        moving=tuple(site.moving),
        rest=rest,
        drive=layout.drive,
        standing=standing,
        owner=owner,
        parameters=site.parameters(),
        categories=tuple(site.categories()),
        fine=fine,
        coarse=coarse,
        places=_places(fine, coarse, shade),
        daylight=daylight(roads.style, generator(seed, scene, "light")),
        bounds=bounds,
        to_global=maps.place(bounds, float(generator(seed, scene, "place").uniform(-np.pi, np.pi))),
        shade=shade,
    )


def _places(fine: Texture, coarse: Texture, shade: Occlusion) -> Doubles:
    h, w, _ = fine.levels[0].shape
    far = (fine.x + w * fine.texel, fine.y + h * fine.texel)
    corner = (coarse.x, coarse.y, coarse.texel, shade.x, shade.y, shade.cell)
    return np.array([fine.x, fine.y, fine.texel, *far, *corner])


def _populate(traffic: Traffic) -> None:
    # In order of right of way.
    kerbside.fill_works(traffic)
    kerbside.fill_dig(traffic)
    lanes.fill_lanes(traffic)
    lanes.fill_side_roads(traffic)
    walkers.fill_crossings(traffic)
    lanes.fill_cycle_lanes(traffic)
    kerbside.fill_parking(traffic)
    walkers.fill_sidewalks(traffic)


def _mouths(style: Style, travel: float, rng: np.random.Generator) -> list[tuple[float, bool, bool]]:
    # Side roads as (s, left, right): one behind, a crossing on the way, a T-junction and a crossing further on, and
    # more of both along a long drive.
    first = EGO_START + style.junction + float(rng.uniform(-5, 5))
    left = bool(rng.random() < 0.5)
    mouths = [(EGO_START - 58.0, True, True), (first, True, True)]
    s, tee = first + 92.0, True
    while s < EGO_START + travel + 150.0:
        mouths.append((s, left or not tee, not left or not tee))
        s, tee = s + (58.0 if tee else 92.0), not tee
    return mouths


def _red_light(roads: Roads) -> SideRoad | None:
    # In some streets the ego car comes to a red light.
    return roads.sides[1] if roads.style.red else None


def _bounds(roads: Roads) -> tuple[float, float, float, float]:
    return -90.0, -125.0, roads.length + 90.0, 125.0


def _near_bounds(roads: Roads, near: tuple[float, float]) -> tuple[float, float, float, float]:
    y = roads.at(np.linspace(near[0] - 40, near[1] + 70, 40))[:, 1]
    return near[0] - 42.0, float(y.min()) - 30.0, near[1] + 78.0, float(y.max()) + 30.0


def _standing_mesh(
    site: Site, rest: dict[int, Doubles], bounds: tuple[float, float, float, float]
) -> tuple[Mesh, np.ndarray]:
    meshes = [ground_mesh(site.roads, bounds), median_mesh(site.roads)]
    owners = [0, 0]
    for thing in site.standing:
        meshes.append(thing.mesh(0.0, rest[thing.number]))
        owners.append(thing.number)
    return join(meshes), np.repeat(np.array(owners, dtype=np.int32), [len(mesh) for mesh in meshes])


def ego_mesh() -> Mesh:
    """The ego car as its own LiDAR sees it: the roof, which hides the ground close by ahead and behind, and the rack.

    All of it lies within a metre of the sensor in x and y, where readers drop points. The cameras look past it.
    """
    low = np.array([(-0.03, -0.62), (1.9, -0.62), (1.9, 0.62), (-0.03, 0.62)])
    top = np.array([(0.05, -0.5), (1.82, -0.5), (1.82, 0.5), (0.05, 0.5)])
    roof = frustum(low, top, 1.3, 1.5, Material.PLAIN, (0.6, 0.6, 0.6))
    rack = box((0.94, 0, 1.62), (0.16, 0.16, 0.26), Material.PLAIN, (0.05, 0.05, 0.05))
    return join([roof, rack])
