"""OpenPCDet's ``PointNet2MSG``, PointRCNN's backbone: its tensors, and the part of the cfg that builds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import yaml

from xmodal_core.exporters._inputs import scales as column_scales
from xmodal_core.exporters._layouts import SAME, Layout, columns_scaled
from xmodal_core.exporters._openpcdet import FEATURE_NAMES, HEADER
from xmodal_core.exporters._table import Row, Table, norm_rows

if TYPE_CHECKING:
    from xmodal_core.points.pointnet import PointNetConfig

NOTES = """\
# OpenPCDet draws other {sample:,} points of a sweep each time, and repeats some where a sweep has fewer.
"""

MATRIX = Layout(lambda ours: ours.view(*ours.shape, 1, 1), lambda theirs: theirs.flatten(1))
"""A matrix (out, in) to a 1x1 convolution (out, in, 1, 1)."""


def rows(config: PointNetConfig, spconv: int) -> Iterator[Row]:
    """The set abstraction of each level, scale by scale, then feature propagation, that to all points first."""
    step_and_channels = column_scales(config)
    width = len(config.channels)
    widths = [width]
    for level, scales in enumerate(config.scales):
        # OpenPCDet feeds channels as the data set stores them; three columns of steps come before.
        first = columns_scaled(step_and_channels) if level == 0 else SAME
        for number, layers in enumerate(scales):
            theirs = f"backbone_3d.SA_modules.{level}.mlps.{number}"
            yield from _layers(theirs, f"levels.{level}.{number}", (3 + width, *layers), first)
        width = sum(layers[-1] for layers in scales)
        widths.append(width)
    deeper = [*(layers[-1] for layers in config.propagation[1:]), width]
    for level, layers in enumerate(config.propagation):
        first = columns_scaled([1.0] * deeper[level] + step_and_channels[3:]) if level == 0 else SAME
        theirs = f"backbone_3d.FP_modules.{level}.mlp"
        yield from _layers(theirs, f"spreads.{level}", (deeper[level] + widths[level], *layers), first)


def _layers(theirs: str, ours: str, widths: Sequence[int], first: Layout) -> Iterator[Row]:
    """A chain of convolution, batch norm and ReLU, numbered through by the target."""
    for number, (width, out) in enumerate(pairwise(widths)):
        layout = first.then(MATRIX) if number == 0 else MATRIX
        yield Row(f"{theirs}.{3 * number}.weight", (out, width, 1, 1), f"{ours}.linears.{number}.weight", layout)
        yield from norm_rows(f"{theirs}.{3 * number + 1}", f"{ours}.norms.{number}", out)


def fragment(config: PointNetConfig) -> str:
    """The part of OpenPCDet's cfg that builds this network, as YAML."""
    scaled = "; intensity_scale is in the weights" if config.intensity_scale != 1 else ""
    header = HEADER.format(scaled=scaled) + NOTES.format(sample=config.sample)
    return header + yaml.safe_dump(_cfg(config), sort_keys=False, default_flow_style=None, width=110)


def _cfg(config: PointNetConfig) -> dict[str, object]:
    return {
        "DATA_CONFIG": {
            "POINT_CLOUD_RANGE": list(config.range),
            "POINT_FEATURE_ENCODING": {
                "encoding_type": "absolute_coordinates_encoding",
                "used_feature_list": ["x", "y", "z", *(FEATURE_NAMES.get(name, name) for name in config.channels)],
            },
            "DATA_PROCESSOR": [
                {"NAME": "mask_points_and_boxes_outside_range", "REMOVE_OUTSIDE_BOXES": True},
                {"NAME": "sample_points", "NUM_POINTS": {"train": config.sample, "test": config.sample}},
                {"NAME": "shuffle_points", "SHUFFLE_ENABLED": {"train": True, "test": False}},
            ],
        },
        "MODEL": {
            "BACKBONE_3D": {
                "NAME": "PointNet2MSG",
                "SA_CONFIG": {
                    "NPOINTS": list(config.centres),
                    "RADIUS": [list(radii) for radii in config.radii],
                    "NSAMPLE": [list(sizes) for sizes in config.neighbours],
                    "MLPS": [[list(layers) for layers in scales] for scales in config.scales],
                },
                "FP_MLPS": [list(layers) for layers in config.propagation],
            },
        },
    }


TABLE = Table(rows, fragment)
