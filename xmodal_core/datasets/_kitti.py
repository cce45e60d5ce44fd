"""What KITTI's raw drives and its benchmarks share: calibration files, the projection, class names, points.

Geiger et al., "Vision meets robotics: the KITTI dataset", IJRR 2013, and the development kits' readme files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets._files import FETCH_AGAIN, plausible, plausible_rows, read_rows, read_text, unless_all
from xmodal_core.errors import DataError, InputError
from xmodal_core.types import Bools, Doubles, Floats, Frame, Sensor

COLUMNS = 4
"""x, y, z, reflectance (0..1): a row of a velodyne .bin file."""

SENSOR = Sensor("HDL-64E", beams=64, forward=(1.0, 0.0), height=1.73, intensity_max=1.0)
"""Roof mount 1.73 m above the ground (IJRR 2013, figure 3)."""

CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
"""In the order of the object development kit, without DontCare, whose regions have no box in space."""

IN_VIEW = "only the points that one of the cameras sees; what lies beside and behind them has no boxes"
"""What the readers' option ``in_view`` is."""
WHOLE = "name a camera in dataset.cameras that is there, or take whole sweeps with dataset.in_view=false"

OTHER_NAMES = {"Person (sitting)": "Person_sitting", "Person": "Person_sitting"}
"""How tracklets and the tracking benchmark call a class."""


def class_number(name: str, place: Path | str) -> int:
    """The place of ``name`` in ``CLASSES``.

    Raises:
        DataError: KITTI has no such class; the message names ``place``.
    """
    plain = OTHER_NAMES.get(name, name)
    if plain not in CLASSES:
        raise DataError(f"{place} labels an unknown class '{name}'", f"known: {', '.join(CLASSES)}")
    return CLASSES.index(plain)


def read_calibration(file: Path) -> dict[str, Doubles]:
    """The ``name: numbers`` lines of a calibration file; the tracking benchmark leaves out some of the colons. Lines
    without numbers (dates) are left out.

    Raises:
        DataError: the file is missing or empty.
    """
    values: dict[str, Doubles] = {}
    for line in read_text(file).splitlines():
        name, colon, numbers = line.strip().partition(":")
        if not colon:
            name, _, numbers = name.partition(" ")
        try:
            values[name.strip()] = np.array([float(word) for word in numbers.split()])
        except ValueError:
            continue
    return values


def matrix(values: dict[str, Doubles], name: str, shape: tuple[int, ...], file: Path) -> Doubles:
    """Entry ``name`` of a calibration file as an array of ``shape``.

    Raises:
        DataError: it is not there, or has another number of values.
    """
    found = values.get(name)
    if found is None or found.size != np.prod(shape) or not plausible(found):
        words = " x ".join(str(side) for side in shape)
        raise DataError(f"{file} has no '{name}' of {words} numbers", FETCH_AGAIN)
    return found.reshape(shape)


def rotation(values: dict[str, Doubles], name: str, file: Path) -> Doubles:
    """Entry ``name`` of a calibration file as a 3x3 rotation.

    Raises:
        DataError: it is not there, or is none.
    """
    return _checked_rotation(matrix(values, name, (3, 3), file), name, file)


def rigid_rows(values: dict[str, Doubles], name: str, file: Path) -> Doubles:
    """Entry ``name``, the upper three rows of a rigid transform, as a 4x4 matrix.

    Raises:
        DataError: it is not there, or not rigid.
    """
    rows = matrix(values, name, (3, 4), file)
    return geometry.rigid(_checked_rotation(rows[:, :3], name, file), rows[:, 3])


def projection(values: dict[str, Doubles], name: str, file: Path) -> Doubles:
    """Entry ``name`` as the 3x4 projection of a rectified camera.

    Raises:
        DataError: it is not there, or has a focal length below a pixel or another last row than 0 0 1.
    """
    found = matrix(values, name, (3, 4), file)
    if found[0, 0] < 1 or found[1, 1] < 1 or found[1, 0] != 0 or not np.array_equal(found[2, :3], (0.0, 0.0, 1.0)):
        raise DataError(f"'{name}' in {file} is no projection of a rectified camera", FETCH_AGAIN)
    return found


def _checked_rotation(found: Doubles, name: str, file: Path) -> Doubles:
    # The files give seven digits; a digit that is wrong shows.
    if np.abs(found @ found.T - np.eye(3)).max() > 1e-3 or np.linalg.det(found) < 0:
        raise DataError(f"'{name}' in {file} is no rotation", FETCH_AGAIN)
    return found


def rectified_camera(projection: Doubles, lidar_to_rectified: Doubles) -> tuple[Doubles, Doubles]:
    """Intrinsics (3,3) and the LiDAR-to-camera transform (4,4) of a whole 3x4 ``projection``.

    ``P X = K (X + t)`` with K its left 3x3 part and t = inv(K) P[:, 3]. All of t counts, not only the baseline along x:
    real matrices shift y and z by millimetres too.

    Args:
        projection: P of the camera, from rectified coordinates of camera 0 to its picture.
        lidar_to_rectified: from the LiDAR to the rectified coordinates of camera 0.
    """
    intrinsics = projection[:, :3].copy()
    shift = np.asarray(np.linalg.solve(intrinsics, projection[:, 3]), dtype=np.float64)
    return intrinsics, geometry.rigid(np.eye(3), shift) @ lidar_to_rectified


def notes_by_sequence(lacks: Mapping[str, Sequence[str]], kind: str = "sequence") -> tuple[str, ...]:
    """A line for each thing that sequences (or what ``kind`` calls them) lack, from what each of them lacks: those
    that lack the same share it."""
    names: dict[str, list[str]] = {}
    for name, words in lacks.items():
        for what in words:
            names.setdefault(what, []).append(name)
    return tuple(f"{kind}{'s' if len(who) > 1 else ''} {', '.join(who)}: no {what}" for what, who in names.items())


def read_points(file: Path) -> tuple[Floats, dict[str, Floats], Bools | None]:
    """Points (N,3) of a velodyne file, the ``intensity`` channel, and ``Frame.stored``: what is not finite is dropped.

    Raises:
        DataError: the file is missing, empty or cut short.
    """
    values = read_rows(file, COLUMNS)
    kept = plausible_rows(values)
    values = values[kept]
    return values[:, :3].copy(), {"intensity": values[:, 3].copy()}, unless_all(kept)


def require_cameras(in_view: bool, cameras: Sequence[str]) -> None:
    """Refuse ``in_view`` without a camera to have one.

    Raises:
        InputError: so it is.
    """
    if in_view and not cameras:
        raise InputError("dataset.in_view needs a camera", WHOLE)


def only_in_view(frame: Frame) -> Frame:
    """``frame`` with those points alone that one of its cameras sees.

    Boxes are annotated in the left colour picture (IJRR 2013, section III-B), so a car behind has none; networks that
    are taught or judged on whole sweeps learn that it is background. open-mmlab/OpenPCDet does the same
    (kitti_dataset.yaml, FOV_POINTS_ONLY).

    Raises:
        DataError: it has no camera.
    """
    if not frame.cameras:
        raise DataError(f"frame '{frame.name}' has no picture, so what is in view is not known", WHOLE)
    views = [camera.project(frame.points, min_depth=0.0, border=0.0).inside for camera in frame.cameras]
    seen = np.logical_or.reduce(views)
    stored = np.ones(len(frame), dtype=np.bool_) if frame.stored is None else frame.stored.copy()
    stored[stored] = seen
    channels = {name: values[seen] for name, values in frame.channels.items()}
    return replace(frame, points=frame.points[seen], channels=channels, stored=unless_all(stored))
