"""ONCE's JSON, one file a sequence: calibration of the cameras, poses and labels of the frames, as arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets._files import FETCH_AGAIN, plausible, read_text
from xmodal_core.errors import DataError
from xmodal_core.types import Bools, Doubles, Ints, Lens

CLASSES = ("Car", "Truck", "Bus", "Pedestrian", "Cyclist")

WITHOUT_CAMERA = "fetch the file again, or leave the camera out with --set dataset.cameras=[…]"


class Calibration(NamedTuple):
    """One camera: ``intrinsics`` (3,3) in pixels, ``lidar_to_camera`` (4,4), and its ``lens``."""

    intrinsics: Doubles
    lidar_to_camera: Doubles
    lens: Lens


@dataclass(frozen=True)
class SequenceFile:
    """What the JSON of one sequence says of its F frames, in the order of time.

    Args:
        milliseconds: (F,) int64, time and name of each frame.
        pose: (F,7) float64: quaternion x, y, z, w and translation, LiDAR to the sequence's world; rows that cannot be
            used are NaN.
        annotated: (F,) bool; a frame may be annotated and have no box.
        box_start: (F+1,) int64: the boxes of frame f are rows box_start[f] to box_start[f + 1].
        box: (B,7) float64: centre, length, width, height, and the angle about +z from +x.
        kind: (B,) int64, number in ``CLASSES``.
        points: (B,) int64, returns in the box by the file's own count; -1 unknown.
        cameras: by name.
    """

    milliseconds: Ints
    pose: Doubles
    annotated: Bools
    box_start: Ints
    box: Doubles
    kind: Ints
    points: Ints
    cameras: Mapping[str, Calibration]

    def __len__(self) -> int:
        return len(self.milliseconds)

    def pose_of(self, row: int) -> Doubles | None:
        """LiDAR to world (4,4) of the frame in ``row``; None where the file has none to use."""
        x, y, z, w, *place = self.pose[row].tolist()
        return None if np.isnan(w) else geometry.rigid(geometry.rotation_from_quaternion((w, x, y, z)), place)


class _Annotation(NamedTuple):
    box: Doubles
    kind: Ints
    points: Ints


def read_sequence(file: Path, cameras: tuple[str, ...]) -> SequenceFile:
    """The JSON of one sequence, with the calibration of ``cameras``.

    Raises:
        DataError: the file is missing or damaged, or lacks something of what is wanted; the message says where.
    """
    try:
        content = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is damaged: {str(error).splitlines()[0]}", FETCH_AGAIN) from None
    rows = _list(content, "frames", _Place(file, ""))
    places = [_Place(file, f"frame {number} of") for number in range(len(rows))]
    milliseconds = np.array([_milliseconds(row, at) for row, at in zip(rows, places, strict=True)], dtype=np.int64)
    order = np.argsort(milliseconds, kind="stable")
    if (twice := np.flatnonzero(np.diff(milliseconds[order]) == 0)).size:
        raise DataError(f"{file} has frame {milliseconds[order][twice[0]]} twice", FETCH_AGAIN)
    found = [_annotation(rows[number], places[number]) for number in order]
    there = [one for one in found if one is not None]
    return SequenceFile(
        milliseconds=milliseconds[order],
        pose=np.array([_pose(rows[number], places[number]) for number in order]).reshape(-1, 7),
        annotated=np.array([one is not None for one in found], dtype=np.bool_),
        box_start=np.cumsum([0, *(0 if one is None else len(one.box) for one in found)], dtype=np.int64),
        box=np.concatenate([np.zeros((0, 7)), *(one.box for one in there)]),
        kind=np.concatenate([np.zeros(0, np.int64), *(one.kind for one in there)]),
        points=np.concatenate([np.zeros(0, np.int64), *(one.points for one in there)]),
        cameras={name: _calibration(content, name, file) for name in cameras},
    )


class _Place(NamedTuple):
    """Where in ``file`` a fault is, in words that go before the file's name."""

    file: Path
    words: str

    def fault(self, words: str, hint: str = FETCH_AGAIN) -> DataError:
        return DataError(f"{self.words} {self.file} {words}".strip(), hint)


def _list(tree: Any, key: str, place: _Place) -> list[Any]:
    found = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(found, list):
        raise place.fault(f"has no list '{key}'")
    return found


def _numbers(found: Any, shape: tuple[int, ...], what: str, place: _Place, hint: str = FETCH_AGAIN) -> Doubles:
    """``found`` as numbers of ``shape``, where -1 stands for any length."""
    words = " x ".join("any" if side < 0 else str(side) for side in shape)
    fault = place.fault(f"has no '{what}' of {words} numbers", hint)
    try:
        values = np.array(found, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise fault from None
    if not values.size and shape[0] < 0:
        values = values.reshape(0, *shape[1:])
    fits = len(shape) == values.ndim and all(side in (-1, of) for side, of in zip(shape, values.shape, strict=True))
    if not fits or not plausible(values):
        raise fault
    return values


def _milliseconds(row: Any, place: _Place) -> int:
    name = row.get("frame_id") if isinstance(row, dict) else None
    text = str(name)
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and str(int(text)) == text):
        raise place.fault(f"is named '{text[:40]}', not by its milliseconds")
    return int(text)


def _pose(row: Any, place: _Place) -> Doubles:
    """(7,) numbers; NaN where there is no pose, or one whose quaternion is no rotation: some frames have zeros."""
    unknown = np.full(7, np.nan)
    if row.get("pose") is None:
        return unknown
    try:
        values = np.array(row["pose"], dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        values = np.zeros(0)
    if values.shape != (7,):
        raise place.fault("has no 'pose' of 7 numbers")
    usable = plausible(values) and float(values[:4] @ values[:4]) > 1e-6
    return values if usable else unknown


def _annotation(row: Any, place: _Place) -> _Annotation | None:
    found = row.get("annos")
    if found is None:
        return None
    # The files write 'names'; the description of the format has 'name'.
    names = _list(found, "names" if not isinstance(found, dict) or "name" not in found else "name", place)
    box = _numbers(found.get("boxes_3d"), (-1, 7), "boxes_3d", place)
    if len(box) != len(names):
        raise place.fault(f"has {len(box)} boxes for {len(names)} names")
    for name in names:
        if name not in CLASSES:
            raise place.fault(f"labels an unknown class '{name}'", f"known: {', '.join(CLASSES)}")
    if (box[:, 3:6] <= 0).any():
        raise place.fault("has a box without length, width or height")
    kind = np.array([CLASSES.index(name) for name in names], dtype=np.int64)
    points = np.full(len(box), -1, dtype=np.int64)
    if found.get("num_points_in_gt") is not None:
        counts = _numbers(found["num_points_in_gt"], (-1,), "num_points_in_gt", place)
        if len(counts) != len(box):
            raise place.fault(f"has {len(box)} boxes for {len(counts)} numbers of points")
        points[:] = counts
    return _Annotation(box, kind, points)


def _calibration(content: Any, name: str, file: Path) -> Calibration:
    place = _Place(file, f"'{name}' in")
    cameras = content.get("calib")
    found = cameras.get(name) if isinstance(cameras, dict) else None
    if not isinstance(found, dict):
        raise DataError(f"{file} has no calibration of '{name}'", WITHOUT_CAMERA)
    camera_to_lidar = _numbers(found.get("cam_to_velo"), (4, 4), "cam_to_velo", place, WITHOUT_CAMERA)
    rotation = camera_to_lidar[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        raise place.fault("has a 'cam_to_velo' that is no rigid motion", WITHOUT_CAMERA)
    intrinsics = _numbers(found.get("cam_intrinsic"), (3, 3), "cam_intrinsic", place, WITHOUT_CAMERA)
    if min(intrinsics[0, 0], intrinsics[1, 1]) < 1 or not np.array_equal(
        intrinsics[[1, 2, 2, 2], [0, 0, 1, 2]], [0, 0, 0, 1]
    ):
        raise place.fault("has a 'cam_intrinsic' that is no camera's", WITHOUT_CAMERA)
    return Calibration(
        intrinsics, geometry.invert(geometry.rigid(rotation, camera_to_lidar[:3, 3])), _lens(found, place)
    )


def _lens(found: Mapping[str, Any], place: _Place) -> Lens:
    """OpenCV's k1, k2, p1, p2 and, where there are more numbers, k3; further ones of the rational or tilted model have
    to be zero."""
    values = found.get("distortion")
    if isinstance(values, list) and len(values) == 1:  # a matrix of one row
        values = values[0]
    numbers = _numbers(values, (-1,), "distortion", place, WITHOUT_CAMERA)
    if len(numbers) < 4 or numbers[5:].any():
        raise place.fault("has a 'distortion' other than k1, k2, p1, p2, k3", WITHOUT_CAMERA)
    k1, k2, p1, p2, k3 = (*numbers[:5].tolist(), 0.0)[:5]
    return Lens(k1, k2, p1, p2, k3)
