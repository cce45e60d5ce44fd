"""The nuScenes tables as flat arrays: only what frames need, so that the full release opens in about a second.

The release describes 2.6 million files in over two gigabytes of JSON. A frame needs the LiDAR's rows, the cameras'
keyframes, their ego poses and the annotations; those are read row by row into ``Tables`` and, where that took a while,
kept in the user's cache folder under the stamps (path, size, time) of the files they were made from.
Schema: nuscenes-devkit, docs/schema_nuscenes.md.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmodal_core.cache import cache_folder
from xmodal_core.datasets._json_rows import rows
from xmodal_core.errors import DataError
from xmodal_core.types import Doubles, Ints

LIDAR = "LIDAR_TOP"
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
REQUIRED = (
    "scene",
    "sample",
    "sample_data",
    "calibrated_sensor",
    "sensor",
    "ego_pose",
    "sample_annotation",
    "instance",
    "category",
)
OPTIONAL = ("lidarseg",)

CACHE_ABOVE = 32 << 20
"""Bytes of tables from which on the arrays are worth keeping."""

MAX_TIME_DIFFERENCE = 1.5
"""Seconds between two annotations of an object up to which their difference is a velocity (devkit box_velocity)."""

_FORMAT = 1
_FETCH_AGAIN = "unpack the tables again from their archive"

Text = NDArray[np.bytes_]


@dataclass(frozen=True)
class Tables:
    """Scenes C, keyframes K (sorted by scene name, then time), LiDAR files L, camera keyframes M, calibrations S,
    annotations A (sorted by keyframe), categories T. Poses are rows of translation xyz (metres) and quaternion wxyz;
    -1 means none.

    Args:
        scene_name: (C,).
        key_token, key_scene, key_time: (K,), time in microseconds.
        key_lidar: (K,) row of its LiDAR file.
        key_camera: (K,6) row of its camera files, in the order of ``CAMERAS``.
        key_labels: (K,) its lidarseg file, empty where it has none.
        lidar_file, lidar_time, lidar_pose, lidar_calibration, lidar_prev: (L,), (L,), (L,7), (L,), (L,).
        camera_file, camera_pose, camera_calibration, camera_size: (M,), (M,7), (M,), (M,2) width and height.
        calibration_pose, calibration_intrinsics: (S,7), (S,3,3), zeros for a LiDAR.
        box_start: (K+1,) keyframe k has annotations box_start[k]:box_start[k+1].
        box_pose, box_size, box_velocity, box_object, box_category: (A,7) global, (A,3) width length height,
            (A,3) global metres a second with NaN for unknown, (A,) the instance's number, (A,).
        category_name, category_index: (T,), (T,) the value in lidarseg files.
    """

    scene_name: Text
    key_token: Text
    key_scene: Ints
    key_time: Ints
    key_lidar: Ints
    key_camera: Ints
    key_labels: Text
    lidar_file: Text
    lidar_time: Ints
    lidar_pose: Doubles
    lidar_calibration: Ints
    lidar_prev: Ints
    camera_file: Text
    camera_pose: Doubles
    camera_calibration: Ints
    camera_size: Ints
    calibration_pose: Doubles
    calibration_intrinsics: Doubles
    box_start: Ints
    box_pose: Doubles
    box_size: Doubles
    box_velocity: Doubles
    box_object: Ints
    box_category: Ints
    category_name: Text
    category_index: Ints


def read_tables(folder: Path) -> Tables:
    """The tables of one version folder, from the cache where it holds them for exactly these files.

    Raises:
        DataError: a table is missing or damaged, or refers to a row that does not exist.
    """
    stamps = [_stamp(folder / f"{name}.json", needed=name in REQUIRED) for name in REQUIRED + OPTIONAL]
    if sum(size for _, size, _ in stamps) < CACHE_ABOVE:
        return build_tables(folder)
    key = hashlib.sha256(repr((_FORMAT, stamps)).encode()).hexdigest()[:24]
    kept = cache_folder("nuscenes") / f"{key}.npz"
    tables = _load(kept)
    if tables is None:
        tables = build_tables(folder)
        _save(kept, tables)
    return tables


def _stamp(table: Path, needed: bool) -> tuple[str, int, int]:
    try:
        status = table.stat()
    except OSError:
        if needed:
            raise DataError(f"{table} is missing", "unpack the tables beside it from their archive") from None
        return str(table.resolve()), -1, -1
    return str(table.resolve()), status.st_size, status.st_mtime_ns


def _load(kept: Path) -> Tables | None:
    try:
        with np.load(kept, allow_pickle=False) as arrays:
            return Tables(**{field.name: arrays[field.name] for field in fields(Tables)})
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None  # absent, or a leftover of a full disk: made again


def _save(kept: Path, tables: Tables) -> None:
    partial = kept.with_name(f"{kept.name}.{os.getpid()}.partial")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            np.savez(stream, **{field.name: getattr(tables, field.name) for field in fields(tables)})
        os.replace(partial, kept)
    except OSError:
        partial.unlink(missing_ok=True)  # no room or no permission: the tables are read again next time


def build_tables(folder: Path) -> Tables:
    """The tables of one version folder, read from its JSON files."""
    parts: dict[str, Any] = {}
    keys = _read_keyframes(folder, parts)
    calibrations = _read_calibrations(folder, parts)
    wanted = _read_files(folder, parts, keys, calibrations)
    _read_ego_poses(folder, parts, wanted)
    categories = _read_categories(folder, parts)
    _read_annotations(folder, parts, keys, categories)
    return Tables(**parts)


def _read_keyframes(folder: Path, parts: dict[str, Any]) -> dict[str, int]:
    """Fills the scenes and keyframes; gives the keyframe of a sample token."""
    scenes = sorted((name, token) for token, name in rows(folder / "scene.json", "token", "name"))
    scene_of = {token: number for number, (_, token) in enumerate(scenes)}
    table = folder / "sample.json"
    samples = sorted(
        (_refer(scene_of, scene, table, "scene"), int(time), str(token))
        for token, time, scene in rows(table, "token", "timestamp", "scene_token")
    )
    parts["scene_name"] = _text(name for name, _ in scenes)
    parts["key_token"] = _text(token for _, _, token in samples)
    parts["key_scene"] = np.array([scene for scene, _, _ in samples], dtype=np.int64)
    parts["key_time"] = np.array([time for _, time, _ in samples], dtype=np.int64)
    return {token: number for number, (_, _, token) in enumerate(samples)}


def _read_calibrations(folder: Path, parts: dict[str, Any]) -> dict[str, tuple[int, str]]:
    """Fills the calibrations of the LiDAR and the cameras; gives row and channel of a calibrated_sensor token."""
    channel_of = dict(rows(folder / "sensor.json", "token", "channel"))
    table = folder / "calibrated_sensor.json"
    found: dict[str, tuple[int, str]] = {}
    poses: list[Any] = []
    intrinsics: list[Any] = []
    for token, sensor, translation, rotation, matrix in rows(
        table, "token", "sensor_token", "translation", "rotation", "camera_intrinsic"
    ):
        channel = _refer(channel_of, sensor, table, "sensor")
        if channel == LIDAR or channel in CAMERAS:
            found[token] = (len(poses), channel)
            poses.append([*translation, *rotation])
            intrinsics.append(matrix or np.zeros((3, 3)))
    parts["calibration_pose"] = _numbers(poses, (7,), table)
    parts["calibration_intrinsics"] = _numbers(intrinsics, (3, 3), table)
    return found


def _read_files(
    folder: Path, parts: dict[str, Any], keys: dict[str, int], calibrations: dict[str, tuple[int, str]]
) -> tuple[list[str], list[str]]:
    """Fills the LiDAR's and the cameras' files; gives the ego pose tokens of both."""
    table = folder / "sample_data.json"
    key_lidar = np.full(len(keys), -1, dtype=np.int64)
    key_camera = np.full((len(keys), len(CAMERAS)), -1, dtype=np.int64)
    lidar_row: dict[str, int] = {}
    files: tuple[list[str], list[str]] = ([], [])
    poses: tuple[list[str], list[str]] = ([], [])
    calibration: tuple[array[int], array[int]] = (array("q"), array("q"))
    previous: list[str] = []
    time, size = array("q"), array("q")
    fields_ = ("token", "sample_token", "ego_pose_token", "calibrated_sensor_token", "filename", "timestamp")
    for token, sample, ego, calibrated, filename, stamp, is_key, prev, width, height in rows(
        table, *fields_, "is_key_frame", "prev", "width", "height"
    ):
        if calibrated not in calibrations:
            continue  # a radar
        row, channel = calibrations[calibrated]
        is_lidar = channel == LIDAR
        if not is_lidar and not is_key:
            continue
        if is_key:
            key = _refer(keys, sample, table, "sample")
            if is_lidar:
                key_lidar[key] = len(files[0])
            else:
                key_camera[key, CAMERAS.index(channel)] = len(files[1])
        if is_lidar:
            lidar_row[token] = len(files[0])
            previous.append(prev)
            time.append(int(stamp))
        else:
            size.extend((int(width), int(height)))
        which = 0 if is_lidar else 1
        files[which].append(filename)
        poses[which].append(ego)
        calibration[which].append(row)
    if (key_lidar < 0).any():
        lacking = parts["key_token"][int(np.argmin(key_lidar))].decode()
        raise DataError(f"{table} has no {LIDAR} keyframe of sample {lacking}", _FETCH_AGAIN)
    parts.update(key_lidar=key_lidar, key_camera=key_camera)
    parts.update(lidar_file=_text(files[0]), camera_file=_text(files[1]))
    parts["lidar_time"] = np.array(time, dtype=np.int64)
    # A chain that leads out of the tables (a subset of a release) ends there, as at the start of a scene.
    parts["lidar_prev"] = np.array([lidar_row.get(token, -1) for token in previous], dtype=np.int64)
    parts["lidar_calibration"] = np.array(calibration[0], dtype=np.int64)
    parts["camera_calibration"] = np.array(calibration[1], dtype=np.int64)
    parts["camera_size"] = np.array(size, dtype=np.int64).reshape(-1, 2)
    parts["key_labels"] = _label_files(folder, len(keys), key_lidar, lidar_row)
    return poses


def _label_files(folder: Path, count: int, key_lidar: Ints, lidar_row: dict[str, int]) -> Text:
    names = [""] * count
    table = folder / "lidarseg.json"
    if table.exists():
        key_of = {int(row): key for key, row in enumerate(key_lidar)}
        for token, filename in rows(table, "sample_data_token", "filename"):
            key = key_of.get(lidar_row.get(token, -1))
            if key is not None:
                names[key] = filename
    return _text(names)


def _read_ego_poses(folder: Path, parts: dict[str, Any], wanted: tuple[list[str], list[str]]) -> None:
    """Fills the ego pose of each file: a pass over a table of 2.6 million of which a fifth is wanted."""
    table = folder / "ego_pose.json"
    place = {token: number for number, token in enumerate(dict.fromkeys(wanted[0] + wanted[1]))}
    poses = np.full((len(place), 7), np.nan)
    for token, translation, rotation in rows(table, "token", "translation", "rotation"):
        number = place.get(token)
        if number is not None:
            try:
                poses[number] = (*translation, *rotation)
            except (TypeError, ValueError):
                raise DataError(f"{table}: pose {token} is not 3 and 4 numbers", _FETCH_AGAIN) from None
    for kind, tokens in zip(("lidar", "camera"), wanted, strict=True):
        found = poses[[_refer(place, token, table, "pose") for token in tokens]].reshape(-1, 7)
        if np.isnan(found).any():
            lacking = tokens[int(np.argmax(np.isnan(found).any(axis=1)))]
            raise DataError(f"{table} has no pose {lacking}, which sample_data.json refers to", _FETCH_AGAIN)
        parts[f"{kind}_pose"] = found


def _read_categories(folder: Path, parts: dict[str, Any]) -> dict[str, int]:
    """Fills the categories; gives the category of an instance's token as its row."""
    table = folder / "category.json"
    found = list(rows(table, "token", "name"))
    parts["category_name"] = _text(name for _, name in found)
    has_index = bool((parts["key_labels"] != b"").any())
    # Only the lidarseg package's category.json knows the values in the label files.
    index = list(rows(table, "index")) if has_index else [-1] * len(found)
    parts["category_index"] = np.array(index, dtype=np.int64)
    return {token: number for number, (token, _) in enumerate(found)}


def _read_annotations(folder: Path, parts: dict[str, Any], keys: dict[str, int], categories: dict[str, int]) -> None:
    """Fills the boxes, sorted by keyframe, with their velocities."""
    table = folder / "instance.json"
    objects: dict[str, tuple[int, int]] = {}
    for token, category in rows(table, "token", "category_token"):
        objects[token] = (len(objects), _refer(categories, category, table, "category"))
    table = folder / "sample_annotation.json"
    ids: dict[str, int] = {"": -1}
    token_id, prev_id, next_id, key, thing, category_ = (array("q") for _ in range(6))
    pose, size = array("d"), array("d")
    fields_ = ("token", "sample_token", "instance_token", "translation", "size", "rotation", "prev", "next")
    for token, sample, instance, translation, extent, rotation, prev, following in rows(table, *fields_):
        for ids_of, name in ((token_id, token), (prev_id, prev), (next_id, following)):
            ids_of.append(ids.setdefault(name, len(ids) - 1))
        key.append(_refer(keys, sample, table, "sample"))
        number, kind = _refer(objects, instance, table, "instance")
        thing.append(number)
        category_.append(kind)
        _extend(pose, (*translation, *rotation), 7, table, token)
        _extend(size, extent, 3, table, token)
    key_of = np.array(key, dtype=np.int64)
    poses = np.array(pose).reshape(-1, 7)
    row_of = np.full(len(ids), -1, dtype=np.int64)  # the last one stands for id -1, "none"
    row_of[np.array(token_id, dtype=np.int64)] = np.arange(len(key_of))
    links = row_of[np.array(prev_id, dtype=np.int64)], row_of[np.array(next_id, dtype=np.int64)]
    velocity = _velocities(poses[:, :3], parts["key_time"][key_of] * 1e-6, *links)
    order = np.argsort(key_of, kind="stable")
    parts["box_start"] = np.searchsorted(key_of[order], np.arange(len(keys) + 1)).astype(np.int64)
    parts["box_pose"], parts["box_velocity"] = poses[order], velocity[order]
    parts["box_size"] = np.array(size).reshape(-1, 3)[order]
    parts["box_object"] = np.array(thing, dtype=np.int64)[order]
    parts["box_category"] = np.array(category_, dtype=np.int64)[order]


def _velocities(centre: Doubles, seconds: Doubles, previous: Ints, following: Ints) -> Doubles:
    """(A,3) the difference of the neighbouring annotations over their time; NaN where an object has one annotation
    only or the neighbours are too far apart (devkit NuScenes.box_velocity)."""
    here = np.arange(len(centre))
    first, last = np.where(previous >= 0, previous, here), np.where(following >= 0, following, here)
    span = seconds[last] - seconds[first]
    limit = np.where((previous >= 0) & (following >= 0), 2 * MAX_TIME_DIFFERENCE, MAX_TIME_DIFFERENCE)
    known = (span > 0) & (span <= limit)
    velocity = np.full((len(centre), 3), np.nan)
    velocity[known] = (centre[last] - centre[first])[known] / span[known, None]
    return velocity


def _extend(column: array[float], values: Sequence[float], width: int, table: Path, token: str) -> None:
    before = len(column)
    try:
        column.extend(values)
    except TypeError:
        before = -1
    if len(column) != before + width:
        raise DataError(f"{table}: row {token} has a list of the wrong length or kind", _FETCH_AGAIN)


def _refer(known: dict[str, Any], token: str, table: Path, what: str) -> Any:
    try:
        return known[token]
    except (KeyError, TypeError):
        raise DataError(f"{table} refers to a {what} that does not exist: {token}", _FETCH_AGAIN) from None


def _numbers(values: list[Any], shape: tuple[int, ...], table: Path) -> Doubles:
    try:
        return np.array(values, dtype=np.float64).reshape(len(values), *shape)
    except (TypeError, ValueError):
        raise DataError(f"{table}: a row has a list of the wrong length or kind", _FETCH_AGAIN) from None


def _text(values: Iterable[str]) -> Text:
    return np.array([value.encode() for value in values], dtype=np.bytes_)
