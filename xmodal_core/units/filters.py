"""What no object looks like: the size and shape of each cluster, and the reason to reject it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core.compiled import compiled
from xmodal_core.types import Bools, Doubles, Floats, Ints, Reason, Sensor
from xmodal_core.units.config import InstancesConfig
from xmodal_core.units.ground import beam_spacing


class Measures(NamedTuple):
    """What the filters look at, one entry a cluster.

    Args:
        points: (C,) how many there are.
        length, width, height: (C,) metres; length and width of the footprint along and across its principal axis,
            the greater one first.
        distance: (C,) metres in the plane from the sensor to the cluster's mean.
    """

    points: Ints
    length: Doubles
    width: Doubles
    height: Doubles
    distance: Doubles


def measure(points: Floats, clusters: Ints) -> Measures:
    """The size of each cluster; ``points`` is (N,3) metres, ``clusters`` (N,) numbers them 0..C-1, none left out."""
    count = np.bincount(clusters)
    mean, angle = _principal_axes(points, clusters, count)
    extent = _extents(points, clusters, np.cos(angle), np.sin(angle))
    return Measures(
        count.astype(np.int64),
        np.maximum(extent[:, 0], extent[:, 1]),
        np.minimum(extent[:, 0], extent[:, 1]),
        extent[:, 2],
        np.hypot(mean[:, 0], mean[:, 1]),
    )


def judge(measures: Measures, sensor: Sensor, config: InstancesConfig) -> tuple[Reason, ...]:
    """The first reason to reject each cluster, or "kept"."""
    points, length, width, height, distance = measures
    # An object that one beam meets shows no height at all: it may be as tall as the gap to the next beam.
    tallest = height + distance * beam_spacing(sensor)
    breadth = np.maximum(np.maximum(width, height), config.aspect_floor)
    tests: dict[Reason, Bools] = {
        "too_few_points": points < config.min_points,
        "too_small": np.maximum(length, tallest) < config.min_size,
        "too_large": (length > config.max_length) | (width > config.max_width) | (height > config.max_height),
        "too_elongated": length > config.max_aspect * breadth,
        "too_flat": tallest < config.min_flatness * length,
    }
    reasons: list[Reason] = ["kept", *tests]
    failed = np.column_stack(list(tests.values()))
    first = np.where(failed.any(axis=1), failed.argmax(axis=1) + 1, 0)
    return tuple(reasons[number] for number in first.tolist())


@compiled
def _principal_axes(points: Floats, clusters: Ints, count: Ints) -> tuple[Doubles, Doubles]:
    """(C,2) mean in the plane and (C,) angle of the direction in which each cluster spreads most."""
    mean = np.zeros((len(count), 2))
    for i in range(len(points)):
        c = clusters[i]
        mean[c, 0] += points[i, 0] / count[c]
        mean[c, 1] += points[i, 1] / count[c]
    spread = np.zeros((len(count), 3))
    for i in range(len(points)):
        c = clusters[i]
        dx = points[i, 0] - mean[c, 0]
        dy = points[i, 1] - mean[c, 1]
        spread[c, 0] += dx * dx
        spread[c, 1] += dx * dy
        spread[c, 2] += dy * dy
    return mean, 0.5 * np.arctan2(2.0 * spread[:, 1], spread[:, 0] - spread[:, 2])


@compiled
def _extents(points: Floats, clusters: Ints, cosine: Doubles, sine: Doubles) -> Doubles:
    """(C,3): how far each cluster reaches along its axis, across it, and in height."""
    low = np.full((len(cosine), 3), np.inf)
    high = np.full((len(cosine), 3), -np.inf)
    for i in range(len(points)):
        c = clusters[i]
        place = (
            cosine[c] * points[i, 0] + sine[c] * points[i, 1],
            cosine[c] * points[i, 1] - sine[c] * points[i, 0],
            np.float64(points[i, 2]),
        )
        for axis in range(3):
            low[c, axis] = min(low[c, axis], place[axis])
            high[c, axis] = max(high[c, axis], place[axis])
    extent: Doubles = high - low
    return extent
