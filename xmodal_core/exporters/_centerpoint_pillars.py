"""CenterPoint's (det3d's) pillar reader and RPN: their tensors, and the part of the config that builds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from xmodal_core.exporters._centerpoint import as_config, neck, norm
from xmodal_core.exporters._inputs import pillar_limits, pillar_rows
from xmodal_core.exporters._second import level_rows, neck_rows
from xmodal_core.exporters._table import Row, Table
from xmodal_core.exporters.base import Difference

if TYPE_CHECKING:
    from xmodal_core.points.pillars import PillarsConfig

REMEDY = "pre-train with --set network.preset=nuscenes_det3d or waymo_det3d"


def rows(config: PillarsConfig, spconv: int) -> Iterator[Row]:
    """The pillar layers, then the RPN's blocks and deblocks."""
    yield from pillar_rows(config, "reader.pfn_layers", height=False, matrix="linear", norm="norm")
    yield from level_rows(config, "neck.blocks", config.pillar_features[-1], padded=True)
    yield from neck_rows(config, "neck.deblocks", plain=True)


def differences(config: PillarsConfig) -> Iterator[Difference]:
    """CenterPoint has hard pillars alone, and no height above a pillar's centre among a point's inputs."""
    if config.points_per_pillar is None:
        yield Difference(
            "CenterPoint's reader sees only the first points of a pillar and lets its empty places into the maximum, "
            "the network saw all points and nothing else",
            f"{REMEDY}, or --set network.points_per_pillar=20 --set network.centre_offsets=xy",
        )
    elif len(config.centre_offsets) == 3:
        yield Difference(
            "a point's height above its pillar's centre is no input there; it is put into the point's z, which empty "
            "places of a pillar do not see",
            f"{REMEDY}, or --set network.centre_offsets=xy",
        )


def without_height(config: PillarsConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` of a network that is not fed with the height above a pillar's centre.

    That height is z less a constant: its column is added to that of z, the constant to the first running mean.
    """
    name, mean = "pillar_layers.0.linear.weight", "pillar_layers.0.norm.running_mean"
    if len(config.centre_offsets) < 3 or not {name, mean} <= set(tensors):
        return dict(tensors)
    matrix, middle = tensors[name], (config.range[2] + config.range[5]) / 2
    kept = matrix[:, :-1].clone()
    kept[:, 2] += matrix[:, -1]
    return {**tensors, name: kept, mean: tensors[mean] + matrix[:, -1] * middle}


def fragment(config: PillarsConfig) -> str:
    """The part of CenterPoint's config that builds this network."""
    size = [config.pillar_size, config.pillar_size, config.range[5] - config.range[2]]
    width = config.pillar_features[-1]
    model = {
        "type": "PointPillars",
        "reader": {
            "type": "PillarFeatureNet",
            "num_filters": list(config.pillar_features),
            "num_input_features": 3 + len(config.channels),
            "with_distance": False,
            "voxel_size": size,
            "pc_range": list(config.range),
            "norm_cfg": norm(config, "BN1d"),
        },
        "backbone": {"type": "PointPillarsScatter", "num_input_features": width, "ds_factor": 1},
        "neck": neck(config, width),
    }
    return as_config(config, "", model, size, pillar_limits(config))


TABLE = Table(rows, fragment)
