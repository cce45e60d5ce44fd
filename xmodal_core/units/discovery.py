"""The paper's section III-B, top to bottom: from a sweep and its cameras to the contrastive units."""

from __future__ import annotations

import numpy as np

from xmodal_core import geometry
from xmodal_core.types import Bools, Floats, Frame, Pixels, Units
from xmodal_core.units.config import RangeConfig, UnitsConfig
from xmodal_core.units.context import gather_context
from xmodal_core.units.ground import find_ground
from xmodal_core.units.instances import clustering, find_clusters, keep_instances
from xmodal_core.units.merge import merge_seeds, pooling_matrix
from xmodal_core.units.seeds import choose_seeds
from xmodal_core.units.steps import Steps


def discover(frame: Frame, config: UnitsConfig | None = None, *, seed: int = 0, steps: Steps | None = None) -> Units:
    """The contrastive units of ``frame``.

    Args:
        frame: a sweep with its cameras.
        config: the settings; None for the defaults.
        seed: chooses the first seed of farthest point sampling, so that units vary from epoch to epoch; the same frame,
            settings and seed give the same units.
        steps: those of an earlier call, of which only what changed is done again; None: everything is done.

    Returns:
        The units; none where no camera sees anything but ground.
    """
    config = config or UnitsConfig()
    step = Steps() if steps is None else steps.anew()
    points = np.ascontiguousarray(frame.points)
    ground = step("ground", find_ground, points, frame.sensor, config.range, config.ground)
    objects = in_range(points, config.range) & ~ground.mask
    pixels = step("visible", geometry.pixels, frame.cameras, points, frame.pixels)
    visible = seen_points(pixels, len(points))
    seeds = step("seeds", choose_seeds, points, objects & visible, config.seeds.count, seed, config.seeds.sampling)
    context = step("context", gather_context, points, seeds, objects, config.context)
    clusters = step("clusters", find_clusters, points, objects, clustering(config.instances))
    found = step("filters", keep_instances, points, clusters, frame.sensor, config.instances)
    unit = merge_seeds(seeds, found.instance)
    pooling = step("merge", pooling_matrix, context, unit, len(points))
    return Units(
        ground=ground.mask,
        visible=visible,
        seeds=seeds,
        clusters=clusters,
        reasons=found.reasons,
        instance=found.instance,
        unit=unit,
        pooling=pooling,
        pixels=pixels,
        sensor_height=ground.level.height,
        milliseconds=dict(step.milliseconds),
    )


def in_range(points: Floats, config: RangeConfig) -> Bools:
    """(N,) bool: neither the vehicle itself nor too far away."""
    x, y = points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)
    distance = np.sqrt(x * x + y * y)
    within: Bools = (distance >= config.nearest) & (distance < config.farthest)
    return within


def seen_points(pixels: Pixels, points: int) -> Bools:
    """(N,) bool: the points that at least one camera sees."""
    visible = np.zeros(points, dtype=np.bool_)
    visible[pixels.point] = True
    return visible
