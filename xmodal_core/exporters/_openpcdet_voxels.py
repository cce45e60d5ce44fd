"""OpenPCDet's residual sparse encoder, 2D backbone and neck: their tensors, and the part of the cfg for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xmodal_core.exporters._layouts import sparse
from xmodal_core.exporters._openpcdet import as_yaml, backbone_2d, data_config, voxel_step
from xmodal_core.exporters._second import level_rows, neck_rows
from xmodal_core.exporters._sparse_encoder import (
    block_rows,
    convolution_rows,
    first_layout,
    kernel,
    limits,
    refuse_other_widths,
)
from xmodal_core.exporters._table import Row, Table

if TYPE_CHECKING:
    from xmodal_core.points.voxels import VoxelsConfig

NOTES = """\
# VoxelResBackBone8x has biases before its batch norms, which the network had not: they are zeros in the file.
"""
UNLIMITED = """\
# Pre-trained without limits on voxels: DynMeanVFE (needs torch_scatter) has none either. MeanVFE with
# transform_points_to_voxels goes too.
"""


def rows(config: VoxelsConfig, spconv: int) -> Iterator[Row]:
    """The sparse encoder, then blocks and deblocks of the 2D part.

    Raises:
        InputError: the network is not the one that ``VoxelResBackBone8x`` always builds.
    """
    refuse_other_widths(config, "OpenPCDet's VoxelResBackBone8x")
    encoder, order = "backbone_3d", sparse(spconv)
    shape = kernel(spconv, config.stem, (3, 3, 3), 3 + len(config.channels))
    names = (f"{encoder}.conv_input.0", f"{encoder}.conv_input.1")
    yield from convolution_rows(names, "stem", shape, config.stem, first_layout(config, spconv))
    width = config.stem
    for level, (out, blocks) in enumerate(zip(config.encoder, config.encoder_blocks, strict=True)):
        stage = f"{encoder}.conv{level + 1}"
        if level:
            shape = kernel(spconv, out, (3, 3, 3), width)
            yield from convolution_rows((f"{stage}.0.0", f"{stage}.0.1"), f"down.{level - 1}", shape, out, order)
        for block in range(blocks):
            yield from block_rows(f"{stage}.{block + (level > 0)}", f"encoder.{level}.{block}", out, spconv, bias=True)
        width = out
    shape = kernel(spconv, config.flattened, (3, 1, 1), width)
    names = (f"{encoder}.conv_out.0", f"{encoder}.conv_out.1")
    yield from convolution_rows(names, "flatten", shape, config.flattened, order)
    yield from level_rows(config, "backbone_2d.blocks", config.flattened * config.depth, padded=True)
    yield from neck_rows(config, "backbone_2d.deblocks", plain=False)


def fragment(config: VoxelsConfig) -> str:
    """The part of OpenPCDet's cfg that builds this network, as YAML."""
    unlimited = config.points_per_voxel is None and config.max_voxels is None
    cfg = {
        "DATA_CONFIG": data_config(config, voxel_step(list(config.voxel_size), None if unlimited else limits(config))),
        "MODEL": {
            "VFE": {"NAME": "DynMeanVFE" if unlimited else "MeanVFE"},
            "BACKBONE_3D": {"NAME": "VoxelResBackBone8x"},
            "MAP_TO_BEV": {"NAME": "HeightCompression", "NUM_BEV_FEATURES": config.flattened * config.depth},
            "BACKBONE_2D": backbone_2d(config),
        },
    }
    return as_yaml(config, NOTES + (UNLIMITED if unlimited else ""), cfg)


TABLE = Table(rows, fragment)
