"""Labels of KITTI's object and tracking benchmarks: from the rectified camera's coordinates to the LiDAR's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets import _kitti
from xmodal_core.datasets._files import FETCH_AGAIN, plausible
from xmodal_core.errors import DataError
from xmodal_core.types import Bools, Boxes, Doubles, Floats

EASY, MODERATE, HARD, HARDER = 1, 2, 3, 4
"""Levels of difficulty of the object benchmark; ``HARDER`` boxes count at none."""

LEVELS = {EASY: (40.0, 0, 0.15), MODERATE: (25.0, 1, 0.3), HARD: (25.0, 2, 0.5)}
"""Of a level: the least height of a box in the picture, in pixels, how far it may be occluded (0: in full view, 1:
partly, 2: largely, 3: unknown), and which share of it cut off at the picture's edge. Object development kit."""


class Label(NamedTuple):
    """One line of a label file: class, geometric centre in rectified camera coordinates, length, width, height, the
    rotation about the camera's y-axis, and how hard the object benchmark finds it."""

    kind: int
    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    rotation_y: float
    difficulty: int


class DontCare(NamedTuple):
    """A region of the left colour picture, edges in pixels, that shows objects which are not labelled."""

    left: float
    top: float
    right: float
    bottom: float


def parse_label(words: Sequence[str], place: str) -> Label | DontCare | None:
    """What a line's ``words`` say, the class first; None for an empty line.

    Raises:
        DataError: they are no label; the message names ``place``.
    """
    if not words:
        return None
    try:
        cut_off, occluded, _, left, top, right, bottom = [float(word) for word in words[1:8]]
        if words[0] == "DontCare":
            return _region(DontCare(left, top, right, bottom), place)
        height, width, length, x, y, z, rotation_y = values = [float(word) for word in words[8:15]]
    except ValueError:
        raise DataError(f"{place} is no label of 15 values", FETCH_AGAIN) from None
    if not plausible(values) or min(values[:3]) <= 0:
        raise DataError(f"{place} is no box: {' '.join(words[8:15])}", FETCH_AGAIN)
    # (x, y, z) is the middle of the box's bottom, and y points down.
    return Label(
        kind=_kitti.class_number(words[0], place),
        centre=(x, y - height / 2, z),
        size=(length, width, height),
        rotation_y=rotation_y,
        difficulty=_difficulty(bottom - top, occluded, cut_off),
    )


def _region(region: DontCare, place: str) -> DontCare:
    if not plausible(region):
        raise DataError(f"{place} is no region of a picture: {' '.join(map(str, region))}", FETCH_AGAIN)
    return region


def _difficulty(tall: float, occluded: float, cut_off: float) -> int:
    """The easiest level that takes a box, each taking what the one before it does."""
    fitting = (
        level
        for level, (least, most_occluded, most_cut_off) in LEVELS.items()
        if tall >= least and occluded <= most_occluded and cut_off <= most_cut_off
    )
    return next(fitting, HARDER)


def boxes_of_labels(
    labels: Sequence[Label], track: Sequence[int], lidar_to_rectified: Doubles, *, graded: bool
) -> Boxes:
    """``labels``, each with its number of a ``track``, in the LiDAR's frame; their velocity is unknown.

    ``graded``: they have a difficulty. Only the object benchmark's say how much of a box is cut off as a share.
    """
    rectified_to_lidar = geometry.invert(lidar_to_rectified)
    return Boxes(
        centre=geometry.transform_points(
            rectified_to_lidar, np.array([label.centre for label in labels], dtype=np.float32).reshape(-1, 3)
        ),
        size=np.array([label.size for label in labels], dtype=np.float32).reshape(-1, 3),
        yaw=np.array([_yaw(label.rotation_y, rectified_to_lidar) for label in labels], dtype=np.float32),
        label=np.array([label.kind for label in labels], dtype=np.int64),
        classes=_kitti.CLASSES,
        track=np.array(track, dtype=np.int64),
        velocity=np.full((len(labels), 2), np.nan, dtype=np.float32),
        difficulty=np.array([label.difficulty for label in labels], dtype=np.int64) if graded else None,
    )


def no_label_zone(
    points: Floats, regions: Sequence[DontCare], projection: Doubles, lidar_to_rectified: Doubles
) -> Bools:
    """(N,) whether the left colour picture shows each of ``points`` (N,3), of the LiDAR's frame, in one of ``regions``.

    Args:
        projection: (3,4) from rectified coordinates to that picture; ``lidar_to_rectified``: (4,4).
    """
    zone = np.zeros(len(points), dtype=np.bool_)
    if not regions:
        return zone
    intrinsics, lidar_to_camera = _kitti.rectified_camera(projection, lidar_to_rectified)
    u, v, depth = intrinsics.astype(np.float32) @ geometry.transform_points(lidar_to_camera, points).T
    front = depth > 0
    u, v = (np.divide(along, depth, out=np.full_like(depth, np.nan), where=front) for along in (u, v))
    for region in regions:
        zone |= (u >= region.left) & (u <= region.right) & (v >= region.top) & (v <= region.bottom)
    return zone


def _yaw(rotation_y: float, rectified_to_lidar: Doubles) -> float:
    """The heading about the LiDAR's z-axis: the object's forward direction, turned by the whole rotation."""
    forward = rectified_to_lidar[:3, :3] @ (np.cos(rotation_y), 0.0, -np.sin(rotation_y))
    return float(np.arctan2(forward[1], forward[0]))
