"""What the config fragments of both networks in CenterPoint's format share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xmodal_core.exporters._python_config import Code, as_python

if TYPE_CHECKING:
    from xmodal_core.points._bev import BevSettings

HEADER = """\
# What these weights need of a CenterPoint config; it stands in place of the same keys there.
# Points are in the data set's own LiDAR frame, as columns {columns}{scaled}.
"""


def norm(config: BevSettings, kind: str) -> dict[str, Any]:
    """The config of a batch norm; ``kind`` is BN or BN1d."""
    return {"type": kind, "eps": 1e-3, "momentum": config.norm_momentum}


def neck(config: BevSettings, width: int) -> dict[str, Any]:
    """``model.neck``, which is given maps with ``width`` features."""
    return {
        "type": "RPN",
        "layer_nums": list(config.blocks),
        "ds_layer_strides": list(config.strides),
        "ds_num_filters": list(config.features),
        "us_layer_strides": [round(up) if up >= 1 else up for up in config.up_strides],
        "us_num_filters": list(config.up_features),
        "num_input_features": width,
        "norm_cfg": norm(config, "BN"),
        "logger": Code('logging.getLogger("RPN")'),
    }


def as_config(
    config: BevSettings, notes: str, model: dict[str, Any], size: list[float], limits: tuple[int, tuple[int, int]]
) -> str:
    """The fragment: ``model`` and ``voxel_generator``, with what is to be known of them before them."""
    scaled = "; intensity_scale is in the weights" if config.intensity_scale != 1 else ""
    header = HEADER.format(columns=", ".join(["x", "y", "z", *config.channels]), scaled=scaled)
    points, most = limits
    generator = {
        "range": list(config.range),
        "voxel_size": size,
        "max_points_in_voxel": points,
        "max_voxel_num": list(most),
    }
    return as_python(header + notes, {"model": model, "voxel_generator": generator}, "import logging\n\n")
