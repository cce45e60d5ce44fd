"""The plane that the ground around the vehicle lies in: how high the sensor stands, and how it is tilted.

Ground lines are grown over heights above this plane, so that neither an unknown mount nor a pitching vehicle has to be
absorbed by the thresholds of the line fit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core.compiled import compiled
from xmodal_core.types import Doubles, Floats

REACH = 20.0
"""The plane is fitted to returns within this distance, metres: nearer than most hills, farther than most cars."""
SECTORS = 72
FEWEST = 12
"""With fewer cells than this there is nothing to fit a plane to."""
STEEPEST = 0.25
"""A steeper plane is no road, but a wall or a heap of points: then only its height is kept."""


class Level(NamedTuple):
    """The plane z = ``x_slope`` x + ``y_slope`` y - ``height`` in the LiDAR's coordinates, metres."""

    x_slope: float
    y_slope: float
    height: float


def fit_level(points: Floats, nearest: float, height: float | None = None, *, tilt: bool = True) -> Level:
    """The ground plane around the vehicle.

    Every cell of a polar grid gives its lowest return. Most of these are ground, so the most frequent height among
    them is the ground's, and a plane through those close to it, fitted again with a narrowing band and a widening
    circle, is its slope.

    Args:
        points: (N,3) metres.
        nearest: returns nearer than this belong to the vehicle, metres.
        height: of the sensor above the ground, where it is known; None: estimated.
        tilt: fit the slope too; else the plane is horizontal.

    Returns:
        The plane; where there is too little to see, a horizontal one at the known height, or at 0.
    """
    low = _lowest_per_cell(points, nearest, REACH, SECTORS)
    if len(low) < FEWEST:
        return Level(0.0, 0.0, 0.0 if height is None else height)
    distance = np.hypot(low[:, 0], low[:, 1])
    plane = np.array([0.0, 0.0, _most_frequent(low[:, 2]) if height is None else -height])
    for reach, band in ((8.0, 0.4), (12.0, 0.3), (REACH, 0.2), (REACH, 0.15)):
        off = low[:, 2] - low[:, :2] @ plane[:2] - plane[2]
        close = (np.abs(off) < band) & (distance < reach)
        if close.sum() < FEWEST:
            continue
        plane = _plane_through(low[close], tilt)
    slopes = plane[:2] if np.hypot(plane[0], plane[1]) <= STEEPEST else np.zeros(2)
    return Level(float(slopes[0]), float(slopes[1]), float(-plane[2]) if height is None else height)


def _most_frequent(values: Doubles, window: float = 0.3) -> float:
    """The middle of the window that holds most of the values."""
    values = np.sort(values)
    count = np.searchsorted(values, values + window, side="right") - np.arange(len(values))
    first = int(count.argmax())
    return float(np.median(values[first : first + count[first]]))


def _plane_through(points: Doubles, tilt: bool) -> Doubles:
    if not tilt:
        return np.array([0.0, 0.0, np.median(points[:, 2])])
    terms = np.column_stack([points[:, :2], np.ones(len(points))])
    return np.asarray(np.linalg.lstsq(terms, points[:, 2], rcond=None)[0], dtype=np.float64)


@compiled
def _lowest_per_cell(points: Floats, nearest: float, farthest: float, sectors: int) -> Doubles:
    """(C,3): the lowest return of each cell of ``sectors`` by one metre that holds any."""
    rings = int(np.ceil(farthest - nearest)) + 1
    lowest = np.full(sectors * rings, -1, dtype=np.int64)
    for i in range(len(points)):
        x = float(points[i, 0])
        y = float(points[i, 1])
        distance = np.sqrt(x * x + y * y)
        if distance < nearest or distance >= farthest:
            continue
        sector = int((np.arctan2(y, x) + np.pi) / (2.0 * np.pi) * sectors) % sectors
        cell = sector * rings + int(distance - nearest)
        if lowest[cell] < 0 or points[i, 2] < points[lowest[cell], 2]:
            lowest[cell] = i
    return points[lowest[lowest >= 0]].astype(np.float64)
