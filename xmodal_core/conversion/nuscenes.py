"""To nuScenes' format, in its own terms: LiDAR axes x right, y forward; intensity 0..255; six cameras without lens;
boxes and labels under the names that it has for them. Its reader gives back the source, turned and named so."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from xmodal_core import geometry
from xmodal_core.conversion.base import Place, Row, Target, encoded, listed, original, put
from xmodal_core.datasets._nuscenes_classes import DETECTION, SEGMENTATION_OF
from xmodal_core.datasets._nuscenes_tables import CAMERAS, LIDAR
from xmodal_core.datasets._nuscenes_write import CATEGORIES, Calibration, Drive, Scene, write_tables
from xmodal_core.errors import InputError
from xmodal_core.pictures import undistort
from xmodal_core.types import Boxes, Camera, Doubles, Floats, Frame, Image, Semantic

INTENSITY_MAX = 255.0
AZIMUTHS = dict(zip(CAMERAS, np.radians([0.0, -55.0, -110.0, 180.0, 110.0, 55.0]), strict=True))
"""Where nuScenes' cameras look, from forward, counter-clockwise."""

FINE = {coarse: fine for fine, coarse in reversed(SEGMENTATION_OF.items())} | {"bus": "vehicle.bus.rigid"}
"""A category for each class that nuScenes' reader gives; several categories are one class."""

LIDAR_TURN = geometry.rotation_z(-np.pi / 2)
"""From the LiDAR (y forward) to the car (x forward)."""

IGNORE, NOISE = "ignore", "noise"
MAP = "maps/none.png"
_TOKEN = re.compile(r"[0-9a-f]{32}")


def token(*parts: object) -> str:
    """32 hexadecimal digits that depend on nothing but ``parts``."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


class NuScenesTarget(Target):
    """Writes keyframes only: each frame is one."""

    name: ClassVar[str] = "nuscenes"

    @property
    def version(self) -> str:
        return f"v1.0-{self.source.name}"

    @property
    def turn(self) -> Doubles:
        """(4,4) from the source's LiDAR axes to nuScenes'."""
        return geometry.rigid(_quarter(self.source.sensor.forward), np.zeros(3))

    def begin(self, first: Frame) -> Row:
        """Which of nuScenes' cameras each of the source's becomes: the one that looks most nearly where it does."""
        from scipy.optimize import linear_sum_assignment

        names = [camera.name for camera in first.cameras]
        if set(names) <= set(CAMERAS):
            return {"channels": {name: name for name in CAMERAS}}
        looks = [self.turn[:3, :3] @ camera.lidar_to_camera[2, :3] for camera in first.cameras]
        azimuth = np.array([np.arctan2(-look[0], look[1]) for look in looks])
        off = np.abs(np.angle(np.exp(1j * (azimuth[:, None] - np.array(list(AZIMUTHS.values()))[None]))))
        rows, columns = linear_sum_assignment(off)
        return {"channels": {names[row]: CAMERAS[column] for row, column in zip(rows, columns, strict=True)}}

    def write(self, folder: Path, place: Place, frame: Frame, state: Mapping[str, Any]) -> Row:
        notes = [] if frame.pixels is None else ["which pixel sees which point, as the data set says it, is lost"]
        if np.any(frame.channels.get("time_lag", np.zeros(1))):
            raise InputError(f"frame {place.number} is of several sweeps", "convert single ones: dataset.n_sweeps=1")
        stem = f"{place.scene:04d}_{place.number:06d}"
        sweep = f"samples/{LIDAR}/{stem}__{LIDAR}.pcd.bin"
        put(folder / sweep, self._rows(frame, notes).tobytes())
        row: Row = {
            "scene": place.scene,
            "frame": place.number,
            "token": frame.name if _TOKEN.fullmatch(frame.name) else token(self.source.name, frame.name),
            "timestamp": frame.timestamp,
            "sweep": sweep,
            "pose": None if frame.pose is None else listed(frame.pose @ geometry.invert(self.turn)),
            "cameras": {},
            "boxes": [] if frame.boxes is None else self._boxes(frame.boxes, frame.points, place, notes),
            "labelled": frame.semantic is not None,
            "notes": notes,
        }
        for camera in frame.cameras:
            channel = state["channels"].get(camera.name)
            if channel is None:
                notes.append(f"camera {camera.name} is left out: none of the six of nuScenes is free for it")
                continue
            picture = f"samples/{channel}/{stem}__{channel}.jpg"
            put(folder / picture, self._picture(camera, notes))
            row["cameras"][channel] = {
                "filename": picture,
                "width": camera.width,
                "height": camera.height,
                "intrinsics": listed(camera.intrinsics),
                "lidar_to_camera": listed(camera.lidar_to_camera @ geometry.invert(self.turn)),
            }
        if frame.semantic is not None:
            put(folder / self._drive([], []).labels_file(row), self._labels(frame.semantic, notes))
        return row

    def finish(self, folder: Path, rows: Sequence[Row], state: Mapping[str, Any]) -> None:
        from PIL import Image as Pictures

        calibrations: dict[tuple[Any, ...], Calibration] = {}
        records = [self._record(row, calibrations) for row in rows]
        self._times(rows, records)
        boxes = dict.fromkeys(box["category"] for row in rows for box in row["boxes"])
        categories = dict.fromkeys([*CATEGORIES, *boxes])
        write_tables(folder, self._drive(list(calibrations.values()), list(categories)), records)
        (folder / MAP).parent.mkdir(parents=True, exist_ok=True)
        Pictures.fromarray(np.zeros((16, 16), dtype=np.uint8)).save(folder / MAP)  # no road is known; the devkit asks

    def _drive(self, calibrations: Sequence[Calibration], categories: Sequence[str]) -> Drive:
        log = {"logfile": "", "vehicle": self.source.sensor.name, "date_captured": "", "location": self.source.name}
        return Drive(
            version=self.version,
            token=token,
            channels=(LIDAR, *CAMERAS),
            calibrations=calibrations,
            categories=categories,
            scenes=[Scene(name, f"from {self.source.name}", log, MAP) for name in self.source.scenes],
            splits={self.source.split: self.source.scenes} if self.source.split not in ("auto", "all") else {},
        )

    def _rows(self, frame: Frame, notes: list[str]) -> Floats:
        """(N,5) the rows of a sweep's file."""
        turned = frame.points @ self.turn[:3, :3].T.astype(np.float32)
        none = np.zeros(len(frame), dtype=np.float32)
        scale = np.float32(INTENSITY_MAX / self.source.sensor.intensity_max)
        intensity = frame.channels.get("intensity", none) * scale
        if "ring" not in frame.channels:
            notes.append("the ring of each point is not known: written as 0")
        notes += [
            f"channel {name} has no place in the format"
            for name in frame.channels
            if name not in ("intensity", "ring", "time_lag")
        ]
        columns = [turned, intensity[:, None], frame.channels.get("ring", none)[:, None]]
        return np.concatenate(columns, axis=1).astype("<f4")

    def _picture(self, camera: Camera, notes: list[str]) -> bytes:
        if not camera.lens.is_pinhole:
            notes.append("pictures were undistorted")
            pixels: Image = undistort(camera.image(), camera.intrinsics, camera.lens)
            return encoded(pixels, "JPEG")
        as_it_is = original(camera, (".jpg", ".jpeg"))
        if as_it_is is None:
            notes.append("pictures were written as JPEG, quality 95")
        return as_it_is[0] if as_it_is is not None else encoded(camera.image(), "JPEG")

    def _boxes(self, boxes: Boxes, points: Floats, place: Place, notes: list[str]) -> list[Row]:
        """In nuScenes' LiDAR axes, as a pose each."""
        rows: list[Row] = []
        for number, label in enumerate(boxes.label.tolist()):
            name = boxes.classes[label]
            category = FINE[name] if name in DETECTION else name
            if category not in CATEGORIES:
                notes.append(f"boxes of class '{name}' keep that name: nuScenes has none such; name one with --rename")
            track = int(boxes.track[number])
            inside = boxes.points[number] if boxes.points is not None else -1
            if inside < 0:
                inside = geometry.points_in_box(points, boxes, number).sum()
            length, width, height = (float(side) for side in boxes.size[number])
            turned = geometry.rigid(geometry.rotation_z(float(boxes.yaw[number])), boxes.centre[number])
            rows.append(
                {
                    # A track changes its number with its class, since one of nuScenes' has one class.
                    "thing": track * 1000 + label if track >= 0 else -place.number * 10_000 - number - 1,
                    "category": category,
                    "visibility": "",
                    "attribute": "",
                    "pose": listed(self.turn @ turned),
                    "size": [width, length, height],
                    "points": int(inside),
                }
            )
        return rows

    def _labels(self, semantic: Semantic, notes: list[str]) -> bytes:
        """A byte for each point, by the category's place."""
        fine = [FINE.get(name, name) for name in semantic.classes]
        unknown = {name for name in fine if name not in CATEGORIES}
        used = set(np.unique(semantic.label).tolist())
        notes += [
            f"points of class '{name}' are written as noise: nuScenes has no such class; name one with --rename"
            for label, name in enumerate(semantic.classes)
            if label in used and fine[label] in unknown and name != IGNORE
        ]
        places = [CATEGORIES.index(NOISE if name in unknown else name) for name in fine]
        return np.array(places, dtype=np.uint8)[semantic.label].tobytes()

    def _record(self, row: Row, calibrations: dict[tuple[Any, ...], Calibration]) -> Row:
        """The notes that the tables are made from. A camera is mounted where its first frame of the scene has it; what
        moves between it and the LiDAR then is the car, at the camera's own time."""
        lidar_to_car = geometry.rigid(LIDAR_TURN, (0.0, 0.0, self.source.sensor.height or 0.0))
        if row["pose"] is None:
            row["notes"].append("no pose is known: the world is the LiDAR's own axes")
        lidar_to_world = np.eye(4) if row["pose"] is None else np.array(row["pose"])
        usual = (LIDAR,)
        if usual not in calibrations:
            calibrations[usual] = Calibration(usual, LIDAR, **_pose(lidar_to_car))
        sensors: Row = {
            LIDAR: {
                "pose": _pose(lidar_to_world @ geometry.invert(lidar_to_car)),
                "calibration": usual,
                "filename": row["sweep"],
                "width": 0,
                "height": 0,
            }
        }
        for channel, camera in row["cameras"].items():
            to_camera = np.array(camera["lidar_to_camera"])
            key = (channel, row["scene"], str(camera["intrinsics"]))
            if key not in calibrations:
                mount = lidar_to_car @ geometry.invert(to_camera)
                calibrations[key] = Calibration(key, channel, **_pose(mount), intrinsics=camera["intrinsics"])
            mount = _transform(calibrations[key])
            sensors[channel] = {
                "pose": _pose(lidar_to_world @ geometry.invert(to_camera) @ geometry.invert(mount)),
                "calibration": key,
                **{name: camera[name] for name in ("filename", "width", "height")},
            }
        boxes = [{**box, **_pose(lidar_to_world @ np.array(box["pose"]))} for box in row["boxes"]]
        return {
            **{name: row[name] for name in ("scene", "frame", "token", "labelled")},
            "sensors": sensors,
            "boxes": boxes,
        }

    def _times(self, rows: Sequence[Row], records: Sequence[Row]) -> None:
        """Give every file of a frame its time in microseconds; frames of a scene follow one another."""
        by_scene: dict[int, list[tuple[Row, Row]]] = {}
        for row, record in zip(rows, records, strict=True):
            by_scene.setdefault(row["scene"], []).append((row, record))
        for pairs in by_scene.values():
            stamps = [round(row["timestamp"] * 1e6) for row, _ in pairs]
            if any(after <= before for before, after in pairwise(stamps)):
                stamps = [stamps[0] + 100_000 * place for place in range(len(pairs))]
                for row, _ in pairs:
                    row["notes"].append("times do not grow from frame to frame: written 0.1 s apart")
            for stamp, (_, record) in zip(stamps, pairs, strict=True):
                for sensor in record["sensors"].values():
                    sensor["timestamp"] = stamp


def _quarter(forward: tuple[float, float]) -> Doubles:
    """The rotation about z that brings ``forward`` to y; quarter turns are exact."""
    c, s = forward[1], forward[0]
    exact = [round(side) if abs(side - round(side)) < 1e-9 else side for side in (c, s)]
    return np.array([[exact[0], -exact[1], 0.0], [exact[1], exact[0], 0.0], [0.0, 0.0, 1.0]])


def _pose(transform: Doubles) -> dict[str, Any]:
    quaternion = geometry.quaternion_from_rotation(transform[:3, :3])
    return {"translation": [float(side) for side in transform[:3, 3]], "rotation": list(quaternion)}


def _transform(mount: Calibration) -> Doubles:
    return geometry.rigid(geometry.rotation_from_quaternion(mount.rotation), np.array(mount.translation))
