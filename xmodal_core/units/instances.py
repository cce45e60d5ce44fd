"""Step 4, instances: clusters of returns that are not ground, less those that no object looks like."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core.types import Bools, Doubles, Floats, Ints, Reason, Sensor
from xmodal_core.units.config import InstancesConfig
from xmodal_core.units.filters import judge, measure
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
    found = connected(squeeze(places, config), radii(places, config))
    reasons = judge(measure(places, found), sensor, config)
    kept = np.array([reason == "kept" for reason in reasons])
    instance = clusters.copy()
    clusters[objects] = found
    instance[objects] = np.where(kept, np.cumsum(kept) - 1, -1)[found]
    return Instances(clusters, reasons, instance)


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
