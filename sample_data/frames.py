"""One keyframe: cast all its sensors, write its files, and note what the tables will say of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sample_data import cameras, lidar
from sample_data.casting import Stage
from sample_data.ground_texture import Kind
from sample_data.labels import CATEGORIES, GROUND_CATEGORY, attribute_of
from sample_data.rig import CAMERAS, LIDAR, Mount
from sample_data.seeds import generator
from sample_data.settings import DriveSettings
from sample_data.site import Thing
from sample_data.world import KEYFRAME, Moment, World, ego_mesh
from xmodal_core.geometry import quaternion_from_rotation, rigid
from xmodal_core.types import Doubles, Floats, Ints

EPOCH = 1_600_000_000
"""Time stamp of the first scene's beginning, seconds."""
QUALITY = 92
_ANNOTATED = 80.0  # metres around the car within which things are annotated
_LEAST_PIXELS = 30
_PROBES = 48


@dataclass(frozen=True)
class Shot:
    """A camera's picture, where it was taken, and how many pixels show each thing, (things,) from the ground's on."""

    mount: Mount
    car: Doubles
    lens: Doubles
    picture: cameras.Picture
    pixels: Ints


def time_of(frame: int) -> float:
    """Seconds of keyframe number ``frame`` in its scene."""
    return frame * KEYFRAME


def stamp(scene: int, seconds: float) -> int:
    """Microseconds as the tables have them."""
    return (EPOCH + 1000 * scene) * 1_000_000 + round(seconds * 1e6)


def filename(scene: int, channel: str, timestamp: int) -> str:
    """Where a sensor's file lies in the drive's folder."""
    suffix = ".pcd.bin" if channel == LIDAR.channel else ".jpg"
    return f"samples/{channel}/s{scene + 1:04d}__{channel}__{timestamp}{suffix}"


def make(world: World, stage: Stage, folder: Path, settings: DriveSettings, scene: int, frame: int) -> dict[str, Any]:
    """Write keyframe ``frame`` of ``scene`` under ``folder``; gives what ``tables`` needs to know of it."""
    from PIL import Image

    shots = [shoot(world, stage, settings, scene, frame, mount) for mount in CAMERAS]
    sensors = {}
    for shot in shots:
        moment = stamp(scene, time_of(frame) + shot.mount.delay)
        path = folder / filename(scene, shot.mount.channel, moment)
        Image.fromarray(shot.picture.image).save(path, quality=QUALITY, subsampling=1)
        sensors[shot.mount.channel] = {"timestamp": moment, "pose": _pose(world.to_global @ shot.car)}
    time = time_of(frame)
    moment_, sweep = spin(world, stage, settings, scene, frame)
    sweep.rows.tofile(folder / filename(scene, LIDAR.channel, stamp(scene, time)))
    sensors[LIDAR.channel] = {"timestamp": stamp(scene, time), "pose": _pose(world.to_global @ world.car(time))}
    return {
        "scene": scene,
        "frame": frame,
        "sensors": sensors,
        "points": point_labels(world, sweep).tobytes().hex(),
        "boxes": _boxes(world, moment_, sweep, shots, time),
    }


def shoot(world: World, stage: Stage, settings: DriveSettings, scene: int, frame: int, mount: Mount) -> Shot:
    """One camera's picture of a keyframe, at the camera's own time."""
    size = (settings.image_width, settings.image_height)
    time = time_of(frame) + mount.delay
    moment = world.moment(time)
    stage.move(moment.meshes, moment.numbers)
    rng = generator(settings.seed, scene, "grain", frame, mount.channel)
    grain = rng.standard_normal((size[1], size[0]), dtype=np.float32) * np.float32(0.006)
    car = world.car(time)
    picture = cameras.take(world, stage, moment, mount, car, size, grain)
    pixels = np.bincount(picture.thing.ravel() + 1, minlength=len(world.categories) + 1)[1:]
    return Shot(mount, car, mount.intrinsics(*size), picture, pixels)


def spin(world: World, stage: Stage, settings: DriveSettings, scene: int, frame: int) -> tuple[Moment, lidar.Sweep]:
    """The LiDAR's sweep of a keyframe, which also meets the ego car itself."""
    time = time_of(frame)
    moment = world.moment(time)
    car = world.car(time)
    own = ego_mesh().moved(car[:3, :3], car[:3, 3])
    stage.move([*moment.meshes, own], [*moment.numbers, len(world.categories)])
    return moment, lidar.sweep(world, stage, car, generator(settings.seed, scene, "lidar", frame))


def point_labels(world: World, sweep: lidar.Sweep) -> np.ndarray:
    """(N,) uint8 lidarseg category of each row of a sweep; rows without a return are noise."""
    names = (*world.categories, "vehicle.ego")
    table = np.array([CATEGORIES.index(name) for name in names], dtype=np.uint8)
    ground = np.array([CATEGORIES.index(GROUND_CATEGORY[Kind(k)]) for k in range(len(Kind))], dtype=np.uint8)
    label = np.where(sweep.thing > 0, table[np.maximum(sweep.thing, 0)], ground[sweep.kind])
    return np.where(sweep.returned, label, CATEGORIES.index("noise")).astype(np.uint8)


def _pose(transform: Doubles) -> dict[str, list[float]]:
    return {
        "translation": [float(v) for v in transform[:3, 3]],
        "rotation": list(quaternion_from_rotation(transform[:3, :3])),
    }


def _boxes(world: World, moment: Moment, sweep: lidar.Sweep, shots: list[Shot], time: float) -> list[dict[str, Any]]:
    from scipy.spatial import cKDTree

    car = world.car(time)
    points = sweep.rows[sweep.returned, :3].astype(np.float64)
    inside = car @ LIDAR.transform
    points = points @ inside[:3, :3].T + inside[:3, 3]
    tree = cKDTree(points[:, :2])
    rows = []
    for thing in world.things:
        if not thing.labelled:
            continue
        pose = world.pose(thing, moment)
        if np.hypot(*(pose[:2, 3] - car[:2, 3])) > _ANNOTATED:
            continue
        count = _count(points[tree.query_ball_point(pose[:2, 3], _reach(thing))], pose, thing)
        seen, share = _visible(thing, pose, time, shots)
        if count == 0 and seen < _LEAST_PIXELS:
            continue
        rows.append(_box_row(world, thing, pose, time, count, share))
    return rows


def _box_row(world: World, thing: Thing, pose: Doubles, time: float, count: int, share: float) -> dict[str, Any]:
    length, width, height = _size(thing)
    centre = world.to_global @ pose @ rigid(np.eye(3), (0.0, 0.0, height / 2))
    return {
        "thing": thing.number,
        "category": thing.model.category,
        "attribute": attribute_of(thing, time),
        "size": [width, length, height],
        "points": count,
        "visibility": str(1 + int(np.searchsorted([0.4, 0.6, 0.8], share, side="right"))),
        **_pose(centre),
    }


def _size(thing: Thing) -> tuple[float, float, float]:
    # Length, width, height as the tables have them, whole millimetres.
    length, width, height = thing.model.size or (0.0, 0.0, 0.0)
    return round(length, 3), round(width, 3), round(height, 3)


def _reach(thing: Thing) -> float:
    # No place in the box is further from its middle than this in x and y, however it leans.
    return float(np.linalg.norm(_size(thing)))


def _count(points: Doubles, pose: Doubles, thing: Thing) -> int:
    # Those of ``points`` within the box.
    length, width, height = _size(thing)
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    within = (np.abs(local[:, 0]) <= length / 2) & (np.abs(local[:, 1]) <= width / 2)
    return int((within & (local[:, 2] >= 0) & (local[:, 2] <= height)).sum())


def _visible(thing: Thing, pose: Doubles, time: float, shots: list[Shot]) -> tuple[int, float]:
    # Pixels that show the thing in all pictures together, and the share of it, as far as it lies within a picture,
    # that nothing else hides.
    places = _probes(thing, pose, time)
    pixels, free, hidden = 0, 0, 0
    for shot in shots:
        eye = shot.car @ shot.mount.transform
        local = (places - eye[:3, 3]) @ eye[:3, :3]
        ahead = local[:, 2] > 0.3
        if not ahead.any():
            continue
        pixels += int(shot.pixels[thing.number])
        u = np.round(local[ahead, 0] / local[ahead, 2] * shot.lens[0, 0] + shot.lens[0, 2]).astype(int)
        v = np.round(local[ahead, 1] / local[ahead, 2] * shot.lens[1, 1] + shot.lens[1, 2]).astype(int)
        high, wide = shot.picture.thing.shape
        within = (u >= 0) & (v >= 0) & (u < wide) & (v < high)
        u, v, far = u[within], v[within], np.linalg.norm(local[ahead][within], axis=1)
        own = shot.picture.thing[v, u] == thing.number
        before = ~own & (shot.picture.distance[v, u] < far - 0.3)
        free += int((~before).sum())
        hidden += int(before.sum())
    return pixels, free / max(free + hidden, 1)


def _probes(thing: Thing, pose: Doubles, time: float) -> Floats:
    corners = thing.mesh(time, pose).corners
    step = max(len(corners) // _PROBES, 1)
    return np.asarray(corners[::step].mean(axis=1), dtype=np.float32)


__all__ = ["Shot", "filename", "make", "point_labels", "shoot", "spin", "stamp", "time_of"]
