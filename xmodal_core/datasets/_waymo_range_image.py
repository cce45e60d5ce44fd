"""From Waymo's range images to points (waymo-open-dataset: utils/range_image_utils.py), in double precision.

A pixel's row is its beam, the highest first, its column the azimuth in the vehicle's heading. World coordinates are
tens of kilometres, where float32 has steps of millimetres.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets._files import LARGEST
from xmodal_core.types import Doubles, Floats, Ints


class Returns(NamedTuple):
    """The pixels of a range image that have a return, row after row: ``points`` (n,3) metres in the vehicle's frame,
    ``row`` and ``column`` (n,) of the image."""

    points: Doubles
    row: Ints
    column: Ints


def beam_angles(values: Doubles | None, low: float, high: float, rows: int) -> Doubles:
    """(rows,) the elevation of each row in radians, the highest first.

    Args:
        values: (rows,) as the calibration lists them, from the lowest on; None: evenly between ``low`` and ``high``.
        low, high: the ends of the LiDAR's field of view.
        rows: of the range image.
    """
    if values is None:
        values = low + (np.arange(rows) + 0.5) / rows * (high - low)
    return np.asarray(values[::-1], dtype=np.float64)


def azimuths(columns: int, lidar_to_vehicle: Doubles) -> Doubles:
    """(columns,) the azimuth of each column in the LiDAR's own frame, radians; the first column looks backwards in
    the vehicle's frame, whichever way the LiDAR is mounted."""
    heading = (2 * (columns - np.arange(columns) - 0.5) / columns - 1) * np.pi
    return np.asarray(heading - geometry.yaw_of(lidar_to_vehicle[:3, :3]), dtype=np.float64)


def find_returns(ranges: Floats, elevation: Doubles, azimuth: Doubles, lidar_to_vehicle: Doubles) -> Returns:
    """The returns of a range image (height, width) in metres, where zero, negative, NaN and infinity are none."""
    row, column = np.nonzero((ranges > 0) & (ranges < LARGEST))
    distance = ranges[row, column].astype(np.float64)
    flat = distance * np.cos(elevation)[row]
    own = np.stack(
        [flat * np.cos(azimuth)[column], flat * np.sin(azimuth)[column], distance * np.sin(elevation)[row]], axis=1
    )
    return Returns(own @ lidar_to_vehicle[:3, :3].T + lidar_to_vehicle[:3, 3], row, column)


def at_frame_time(points: Doubles, poses: Floats, vehicle_to_world: Doubles) -> Doubles:
    """Points of a turning LiDAR, each in the vehicle's frame at its own time, in that of the frame.

    Args:
        points: (n,3) metres.
        poses: (n,6) roll, pitch, yaw in radians and x, y, z in metres of the vehicle in the world at each point's time.
        vehicle_to_world: (4,4) at the frame's time.
    """
    sine, cosine = np.sin(poses[:, :3], dtype=np.float64).T, np.cos(poses[:, :3], dtype=np.float64).T
    x, y, z = points.T
    y, z = cosine[0] * y - sine[0] * z, sine[0] * y + cosine[0] * z
    x, z = cosine[1] * x + sine[1] * z, cosine[1] * z - sine[1] * x
    x, y = cosine[2] * x - sine[2] * y, sine[2] * x + cosine[2] * y
    # The difference first: then no step loses what the large coordinates would cost.
    away = np.stack([x, y, z], axis=1) + (poses[:, 3:6].astype(np.float64) - vehicle_to_world[:3, 3])
    return np.asarray(away @ vehicle_to_world[:3, :3], dtype=np.float64)
