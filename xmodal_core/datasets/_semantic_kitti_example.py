"""A small sequence in SemanticKITTI's format: scans, labels with instances, poses, and the odometry's pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets import _example
from xmodal_core.datasets._kitti_example import (
    LIDAR_TO_CAMERA,
    LIDAR_TO_EGO,
    PROJECTION,
    RECTIFY,
    lines,
    save,
    save_picture,
    scene,
    write,
)
from xmodal_core.types import Doubles, Ints

SEQUENCE = "00"
STEP = 0.4
"""Seconds from scan to scan."""

OUTLIER, ROAD, BUILDING = 1, 40, 50
RAW = {"vehicle.car": 10, "human.pedestrian.adult": 30, "vehicle.truck": 18, "animal": OUTLIER}
MOVING = {10: 252, 30: 254}
"""The data set's numbers of the little world's things, and of those that move."""

LIDAR_TO_RECTIFIED = geometry.rigid(RECTIFY, np.zeros(3)) @ LIDAR_TO_CAMERA


def example(root: Path, frames: int = 2) -> Path:
    """Sequence 00 with ``frames`` labelled scans, pictures of image_2, calib.txt, poses.txt and times.txt."""
    folder = root / "sequences" / SEQUENCE
    write(folder / "calib.txt", lines({"P0": _without_shift(), "P2": PROJECTION, "Tr": LIDAR_TO_RECTIFIED[:3]}))
    write(folder / "times.txt", "".join(f"{number * STEP:e}\n" for number in range(frames)))
    poses = [camera_pose(number * STEP)[:3].ravel() for number in range(frames)]
    write(folder / "poses.txt", "".join(" ".join(f"{value:.12e}" for value in pose) + "\n" for pose in poses))
    for number in range(frames):
        sweep, pixels, hit = scene(number * STEP)
        save(folder / "velodyne" / f"{number:06d}.bin", sweep)
        save_picture(folder / "image_2" / f"{number:06d}.png", pixels)
        _save_labels(folder / "labels" / f"{number:06d}.label", hit)
    return root


def camera_pose(time: float) -> Doubles:
    """Camera 0 to the first scan's camera 0."""
    start, now = (_example.vehicle_pose(at) @ LIDAR_TO_EGO for at in (0.0, time))
    return LIDAR_TO_RECTIFIED @ geometry.invert(start) @ now @ geometry.invert(LIDAR_TO_RECTIFIED)


def raw_labels(hit: Ints) -> Ints:
    """The data set's number for each of the little world's things, walls and ground."""
    kinds = [RAW[thing.kind] for thing in _example.THINGS]
    things = [
        MOVING.get(kind, kind) if any(thing.velocity) else kind
        for kind, thing in zip(kinds, _example.THINGS, strict=True)
    ]
    return np.array([*things, 0, BUILDING, ROAD], dtype=np.int64)[hit]


def _save_labels(file: Path, hit: Ints) -> None:
    instance = np.maximum(hit + 1, 0)
    label = np.append(raw_labels(hit) | instance << 16, 0)  # the marker is not labelled
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(label.astype("<u4").tobytes())


def _without_shift() -> Doubles:
    return np.column_stack([PROJECTION[:, :3], np.zeros(3)])
