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
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmodal_core.cache import cache_folder
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
OPTIONAL = ("lidarseg", "attribute")

CACHE_ABOVE = 32 << 20
"""Bytes of tables from which on the arrays are worth keeping."""

_FORMAT = 2
"""To be raised when ``Tables`` changes: older kept arrays are then made again."""

Text = NDArray[np.bytes_]


@dataclass(frozen=True)
class Tables:
    """Scenes C, keyframes K (sorted by scene name, then time), LiDAR files L, camera keyframes M, calibrations S,
    annotations A (sorted by keyframe), categories T. Poses are rows of translation xyz (metres) and quaternion wxyz;
    -1 means none.

    Args:
        scene_name: (C,).
        key_token, key_scene, key_time: (K,), time in microseconds.
        key_lidar, key_lidar_token: (K,) row of its LiDAR file, and its token, by which lidarseg names its labels.
        key_camera: (K,6) row of its camera files, in the order of ``CAMERAS``.
        key_labels: (K,) its lidarseg file, empty where it has none.
        lidar_file, lidar_time, lidar_pose, lidar_calibration, lidar_prev: (L,), (L,), (L,7), (L,), (L,).
        camera_file, camera_pose, camera_calibration, camera_size: (M,), (M,7), (M,), (M,2) width and height.
        calibration_pose, calibration_intrinsics: (S,7), (S,3,3), zeros for a LiDAR.
        box_start: (K+1,) keyframe k has annotations box_start[k]:box_start[k+1].
        box_pose, box_size, box_velocity, box_object, box_category: (A,7) global, (A,3) width length height,
            (A,3) global metres a second with NaN for unknown, (A,) the instance's number, (A,).
        box_points, box_attribute: (A,) LiDAR and radar points within together, (A,) row of ``attribute_name``.
        attribute_name: names such as ``vehicle.parked``.
        category_name, category_index: (T,), (T,) the value in lidarseg files.
    """

    scene_name: Text
    key_token: Text
    key_scene: Ints
    key_time: Ints
    key_lidar: Ints
    key_lidar_token: Text
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
    box_points: Ints
    box_attribute: Ints
    attribute_name: Text
    category_name: Text
    category_index: Ints

    @property
    def has_boxes(self) -> bool:
        """Whether there are annotations at all: those of v1.0-test are kept back."""
        return len(self.box_object) > 0


def read_tables(folder: Path) -> Tables:
    """The tables of one version folder, from the cache where it holds them for exactly these files.

    Raises:
        DataError: a table is missing or damaged, or refers to a row that does not exist.
    """
    from xmodal_core.datasets._nuscenes_parse import build_tables

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
    except OSError:  # no room or no permission: the tables are read again next time
        with suppress(OSError):
            partial.unlink()
