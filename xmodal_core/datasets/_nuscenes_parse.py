"""From nuScenes' JSON tables to flat arrays, row by row (schema: nuscenes-devkit, docs/schema_nuscenes.md)."""

from __future__ import annotations

import gc
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from xmodal_core.datasets._files import plausible
from xmodal_core.datasets._json_rows import UNPACK_AGAIN, reading, rows
from xmodal_core.datasets._nuscenes_tables import CAMERAS, LIDAR, Tables, Text
from xmodal_core.errors import DataError
from xmodal_core.types import Doubles, Ints

MAX_TIME_DIFFERENCE = 1.5
"""Seconds between two annotations of an object up to which their difference is a velocity (devkit box_velocity)."""

V = TypeVar("V")


@dataclass
class _Builder:
    """The arrays found so far, and what the tokens of the tables read so far stand for."""

    folder: Path
    found: dict[str, Any] = field(default_factory=dict)
    scenes: dict[str, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    calibrations: dict[str, tuple[int, str]] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)
    attributes: dict[str, int] = field(default_factory=dict)
    objects: dict[str, tuple[int, int]] = field(default_factory=dict)

    def table(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def build_tables(folder: Path) -> Tables:
    """The tables of one version folder, read from its JSON files.

    Raises:
        DataError: a table is missing or damaged, or refers to a row that does not exist.
    """
    builder = _Builder(folder)
    with _without_collector():
        _read_scenes(builder)
        _read_keyframes(builder)
        _read_calibrations(builder)
        ego_of_lidar, ego_of_camera = _read_files(builder)
        _read_ego_poses(builder, ego_of_lidar, ego_of_camera)
        _read_categories(builder)
        _read_attributes(builder)
        _read_objects(builder)
        _read_annotations(builder)
    return Tables(**builder.found)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Millions of rows, none of which refers to itself: looking for such ones takes a third of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _read_scenes(builder: _Builder) -> None:
    table = builder.table("scene")
    with reading(table):
        scenes = sorted((name, token) for token, name in rows(table, "token", "name"))
        builder.scenes = {token: number for number, (_, token) in enumerate(scenes)}
        _require_once(len(builder.scenes), len(scenes), table)
        builder.found["scene_name"] = _text(name for name, _ in scenes)


def _read_keyframes(builder: _Builder) -> None:
    table = builder.table("sample")
    with reading(table):
        samples = sorted(
            (_refer(builder.scenes, scene, table, "scene"), int(time), token)
            for token, time, scene in rows(table, "token", "timestamp", "scene_token")
        )
        builder.keys = {token: number for number, (_, _, token) in enumerate(samples)}
        _require_once(len(builder.keys), len(samples), table)
        builder.found["key_token"] = _text(token for _, _, token in samples)
        builder.found["key_scene"] = np.array([scene for scene, _, _ in samples], dtype=np.int64)
        builder.found["key_time"] = np.array([time for _, time, _ in samples], dtype=np.int64)


def _read_calibrations(builder: _Builder) -> None:
    """Those of the LiDAR and the six cameras; other sensors are left out."""
    with reading(builder.table("sensor")):
        channel_of = dict(rows(builder.table("sensor"), "token", "channel"))
    table = builder.table("calibrated_sensor")
    poses, intrinsics = array("d"), array("d")
    with reading(table):
        columns = ("token", "sensor_token", "translation", "rotation", "camera_intrinsic")
        for token, sensor, translation, rotation, matrix in rows(table, *columns):
            channel = _refer(channel_of, sensor, table, "sensor")
            if channel == LIDAR or channel in CAMERAS:
                builder.calibrations[token] = (len(builder.calibrations), channel)
                _extend(poses, (*translation, *rotation), 7)
                _extend(intrinsics, [cell for row in matrix for cell in row] or [0.0] * 9, 9)
        _require_once(len(builder.calibrations), len(poses) // 7, table)
        builder.found["calibration_pose"] = _poses(poses)
        builder.found["calibration_intrinsics"] = _finite(intrinsics).reshape(-1, 3, 3)


@dataclass
class _Files:
    """The files of the LiDAR or of the cameras, as they are read."""

    name: list[str] = field(default_factory=list)
    ego: list[str] = field(default_factory=list)
    calibration: array[int] = field(default_factory=lambda: array("q"))


def _read_files(builder: _Builder) -> tuple[list[str], list[str]]:
    """All files of the LiDAR and the keyframes of the cameras; gives the ego pose tokens of both."""
    table = builder.table("sample_data")
    key_lidar = np.full(len(builder.keys), -1, dtype=np.int64)
    key_camera = np.full((len(builder.keys), len(CAMERAS)), -1, dtype=np.int64)
    lidar, camera = _Files(), _Files()
    lidar_row: dict[str, int] = {}
    own: list[str] = []
    previous: list[str] = []
    time, size = array("q"), array("q")
    columns = ("token", "sample_token", "ego_pose_token", "calibrated_sensor_token", "filename", "timestamp")
    with reading(table):
        for token, sample, ego, calibrated, name, stamp, is_key, before, width, height in rows(
            table, *columns, "is_key_frame", "prev", "width", "height"
        ):
            calibration, channel = builder.calibrations.get(calibrated, (-1, ""))
            if channel != LIDAR and not (channel and is_key):
                continue  # a radar, or a picture between keyframes
            files = lidar if channel == LIDAR else camera
            if is_key:
                place = key_lidar if channel == LIDAR else key_camera[:, CAMERAS.index(channel)]
                key = _refer(builder.keys, sample, table, "sample")
                if place[key] >= 0:
                    raise DataError(f"{table} has two {channel} keyframes of sample {sample}", UNPACK_AGAIN)
                place[key] = len(files.name)
            if channel == LIDAR:
                lidar_row[token] = len(files.name)
                own.append(token)
                previous.append(before)
                time.append(int(stamp))
            else:
                size.extend((int(width), int(height)))
            files.name.append(name)
            files.ego.append(sys.intern(ego))  # which also asks for a text
            files.calibration.append(calibration)
        _require_once(len(lidar_row), len(own), table)
        _check_keyframes(builder, key_lidar, table)
        builder.found.update(
            key_lidar=key_lidar,
            key_lidar_token=_text(own[row] for row in key_lidar),
            key_camera=key_camera,
            lidar_file=_text(lidar.name),
            lidar_time=np.array(time, dtype=np.int64),
            lidar_calibration=np.array(lidar.calibration, dtype=np.int64),
            # A chain that leads out of the tables (a subset of a release) ends there, as at the start of a scene.
            lidar_prev=np.array([lidar_row.get(token, -1) for token in previous], dtype=np.int64),
            camera_file=_text(camera.name),
            camera_calibration=np.array(camera.calibration, dtype=np.int64),
            camera_size=np.array(size, dtype=np.int64).reshape(-1, 2),
        )
    builder.found["key_labels"] = _label_files(builder, key_lidar, lidar_row)
    return lidar.ego, camera.ego


def _check_keyframes(builder: _Builder, key_lidar: Ints, table: Path) -> None:
    if (key_lidar < 0).any():
        token = builder.found["key_token"][int(np.argmax(key_lidar < 0))].decode()
        raise DataError(f"{table} has no {LIDAR} keyframe of sample {token}", UNPACK_AGAIN)


def _label_files(builder: _Builder, key_lidar: Ints, lidar_row: Mapping[str, int]) -> Text:
    names = [""] * len(key_lidar)
    table = builder.table("lidarseg")
    with reading(table):
        if table.exists():
            key_of = {int(row): key for key, row in enumerate(key_lidar)}
            for token, name in rows(table, "sample_data_token", "filename"):
                key = key_of.get(lidar_row.get(token, -1), -1)
                if key >= 0:
                    names[key] = name
        return _text(names)


def _read_ego_poses(builder: _Builder, ego_of_lidar: list[str], ego_of_camera: list[str]) -> None:
    """One pass over a table of 2.6 million rows of which a fifth is wanted."""
    table = builder.table("ego_pose")
    place = {token: number for number, token in enumerate(dict.fromkeys([*ego_of_lidar, *ego_of_camera]))}
    values = np.zeros((len(place), 7))
    seen = np.zeros(len(place), dtype=bool)
    with reading(table):
        for token, translation, rotation in rows(table, "token", "translation", "rotation"):
            number = place.get(token, -1)
            if number >= 0:
                _require_once(1, 1 + int(seen[number]), table)
                values[number] = (*translation, *rotation)
                seen[number] = True
        if not seen.all():
            raise DataError(f"{table} has no pose {list(place)[int(np.argmin(seen))]}", UNPACK_AGAIN)
        poses = _poses(values)
    builder.found["lidar_pose"] = poses[[place[token] for token in ego_of_lidar]].reshape(-1, 7)
    builder.found["camera_pose"] = poses[[place[token] for token in ego_of_camera]].reshape(-1, 7)


def _read_categories(builder: _Builder) -> None:
    table = builder.table("category")
    with reading(table):
        found = list(rows(table, "token", "name"))
        builder.categories = {token: number for number, (token, _) in enumerate(found)}
        _require_once(len(builder.categories), len(found), table)
        builder.found["category_name"] = _text(name for _, name in found)
        # Only the lidarseg package's category.json knows the values in the label files.
        labelled = bool((builder.found["key_labels"] != b"").any())
        index = list(rows(table, "index")) if labelled else [-1] * len(found)
        builder.found["category_index"] = np.array(index, dtype=np.int64)


def _read_attributes(builder: _Builder) -> None:
    """Those of the detection benchmark; a folder without the table has boxes without attributes."""
    table = builder.table("attribute")
    with reading(table):
        found = list(rows(table, "token", "name")) if table.exists() else []
        builder.attributes = {token: number for number, (token, _) in enumerate(found)}
        builder.found["attribute_name"] = _text(name for _, name in found)


def _read_objects(builder: _Builder) -> None:
    table = builder.table("instance")
    with reading(table):
        for count, (token, category) in enumerate(rows(table, "token", "category_token"), start=1):
            kind = _refer(builder.categories, category, table, "category")
            builder.objects[token] = (len(builder.objects), kind)
            _require_once(len(builder.objects), count, table)


def _read_annotations(builder: _Builder) -> None:
    """The boxes, sorted by keyframe, with their velocities."""
    table = builder.table("sample_annotation")
    links = _Links()
    key, thing, category, points, attribute = (array("q") for _ in range(5))
    poses, size = array("d"), array("d")
    columns = ("token", "sample_token", "instance_token", "translation", "size", "rotation", "prev", "next")
    with reading(table):
        for token, sample, instance, translation, extent, rotation, before, after, lidar, radar, tokens in rows(
            table, *columns, "num_lidar_pts", "num_radar_pts", "attribute_tokens"
        ):
            links.add(token, before, after)
            key.append(_refer(builder.keys, sample, table, "sample"))
            number, kind = _refer(builder.objects, instance, table, "instance")
            thing.append(number)
            category.append(kind)
            points.append(lidar + radar)
            attribute.append(_attribute(builder, tokens, table))
            _extend(poses, (*translation, *rotation), 7)
            _extend(size, extent, 3)
        key_of, pose = np.array(key, dtype=np.int64), _poses(poses)
        seconds = builder.found["key_time"][key_of] * 1e-6
        _require_once(links.distinct(), len(key_of), table)
        velocity = velocities(pose[:, :3], seconds, *links.rows())
        order = np.argsort(key_of, kind="stable")
        builder.found.update(
            box_start=np.searchsorted(key_of[order], np.arange(len(builder.keys) + 1)).astype(np.int64),
            box_pose=pose[order],
            box_size=_finite(size).reshape(-1, 3)[order],
            box_velocity=velocity[order],
            box_object=np.array(thing, dtype=np.int64)[order],
            box_category=np.array(category, dtype=np.int64)[order],
            box_points=np.array(points, dtype=np.int64)[order],
            box_attribute=np.array(attribute, dtype=np.int64)[order],
        )


def _attribute(builder: _Builder, tokens: list[str], table: Path) -> int:
    """The row of a box's attribute, -1 for none."""
    if not tokens or not builder.attributes:
        return -1
    if len(tokens) > 1:
        raise DataError(f"{table} has a box with {len(tokens)} attributes, the format allows one", UNPACK_AGAIN)
    return _refer(builder.attributes, tokens[0], table, "box attribute")


class _Links:
    """Which row is before and after which. Tokens are numbered on first sight, as a million of them come along."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {"": -1}
        self._columns = array("q"), array("q"), array("q")

    def add(self, token: str, before: str, after: str) -> None:
        number, (own, first, last) = self._number, self._columns
        own.append(number.setdefault(token, len(number) - 1))
        first.append(number.setdefault(before, len(number) - 1))
        last.append(number.setdefault(after, len(number) - 1))

    def distinct(self) -> int:
        """How many different rows there are."""
        return len(np.unique(np.array(self._columns[0], dtype=np.int64)))

    def rows(self) -> tuple[Ints, Ints]:
        """(A,) each: the row before and the row after, -1 where there is none."""
        own, before, after = (np.array(column, dtype=np.int64) for column in self._columns)
        row_of = np.full(len(self._number), -1, dtype=np.int64)  # its last entry stands for number -1, "none"
        row_of[own] = np.arange(len(own))
        row_of[-1] = -1
        return row_of[before], row_of[after]


def velocities(centre: Doubles, seconds: Doubles, before: Ints, after: Ints) -> Doubles:
    """(A,3) metres a second: the difference of an annotation's neighbours over their time, or of it and its only
    neighbour; NaN where it is alone or they are too far apart in time (devkit NuScenes.box_velocity).

    Args:
        centre: (A,3) global metres.
        seconds: (A,) time of each annotation's keyframe.
        before, after: (A,) rows of the same object's neighbouring annotations, -1 for none.
    """
    here = np.arange(len(centre))
    first, last = np.where(before >= 0, before, here), np.where(after >= 0, after, here)
    span = seconds[last] - seconds[first]
    limit = np.where((before >= 0) & (after >= 0), 2 * MAX_TIME_DIFFERENCE, MAX_TIME_DIFFERENCE)
    known = (span > 0) & (span <= limit)
    velocity = np.full((len(centre), 3), np.nan)
    velocity[known] = (centre[last] - centre[first])[known] / span[known, None]
    return velocity


def _require_once(distinct: int, count: int, table: Path) -> None:
    if distinct < count:
        raise DataError(f"{table} has the same row twice: {count - distinct:,} tokens are there again", UNPACK_AGAIN)


def _refer(known: Mapping[str, V], token: str, table: Path, what: str) -> V:
    if token not in known:
        raise DataError(f"{table} refers to a {what} that does not exist: {token!r}", UNPACK_AGAIN)
    return known[token]


def _extend(column: array[float], values: Iterable[float], width: int) -> None:
    before = len(column)
    column.extend(values)
    if len(column) != before + width:
        raise ValueError(f"a list of {len(column) - before} numbers where {width} belong")


def _finite(values: Any) -> Doubles:
    numbers = np.array(values, dtype=np.float64)
    if not plausible(numbers):
        raise ValueError("a number is not finite, or absurd")
    return numbers


def _poses(values: Any) -> Doubles:
    """(N,7) translations and quaternions, each of which is finite and has a direction."""
    poses = _finite(values).reshape(-1, 7)
    if (np.abs(poses[:, 3:]).max(axis=1, initial=0.0) < 1e-6).any():
        raise ValueError("a rotation is no quaternion")
    return poses


def _text(values: Iterable[str]) -> Text:
    return np.array([value.encode() for value in values], dtype=np.bytes_)
