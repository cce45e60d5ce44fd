"""mmdetection3d's pillar encoder, SECOND and SECONDFPN: their tensors, and the part of the config that builds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from xmodal_core.exporters._inputs import pillar_limits, pillar_rows
from xmodal_core.exporters._mmdet3d import as_config, bev_parts, norm, voxelisation
from xmodal_core.exporters._second import level_rows, neck_rows
from xmodal_core.exporters._table import Row, Table

if TYPE_CHECKING:
    from xmodal_core.points.pillars import PillarsConfig

HARD = """\
# mmdetection3d's own CenterPoint config has one pillar layer; feat_channels and legacy=False are as pre-trained.
"""
DYNAMIC = """\
# Pre-trained on dynamic pillars. DynamicPillarFeatureNet computes the same (its layers are not halved: feat_channels
# are their own widths), but CenterPoint's detector calls an encoder of hard pillars: see docs/mmdet3d.md.
# Pre-training saw points above and below its range too, from z = {low:g} to {high:g}, which mmdetection3d drops: so z
# reaches {further:g} m further both ways here, about the same middle, that of a pillar.
"""
FURTHER = 100.0
"""How far a dynamic pillar of the target reaches above and below the range, in metres."""


def rows(config: PillarsConfig, spconv: int) -> Iterator[Row]:
    """The pillar layers, then SECOND's blocks and SECONDFPN's deblocks."""
    hard = config.points_per_pillar is not None
    matrix, batch_norm = ("linear", "norm") if hard else ("0", "1")
    yield from pillar_rows(config, "pts_voxel_encoder.pfn_layers", height=True, matrix=matrix, norm=batch_norm)
    yield from level_rows(config, "pts_backbone.blocks", config.pillar_features[-1], padded=False)
    yield from neck_rows(config, "pts_neck.deblocks", plain=True)


def fragment(config: PillarsConfig) -> str:
    """The part of mmdetection3d's config that builds this network."""
    hard = config.points_per_pillar is not None
    extent = config.range if hard else _taller(config.range)
    size = [config.pillar_size, config.pillar_size, extent[5] - extent[2]]
    nx, ny = config.cells
    widths = list(config.pillar_features)
    own = widths if hard else [*(width // 2 for width in widths[:-1]), widths[-1]]
    model: dict[str, Any] = {
        "data_preprocessor": voxelisation(extent, size, pillar_limits(config) if hard else None),
        "pts_voxel_encoder": {
            "type": "PillarFeatureNet" if hard else "DynamicPillarFeatureNet",
            "in_channels": 3 + len(config.channels),
            "feat_channels": own,
            "with_distance": False,
            "voxel_size": size,
            "point_cloud_range": list(extent),
            "norm_cfg": norm(config, "BN1d"),
            "legacy": False,
        },
        "pts_middle_encoder": {"type": "PointPillarsScatter", "in_channels": widths[-1], "output_shape": (ny, nx)},
        **bev_parts(config, widths[-1]),
    }
    dynamic = DYNAMIC.format(low=config.range[2], high=config.range[5], further=FURTHER)
    return as_config(config, HARD if hard else dynamic, extent, model)


def _taller(extent: Sequence[float]) -> tuple[float, ...]:
    x, y, z, *high, top = extent
    return (x, y, z - FURTHER, *high, top + FURTHER)


TABLE = Table(rows, fragment)
