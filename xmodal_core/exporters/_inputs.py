"""What a point is to a network and to a target: columns, scales, limits of pillars and voxels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xmodal_core.exporters._layouts import LAST_COLUMN_NEW, LAST_COLUMN_ZERO, SAME, Layout, columns_scaled
from xmodal_core.exporters._table import Row, norm_rows
from xmodal_core.points.base import NetworkSettings

if TYPE_CHECKING:
    from xmodal_core.points.pillars import PillarsConfig

MANY_POINTS = 32
MANY_VOXELS = 160_000
"""Limits for a target that must have some, where pre-training had none."""


def scales(config: NetworkSettings) -> list[float]:
    """What the network multiplies x, y, z and each channel by, so that it can go into the first weights instead."""
    return [1.0, 1.0, 1.0] + [config.intensity_scale if name == "intensity" else 1.0 for name in config.channels]


def pillar_rows(config: PillarsConfig, theirs: str, *, height: bool, matrix: str, norm: str) -> Iterator[Row]:
    """The layers of the pillar encoder.

    All frameworks' are alike: x, y, z, channels, offsets from the mean of the points and from the pillar's centre; a
    layer that is not the last has half of its features, the other half being the pillar's maximum.

    Args:
        config: of our network.
        theirs: what the names begin with, up to the number of the layer.
        height: whether a point's height above the pillar's centre is an input of the target.
        matrix, norm: what the two parts of a layer are called.
    """
    ours_has = len(config.centre_offsets) == 3
    fewer, more = (SAME, LAST_COLUMN_ZERO) if height else (LAST_COLUMN_NEW, SAME)
    width = 3 + len(config.channels) + (6 if height else 5)
    first: Layout = (fewer if ours_has else more).then(columns_scaled(scales(config) + [1.0] * (6 if height else 5)))
    for number, out in enumerate(config.pillar_features):
        own = out if number == len(config.pillar_features) - 1 else out // 2
        layout = SAME if number else first
        ours = f"pillar_layers.{number}"
        yield Row(f"{theirs}.{number}.{matrix}.weight", (own, width), f"{ours}.linear.weight", layout)
        yield from norm_rows(f"{theirs}.{number}.{norm}", f"{ours}.norm", own)
        width = out


def pillar_limits(config: PillarsConfig) -> tuple[int, tuple[int, int]]:
    """Points of a pillar and pillars of a frame, in training and otherwise, of a target with hard pillars."""
    most = config.max_pillars or (MANY_VOXELS, MANY_VOXELS)
    return config.points_per_pillar or MANY_POINTS, most
