"""The range image of a LiDAR whose points know their ring: rows are beams, columns are directions."""

from __future__ import annotations

import numpy as np

from xmodal_core.datasets._files import LARGEST
from xmodal_core.types import Floats, Ints, Sensor

COLUMNS = 1024
"""Of an image by azimuth, where nobody asks for another number."""


def of_rings(points: Floats, ring: Floats, values: Floats, sensor: Sensor, columns: int | None = None) -> Floats:
    """(beams, columns, 2) range in metres and value of the nearest point in each pixel; (-1, 0) where there is none.

    Row 0 is the highest beam. Where the points come firing after firing, each of all rings in turn from the lowest on
    (as the files of nuScenes have them), there is a column for each firing, in their order, and each point has a pixel
    of its own. Else, and where ``columns`` is given, columns go by azimuth, clockwise seen from above: the middle of
    the image looks where ``sensor`` says is forward, its ends look back.

    Args:
        points: (N,3) metres, of one sweep.
        ring: (N,) the beam of each point, 0 lowest; points of no beam of ``sensor`` are in no row.
        values: (N,) e.g. intensity.
        sensor: its beams and its forward direction.
        columns: width of an image by azimuth.
    """
    number = np.arange(len(points))
    if columns is None and len(points) % sensor.beams == 0 and np.array_equal(ring, number % sensor.beams):
        columns, column = len(points) // sensor.beams, number // sensor.beams
    else:
        columns = columns or COLUMNS
        column = _columns(points, sensor, columns)
    image = np.full((sensor.beams, columns, 2), (-1.0, 0.0), dtype=np.float32)
    distance = np.linalg.norm(points.astype(np.float64), axis=1)
    use = (ring >= 0) & (ring < sensor.beams) & (distance > 0) & (distance < LARGEST) & (np.abs(values) < LARGEST)
    order = np.flatnonzero(use)[np.argsort(-distance[use], kind="stable")]  # the nearest is written last
    row = sensor.beams - 1 - ring[order].astype(np.int64)
    image[row, column[order], 0] = distance[order]
    image[row, column[order], 1] = values[order]
    return image


def _columns(points: Floats, sensor: Sensor, columns: int) -> Ints:
    """(N,) the column of each point by its azimuth; any for a point that is no place."""
    azimuth = np.arctan2(points[:, 1].astype(np.float64), points[:, 0]) - np.arctan2(*sensor.forward[::-1])
    place = np.nan_to_num((0.5 - azimuth / (2 * np.pi)) % 1.0 * columns)
    return np.asarray(np.floor(place), dtype=np.int64) % columns
