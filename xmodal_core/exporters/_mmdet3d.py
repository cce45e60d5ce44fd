"""What the config fragments of networks in mmdetection3d's format share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xmodal_core.exporters._python_config import as_python

if TYPE_CHECKING:
    from xmodal_core.points._bev import BevSettings
    from xmodal_core.points.base import NetworkSettings

HEADER = """\
# What these weights need of an mmdetection3d config; it stands in place of the same keys there.
# Points are in the data set's own LiDAR frame, as columns {columns}{scaled}.
"""


def norm(config: BevSettings, kind: str) -> dict[str, Any]:
    """The config of a batch norm; ``kind`` is BN or BN1d."""
    return {"type": kind, "eps": 1e-3, "momentum": config.norm_momentum}


def voxelisation(
    extent: Sequence[float], size: list[float], limits: tuple[int, tuple[int, int]] | None
) -> dict[str, Any]:
    """``data_preprocessor`` of voxels of a ``size`` in ``extent``; without ``limits`` that of dynamic voxels."""
    points, most = limits or (-1, (-1, -1))
    layer = {
        "max_num_points": points,
        "max_voxels": most,
        "voxel_size": size,
        "point_cloud_range": list(extent),
    }
    kind = {} if limits else {"voxel_type": "dynamic"}
    return {"type": "Det3DDataPreprocessor", "voxel": True, **kind, "voxel_layer": layer}


def bev_parts(config: BevSettings, width: int) -> dict[str, Any]:
    """``pts_backbone`` and ``pts_neck``, which are given maps with ``width`` features."""
    return {
        "pts_backbone": {
            "type": "SECOND",
            "in_channels": width,
            "out_channels": list(config.features),
            "layer_nums": list(config.blocks),
            "layer_strides": list(config.strides),
            "norm_cfg": norm(config, "BN"),
            "conv_cfg": {"type": "Conv2d", "bias": False},
        },
        "pts_neck": {
            "type": "SECONDFPN",
            "in_channels": list(config.features),
            "out_channels": list(config.up_features),
            "upsample_strides": [round(up) if up >= 1 else up for up in config.up_strides],
            "norm_cfg": norm(config, "BN"),
            "upsample_cfg": {"type": "deconv", "bias": False},
            "use_conv_for_no_stride": True,
        },
    }


def header(config: NetworkSettings) -> str:
    """What is to be known of the points, as comments."""
    scaled = "; intensity_scale is in the weights" if config.intensity_scale != 1 else ""
    return HEADER.format(columns=", ".join(["x", "y", "z", *config.channels]), scaled=scaled)


def as_config(config: BevSettings, notes: str, extent: Sequence[float], model: dict[str, Any]) -> str:
    """The fragment: the ``extent`` that points are taken from and ``model``, with what is to be known before them."""
    return as_python(header(config) + notes, {"point_cloud_range": list(extent), "model": model})
