"""The paper's section III-B, top to bottom: from a sweep and its cameras to the contrastive units."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import numpy as np

from xmodal_core import geometry
from xmodal_core.types import Bools, Floats, Frame, Pixels, Units
from xmodal_core.units.config import RangeConfig, UnitsConfig
from xmodal_core.units.context import gather_context
from xmodal_core.units.ground import find_ground
from xmodal_core.units.instances import find_instances
from xmodal_core.units.merge import merge_seeds, pooling_matrix
from xmodal_core.units.seeds import choose_seeds


def discover(frame: Frame, config: UnitsConfig | None = None, *, seed: int = 0) -> Units:
    """The contrastive units of ``frame``.

    Args:
        frame: a sweep with its cameras.
        config: the settings; None for the defaults.
        seed: chooses the first seed of farthest point sampling, so that units vary from epoch to epoch; the same frame,
            settings and seed give the same units.

    Returns:
        The units; none where no camera sees anything but ground.
    """
    config = config or UnitsConfig()
    points = np.ascontiguousarray(frame.points)
    clock = Clock()
    with clock("ground"):
        within = in_range(points, config.range)
        ground = find_ground(points, frame.sensor, config.range, config.ground)
        objects = within & ~ground.mask
    with clock("visible"):
        pixels = geometry.pixels(frame.cameras, points)
        visible = seen_points(pixels, len(points))
    with clock("seeds"):
        seeds = choose_seeds(points, objects & visible, config.seeds.count, seed)
    with clock("context"):
        context = gather_context(points, seeds, objects, config.context)
    with clock("instances"):
        found = find_instances(points, objects, frame.sensor, config.instances)
    with clock("merge"):
        unit = merge_seeds(seeds, found.instance)
        pooling = pooling_matrix(context, unit, len(points))
    return Units(
        ground=ground.mask,
        visible=visible,
        seeds=seeds,
        clusters=found.clusters,
        reasons=found.reasons,
        instance=found.instance,
        unit=unit,
        pooling=pooling,
        pixels=pixels,
        sensor_height=ground.level.height,
        milliseconds=clock.milliseconds,
    )


class Clock:
    """Stops the time of named steps, milliseconds."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.milliseconds[step] = (perf_counter() - start) * 1e3


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
