"""Step 1, ground removal: the line fit of Himmelsbach, von Hundelshausen and Wuensche (Intelligent Vehicles 2010).

The plane is cut into angular segments and each segment into bins by distance; the lowest return of every bin is kept;
in every segment lines are grown outward over these, one after the other; a return close to the line of its place is
ground. Heights are measured from the level plane of ``level``. Two thresholds take the sensor into account: a gap is
long only if it is wider than what lies between two beams on flat ground, and a segment that an object hides borrows the
line of its neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core.compiled import compiled
from xmodal_core.types import Bools, Doubles, Floats, Ints, Sensor
from xmodal_core.units.config import GroundConfig, RangeConfig
from xmodal_core.units.level import Level, fit_level

MARGIN = 0.1
"""A line counts this far beyond its ends, metres."""
FEWEST = 3
"""A line through fewer lowest returns says nothing of the ground."""


class Ground(NamedTuple):
    """``mask`` (N,) bool: ground, or below it; ``level``: the plane around the vehicle."""

    mask: Bools
    level: Level


def find_ground(points: Floats, sensor: Sensor, limits: RangeConfig, config: GroundConfig) -> Ground:
    """The ground among ``points`` (N,3) metres; returns out of range are not ground.

    What lies below the ground is removed with it: mirror images in wet streets and glass, no objects.
    """
    height = sensor.height if config.sensor_height is None else config.sensor_height
    level = fit_level(points, limits.nearest, height, tilt=config.level)
    polar = Polar(config.segments, config.bins, limits.nearest, limits.farthest)
    cell, distance, above = _place(points, level, polar)
    lowest = _lowest(cell, distance, above, polar.segments * polar.bins)
    surface = _surface(lowest, polar, _growth(sensor, level, config))
    surface = _borrow(surface, round(config.line_search_angle / 360.0 * config.segments))
    return Ground(_below(cell, distance, above, surface, polar, config.max_dist_to_line), level)


def beam_spacing(sensor: Sensor) -> float:
    """Angle between neighbouring beams, radians, as far as their number tells: spinning sensors spread theirs over 27
    (HDL-64E) to 41 degrees (HDL-32E)."""
    return float(np.radians(40.0)) / max(sensor.beams, 1)


class Polar(NamedTuple):
    """The grid: ``segments`` around, ``bins`` from ``nearest`` to ``farthest`` metres."""

    segments: int
    bins: int
    nearest: float
    farthest: float


class Growth(NamedTuple):
    """The thresholds of the line fit, by their names in ``GroundConfig``; a gap at distance d is long from
    max(``long_threshold``, ``beam_gap`` d^2) metres on."""

    max_slope: float
    max_fit_error: float
    long_threshold: float
    beam_gap: float
    max_long_height: float
    max_start_height: float


def _growth(sensor: Sensor, level: Level, config: GroundConfig) -> Growth:
    # A beam at an angle a below the horizon meets flat ground at d = height / tan(a); the next one, one spacing
    # higher, about d^2 * spacing / height farther out. Points given in vehicle coordinates have no height to speak of.
    beam_gap = config.beam_gaps * beam_spacing(sensor) / max(level.height, 1.5)
    return Growth(
        config.max_slope,
        config.max_fit_error,
        config.long_threshold,
        beam_gap,
        config.max_long_height,
        config.max_start_height,
    )


@compiled
def _place(points: Floats, level: Level, polar: Polar) -> tuple[Ints, Doubles, Doubles]:
    """Of each point its cell (segment * bins + bin; -1 out of range), its distance and its height above the level."""
    cell = np.full(len(points), -1, dtype=np.int64)
    distance = np.empty(len(points))
    above = np.empty(len(points))
    for i in range(len(points)):
        x = float(points[i, 0])
        y = float(points[i, 1])
        distance[i] = np.sqrt(x * x + y * y)
        above[i] = points[i, 2] - (level.x_slope * x + level.y_slope * y - level.height)
        if polar.nearest <= distance[i] < polar.farthest:
            segment = int((np.arctan2(y, x) + np.pi) / (2.0 * np.pi) * polar.segments) % polar.segments
            ring = int((distance[i] - polar.nearest) / (polar.farthest - polar.nearest) * polar.bins)
            cell[i] = segment * polar.bins + min(ring, polar.bins - 1)
    return cell, distance, above


@compiled
def _lowest(cell: Ints, distance: Doubles, above: Doubles, cells: int) -> Doubles:
    """(cells,2): distance and height of the lowest return of each cell; infinite height where there is none."""
    lowest = np.full((cells, 2), np.inf)
    for i in range(len(cell)):
        if cell[i] >= 0 and above[i] < lowest[cell[i], 1]:
            lowest[cell[i], 0] = distance[i]
            lowest[cell[i], 1] = above[i]
    return lowest


@compiled
def _surface(lowest: Doubles, polar: Polar, growth: Growth) -> Doubles:
    """(segments, bins, 2): height of the ground at the middle of each cell and its slope; NaN where no line passes."""
    surface = np.full((polar.segments, polar.bins, 2), np.nan)
    for segment in range(polar.segments):
        first = segment * polar.bins
        _grow_lines(lowest[first : first + polar.bins], surface[segment], polar, growth)
    return surface


@compiled
def _grow_lines(lowest: Doubles, surface: Doubles, polar: Polar, growth: Growth) -> None:
    """Grow lines outward over the lowest returns (bins,2) of a segment and write them into its ``surface`` (bins,2)."""
    line = np.empty((polar.bins, 2))
    length = 0
    slope, offset = 0.0, 0.0
    ground = 0.0
    for i in range(polar.bins):
        if np.isinf(lowest[i, 1]):
            continue
        if length >= 2:
            line[length] = lowest[i]
            fits, longer_slope, longer_offset = _extend(line, length, slope, offset, growth)
            if fits:
                length += 1
                slope, offset = longer_slope, longer_offset
                continue
            # The return ends the line; the next one may begin where this one ended.
            if length >= FEWEST:
                _draw(surface, line[0, 0], line[length - 1, 0], slope, offset, polar)
                ground = slope * line[length - 1, 0] + offset
            line[0] = line[length - 1]
            length = 1
        line[length] = lowest[i]
        if length == 1 and _pairs(line, growth):
            length = 2
            slope, offset = _fit(line, 2)
        else:
            line[0] = lowest[i]
            length = 1 if abs(lowest[i, 1] - ground) <= growth.max_start_height else 0
    if length >= FEWEST:
        _draw(surface, line[0, 0], line[length - 1, 0], slope, offset, polar)


@compiled
def _long_gap(distance: float, growth: Growth) -> float:
    return max(growth.long_threshold, growth.beam_gap * distance * distance)


@compiled
def _pairs(line: Doubles, growth: Growth) -> bool:
    """Whether the first two rows may begin a line: two returns tell little of a slope, so that no more of a rise is
    trusted than between two lines."""
    gap = line[1, 0] - line[0, 0]
    rise = abs(line[1, 1] - line[0, 1])
    return bool(gap <= _long_gap(line[0, 0], growth) and rise <= min(growth.max_slope * gap, growth.max_start_height))


@compiled
def _extend(line: Doubles, length: int, slope: float, offset: float, growth: Growth) -> tuple[bool, float, float]:
    """Whether row number ``length`` continues the rows before it, which lie along ``slope`` and ``offset``; slope and
    offset of the longer line."""
    long = line[length, 0] - line[length - 1, 0] > _long_gap(line[length - 1, 0], growth)
    if long and abs(line[length, 1] - slope * line[length, 0] - offset) > growth.max_long_height:
        return False, slope, offset
    slope, offset = _fit(line, length + 1)
    fits = abs(slope) <= growth.max_slope
    for i in range(length + 1):
        fits = fits and abs(line[i, 1] - slope * line[i, 0] - offset) <= growth.max_fit_error
    return fits, slope, offset


@compiled
def _fit(line: Doubles, length: int) -> tuple[float, float]:
    """Slope and offset of the least squares line through the first ``length`` (distance, height) rows."""
    middle, level = 0.0, 0.0
    for i in range(length):
        middle += line[i, 0]
        level += line[i, 1]
    middle /= length
    level /= length
    along, across = 0.0, 0.0
    for i in range(length):
        along += (line[i, 0] - middle) * (line[i, 0] - middle)
        across += (line[i, 0] - middle) * (line[i, 1] - level)
    slope = across / along if along > 0.0 else 0.0
    return slope, level - slope * middle


@compiled
def _draw(surface: Doubles, start: float, end: float, slope: float, offset: float, polar: Polar) -> None:
    """Write a line from ``start`` to ``end`` into the bins of its segment that it passes."""
    width = (polar.farthest - polar.nearest) / polar.bins
    first = max(int(np.floor((start - MARGIN - polar.nearest) / width)), 0)
    last = min(int(np.floor((end + MARGIN - polar.nearest) / width)), polar.bins - 1)
    for i in range(first, last + 1):
        surface[i, 0] = slope * (polar.nearest + (i + 0.5) * width) + offset
        surface[i, 1] = slope


@compiled
def _borrow(surface: Doubles, reach: int) -> Doubles:
    """Fill cells without a line from the nearest segments, at most ``reach`` away, that have one at that distance; the
    mean of both sides where they are equally near."""
    filled = surface.copy()
    segments, bins, _ = surface.shape
    for segment in range(segments):
        for i in range(bins):
            step = 0
            while np.isnan(filled[segment, i, 0]) and step < reach:
                step += 1
                left, right = (segment + step) % segments, (segment - step) % segments
                if np.isnan(surface[left, i, 0]):
                    left = right
                elif np.isnan(surface[right, i, 0]):
                    right = left
                filled[segment, i, 0] = (surface[left, i, 0] + surface[right, i, 0]) / 2.0
                filled[segment, i, 1] = (surface[left, i, 1] + surface[right, i, 1]) / 2.0
    return filled


@compiled
def _below(
    cell: Ints, distance: Doubles, above: Doubles, surface: Doubles, polar: Polar, max_dist_to_line: float
) -> Bools:
    """(N,) bool: the points lower than ``max_dist_to_line`` above the ground of their cell."""
    mask = np.zeros(len(cell), dtype=np.bool_)
    width = (polar.farthest - polar.nearest) / polar.bins
    for i in range(len(cell)):
        if cell[i] >= 0:
            segment, ring = cell[i] // polar.bins, cell[i] % polar.bins
            middle = polar.nearest + (ring + 0.5) * width
            ground = surface[segment, ring, 0] + surface[segment, ring, 1] * (distance[i] - middle)
            mask[i] = above[i] - ground < max_dist_to_line  # false where the ground is unknown, NaN
    return mask
