"""OpenPCDet's pillar encoder, 2D backbone and neck: their tensors, and the part of the cfg that builds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import yaml

from xmodal_core.exporters._layouts import columns_scaled
from xmodal_core.exporters._openpcdet import feature_names, scale_of
from xmodal_core.exporters._second import level_rows, neck_rows
from xmodal_core.exporters.base import Row, Table, norm_rows

if TYPE_CHECKING:
    from xmodal_core.points.pillars import PillarsConfig

HEADER = """\
# What these weights need of an OpenPCDet cfg; it stands in place of the same keys there.
# Points are in the data set's own LiDAR frame and channels as xmodal's reader of it gives them{scaled}.
# DynPillarVFE (needs torch_scatter) computes what was pre-trained. PillarVFE with transform_points_to_voxels takes the
# same tensors, but sees only MAX_POINTS_PER_VOXEL points of a pillar and lets its padding into the maximum.
"""
HALVING = """\
# UPSAMPLE_STRIDES below 1: there OpenPCDet's base_bev_backbone.py calls np.int, which NumPy 1.24 and later lack; write
# int in its place.
"""


def rows(config: PillarsConfig, spconv: int) -> Iterator[Row]:
    """The pillar layers, then blocks and deblocks of the 2D part.

    A pillar layer that is not the last has half of its features, the other half being the pillar's maximum.
    """
    width = 3 + len(config.channels) + 6
    for number, out in enumerate(config.pillar_features):
        own = out if number == len(config.pillar_features) - 1 else out // 2
        # OpenPCDet feeds channels as the data set stores them.
        scale = [1.0] * 3 + scale_of(config) + [1.0] * 6 if number == 0 else [1.0] * width
        yield Row(
            f"vfe.pfn_layers.{number}.linear.weight",
            (own, width),
            f"pillar_layers.{number}.linear.weight",
            columns_scaled(scale),
        )
        yield from norm_rows(f"vfe.pfn_layers.{number}.norm", f"pillar_layers.{number}.norm", own)
        width = out
    yield from level_rows(config, "backbone_2d.blocks", width, padded=True)
    yield from neck_rows(config, "backbone_2d.deblocks", plain=False)


def fragment(config: PillarsConfig) -> str:
    """The part of OpenPCDet's cfg that builds this network, as YAML."""
    scaled = "; intensity_scale is in the weights" if config.intensity_scale != 1 else ""
    header = HEADER.format(scaled=scaled) + (HALVING if min(config.up_strides) < 1 else "")
    return header + yaml.safe_dump(_cfg(config), sort_keys=False, default_flow_style=None, width=110)


def _cfg(config: PillarsConfig) -> dict[str, object]:
    height = config.range[5] - config.range[2]
    return {
        "DATA_CONFIG": {
            "POINT_CLOUD_RANGE": list(config.range),
            "POINT_FEATURE_ENCODING": {
                "encoding_type": "absolute_coordinates_encoding",
                "used_feature_list": feature_names(config),
            },
            "DATA_PROCESSOR": [
                {"NAME": "mask_points_and_boxes_outside_range", "REMOVE_OUTSIDE_BOXES": True},
                {"NAME": "shuffle_points", "SHUFFLE_ENABLED": {"train": True, "test": True}},
                {
                    "NAME": "transform_points_to_voxels_placeholder",
                    "VOXEL_SIZE": [config.pillar_size, config.pillar_size, height],
                },
            ],
        },
        "MODEL": {
            "VFE": {
                "NAME": "DynPillarVFE",
                "WITH_DISTANCE": False,
                "USE_ABSLOTE_XYZ": True,
                "USE_NORM": True,
                "NUM_FILTERS": list(config.pillar_features),
            },
            "MAP_TO_BEV": {"NAME": "PointPillarScatter", "NUM_BEV_FEATURES": config.pillar_features[-1]},
            "BACKBONE_2D": {
                "NAME": "BaseBEVBackbone",
                "LAYER_NUMS": list(config.blocks),
                "LAYER_STRIDES": list(config.strides),
                "NUM_FILTERS": list(config.features),
                "UPSAMPLE_STRIDES": [round(up) if up >= 1 else up for up in config.up_strides],
                "NUM_UPSAMPLE_FILTERS": list(config.up_features),
            },
        },
    }


TABLE = Table(rows, fragment)
