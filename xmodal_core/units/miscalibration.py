"""What a wrong calibration does to units: how far their pixels move, and whether they still show the unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from xmodal_core import geometry
from xmodal_core.rig import RigConfig, restore
from xmodal_core.types import Bools, Camera, Floats, Frame, Ints, Units
from xmodal_core.units.members import unit_of_points
from xmodal_core.units.pool import image_pooling


class Miscalibration(NamedTuple):
    """The pairs of a unit and a pixel that its image feature is averaged from, against where its points truly are.

    Args:
        pairs: how many there are.
        moved: mean distance in pixels of the stored picture between where a pair's point is taken to be and where it
            truly is; NaN without pairs. Pixels whose point truly lies behind the camera are left out.
        kept: share of pairs whose pixel still shows their unit: the point that truly falls nearest to it is the unit's;
            NaN without pairs.
    """

    pairs: int
    moved: float
    kept: float

    def __str__(self) -> str:
        return f"pixels moved by {self.moved:.1f}, {self.kept:.0%} of pairs still on their unit"


def measure_miscalibration(frame: Frame, units: Units, rig: RigConfig) -> Miscalibration:
    """How far ``units`` are off in the pictures because the calibration is wrong.

    Args:
        frame: as the data set gave it with ``rig``.
        units: found in ``frame``.
        rig: how its cameras were turned.

    Returns:
        The measure; with a ``rig`` that turns nothing, 0 pixels and (but for points that fall on the same pixel) 100 %.
    """
    pairs = image_pooling(units)
    point, number = units.pixels.point[pairs.column], units.pixels.camera[pairs.column]
    taken = np.stack([units.pixels.u, units.pixels.v], axis=1)[pairs.column]
    moved, shown = np.full(len(point), np.nan), np.zeros(len(point), dtype=np.bool_)
    for k, camera in enumerate(restore(frame, rig).cameras):
        mine = number == k
        if mine.any():
            moved[mine] = _distances(camera, frame.points[point[mine]], taken[mine])
            shown[mine] = _belongs(units, pairs.row[mine], _nearest_points(camera, frame.points, taken[mine]))
    mean = float(np.nanmean(moved)) if np.isfinite(moved).any() else np.nan
    return Miscalibration(len(point), mean, float(shown.mean()) if len(shown) else np.nan)


def _distances(camera: Camera, points: Floats, taken: Floats) -> Floats:
    """(R,) pixels from where ``points`` (R,3) fall to where they are ``taken`` (R,2) to fall; NaN behind the camera."""
    true = camera.project(points, border=-np.inf)
    return np.where(true.inside, np.linalg.norm(true.uv - taken, axis=1), np.float32(np.nan))


def _nearest_points(camera: Camera, points: Floats, taken: Floats) -> Ints:
    """(R,) the point of the sweep that falls nearest to each pixel ``taken`` (R,2); -1 where none falls into the
    picture."""
    seen = geometry.project(camera, points)
    inside = np.flatnonzero(seen.inside)
    if not len(inside):
        return np.full(len(taken), -1, dtype=np.int64)
    nearest: Ints = inside[cKDTree(seen.uv[inside]).query(taken)[1]]
    return nearest


def _belongs(units: Units, unit: Ints, point: Ints) -> Bools:
    """(R,) bool: whether ``point`` has weight in ``unit``, or lies in the instance that the unit became."""
    pooling = units.pooling
    places = pooling.row * pooling.shape[1] + pooling.column
    wanted = unit * pooling.shape[1] + point
    belongs: Bools = (point >= 0) & (np.isin(wanted, places) | (unit_of_points(units)[point] == unit))
    return belongs
