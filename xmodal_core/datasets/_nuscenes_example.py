"""A small drive in nuScenes' format, written table by table."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets import _example
from xmodal_core.datasets._nuscenes_tables import CAMERAS, LIDAR
from xmodal_core.types import Doubles

VERSION, SCENE = "v1.0-mini", "scene-0061"
WIDTH, HEIGHT = 320, 180
ELEVATIONS = np.radians(np.linspace(-30.67, 10.67, 32))
COLUMNS = 180
KEY_PERIOD = 0.5
SWEEPS_PER_KEY = 2
START = 1_600_000_000_000_000
"""Microseconds."""

# The release's 32 categories in the order of their lidarseg numbers.
CATEGORIES = (  # noqa: SIM905 (a list of one name a line would fill a page)
    "noise animal human.pedestrian.adult human.pedestrian.child human.pedestrian.construction_worker "
    "human.pedestrian.personal_mobility human.pedestrian.police_officer human.pedestrian.stroller "
    "human.pedestrian.wheelchair movable_object.barrier movable_object.debris movable_object.pushable_pullable "
    "movable_object.trafficcone static_object.bicycle_rack vehicle.bicycle vehicle.bus.bendy vehicle.bus.rigid "
    "vehicle.car vehicle.construction vehicle.emergency.ambulance vehicle.emergency.police vehicle.motorcycle "
    "vehicle.trailer vehicle.truck flat.driveable_surface flat.other flat.sidewalk flat.terrain static.manmade "
    "static.other static.vegetation vehicle.ego"
).split()
YAWS = dict(zip(CAMERAS, np.radians([0.0, -55.0, -110.0, 180.0, 110.0, 55.0]), strict=True))

# The map frame lies hundreds of metres away and turned, as real ones do.
WORLD_TO_MAP = geometry.rigid(geometry.rotation_z(2.0), (411.0, 1180.0, 0.0))
LIDAR_TO_EGO = geometry.rigid(geometry.rotation_z(-np.pi / 2) @ geometry.rotation_z(0.01), (0.94, 0.0, 1.84))
INTRINSICS = np.array([[253.0, 0.0, 163.0], [0.0, 253.0, 98.0], [0.0, 0.0, 1.0]])
MARKER_IN_EGO = np.array([7.0, 0.8, 1.2])


def example(root: Path, frames: int = 2) -> Path:
    """A drive of ``frames`` keyframes with a sweep between each two, six cameras, boxes and lidarseg, at ``root``.

    Points and pictures show the same little world; the last point of each keyframe is the marker, the only one of
    full intensity, and CAM_FRONT shows it as a magenta dot. Every table of the format is there.
    """
    tables: dict[str, list[dict[str, Any]]] = defaultdict(list)
    _fixed_tables(root, tables, frames)
    for key in range(frames):
        _keyframe(root, tables, key, frames)
    _instances(tables, frames)
    _link(tables["sample_data"])
    folder = root / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    return root


def token(*parts: object) -> str:
    """32 hexadecimal digits that depend on nothing but ``parts``."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def _camera_to_ego(channel: str) -> Doubles:
    looking = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # camera axes along x forward
    turn = geometry.rotation_z(YAWS[channel])
    return geometry.rigid(turn @ looking, turn @ (0.9, 0.0, 0.0) + (0.8, 0.0, 1.5))


def _pose_fields(transform: Doubles) -> dict[str, list[float]]:
    quaternion = geometry.quaternion_from_rotation(transform[:3, :3])
    return {"translation": [float(side) for side in transform[:3, 3]], "rotation": list(quaternion)}


def _fixed_tables(root: Path, tables: dict[str, list[dict[str, Any]]], frames: int) -> None:
    channels = {LIDAR: "lidar", "RADAR_FRONT": "radar", **dict.fromkeys(CAMERAS, "camera")}
    for channel, modality in channels.items():
        is_camera = modality == "camera"
        pose = _camera_to_ego(channel) if is_camera else LIDAR_TO_EGO
        tables["sensor"].append({"token": token("sensor", channel), "channel": channel, "modality": modality})
        tables["calibrated_sensor"].append(
            {
                "token": token("calibrated", channel),
                "sensor_token": token("sensor", channel),
                "camera_intrinsic": INTRINSICS.tolist() if is_camera else [],
                **_pose_fields(pose),
            }
        )
    for index in reversed(range(len(CATEGORIES))):  # a row's place is not its index
        name = CATEGORIES[index]
        tables["category"].append({"token": token("category", name), "name": name, "description": "", "index": index})
    tables["scene"].append(
        {
            "token": token("scene"),
            "name": SCENE,
            "description": "",
            "log_token": token("log"),
            "nbr_samples": frames,
            "first_sample_token": token("sample", 0),
            "last_sample_token": token("sample", frames - 1),
        }
    )
    log = {"token": token("log"), "logfile": "", "vehicle": "", "date_captured": "", "location": "boston-seaport"}
    mask = {"token": token("map"), "log_tokens": [token("log")], "category": "semantic_prior", "filename": ""}
    tables["log"].append(log)
    tables["map"].append(mask)
    tables["visibility"] = [{"token": str(level), "level": "", "description": ""} for level in range(1, 5)]
    tables["attribute"] = []


def _keyframe(root: Path, tables: dict[str, list[dict[str, Any]]], key: int, frames: int) -> None:
    time = key * KEY_PERIOD
    tables["sample"].append(
        {
            "token": token("sample", key),
            "timestamp": START + round(time * 1e6),
            "scene_token": token("scene"),
            "prev": token("sample", key - 1) if key else "",
            "next": token("sample", key + 1) if key + 1 < frames else "",
        }
    )
    for step in reversed(range(SWEEPS_PER_KEY if key else 1)):
        _lidar_file(root, tables, key, time - step * KEY_PERIOD / SWEEPS_PER_KEY, is_key=step == 0)
    for number, channel in enumerate(CAMERAS):
        _camera_file(root, tables, key, channel, time - 0.04 + 0.012 * number)
    _file_row(tables, "RADAR_FRONT", key, time, True, "samples/RADAR_FRONT/none.pcd", 0, 0)
    for number, thing in enumerate(_example.THINGS):
        length, width, height = thing.size
        tables["sample_annotation"].append(
            {
                "token": token("annotation", number, key),
                "sample_token": token("sample", key),
                "instance_token": token("instance", number),
                "visibility_token": "4",
                "attribute_tokens": [],
                **_pose_fields(WORLD_TO_MAP @ thing.pose(time)),
                "size": [width, length, height],
                "prev": token("annotation", number, key - 1) if key else "",
                "next": token("annotation", number, key + 1) if key + 1 < frames else "",
                "num_lidar_pts": 10,
                "num_radar_pts": 0,
            }
        )


def _instances(tables: dict[str, list[dict[str, Any]]], frames: int) -> None:
    for number, thing in enumerate(_example.THINGS):
        tables["instance"].append(
            {
                "token": token("instance", number),
                "category_token": token("category", thing.kind),
                "nbr_annotations": frames,
                "first_annotation_token": token("annotation", number, 0),
                "last_annotation_token": token("annotation", number, frames - 1),
            }
        )


def _lidar_file(root: Path, tables: dict[str, list[dict[str, Any]]], key: int, time: float, is_key: bool) -> None:
    folder = "samples" if is_key else "sweeps"
    name = f"{folder}/{LIDAR}/example__{LIDAR}__{START + round(time * 1e6)}.pcd.bin"
    row = _file_row(tables, LIDAR, key, time, is_key, name, 0, 0)
    points, hit, ring = _example.sweep(_example.vehicle_pose(time) @ LIDAR_TO_EGO, ELEVATIONS, COLUMNS, time)
    values = np.column_stack([points, 20.0 + 30.0 * (hit + 3), ring])
    if is_key:
        marker = geometry.invert(LIDAR_TO_EGO) @ (*MARKER_IN_EGO, 1.0)
        values = np.vstack([values, (*marker[:3], 255.0, 20.0)])
        _label_file(root, tables, row["token"], hit)
    _write(root / name, values.astype("<f4").tobytes())


def _label_file(root: Path, tables: dict[str, list[dict[str, Any]]], row: str, hit: Any) -> None:
    names = [thing.kind for thing in _example.THINGS] + ["", "static.manmade", "flat.driveable_surface"]
    fine = np.array([CATEGORIES.index(name) if name else 0 for name in names], dtype=np.uint8)
    file = f"lidarseg/{VERSION}/{row}_lidarseg.bin"
    tables["lidarseg"].append({"token": row, "sample_data_token": row, "filename": file})
    _write(root / file, np.append(fine[hit], np.uint8(CATEGORIES.index("noise"))).tobytes())


def _camera_file(root: Path, tables: dict[str, list[dict[str, Any]]], key: int, channel: str, time: float) -> None:
    from PIL import Image as Pictures

    name = f"samples/{channel}/example__{channel}__{START + round(time * 1e6)}.jpg"
    _file_row(tables, channel, key, time, True, name, WIDTH, HEIGHT)
    camera_to_world = _example.vehicle_pose(time) @ _camera_to_ego(channel)
    pixels = _example.picture(camera_to_world, INTRINSICS, WIDTH, HEIGHT, time)
    if channel == CAMERAS[0]:
        marker = _example.vehicle_pose(key * KEY_PERIOD) @ (*MARKER_IN_EGO, 1.0)
        seen = INTRINSICS @ (geometry.invert(camera_to_world) @ marker)[:3]
        _example.mark(pixels, seen[0] / seen[2], seen[1] / seen[2])
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Pictures.fromarray(pixels).save(root / name, quality=95, subsampling=0)


def _file_row(
    tables: dict[str, list[dict[str, Any]]],
    channel: str,
    key: int,
    time: float,
    is_key: bool,
    name: str,
    width: int,
    height: int,
) -> dict[str, Any]:
    stamp = START + round(time * 1e6)
    row = {
        "token": token("data", channel, stamp),
        "sample_token": token("sample", key),
        "ego_pose_token": token("ego", channel, stamp),
        "calibrated_sensor_token": token("calibrated", channel),
        "timestamp": stamp,
        "fileformat": "jpg" if width else "pcd",
        "is_key_frame": is_key,
        "width": width,
        "height": height,
        "filename": name,
        "prev": "",
        "next": "",
    }
    tables["sample_data"].append(row)
    ego = WORLD_TO_MAP @ _example.vehicle_pose(time)
    tables["ego_pose"].append({"token": row["ego_pose_token"], "timestamp": stamp, **_pose_fields(ego)})
    return row


def _link(files: list[dict[str, Any]]) -> None:
    """Chains the files of each sensor by time."""
    chains: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in files:
        chains[row["calibrated_sensor_token"]].append(row)
    for chain in chains.values():
        chain.sort(key=lambda row: int(row["timestamp"]))
        for before, after in pairwise(chain):
            before["next"], after["prev"] = after["token"], before["token"]


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
