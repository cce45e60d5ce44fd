"""nuScenes' tables of a finished drive, from the notes taken frame by frame."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from sample_data import maps
from sample_data.frames import filename
from sample_data.labels import ATTRIBUTES, CATEGORIES, VISIBILITY
from sample_data.rig import LIDAR, SENSORS
from sample_data.seeds import token
from sample_data.settings import DriveSettings
from sample_data.styles import style_of

VERSION = "v1.0-sample"
Row = dict[str, Any]


def scene_name(scene: int) -> str:
    """The name of scene number ``scene`` (0-based)."""
    return f"scene-s{scene + 1:04d}"


def splits(scenes: int) -> dict[str, list[str]]:
    """All scenes but the last two train, the last two validate; with three scenes or fewer only the last one does, and
    a lone scene is in both.

    Each split has a second name, ``sample_train`` and ``sample_val``: nuscenes-devkit takes ``train`` and ``val`` to be
    its own splits whatever this file says, and refuses them for another version.
    """
    names = [scene_name(scene) for scene in range(scenes)]
    held = 2 if scenes > 3 else 1
    train, val = (names, names) if scenes == 1 else (names[:-held], names[-held:])
    return {"train": train, "val": val, "sample_train": train, "sample_val": val}


def write(folder: Path, settings: DriveSettings, records: list[Row]) -> None:
    """Write ``folder``/v1.0-sample/*.json and the lidarseg labels from all frames' ``records``."""
    records = sorted(records, key=lambda record: (record["scene"], record["frame"]))
    seed = settings.seed
    rows: dict[str, list[Row]] = {
        "sensor": [_sensor(seed, m.channel) for m in SENSORS],
        "calibrated_sensor": [_calibrated(settings, m) for m in SENSORS],
        "category": [
            {"token": token(seed, "category", name), "name": name, "description": name, "index": index}
            for index, name in enumerate(CATEGORIES)
        ],
        "attribute": [
            {"token": token(seed, "attribute", name), "name": name, "description": words}
            for name, words in ATTRIBUTES.items()
        ],
        "visibility": [
            {"token": key, "level": level, "description": f"visibility of {level[1:]} %"}
            for key, level in VISIBILITY.items()
        ],
        "log": [_log(seed, scene) for scene in range(settings.scenes)],
        "map": [_map(seed, scene) for scene in range(settings.scenes)],
        "scene": [_scene(settings, scene) for scene in range(settings.scenes)],
        "sample": [_sample(settings, record) for record in records],
        "ego_pose": [row for record in records for row in _ego_poses(seed, record)],
        "sample_data": [row for record in records for row in _sample_data(settings, record)],
        "lidarseg": [_lidarseg(seed, record) for record in records],
    }
    rows["instance"], rows["sample_annotation"] = _annotations(seed, records)
    tables = folder / VERSION
    tables.mkdir(parents=True, exist_ok=True)
    for name, table in rows.items():
        _dump(tables / f"{name}.json", table)
    _dump(tables / "splits.json", splits(settings.scenes))
    labels = folder / "lidarseg" / VERSION
    labels.mkdir(parents=True, exist_ok=True)
    for record in records:
        (folder / _lidarseg(seed, record)["filename"]).write_bytes(bytes.fromhex(record["points"]))


def _dump(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=0), encoding="utf-8")


def _data_token(seed: int, scene: int, frame: int, channel: str) -> str:
    return token(seed, "sample_data", scene, frame, channel)


def _sample_token(seed: int, scene: int, frame: int, frames: int) -> str:
    return token(seed, "sample", scene, frame) if 0 <= frame < frames else ""


def _sensor(seed: int, channel: str) -> Row:
    modality = "lidar" if channel == LIDAR.channel else "camera"
    return {"token": token(seed, "sensor", channel), "channel": channel, "modality": modality}


def _calibrated(settings: DriveSettings, mount: Any) -> Row:
    lens = mount.intrinsics(settings.image_width, settings.image_height)
    return {
        "token": token(settings.seed, "calibrated_sensor", mount.channel),
        "sensor_token": token(settings.seed, "sensor", mount.channel),
        "translation": list(mount.translation),
        "rotation": list(mount.rotation),
        "camera_intrinsic": [] if mount.channel == LIDAR.channel else [[float(v) for v in row] for row in lens],
    }


def _log(seed: int, scene: int) -> Row:
    return {
        "token": token(seed, "log", scene),
        "logfile": f"sample-{scene + 1:04d}",
        "vehicle": "sample",
        "date_captured": "2020-09-13",
        "location": f"sample-town-{scene + 1}",
    }


def _map(seed: int, scene: int) -> Row:
    return {
        "token": token(seed, "map", scene),
        "log_tokens": [token(seed, "log", scene)],
        "category": "semantic_prior",
        "filename": maps.filename(seed, scene),
    }


def _scene(settings: DriveSettings, scene: int) -> Row:
    seed, frames = settings.seed, settings.frames
    return {
        "token": token(seed, "scene", scene),
        "log_token": token(seed, "log", scene),
        "nbr_samples": frames,
        "first_sample_token": _sample_token(seed, scene, 0, frames),
        "last_sample_token": _sample_token(seed, scene, frames - 1, frames),
        "name": scene_name(scene),
        "description": style_of(scene).name,
    }


def _sample(settings: DriveSettings, record: Row) -> Row:
    seed, scene, frame, frames = settings.seed, record["scene"], record["frame"], settings.frames
    return {
        "token": _sample_token(seed, scene, frame, frames),
        "timestamp": record["sensors"][LIDAR.channel]["timestamp"],
        "prev": _sample_token(seed, scene, frame - 1, frames),
        "next": _sample_token(seed, scene, frame + 1, frames),
        "scene_token": token(seed, "scene", scene),
    }


def _ego_poses(seed: int, record: Row) -> list[Row]:
    return [
        {
            "token": _data_token(seed, record["scene"], record["frame"], channel),
            "timestamp": sensor["timestamp"],
            **sensor["pose"],
        }
        for channel, sensor in record["sensors"].items()
    ]


def _sample_data(settings: DriveSettings, record: Row) -> list[Row]:
    seed, scene, frame = settings.seed, record["scene"], record["frame"]
    result = []
    for channel, sensor in record["sensors"].items():
        is_lidar = channel == LIDAR.channel
        own = _data_token(seed, scene, frame, channel)
        result.append(
            {
                "token": own,
                "sample_token": _sample_token(seed, scene, frame, settings.frames),
                "ego_pose_token": own,
                "calibrated_sensor_token": token(seed, "calibrated_sensor", channel),
                "timestamp": sensor["timestamp"],
                "fileformat": "pcd" if is_lidar else "jpg",
                "is_key_frame": True,
                "height": 0 if is_lidar else settings.image_height,
                "width": 0 if is_lidar else settings.image_width,
                "filename": filename(scene, channel, sensor["timestamp"]),
                "prev": _data_token(seed, scene, frame - 1, channel) if frame > 0 else "",
                "next": _data_token(seed, scene, frame + 1, channel) if frame + 1 < settings.frames else "",
            }
        )
    return result


def _lidarseg(seed: int, record: Row) -> Row:
    name = _data_token(seed, record["scene"], record["frame"], LIDAR.channel)
    return {"token": name, "sample_data_token": name, "filename": f"lidarseg/{VERSION}/{name}_lidarseg.bin"}


def _annotations(seed: int, records: list[Row]) -> tuple[list[Row], list[Row]]:
    tracks: dict[tuple[int, int], list[tuple[int, Row]]] = defaultdict(list)
    for record in records:
        for box in record["boxes"]:
            tracks[record["scene"], box["thing"]].append((record["frame"], box))
    instances, annotations = [], []
    for (scene, thing), track in sorted(tracks.items()):
        names = [token(seed, "annotation", scene, thing, frame) for frame, _ in track]
        instance = token(seed, "instance", scene, thing)
        instances.append(
            {
                "token": instance,
                "category_token": token(seed, "category", track[0][1]["category"]),
                "nbr_annotations": len(track),
                "first_annotation_token": names[0],
                "last_annotation_token": names[-1],
            }
        )
        for place, (frame, box) in enumerate(track):
            annotations.append(
                {
                    "token": names[place],
                    "sample_token": token(seed, "sample", scene, frame),
                    "instance_token": instance,
                    "visibility_token": box["visibility"],
                    "attribute_tokens": [token(seed, "attribute", box["attribute"])] if box["attribute"] else [],
                    "translation": box["translation"],
                    "size": box["size"],
                    "rotation": box["rotation"],
                    "prev": names[place - 1] if place else "",
                    "next": names[place + 1] if place + 1 < len(names) else "",
                    "num_lidar_pts": box["points"],
                    "num_radar_pts": 0,
                }
            )
    return instances, annotations
