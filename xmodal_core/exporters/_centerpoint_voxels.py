"""CenterPoint's (det3d's) SpMiddleResNetFHD and RPN: their tensors, and the part of the config that builds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xmodal_core.exporters._centerpoint import as_config, neck, norm
from xmodal_core.exporters._layouts import sparse
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
# SpMiddleResNetFHD has biases before its batch norms, which the network had not: they are zeros in the file.
"""


def rows(config: VoxelsConfig, spconv: int) -> Iterator[Row]:
    """The sparse encoder, then the RPN's blocks and deblocks.

    Raises:
        InputError: the network is not the one that ``SpMiddleResNetFHD`` always builds.
    """
    refuse_other_widths(config, "CenterPoint's SpMiddleResNetFHD")
    order = sparse(spconv)
    shape = kernel(spconv, config.stem, (3, 3, 3), 3 + len(config.channels))
    names = ("backbone.conv_input.0", "backbone.conv_input.1")
    yield from convolution_rows(names, "stem", shape, config.stem, first_layout(config, spconv))
    width = config.stem
    for level, (out, blocks) in enumerate(zip(config.encoder, config.encoder_blocks, strict=True)):
        stage = f"backbone.conv{level + 1}"
        if level:
            shape = kernel(spconv, out, (3, 3, 3), width)
            yield from convolution_rows((f"{stage}.0", f"{stage}.1"), f"down.{level - 1}", shape, out, order)
        for block in range(blocks):
            # The halving convolution, its norm and a ReLU come first in the same sequence.
            place = block + (3 if level else 0)
            yield from block_rows(f"{stage}.{place}", f"encoder.{level}.{block}", out, spconv, bias=True)
        width = out
    shape = kernel(spconv, config.flattened, (3, 1, 1), width)
    names = ("backbone.extra_conv.0", "backbone.extra_conv.1")
    yield from convolution_rows(names, "flatten", shape, config.flattened, order)
    yield from level_rows(config, "neck.blocks", config.flattened * config.depth, padded=True)
    yield from neck_rows(config, "neck.deblocks", plain=True)


def fragment(config: VoxelsConfig) -> str:
    """The part of CenterPoint's config that builds this network."""
    width = 3 + len(config.channels)
    model = {
        "type": "VoxelNet",
        "reader": {"type": "VoxelFeatureExtractorV3", "num_input_features": width},
        "backbone": {
            "type": "SpMiddleResNetFHD",
            "num_input_features": width,
            "ds_factor": config.stride,
            "norm_cfg": norm(config, "BN1d"),
        },
        "neck": neck(config, config.flattened * config.depth),
    }
    return as_config(config, NOTES, model, list(config.voxel_size), limits(config))


TABLE = Table(rows, fragment)
