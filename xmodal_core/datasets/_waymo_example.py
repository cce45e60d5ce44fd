"""A small segment in the format of Waymo's Perception Dataset, version 2, with every trap of the real one.

The vehicle drives a bend at 8 m/s while TOP turns and the shutters roll, so that only the pose of each pixel and each
column's own time give sharp results; things of the little world stand still within a frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets import _example
from xmodal_core.datasets._waymo_classes import CAMERAS, LIDARS, SEGMENTATION
from xmodal_core.types import Bools, Doubles, Image, Ints

SPLIT, CONTEXT = "training", "1000000000000000001_000_000_020_000"
START = 1_550_000_000_000_000
"""Microseconds."""
PERIOD = 0.1
SPEED, YAW_RATE = 8.0, 0.25
"""Metres and radians a second."""
ROLL, PITCH = -0.004, 0.003

# The map's origin lies kilometres away, where a float32 has steps of a millimetre.
MAP = geometry.rigid(geometry.rotation_z(2.0), (-8211.0, 5180.0, 31.0))

TOP_SHAPE, SIDE_SHAPE = (64, 150), (20, 60)
TOP_BEAMS = np.radians(-17.6 + 20.0 * np.linspace(0, 1, 64) ** 0.8)
"""From the lowest on, unevenly, as the calibration lists them."""
SIDE_VIEW = np.radians((-90.0, 30.0))
LIDAR_POSES = {
    "TOP": geometry.rigid(geometry.rotation_z(2.58), (1.43, 0.0, 2.184)),
    "FRONT": geometry.rigid(geometry.rotation_z(0.02), (4.07, 0.0, 0.69)),
    "SIDE_LEFT": geometry.rigid(geometry.rotation_z(1.55), (3.24, 1.03, 0.98)),
    "SIDE_RIGHT": geometry.rigid(geometry.rotation_z(-1.59), (3.24, -1.03, 0.98)),
    "REAR": geometry.rigid(geometry.rotation_z(3.11), (-1.15, 0.0, 0.46)),
}

WIDTH, HEIGHTS = 192, {"FRONT": 128, "FRONT_LEFT": 128, "FRONT_RIGHT": 128, "SIDE_LEFT": 88, "SIDE_RIGHT": 88}
YAWS = dict(zip(CAMERAS, np.radians([0.0, 45.0, -45.0, 90.0, -90.0]), strict=True))
FOCAL = 206.0
LENS = {"k1": -0.25, "k2": 0.08, "p1": 0.0008, "p2": -0.0005, "k3": 0.0}
LEFT_TO_RIGHT, RIGHT_TO_LEFT = 2, 4
SHUTTER, READOUT = 0.004, 0.05
"""Seconds that a pixel is exposed, and from the first column's exposure to the last's."""

MARKER_ELEVATION = -0.1
SECOND_EVERY = 3
"""Every so many columns the edge of a thing lets half of the pulse through, to the ground behind it."""
KINDS = {"vehicle.car": 1, "human.pedestrian.adult": 2, "vehicle.truck": 1}
"""Waymo's type of the little world's things; what has none is not labelled."""
CLASSES = ("car", "pedestrian", "truck", "ignore", "car", "ignore", "building", "road")
"""What each thing is in the segmentation; at the end sky, wall and ground."""


def example(root: Path, frames: int = 2) -> Path:
    """A segment of ``frames`` frames at 10 Hz with five LiDARs, five cameras, boxes and, in every fifth frame, classes
    of TOP's points, at ``root``. Its range images are small, its pictures a tenth of the real ones.

    The point of full intensity is the marker, which FRONT shows as a magenta dot.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    _calibrations(tables)
    for number in range(frames):
        _frame(tables, number)
    for name, rows in tables.items():
        _write(root / SPLIT / name / f"{CONTEXT}.parquet", name, rows)
    return root


def vehicle_poses(time: Doubles) -> Doubles:
    """(n,6) roll, pitch, yaw in radians, x, y, z in metres of the vehicle in the little world, ``time`` in seconds."""
    yaw = YAW_RATE * time
    radius = SPEED / YAW_RATE
    rows = (
        np.full_like(time, ROLL),
        PITCH + 0.02 * time,
        yaw,
        radius * np.sin(yaw),
        radius * (1 - np.cos(yaw)),
        0 * yaw,
    )
    return np.stack(rows, axis=1)


def transforms(poses: Doubles) -> Doubles:
    """(n,4,4) of poses (n,6)."""
    from scipy.spatial.transform import Rotation

    found = np.tile(np.eye(4), (len(poses), 1, 1))
    found[:, :3, :3] = Rotation.from_euler("xyz", poses[:, :3]).as_matrix()
    found[:, :3, 3] = poses[:, 3:]
    return found


def vehicle_pose(time: float) -> Doubles:
    """(4,4) vehicle to the little world."""
    pose: Doubles = transforms(vehicle_poses(np.array([time])))[0]
    return pose


def in_map(poses: Doubles) -> Doubles:
    """Poses (n,6) in the little world as poses in the map, which is turned about z alone."""
    found = poses.copy()
    found[:, 2] += geometry.yaw_of(MAP[:3, :3])
    found[:, 3:] = poses[:, 3:] @ MAP[:3, :3].T + MAP[:3, 3]
    return found


def camera_to_vehicle(name: str) -> Doubles:
    """(4,4) with Waymo's camera axes: x along the optical axis, z up."""
    turn = geometry.rotation_z(YAWS[name])
    return geometry.rigid(turn, turn @ (0.2, 0.0, 0.0) + (1.35, 0.0, 2.1))


class Exposure(NamedTuple):
    """``trigger`` seconds when a camera's first pixels began to be exposed, whether from the ``right``."""

    trigger: float
    right: bool

    def time(self, u: Doubles) -> Doubles:
        """When the middle of the exposure of columns ``u`` was; counted from the picture's edge."""
        return np.asarray(self.trigger + SHUTTER / 2 + READOUT * ((WIDTH - u) if self.right else u) / WIDTH)

    @property
    def done(self) -> float:
        return self.trigger + SHUTTER + READOUT


def exposure(name: str, frame: int) -> Exposure:
    """Of a camera in a frame: each when TOP looks its way."""
    turned = 0.5 - YAWS[name] / (2 * np.pi)
    return Exposure(frame * PERIOD + PERIOD * float(turned) - READOUT / 2, name.endswith("LEFT"))


def see(points: Doubles, name: str, frame: int) -> tuple[Doubles, Bools]:
    """Where a camera sees ``points`` (n,3) of the little world: pixels from the picture's edge, (n,2), and whether it
    does: each at the time at which its own column was exposed."""
    shot = exposure(name, frame)
    u = np.full(len(points), WIDTH / 2)
    for _ in range(12):
        poses = transforms(vehicle_poses(shot.time(np.clip(u, 0, WIDTH)))) @ camera_to_vehicle(name)
        local = np.einsum("nji,nj->ni", poses[:, :3, :3], points - poses[:, :3, 3])
        depth = np.where(local[:, 0] > 0.1, local[:, 0], np.inf)
        x, y = _distort(-local[:, 1] / depth, -local[:, 2] / depth)
        u, v = FOCAL * x + WIDTH / 2 + 1.5, FOCAL * y + HEIGHTS[name] / 2 - 1.0
    # Far off the axis the lens's polynomial folds back.
    front = (local[:, 0] > 0.5) & (np.hypot(local[:, 1], local[:, 2]) < local[:, 0])
    return np.stack([u, v], axis=1), front & (u >= 0) & (u < WIDTH) & (v >= 0) & (v < HEIGHTS[name])


def _distort(x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    r2 = x * x + y * y
    radial = 1 + LENS["k1"] * r2 + LENS["k2"] * r2 * r2 + LENS["k3"] * r2 * r2 * r2
    return (
        x * radial + 2 * LENS["p1"] * x * y + LENS["p2"] * (r2 + 2 * x * x),
        y * radial + LENS["p1"] * (r2 + 2 * y * y) + 2 * LENS["p2"] * x * y,
    )


def _rays(name: str) -> Doubles:
    """(height, width, 3) the direction of each pixel's middle in Waymo's camera axes."""
    v, u = np.mgrid[: HEIGHTS[name], :WIDTH] + 0.5
    wanted = (u - WIDTH / 2 - 1.5) / FOCAL, (v - HEIGHTS[name] / 2 + 1.0) / FOCAL
    x, y = wanted
    for _ in range(30):
        off_x, off_y = _distort(x, y)
        x, y = x + wanted[0] - off_x, y + wanted[1] - off_y
    return np.stack([np.ones_like(x), -x, -y], axis=-1)


def _picture(name: str, frame: int) -> Image:
    """What the camera sees, each column at its own time."""
    rays = _rays(name)
    hit = np.empty(rays.shape[:2], dtype=np.int64)
    times = exposure(name, frame).time(np.arange(0.5, WIDTH))
    for column, pose in enumerate(transforms(vehicle_poses(times)) @ camera_to_vehicle(name)):
        _, hit[:, column] = _example.cast(pose[:3, 3], rays[:, column] @ pose[:3, :3].T, frame * PERIOD)
    pixels: Image = _example.colour_of(hit.ravel()).reshape(*hit.shape, 3)
    return pixels


class _Scan(NamedTuple):
    """One LiDAR in one frame: ``returns`` two range images (H,W,4), ``hit`` (H,W) what the first return is of,
    ``world`` the points (H,W,3) of either return in the little world, ``poses`` (W,6) of the vehicle in the map."""

    returns: tuple[Doubles, Doubles]
    hit: Ints
    world: tuple[Doubles, Doubles]
    poses: Doubles


def _scan(name: str, frame: int) -> _Scan:
    own = _beams(name)
    height, width = own.shape[:2]
    # The others' returns are in the vehicle's frame at the frame's time already.
    turning = np.arange(width) / width * PERIOD if name == "TOP" else np.zeros(width)
    poses = vehicle_poses(frame * PERIOD + turning)
    distance, hit = np.empty((height, width)), np.empty((height, width), dtype=np.int64)
    origins, directions = np.empty((width, 3)), np.empty((height, width, 3))
    for column, pose in enumerate(transforms(poses) @ LIDAR_POSES[name]):
        origins[column], directions[:, column] = pose[:3, 3], own[:, column] @ pose[:3, :3].T
        distance[:, column], hit[:, column] = _example.cast(origins[column], directions[:, column], frame * PERIOD)
    return _Scan(*_images(name, distance, hit, origins, directions), in_map(poses))


def _beams(name: str) -> Doubles:
    """(H,W,3) the direction of each pixel of a range image in the LiDAR's own frame."""
    height, width = TOP_SHAPE if name == "TOP" else SIDE_SHAPE
    low, high = SIDE_VIEW
    evenly = low + (high - low) * np.arange(0.5, height) / height
    elevation = (TOP_BEAMS if name == "TOP" else evenly)[::-1, None]
    heading = np.linspace(np.pi, -np.pi, 2 * width + 1)[1::2]  # of the vehicle: the first column looks backwards
    azimuth = heading[None] - geometry.yaw_of(LIDAR_POSES[name][:3, :3])
    flat = np.cos(elevation)
    directions = np.broadcast_arrays(flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation))
    return np.stack(directions, axis=-1).astype(np.float64)


def _images(
    name: str, distance: Doubles, hit: Ints, origins: Doubles, directions: Doubles
) -> tuple[tuple[Doubles, Doubles], Ints, tuple[Doubles, Doubles]]:
    level = _level(hit)
    distance = np.where(hit == _example.SKY, -1.0, distance)
    if name == "TOP":
        row, column = _marker_pixel()
        distance[row, column], level[row, column], hit[row, column] = 8.0, 1.0, _example.GROUND
    first = _image(distance, level, hit)
    to_ground = np.where(directions[..., 2] < 0, -origins[:, 2] / np.minimum(directions[..., 2], -1e-9), np.inf)
    second = (hit >= 0) & (np.arange(hit.shape[1]) % SECOND_EVERY == 0) & (to_ground < 0.9 * _example.WALL_RADIUS)
    ground = np.full_like(hit, _example.GROUND)
    behind = np.where(second, to_ground, -1.0)
    other = _image(behind, _level(ground), ground)
    return (first, other), hit, (origins + directions * distance[..., None], origins + directions * behind[..., None])


def _level(hit: Ints) -> Doubles:
    """What was hit as a channel between 0 and 1, written as the example of nuScenes does."""
    return np.asarray((20.0 + 30.0 * (hit + 3)) / 255.0, dtype=np.float64)


def _image(distance: Doubles, level: Doubles, hit: Ints) -> Doubles:
    """(H,W,4); intensity such that its tanh is ``level``, elongation by what was hit, the wall in the no-label zone."""
    with np.errstate(divide="ignore"):
        intensity = np.where(level < 1, np.arctanh(np.minimum(level, 0.999)), 50.0)
    found = np.stack([distance, intensity, 0.1 * (hit + 3), np.where(hit == _example.WALL, 1.0, -1.0)], axis=-1)
    found[distance <= 0] = -1.0
    return found


def _marker_pixel() -> tuple[int, int]:
    """The pixel of TOP that looks straight ahead and slightly down."""
    return int(np.argmin(np.abs(TOP_BEAMS[::-1] - MARKER_ELEVATION))), TOP_SHAPE[1] // 2


def _calibrations(tables: dict[str, list[dict[str, Any]]]) -> None:
    for name in reversed(LIDARS):
        low, high = (TOP_BEAMS[0], TOP_BEAMS[-1]) if name == "TOP" else SIDE_VIEW
        row = {
            "laser_name": LIDARS.index(name) + 1,
            "extrinsic.transform": LIDAR_POSES[name].ravel(),
            "beam_inclination.min": float(low),
            "beam_inclination.max": float(high),
            "beam_inclination.values": TOP_BEAMS if name == "TOP" else None,
        }
        tables.setdefault("lidar_calibration", []).append(row)
    for name in CAMERAS:
        intrinsics = {"f_u": FOCAL, "f_v": FOCAL, "c_u": WIDTH / 2 + 1.5, "c_v": HEIGHTS[name] / 2 - 1.0, **LENS}
        row = {
            "camera_name": CAMERAS.index(name) + 1,
            **{f"intrinsic.{term}": value for term, value in intrinsics.items()},
            "extrinsic.transform": camera_to_vehicle(name).ravel(),
            "width": WIDTH,
            "height": HEIGHTS[name],
            "rolling_shutter_direction": RIGHT_TO_LEFT if exposure(name, 0).right else LEFT_TO_RIGHT,
        }
        tables.setdefault("camera_calibration", []).append(row)


def _frame(tables: dict[str, list[dict[str, Any]]], number: int) -> None:
    time = {"frame_timestamp_micros": START + round(number * PERIOD * 1e6)}
    pose = MAP @ vehicle_pose(number * PERIOD)
    tables.setdefault("vehicle_pose", []).append({**time, "world_from_vehicle.transform": pose.ravel()})
    scans = {name: _scan(name, number) for name in LIDARS}
    for name, scan in scans.items():
        key = {**time, "laser_name": LIDARS.index(name) + 1}
        tables.setdefault("lidar", []).append({**key, **_pair(scan.returns)})
        seen = tuple(
            _seen(world, image[..., 0] > 0, number) for world, image in zip(scan.world, scan.returns, strict=True)
        )
        tables.setdefault("lidar_camera_projection", []).append({**key, **_pair(seen)})
        if name == "TOP":
            poses = np.broadcast_to(scan.poses, (*TOP_SHAPE, 6))
            tables.setdefault("lidar_pose", []).append({**key, **_pair((poses,))})
            if number % 5 == 0:
                tables.setdefault("lidar_segmentation", []).append({**key, **_pair(_classes(scan))})
    row, column = _marker_pixel()
    tables.setdefault("camera_image", []).extend(
        {**time, **of} for of in _camera_rows(number, scans["TOP"].world[0][row, column])
    )
    tables.setdefault("lidar_box", []).extend({**time, **of} for of in _box_rows(number, scans))


def _pair(images: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for echo, image in enumerate(images, start=1):
        found[f"range_image_return{echo}.values"] = np.asarray(image, dtype=np.float32).ravel()
        found[f"range_image_return{echo}.shape"] = list(image.shape)
    return found


def _seen(world: Doubles, valid: Bools, frame: int) -> Doubles:
    """(H,W,6) the first two cameras that see each point and the whole pixels at which they do."""
    points = world[valid]
    found = np.zeros((len(points), 6))
    for number, name in enumerate(CAMERAS, start=1):
        uv, inside = see(points, name, frame)
        for place in (0, 3):
            free = inside & (found[:, place] == 0)
            found[free, place], found[free, place + 1 : place + 3] = number, np.floor(uv[free])
            inside &= ~free
    images = np.zeros((*valid.shape, 6))
    images[valid] = found
    return images


def _classes(scan: _Scan) -> tuple[Doubles, Doubles]:
    """(H,W,2) instance and class of both returns."""
    number = np.array([SEGMENTATION.index(name) for name in CLASSES])
    first = np.where(scan.returns[0][..., 0] > 0, number[scan.hit], 0)
    row, column = _marker_pixel()
    first[row, column] = 0
    second = np.where(scan.returns[1][..., 0] > 0, SEGMENTATION.index("road"), 0)
    instance = np.maximum(scan.hit + 1, 0)
    return np.stack([instance, first], axis=-1), np.stack([0 * instance, second], axis=-1)


def _camera_rows(frame: int, marker: Doubles) -> Iterator[dict[str, Any]]:
    from PIL import Image as Pictures

    for number, name in enumerate(CAMERAS, start=1):
        pixels, shot = _picture(name, frame), exposure(name, frame)
        if name == "FRONT":
            uv, _ = see(marker[None], name, frame)
            _example.mark(pixels, uv[0, 0] - 0.5, uv[0, 1] - 0.5)
        stream = BytesIO()
        Pictures.fromarray(pixels).save(stream, format="JPEG", quality=95, subsampling=0)
        posed = shot.trigger + 0.7 * READOUT
        linear, angular = _velocity(posed)
        yield {
            "camera_name": number,
            "image": stream.getvalue(),
            "pose.transform": (MAP @ vehicle_pose(posed)).ravel(),
            **{f"velocity.linear_velocity.{axis}": float(linear[k]) for k, axis in enumerate("xyz")},
            **{f"velocity.angular_velocity.{axis}": float(angular[k]) for k, axis in enumerate("xyz")},
            "pose_timestamp": START * 1e-6 + posed,
            "rolling_shutter_params.shutter": SHUTTER,
            "rolling_shutter_params.camera_trigger_time": START * 1e-6 + shot.trigger,
            "rolling_shutter_params.camera_readout_done_time": START * 1e-6 + shot.done,
        }


def _velocity(time: float, step: float = 1e-4) -> tuple[Doubles, Doubles]:
    """Of the vehicle: along the map's axes, and about its own."""
    from scipy.spatial.transform import Rotation

    before, after = transforms(vehicle_poses(np.array([time - step, time + step])))
    turn = Rotation.from_matrix(before[:3, :3].T @ after[:3, :3]).as_rotvec() / (2 * step)
    return MAP[:3, :3] @ (after[:3, 3] - before[:3, 3]) / (2 * step), turn


def _box_rows(frame: int, scans: dict[str, _Scan]) -> Iterator[dict[str, Any]]:
    time = frame * PERIOD
    world_to_vehicle = geometry.invert(vehicle_pose(time))
    for number, thing in enumerate(_example.THINGS):
        if thing.kind not in KINDS:
            continue
        pose = world_to_vehicle @ thing.pose(time)
        speed = MAP[:3, :3] @ (*thing.velocity, 0.0)
        mine = {name: int((scan.hit == number).sum()) for name, scan in scans.items()}
        yield {
            "laser_object_id": f"object-{number:02d}",
            **{f"box.center.{axis}": float(pose[k, 3]) for k, axis in enumerate("xyz")},
            **{f"box.size.{axis}": float(thing.size[k]) for k, axis in enumerate("xyz")},
            "box.heading": geometry.yaw_of(pose[:3, :3]),
            "type": KINDS[thing.kind],
            "num_lidar_points_in_box": sum(mine.values()),
            "num_top_lidar_points_in_box": mine["TOP"],
            **{f"speed.{axis}": float(speed[k]) for k, axis in enumerate("xyz")},
            **{f"acceleration.{axis}": 0.0 for axis in "xyz"},
            # Only what is hard is labelled so; the rest is null, or 0.
            "difficulty_level.detection": {2: 2, 0: 0}.get(number),
            "difficulty_level.tracking": None,
        }


def _write(file: Path, component: str, rows: list[dict[str, Any]]) -> None:
    """A table as the release has it: keys first, a column ``index`` that pandas left, Brotli, several row groups."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from xmodal_core.datasets._waymo_segment import COMPONENTS

    keys = ("frame_timestamp_micros", "laser_name", "camera_name", "laser_object_id")
    columns = {"key.segment_context_name": pa.array([CONTEXT] * len(rows))}
    for name in rows[0]:
        full = f"key.{name}" if name in keys else f"[{COMPONENTS[component]}].{name}"
        columns[full] = pa.array([row[name] for row in rows], _type(component, name))
    columns["index"] = pa.array(range(len(rows)), pa.int64())
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file, compression="brotli", row_group_size=6)


def _type(component: str, name: str) -> Any:
    """The type that the release gives a column."""
    import pyarrow as pa

    last = name.rsplit(".", 1)[-1]
    if last == "values" and "range_image" in name:
        return pa.list_(pa.int32() if component == "lidar_segmentation" else pa.float32())
    if name.startswith("velocity.linear"):
        return pa.float32()
    kinds = {
        "values": pa.list_(pa.float64()),
        "shape": pa.list_(pa.int32(), 3),
        "transform": pa.list_(pa.float64(), 16),
        "image": pa.binary(),
        "frame_timestamp_micros": pa.int64(),
        "laser_object_id": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "num_lidar_points_in_box": pa.int64(),
        "num_top_lidar_points_in_box": pa.int64(),
    }
    small = ("laser_name", "camera_name", "type", "detection", "tracking", "rolling_shutter_direction")
    return pa.int8() if last in small else kinds.get(last, pa.float64())
