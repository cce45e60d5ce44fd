"""A labelled sequence and a raw one in ONCE's format, seen by seven cameras with distortion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets import _example
from xmodal_core.types import Doubles, Lens

LABELLED, RAW = "000076", "000190"
START, PERIOD = 1616343527200, 500
"""Milliseconds."""

WIDTH, HEIGHT = 240, 128
ELEVATIONS = np.radians(np.linspace(-25.0, 10.0, 40))
COLUMNS = 180
KINDS = {"vehicle.car": "Car", "human.pedestrian.adult": "Pedestrian", "vehicle.truck": "Truck"}
"""ONCE's names of the little world's things; what has none is not labelled."""

LIDAR_TO_EGO = geometry.rigid(geometry.rotation_z(np.pi / 2 + 0.01), (0.9, 0.02, 1.85))
"""x left, y back."""

MARKER_IN_EGO = np.array([9.0, 5.0, 1.3])
"""At the side of the picture, where the lens bends most."""

AXES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
DIRECTIONS = {"cam01": 0, "cam03": 1, "cam05": 125, "cam06": 55, "cam07": -55, "cam08": -125, "cam09": 180}
"""Degrees from the vehicle's forward direction to its left."""

FOCAL = {"cam01": 125.0, "cam03": 250.0}
"""Pixels; 130 for the others."""

DISTORTION = {"cam01": (-0.28, 0.09, 0.001, -0.0008, -0.012), "cam03": (-0.2, 0.1, 0.0, 0.0005, 0.0)}
"""k1, k2, p1, p2, k3; weaker for the others."""


def example(root: Path, frames: int = 2) -> Path:
    """``frames`` labelled ones in a sequence of train, and one without annotation, pose and most pictures in a raw
    sequence."""
    _sequence(root / "data" / LABELLED, [frame * PERIOD for frame in range(frames)], tuple(DIRECTIONS), labelled=True)
    _sequence(root / "data" / RAW, [0], ("cam01",), labelled=False)
    _write(root / "ImageSets" / "train.txt", LABELLED.encode())  # the release's lists lack the last newline too
    _write(root / "ImageSets" / "raw_small.txt", f"{RAW}\n".encode())
    return root


def camera_to_lidar(name: str) -> Doubles:
    """(4,4)."""
    turn = np.radians(DIRECTIONS[name])
    ego_to_camera = geometry.rigid(AXES @ geometry.rotation_z(-turn), (0.02, 1.5, -0.6))
    return geometry.invert(LIDAR_TO_EGO) @ geometry.invert(ego_to_camera)


def intrinsics(name: str) -> Doubles:
    """(3,3), pixels."""
    focal = FOCAL.get(name, 130.0)
    return np.array([[focal, 0.0, 118.3], [0.0, focal + 1.0, 63.1], [0.0, 0.0, 1.0]])


def distortion(name: str) -> tuple[float, ...]:
    """k1, k2, p1, p2, k3."""
    return DISTORTION.get(name, (-0.1, 0.02, 0.0, 0.0, 0.0))


def seen(name: str, point: Doubles) -> tuple[float, float]:
    """The pixel of ``point`` (3,) of the LiDAR's frame, by OpenCV's model."""
    x, y, z, _ = np.linalg.inv(camera_to_lidar(name)) @ (*point, 1.0)
    x, y = x / z, y / z
    k1, k2, p1, p2, k3 = distortion(name)
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    seen_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    seen_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    u, v, _ = intrinsics(name) @ (seen_x, seen_y, 1.0)
    return float(u), float(v)


def _sequence(folder: Path, offsets: list[int], cameras: tuple[str, ...], *, labelled: bool) -> None:
    frames = []
    for offset in offsets:
        name, time = str(START + offset), offset * 1e-3
        lidar_to_world = _example.vehicle_pose(time) @ LIDAR_TO_EGO
        _write(folder / "lidar_roof" / f"{name}.bin", _sweep(lidar_to_world, time).astype("<f4").tobytes())
        for camera in cameras:
            _picture(folder / camera / f"{name}.jpg", camera, lidar_to_world, time)
        frame: dict[str, Any] = {"sequence_id": folder.name, "frame_id": name, "pose": [0.0] * 7}
        if labelled:
            frame |= {"pose": _pose(lidar_to_world), "annos": _annotations(lidar_to_world, time)}
        frames.append(frame)
    meta = {"weather": "sunny", "period": "morning", "image_size": [WIDTH, HEIGHT], "point_feature_num": 4}
    calibration = {
        name: {
            "cam_to_velo": camera_to_lidar(name).tolist(),
            "cam_intrinsic": intrinsics(name).tolist(),
            "distortion": list(distortion(name)),
        }
        for name in DIRECTIONS
    }
    content = {"meta_info": meta, "calib": calibration, "frames": frames}
    _write(folder / f"{folder.name}.json", json.dumps(content).encode())


def _marker() -> Doubles:
    return np.asarray(np.linalg.inv(LIDAR_TO_EGO) @ (*MARKER_IN_EGO, 1.0), dtype=np.float64)[:3]


def _sweep(lidar_to_world: Doubles, time: float) -> Doubles:
    """Rows x, y, z, intensity, the marker last."""
    points, hit, _ = _example.sweep(lidar_to_world, ELEVATIONS, COLUMNS, time)
    return np.vstack([np.column_stack([points, 255 * (0.1 + 0.1 * (hit + 3))]), (*_marker(), 255.0)])


def _picture(file: Path, camera: str, lidar_to_world: Doubles, time: float) -> None:
    from PIL import Image as Pictures

    k1, k2, p1, p2, k3 = distortion(camera)
    pixels = _example.picture(
        lidar_to_world @ camera_to_lidar(camera), intrinsics(camera), WIDTH, HEIGHT, time, Lens(k1, k2, p1, p2, k3)
    )
    if camera == "cam01":
        _example.mark(pixels, *seen(camera, _marker()))
    file.parent.mkdir(parents=True, exist_ok=True)
    Pictures.fromarray(pixels).save(file, quality=95, subsampling=0)


def _pose(lidar_to_world: Doubles) -> list[float]:
    """Quaternion x, y, z, w and translation, relative to the sequence's first frame."""
    start = _example.vehicle_pose(0.0) @ LIDAR_TO_EGO
    relative = geometry.invert(start) @ lidar_to_world
    w, x, y, z = geometry.quaternion_from_rotation(relative[:3, :3])
    return [x, y, z, w, *relative[:3, 3].tolist()]


def _annotations(lidar_to_world: Doubles, time: float) -> dict[str, Any]:
    world_to_lidar = geometry.invert(lidar_to_world)
    things = [thing for thing in _example.THINGS if thing.kind in KINDS]
    poses = [world_to_lidar @ thing.pose(time) for thing in things]
    boxes = [
        [*pose[:3, 3].tolist(), *thing.size, geometry.yaw_of(pose[:3, :3])]
        for thing, pose in zip(things, poses, strict=True)
    ]
    unseen = [[-1.0] * 4 for _ in things]
    return {
        "names": [KINDS[thing.kind] for thing in things],
        "boxes_3d": boxes,
        "boxes_2d": dict.fromkeys(DIRECTIONS, unseen),
    }


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
