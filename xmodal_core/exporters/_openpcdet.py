"""What the cfg fragments of all networks in OpenPCDet's format share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from xmodal_core.exporters._inputs import scales
from xmodal_core.points.base import NetworkSettings

if TYPE_CHECKING:
    from xmodal_core.points._bev import BevSettings

FEATURE_NAMES = {"time_lag": "timestamp"}
"""OpenPCDet's names of per-point channels, where they are not ours."""

HEADER = """\
# What these weights need of an OpenPCDet cfg; it stands in place of the same keys there.
# Points are in the data set's own LiDAR frame and channels as xmodal's reader of it gives them{scaled}.
"""
HALVING = """\
# UPSAMPLE_STRIDES below 1: there OpenPCDet's base_bev_backbone.py calls np.int, which NumPy 1.24 and later lack; write
# int in its place.
"""


def feature_names(config: NetworkSettings) -> list[str]:
    """x, y, z and the network's channels, as ``used_feature_list`` calls them."""
    return ["x", "y", "z", *(FEATURE_NAMES.get(name, name) for name in config.channels)]


def scale_of(config: NetworkSettings) -> list[float]:
    """What the network multiplies each channel by, so that it can go into the first weights instead."""
    return scales(config)[3:]


def data_config(config: BevSettings, voxels: dict[str, Any]) -> dict[str, Any]:
    """``DATA_CONFIG``, its last step making ``voxels``."""
    return {
        "POINT_CLOUD_RANGE": list(config.range),
        "POINT_FEATURE_ENCODING": {
            "encoding_type": "absolute_coordinates_encoding",
            "used_feature_list": feature_names(config),
        },
        "DATA_PROCESSOR": [
            {"NAME": "mask_points_and_boxes_outside_range", "REMOVE_OUTSIDE_BOXES": True},
            {"NAME": "shuffle_points", "SHUFFLE_ENABLED": {"train": True, "test": True}},
            voxels,
        ],
    }


def voxel_step(size: list[float], limits: tuple[int, tuple[int, int]] | None) -> dict[str, Any]:
    """The step of ``DATA_PROCESSOR`` that makes voxels; None: the network makes them itself, without ``limits``."""
    if limits is None:
        return {"NAME": "transform_points_to_voxels_placeholder", "VOXEL_SIZE": size}
    points, (training, otherwise) = limits
    return {
        "NAME": "transform_points_to_voxels",
        "VOXEL_SIZE": size,
        "MAX_POINTS_PER_VOXEL": points,
        "MAX_NUMBER_OF_VOXELS": {"train": training, "test": otherwise},
    }


def backbone_2d(config: BevSettings) -> dict[str, Any]:
    """``MODEL.BACKBONE_2D``."""
    return {
        "NAME": "BaseBEVBackbone",
        "LAYER_NUMS": list(config.blocks),
        "LAYER_STRIDES": list(config.strides),
        "NUM_FILTERS": list(config.features),
        "UPSAMPLE_STRIDES": [round(up) if up >= 1 else up for up in config.up_strides],
        "NUM_UPSAMPLE_FILTERS": list(config.up_features),
    }


def as_yaml(config: BevSettings, notes: str, cfg: dict[str, Any]) -> str:
    """``cfg`` with what is to be known of it before it."""
    header = HEADER.format(scaled=_scaled(config)) + notes + (HALVING if min(config.up_strides) < 1 else "")
    return header + yaml.safe_dump(cfg, sort_keys=False, default_flow_style=None, width=110)


def _scaled(config: NetworkSettings) -> str:
    return "; intensity_scale is in the weights" if config.intensity_scale != 1 else ""
