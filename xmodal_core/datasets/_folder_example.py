"""A small data set of one's own sensor: the little world seen by a LiDAR of 48 beams and a camera with distortion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmodal_core import geometry
from xmodal_core.datasets import _example
from xmodal_core.types import Camera, Doubles, Image, Lens

WIDTH, HEIGHT = 320, 180
ELEVATIONS = np.radians(np.linspace(-25.0, 5.0, 48))
COLUMNS = 200
PERIOD = 0.5
START = 1_600_000_000.0
LIDAR_TO_EGO = geometry.rigid(geometry.rotation_z(0.02), (1.0, 0.0, 1.9))
AXES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
LIDAR_TO_CAMERA = {
    "front": geometry.rigid(AXES @ geometry.rotation_z(-0.03), (0.05, -0.3, -0.2)),
    "rear": geometry.rigid(AXES @ geometry.rotation_z(np.pi), (0.0, -0.3, -0.4)),
}
INTRINSICS = np.array([[210.0, 0.0, 158.0], [0.0, 212.0, 92.0], [0.0, 0.0, 1.0]])
LENSES = {"front": Lens(k1=-0.12, k2=0.03, p1=0.001, p2=-0.0005, k3=0.0), "rear": Lens()}
MARKER = np.array([8.0, 0.9, -0.8])
CLASSES = {0: "ignore", 10: "object", 40: "ground", 50: "wall"}

CALIBRATION = """\
# The LiDAR. 'height' above the ground may be left out: it is then found in each sweep.
sensor: {{name: spinner, beams: 48, forward: [1, 0], height: 1.9, intensity_max: 1.0}}
# What a row of points/FRAME.bin is; '_' for a column that is not wanted.
columns: [x, y, z, intensity]
cameras:
  front:
    width: {width}
    height: {height}
    intrinsics: [{fx}, {fy}, {cx}, {cy}]
    distortion: {{k1: -0.12, k2: 0.03, p1: 0.001, p2: -0.0005}}
    lidar_to_camera: {front}
  rear:
    intrinsics: [[{fx}, 0, {cx}], [0, {fy}, {cy}], [0, 0, 1]]
    lidar_to_camera:
      rotation: {rotation}
      translation: {translation}
boxes:
  classes: [{boxes}]
semantic:
  classes: {{{semantic}}}
"""


def example(root: Path, frames: int = 2) -> Path:
    """``frames`` sweeps as .bin files with pictures of two cameras, boxes, labels of points and times, at ``root``."""
    kinds = sorted({thing.kind for thing in _example.THINGS})
    rear = LIDAR_TO_CAMERA["rear"]
    _write(
        root / "calibration.yaml",
        CALIBRATION.format(
            width=WIDTH, height=HEIGHT, fx=INTRINSICS[0, 0], fy=INTRINSICS[1, 1], cx=INTRINSICS[0, 2],
            cy=INTRINSICS[1, 2], front=LIDAR_TO_CAMERA["front"].tolist(), rotation=rear[:3, :3].tolist(),
            translation=rear[:3, 3].tolist(), boxes=", ".join(kinds),
            semantic=", ".join(f"{value}: {name}" for value, name in CLASSES.items()),
        ).encode(),
    )  # fmt: skip
    lines = []
    for number in range(frames):
        time = number * PERIOD
        name = f"{number:06d}"
        lidar_to_world = _example.vehicle_pose(time) @ LIDAR_TO_EGO
        points, hit, _ = _example.sweep(lidar_to_world, ELEVATIONS, COLUMNS, time)
        rows = np.vstack([np.column_stack([points, 0.1 + 0.1 * (hit + 3)]), (*MARKER, 1.0)])
        _write(root / "points" / f"{name}.bin", rows.astype("<f4").tobytes())
        for camera in LIDAR_TO_CAMERA:
            _picture(root / "images" / camera / f"{name}.png", camera, lidar_to_world, time)
        _write(root / "boxes" / f"{name}.json", json.dumps(_boxes(lidar_to_world, time), indent=1).encode())
        _labels(root / "semantic" / f"{name}.npy", hit)
        lines.append({"frame": name, "scene": "yard", "timestamp": START + time, "pose": lidar_to_world.tolist()})
    _write(root / "frames.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    _write(root / "splits" / "val.txt", f"{frames - 1:06d}\n".encode())
    return root


def _picture(file: Path, camera: str, lidar_to_world: Doubles, time: float) -> None:
    from PIL import Image as Pictures

    of = LIDAR_TO_CAMERA[camera]
    pixels = _distorted(_example.picture(lidar_to_world @ geometry.invert(of), *_wide(), time), LENSES[camera])
    if camera == "front":
        seen = _camera(camera).project(MARKER[None].astype(np.float32)).uv[0]
        _example.mark(pixels, float(seen[0]), float(seen[1]))
    file.parent.mkdir(parents=True, exist_ok=True)
    Pictures.fromarray(pixels).save(file)


def _camera(name: str) -> Camera:
    def black() -> Image:
        return np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)

    return Camera(name, WIDTH, HEIGHT, INTRINSICS, LIDAR_TO_CAMERA[name], black, LENSES[name])


MARGIN = 60
"""Pixels on each side that a pinhole's picture is larger, since a barrel's shows more."""


def _wide() -> tuple[Doubles, int, int]:
    larger = INTRINSICS + np.array([[0, 0, MARGIN], [0, 0, MARGIN], [0, 0, 0]])
    return larger, WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN


def _distorted(pinhole: Image, lens: Lens) -> Image:
    """What the same scene looks like through ``lens``: each pixel's ray is found by turning the distortion round."""
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    x0, y0 = (u - INTRINSICS[0, 2]) / INTRINSICS[0, 0], (v - INTRINSICS[1, 2]) / INTRINSICS[1, 1]
    x, y = x0, y0
    for _ in range(30):
        r2 = x * x + y * y
        radial = 1 + r2 * (lens.k1 + r2 * (lens.k2 + r2 * lens.k3))
        x = (x0 - 2 * lens.p1 * x * y - lens.p2 * (r2 + 2 * x * x)) / radial
        y = (y0 - lens.p1 * (r2 + 2 * y * y) - 2 * lens.p2 * x * y) / radial
    column = np.round(x * INTRINSICS[0, 0] + INTRINSICS[0, 2]).astype(int) + MARGIN
    row = np.round(y * INTRINSICS[1, 1] + INTRINSICS[1, 2]).astype(int) + MARGIN
    pixels: Image = pinhole[row.clip(0, pinhole.shape[0] - 1), column.clip(0, pinhole.shape[1] - 1)].copy()
    return pixels


def _boxes(lidar_to_world: Doubles, time: float) -> list[dict[str, object]]:
    world_to_lidar = geometry.invert(lidar_to_world)
    rows: list[dict[str, object]] = []
    for number, thing in enumerate(_example.THINGS):
        pose = world_to_lidar @ thing.pose(time)
        velocity = world_to_lidar[:3, :3] @ (*thing.velocity, 0.0)
        rows.append(
            {
                "name": thing.kind,
                "centre": pose[:3, 3].tolist(),
                "size": list(thing.size),
                "yaw": geometry.yaw_of(pose[:3, :3]),
                "track": number,
                "velocity": velocity[:2].tolist(),
            }
        )
    return rows


def _labels(file: Path, hit: NDArray[np.int64]) -> None:
    raw = np.where(hit >= 0, 10, np.where(hit == _example.GROUND, 40, 50)).astype(np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, np.append(raw, np.uint8(0)))  # the marker


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
