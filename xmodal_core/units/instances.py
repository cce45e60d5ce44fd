"""Step 4, instances: clusters of returns that are not ground, less those that no object looks like."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core.types import Bools, Doubles, Floats, Ints, Reason, Sensor
from xmodal_core.units.config import InstancesConfig
from xmodal_core.units.filters import judge, measure
from xmodal_core.units.rbnn import connected

CLUSTERING = {"enabled", "radius", "radius_growth", "max_radius", "vertical_reach"}
"""The settings that decide which returns are one cluster; the others judge the clusters."""


class Instances(NamedTuple):
    """``reasons`` one a cluster; ``instance`` (N,) kept cluster or -1."""

    reasons: tuple[Reason, ...]
    instance: Ints


def clustering(config: InstancesConfig) -> InstancesConfig:
    """``config`` as far as it matters to ``find_clusters``; the filters' settings are the usual ones."""
    return InstancesConfig.model_validate(config.model_dump(include=CLUSTERING))


def find_clusters(points: Floats, objects: Bools, config: InstancesConfig) -> Ints:
    """(N,) the cluster of each point in ``objects`` (N,) bool, numbered from 0; -1 for all others."""
    clusters = np.full(len(points), -1, dtype=np.int64)
    if config.enabled and objects.any():
        places = points[objects]
        clusters[objects] = connected(squeeze(places, config), radii(places, config))
    return clusters


def keep_instances(points: Floats, clusters: Ints, sensor: Sensor, config: InstancesConfig) -> Instances:
    """The clusters (N,) that look like an object by ``config``, numbered anew, and why the others do not."""
    inside = clusters >= 0
    instance = clusters.copy()
    if not inside.any():
        return Instances((), instance)
    found = clusters[inside]
    reasons = judge(measure(points[inside], found), sensor, config)
    kept = np.array([reason == "kept" for reason in reasons])
    instance[inside] = np.where(kept, np.cumsum(kept) - 1, -1)[found]
    return Instances(reasons, instance)


def squeeze(points: Floats, config: InstancesConfig) -> Doubles:
    """``points`` with heights divided by ``vertical_reach``: beams are spread wider than the returns of one beam, and
    what stands side by side must not join for the sake of what stands upright."""
    return np.asarray(points * np.array([1.0, 1.0, 1.0 / config.vertical_reach]), dtype=np.float64)


def radii(points: Floats, config: InstancesConfig) -> Doubles | float:
    """How far each point reaches, metres: ``radius``, growing with the distance up to ``max_radius``."""
    if config.radius_growth == 0 or config.max_radius <= config.radius:
        return config.radius
    distance = np.hypot(points[:, 0], points[:, 1]).astype(np.float64)
    return np.clip(config.radius_growth * distance, config.radius, config.max_radius)
