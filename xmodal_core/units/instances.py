"""Step 4, instances: clusters of returns that are not ground, and the filters that reject what no object looks like."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core.types import Bools, Doubles, Floats, Ints, Reason, Sensor
from xmodal_core.units.compiled import compiled
from xmodal_core.units.config import InstancesConfig
from xmodal_core.units.ground import beam_spacing
from xmodal_core.units.rbnn import connected


class Instances(NamedTuple):
    """``clusters`` (N,) raw cluster or -1; ``reasons`` one a cluster; ``instance`` (N,) kept cluster or -1."""

    clusters: Ints
    reasons: tuple[Reason, ...]
    instance: Ints


def find_instances(points: Floats, objects: Bools, sensor: Sensor, config: InstancesConfig) -> Instances:
    """Clusters among the points in ``objects`` (N,) bool, judged by ``config``."""
    clusters = np.full(len(points), -1, dtype=np.int64)
    if not config.enabled or not objects.any():
        return Instances(clusters, (), clusters.copy())
    places = points[objects]
    found = connected(flatten(places, config), radii(places, config))
    clusters[objects] = found
    reasons = judge(measure(places, found), sensor, config)
    kept = np.array([reason == "kept" for reason in reasons])
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    instance = clusters.copy()
    instance[objects] = number[found]
    return Instances(clusters, reasons, instance)


def flatten(points: Floats, config: InstancesConfig) -> Doubles:
    """``points`` with heights divided by ``vertical_reach``: what is upright draws together."""
    return points * np.array([1.0, 1.0, 1.0 / config.vertical_reach])


def radii(points: Floats, config: InstancesConfig) -> Doubles | float:
    """How far each point reaches, metres: ``radius``, growing with the distance up to ``max_radius``."""
    if config.radius_growth == 0 or config.max_radius <= config.radius:
        return config.radius
    distance = np.hypot(points[:, 0], points[:, 1]).astype(np.float64)
    return np.clip(config.radius_growth * distance, config.radius, config.max_radius)


class Measures(NamedTuple):
    """What the filters look at, each (C,): number of ``points``; ``length`` >= ``width`` of the footprint along its
    principal axes and ``height``, metres; distance of the centre from the sensor in the plane, metres."""

    points: Ints
    length: Doubles
    width: Doubles
    height: Doubles
    distance: Doubles


def measure(points: Floats, clusters: Ints) -> Measures:
    """Size of each cluster: ``points`` (N,3), ``clusters`` (N,) 0..C-1."""
    count, moments, extents = _measure(points, clusters, int(clusters.max()) + 1 if len(clusters) else 0)
    return Measures(
        count,
        np.maximum(extents[:, 0], extents[:, 1]),
        np.minimum(extents[:, 0], extents[:, 1]),
        extents[:, 2],
        np.hypot(moments[:, 0], moments[:, 1]),
    )


@compiled
def _measure(points: Floats, clusters: Ints, number: int) -> tuple[Ints, Doubles, Doubles]:
    count = np.zeros(number, dtype=np.int64)
    mean = np.zeros((number, 2))
    for i in range(len(points)):
        count[clusters[i]] += 1
        mean[clusters[i], 0] += points[i, 0]
        mean[clusters[i], 1] += points[i, 1]
    for c in range(number):
        mean[c, 0] /= count[c]
        mean[c, 1] /= count[c]
    spread = np.zeros((number, 3))
    for i in range(len(points)):
        c = clusters[i]
        dx = points[i, 0] - mean[c, 0]
        dy = points[i, 1] - mean[c, 1]
        spread[c, 0] += dx * dx
        spread[c, 1] += dx * dy
        spread[c, 2] += dy * dy
    axis = np.empty((number, 2))
    for c in range(number):
        angle = 0.5 * np.arctan2(2.0 * spread[c, 1], spread[c, 0] - spread[c, 2])
        axis[c, 0] = np.cos(angle)
        axis[c, 1] = np.sin(angle)
    low = np.full((number, 3), np.inf)
    high = np.full((number, 3), -np.inf)
    for i in range(len(points)):
        c = clusters[i]
        along = axis[c, 0] * points[i, 0] + axis[c, 1] * points[i, 1]
        across = axis[c, 0] * points[i, 1] - axis[c, 1] * points[i, 0]
        low[c, 0] = min(low[c, 0], along)
        low[c, 1] = min(low[c, 1], across)
        low[c, 2] = min(low[c, 2], points[i, 2])
        high[c, 0] = max(high[c, 0], along)
        high[c, 1] = max(high[c, 1], across)
        high[c, 2] = max(high[c, 2], points[i, 2])
    return count, mean, high - low


def judge(measures: Measures, sensor: Sensor, config: InstancesConfig) -> tuple[Reason, ...]:
    """The first reason to reject each cluster, or "kept"."""
    n, length, width, height, distance = measures
    # One beam's hits on an object have no height of their own; it may be as tall as the gap to the next beam.
    gap = distance * beam_spacing(sensor)
    verdict = np.full(len(n), "kept", dtype=object)
    tests: tuple[tuple[Reason, Bools], ...] = (
        ("too_few_points", n < config.min_points),
        ("too_small", np.maximum(length, height) + gap < config.min_size),
        (
            "too_large",
            (length > config.max_length) | (width > config.max_width) | (height > config.max_height),
        ),
        ("too_elongated", length > config.max_aspect * np.maximum(np.maximum(width, height), config.aspect_floor)),
        ("too_flat", height + gap < config.min_flatness * length),
    )
    for reason, hit in reversed(tests):
        verdict[hit] = reason
    return tuple(verdict.tolist())
