"""OpenPCDet's pillar encoder, 2D backbone and neck: their tensors, and the part of the cfg that builds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xmodal_core.exporters._inputs import pillar_limits, pillar_rows
from xmodal_core.exporters._openpcdet import as_yaml, backbone_2d, data_config, voxel_step
from xmodal_core.exporters._second import level_rows, neck_rows
from xmodal_core.exporters._table import Row, Table

if TYPE_CHECKING:
    from xmodal_core.points.pillars import PillarsConfig

DYNAMIC = """\
# DynPillarVFE (needs torch_scatter) computes what was pre-trained. PillarVFE with transform_points_to_voxels takes the
# same tensors, but sees only MAX_POINTS_PER_VOXEL points of a pillar and lets its padding into the maximum.
"""
HARD = """\
# PillarVFE computes what was pre-trained. DynPillarVFE takes the same tensors, but sees all points of a pillar and no
# padding.
"""
NO_HEIGHT = """\
# Pre-trained without a point's height above the pillar's centre: its column, the last of the first matrix, is zero.
"""


def rows(config: PillarsConfig, spconv: int) -> Iterator[Row]:
    """The pillar layers, then blocks and deblocks of the 2D part."""
    yield from pillar_rows(config, "vfe.pfn_layers", height=True, matrix="linear", norm="norm")
    yield from level_rows(config, "backbone_2d.blocks", config.pillar_features[-1], padded=True)
    yield from neck_rows(config, "backbone_2d.deblocks", plain=False)


def fragment(config: PillarsConfig) -> str:
    """The part of OpenPCDet's cfg that builds this network, as YAML."""
    hard = config.points_per_pillar is not None
    notes = (HARD if hard else DYNAMIC) + (NO_HEIGHT if len(config.centre_offsets) < 3 else "")
    size = [config.pillar_size, config.pillar_size, config.range[5] - config.range[2]]
    cfg = {
        "DATA_CONFIG": data_config(config, voxel_step(size, pillar_limits(config) if hard else None)),
        "MODEL": {
            "VFE": {
                "NAME": "PillarVFE" if hard else "DynPillarVFE",
                "WITH_DISTANCE": False,
                "USE_ABSLOTE_XYZ": True,
                "USE_NORM": True,
                "NUM_FILTERS": list(config.pillar_features),
            },
            "MAP_TO_BEV": {"NAME": "PointPillarScatter", "NUM_BEV_FEATURES": config.pillar_features[-1]},
            "BACKBONE_2D": backbone_2d(config),
        },
    }
    return as_yaml(config, notes, cfg)


TABLE = Table(rows, fragment)
