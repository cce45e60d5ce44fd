"""mmdetection3d's SparseEncoder, SECOND and SECONDFPN: their tensors, and the part of the config that builds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xmodal_core.exporters._layouts import sparse
from xmodal_core.exporters._mmdet3d import as_config, bev_parts, norm, voxelisation
from xmodal_core.exporters._second import level_rows, neck_rows
from xmodal_core.exporters._sparse_encoder import block_rows, convolution_rows, first_layout, kernel, limits
from xmodal_core.exporters._table import Row, Table

if TYPE_CHECKING:
    from xmodal_core.points.voxels import VoxelsConfig

NOTES = """\
# The sparse weights are in the order of spconv 1, which mmdetection3d permutes as it loads them, whatever it runs on.
"""


def rows(config: VoxelsConfig, spconv: int) -> Iterator[Row]:
    """The sparse encoder, whose stages end with the convolution that halves, then SECOND and SECONDFPN."""
    encoder, order = "pts_middle_encoder", sparse(spconv)
    shape = kernel(spconv, config.stem, (3, 3, 3), 3 + len(config.channels))
    names = (f"{encoder}.conv_input.0", f"{encoder}.conv_input.1")
    yield from convolution_rows(names, "stem", shape, config.stem, first_layout(config, spconv))
    for level, (width, blocks) in enumerate(zip(config.encoder, config.encoder_blocks, strict=True)):
        stage = f"{encoder}.encoder_layers.encoder_layer{level + 1}"
        for block in range(blocks):
            yield from block_rows(f"{stage}.{block}", f"encoder.{level}.{block}", width, spconv, bias=False)
        if level + 1 < len(config.encoder):
            out = config.encoder[level + 1]
            shape = kernel(spconv, out, (3, 3, 3), width)
            yield from convolution_rows(
                (f"{stage}.{blocks}.0", f"{stage}.{blocks}.1"), f"down.{level}", shape, out, order
            )
    shape = kernel(spconv, config.flattened, (3, 1, 1), config.encoder[-1])
    names = (f"{encoder}.conv_out.0", f"{encoder}.conv_out.1")
    yield from convolution_rows(names, "flatten", shape, config.flattened, order)
    yield from level_rows(config, "pts_backbone.blocks", config.flattened * config.depth, padded=False)
    yield from neck_rows(config, "pts_neck.deblocks", plain=True)


def fragment(config: VoxelsConfig) -> str:
    """The part of mmdetection3d's config that builds this network."""
    nx, ny, nz = config.grid
    width = 3 + len(config.channels)
    model: dict[str, Any] = {
        "data_preprocessor": voxelisation(config.range, list(config.voxel_size), limits(config)),
        "pts_voxel_encoder": {"type": "HardSimpleVFE", "num_features": width},
        "pts_middle_encoder": {
            "type": "SparseEncoder",
            "in_channels": width,
            "sparse_shape": [nz + 1, ny, nx],
            "order": ("conv", "norm", "act"),
            "norm_cfg": norm(config, "BN1d"),
            "base_channels": config.stem,
            "output_channels": config.flattened,
            **_stages(config),
            "block_type": "basicblock",
        },
        **bev_parts(config, config.flattened * config.depth),
    }
    return as_config(config, NOTES, config.range, model)


def _stages(config: VoxelsConfig) -> dict[str, Any]:
    """Widths, strides and paddings of the stages: blocks, then the convolution that makes the next stage's voxels."""
    channels, paddings = [], []
    for level, (width, blocks) in enumerate(zip(config.encoder, config.encoder_blocks, strict=True)):
        after = config.encoder[level + 1 : level + 2]
        # The last halving has no padding along z.
        last: Any = [0, 1, 1] if level + 2 == len(config.encoder) else 1
        channels.append((width,) * blocks + after)
        paddings.append((0,) * blocks + (last,) * len(after))
    strides = (2,) * (len(channels) - 1) + (1,)
    return {
        "encoder_channels": tuple(channels),
        "encoder_strides": strides,
        "encoder_paddings": tuple(paddings),
    }


TABLE = Table(rows, fragment)
