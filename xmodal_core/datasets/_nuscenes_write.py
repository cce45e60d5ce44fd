"""nuScenes' tables from notes taken frame by frame: the generated drive and ``data convert`` are written with it.

Schema: nuscenes-devkit, docs/schema_nuscenes.md.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from xmodal_core.datasets._nuscenes_tables import LIDAR

Row = dict[str, Any]

CATEGORIES: tuple[str, ...] = (
    "noise",
    "animal",
    "human.pedestrian.adult",
    "human.pedestrian.child",
    "human.pedestrian.construction_worker",
    "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer",
    "human.pedestrian.stroller",
    "human.pedestrian.wheelchair",
    "movable_object.barrier",
    "movable_object.debris",
    "movable_object.pushable_pullable",
    "movable_object.trafficcone",
    "static_object.bicycle_rack",
    "vehicle.bicycle",
    "vehicle.bus.bendy",
    "vehicle.bus.rigid",
    "vehicle.car",
    "vehicle.construction",
    "vehicle.emergency.ambulance",
    "vehicle.emergency.police",
    "vehicle.motorcycle",
    "vehicle.trailer",
    "vehicle.truck",
    "flat.driveable_surface",
    "flat.other",
    "flat.sidewalk",
    "flat.terrain",
    "static.manmade",
    "static.other",
    "static.vegetation",
    "vehicle.ego",
)
"""nuScenes-lidarseg's 32 categories; the place in this list is the label in the file."""

ATTRIBUTES: dict[str, str] = {
    "vehicle.moving": "Vehicle is moving.",
    "vehicle.stopped": "Vehicle, with a driver, is stationary but means to move.",
    "vehicle.parked": "Vehicle is stationary for a longer time.",
    "cycle.with_rider": "There is a rider on the bicycle or motorcycle.",
    "cycle.without_rider": "There is no rider on the bicycle or motorcycle.",
    "pedestrian.sitting_lying_down": "The person is sitting or lying down.",
    "pedestrian.standing": "The person is standing.",
    "pedestrian.moving": "The person is moving.",
}

VISIBILITY: dict[str, str] = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}


@dataclass(frozen=True)
class Scene:
    """A scene of the tables.

    Args:
        name, description: of the scene.
        log: fields of its log: logfile, vehicle, date_captured, location.
        map: the file of its map's mask.
    """

    name: str
    description: str
    log: Mapping[str, str]
    map: str


@dataclass(frozen=True)
class Calibration:
    """A sensor's mount, which ``key`` names.

    Args:
        key, channel: of the mount, of the sensor.
        translation, rotation: metres and (w, x, y, z), from the sensor to the car.
        intrinsics: (3,3); () for the LiDAR.
    """

    key: tuple[Any, ...]
    channel: str
    translation: Sequence[float]
    rotation: Sequence[float]
    intrinsics: Sequence[Sequence[float]] = ()


@dataclass(frozen=True)
class Drive:
    """What the notes of single frames leave out.

    Args:
        version: the folder of the tables.
        token: 32 hexadecimal digits for what it is given.
        channels: of the sensors; all but the LiDAR are cameras.
        calibrations: each mount of each sensor.
        categories: names; the place of each is its label in lidarseg files.
        scenes: in the order of their numbers.
        splits: names of scenes by split.
    """

    version: str
    token: Callable[..., str]
    channels: Sequence[str]
    calibrations: Sequence[Calibration]
    categories: Sequence[str]
    scenes: Sequence[Scene]
    splits: Mapping[str, Sequence[str]]

    def data_token(self, record: Row, channel: str) -> str:
        """The token of a sensor's file."""
        return self.token("sample_data", record["scene"], record["frame"], channel)

    def sample_token(self, record: Row) -> str:
        """The token of a keyframe: the one it brings, or one of its own."""
        return str(record.get("token") or self.token("sample", record["scene"], record["frame"]))

    def labels_file(self, record: Row) -> str:
        """Where a keyframe's labels of points belong."""
        return f"lidarseg/{self.version}/{self.data_token(record, LIDAR)}_lidarseg.bin"


def write_tables(folder: Path, drive: Drive, records: Sequence[Row]) -> None:
    """Write ``folder``/VERSION/*.json.

    Args:
        folder: the data set's.
        drive: what all frames share.
        records: the notes of each keyframe: ``scene`` and ``frame`` numbers, ``token`` where it has one, ``sensors``
            (by channel: ``timestamp``, ``pose``, ``calibration``, a key, ``filename``, ``width``, ``height``),
            ``boxes`` (``thing``, ``category``, ``visibility``, ``attribute``, ``translation``, ``size``, ``rotation``,
            ``points``) and ``labelled``: whether its points are.
    """
    ordered = sorted(records, key=lambda record: (record["scene"], record["frame"]))
    token = drive.token
    rows: dict[str, Any] = {
        "sensor": [
            {
                "token": token("sensor", channel),
                "channel": channel,
                "modality": "lidar" if channel == LIDAR else "camera",
            }
            for channel in drive.channels
        ],
        "calibrated_sensor": [
            {
                "token": token("calibrated_sensor", *mount.key),
                "sensor_token": token("sensor", mount.channel),
                "translation": list(mount.translation),
                "rotation": list(mount.rotation),
                "camera_intrinsic": [[float(v) for v in row] for row in mount.intrinsics],
            }
            for mount in drive.calibrations
        ],
        "category": [
            {"token": token("category", name), "name": name, "description": name, "index": index}
            for index, name in enumerate(drive.categories)
        ],
        "attribute": [
            {"token": token("attribute", name), "name": name, "description": words}
            for name, words in ATTRIBUTES.items()
        ],
        "visibility": [
            {"token": key, "level": level, "description": f"visibility of {level[1:]} %"}
            for key, level in VISIBILITY.items()
        ],
        "log": [{"token": token("log", number), **scene.log} for number, scene in enumerate(drive.scenes)],
        "map": [
            {
                "token": token("map", number),
                "log_tokens": [token("log", number)],
                "category": "semantic_prior",
                "filename": scene.map,
            }
            for number, scene in enumerate(drive.scenes)
        ],
        "lidarseg": [
            {
                "token": drive.data_token(record, LIDAR),
                "sample_data_token": drive.data_token(record, LIDAR),
                "filename": drive.labels_file(record),
            }
            for record in ordered
            if record["labelled"]
        ],
        "splits": {name: list(scenes) for name, scenes in drive.splits.items()},
    }
    rows["scene"], rows["sample"] = _scenes(drive, ordered)
    rows["ego_pose"], rows["sample_data"] = _files(drive, ordered)
    rows["instance"], rows["sample_annotation"] = _annotations(drive, ordered)
    if not rows["lidarseg"]:
        del rows["lidarseg"]  # the devkit takes an empty table for a promise of labels
    tables = folder / drive.version
    tables.mkdir(parents=True, exist_ok=True)
    for name, table in rows.items():
        (tables / f"{name}.json").write_text(json.dumps(table, indent=0), encoding="utf-8")


def _beside(names: Sequence[str], place: int) -> dict[str, str]:
    """The names before and after ``place``; nothing at the ends."""
    return {
        "prev": names[place - 1] if place else "",
        "next": names[place + 1] if place + 1 < len(names) else "",
    }


def _scenes(drive: Drive, records: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    scenes, samples = [], []
    for number, group in groupby(records, key=lambda record: int(record["scene"])):
        within = list(group)
        names = [drive.sample_token(record) for record in within]
        own = drive.token("scene", number)
        scenes.append(
            {
                "token": own,
                "log_token": drive.token("log", number),
                "nbr_samples": len(within),
                "first_sample_token": names[0],
                "last_sample_token": names[-1],
                "name": drive.scenes[number].name,
                "description": drive.scenes[number].description,
            }
        )
        samples += [
            {
                "token": names[place],
                "timestamp": record["sensors"][LIDAR]["timestamp"],
                **_beside(names, place),
                "scene_token": own,
            }
            for place, record in enumerate(within)
        ]
    return scenes, samples


def _files(drive: Drive, records: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    chains: dict[tuple[int, str], list[str]] = defaultdict(list)
    poses, files = [], []
    for record in records:
        for channel in record["sensors"]:
            chains[record["scene"], channel].append(drive.data_token(record, channel))
    at: dict[tuple[int, str], int] = defaultdict(int)
    for record in records:
        for channel, sensor in record["sensors"].items():
            chain = record["scene"], channel
            own = chains[chain][at[chain]]
            poses.append({"token": own, "timestamp": sensor["timestamp"], **sensor["pose"]})
            files.append(
                {
                    "token": own,
                    "sample_token": drive.sample_token(record),
                    "ego_pose_token": own,
                    "calibrated_sensor_token": drive.token("calibrated_sensor", *sensor["calibration"]),
                    "timestamp": sensor["timestamp"],
                    "fileformat": "pcd" if channel == LIDAR else "jpg",
                    "is_key_frame": True,
                    "height": sensor["height"],
                    "width": sensor["width"],
                    "filename": sensor["filename"],
                    **_beside(chains[chain], at[chain]),
                }
            )
            at[chain] += 1
    return poses, files


def _annotations(drive: Drive, records: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    tracks: dict[tuple[int, int], list[tuple[Row, Row]]] = defaultdict(list)
    for record in records:
        for box in record["boxes"]:
            tracks[record["scene"], box["thing"]].append((record, box))
    instances, annotations = [], []
    for (scene, thing), track in sorted(tracks.items()):
        names = [drive.token("annotation", scene, thing, record["frame"]) for record, _ in track]
        instance = drive.token("instance", scene, thing)
        instances.append(
            {
                "token": instance,
                "category_token": drive.token("category", track[0][1]["category"]),
                "nbr_annotations": len(track),
                "first_annotation_token": names[0],
                "last_annotation_token": names[-1],
            }
        )
        for place, (record, box) in enumerate(track):
            annotations.append(
                {
                    "token": names[place],
                    "sample_token": drive.sample_token(record),
                    "instance_token": instance,
                    "visibility_token": box["visibility"],
                    "attribute_tokens": [drive.token("attribute", box["attribute"])] if box["attribute"] else [],
                    "translation": box["translation"],
                    "size": box["size"],
                    "rotation": box["rotation"],
                    **_beside(names, place),
                    "num_lidar_pts": box["points"],
                    "num_radar_pts": 0,
                }
            )
    return instances, annotations
