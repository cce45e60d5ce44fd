"""mmdetection3d's MinkUNet on spconv: its tensors, and the part of the config that builds it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xmodal_core.exporters._inputs import scales
from xmodal_core.exporters._layouts import POINTWISE, SPCONV1, Layout, columns_scaled, sparse
from xmodal_core.exporters._mmdet3d import header
from xmodal_core.exporters._python_config import as_python
from xmodal_core.exporters._sparse_encoder import convolution_rows, kernel
from xmodal_core.exporters._table import Row, Table, norm_rows

if TYPE_CHECKING:
    from xmodal_core.points.minkunet_mmdet3d import MinkUNetMmdet3dConfig

NOTES = """\
# The sparse weights are in the order of spconv 1, which mmdetection3d permutes as it loads them, whatever it runs on.
# They are named as its spconv backend names them; torchsparse's and MinkowskiEngine's have other names.
# Voxels were fed with the mean of their points in pre-training; here each takes one of them. No range cuts points off.
"""


def rows(config: MinkUNetMmdet3dConfig, spconv: int) -> Iterator[Row]:
    """The stem, then each level of the way down and up: the convolution that halves or doubles, and its blocks."""
    order, skips = sparse(spconv), (config.stem, *config.encoder[:-1])
    width = 3 + len(config.channels)
    for number, layout in enumerate((columns_scaled(scales(config)).then(order), order)):
        shape = kernel(spconv, config.stem, (3, 3, 3), width)
        yield from _convolution(f"conv_input.{number}", f"stem.{number}", shape, config.stem, layout)
        width = config.stem
    for level, (out, blocks) in enumerate(zip(config.encoder, config.encoder_blocks, strict=True)):
        shape = kernel(spconv, width, (2, 2, 2), width)
        yield from _convolution(f"encoder.{level}.0", f"down.{level}", shape, width, order)
        for block in range(blocks):
            names = f"backbone.encoder.{level}.{block + 1}", f"encoder.{level}.{block}"
            yield from _block(*names, out if block else width, out, spconv)
        width = out
    for step, (out, blocks) in enumerate(zip(config.decoder, config.decoder_blocks, strict=True)):
        shape = kernel(spconv, out, (2, 2, 2), width)
        yield from _convolution(f"decoder.{step}.0", f"up.{step}", shape, out, order)
        for block in range(blocks):
            names = f"backbone.decoder.{step}.1.{block}", f"decoder.{step}.{block}"
            yield from _block(*names, out if block else out + skips[-1 - step], out, spconv)
        width = out


def _convolution(theirs: str, ours: str, shape: tuple[int, ...], width: int, layout: Layout) -> Iterator[Row]:
    yield from convolution_rows((f"backbone.{theirs}.0", f"backbone.{theirs}.1"), ours, shape, width, layout)


def _block(theirs: str, ours: str, width: int, out: int, spconv: int) -> Iterator[Row]:
    for number, into in ((1, width), (2, out)):
        yield Row(
            f"{theirs}.conv{number}.weight",
            kernel(spconv, out, (3, 3, 3), into),
            f"{ours}.conv{number}.weight",
            sparse(spconv),
        )
        yield from norm_rows(f"{theirs}.bn{number}", f"{ours}.norm{number}", out)
    if width != out:
        pointwise = POINTWISE.then(SPCONV1) if spconv == 1 else POINTWISE
        shape = kernel(spconv, out, (1, 1, 1), width)
        yield Row(f"{theirs}.downsample.0.weight", shape, f"{ours}.shortcut.0.weight", pointwise)
        yield from norm_rows(f"{theirs}.downsample.1", f"{ours}.shortcut.1", out)


def fragment(config: MinkUNetMmdet3dConfig) -> str:
    """The part of mmdetection3d's config that builds this network."""
    layer = {
        "max_num_points": -1,
        "point_cloud_range": list(config.range),
        "voxel_size": [config.voxel_size] * 3,
        "max_voxels": (-1, -1),
    }
    model: dict[str, Any] = {
        "data_preprocessor": {
            "type": "Det3DDataPreprocessor",
            "voxel": True,
            "voxel_type": "minkunet",
            "batch_first": True,
            "max_voxels": None,
            "voxel_layer": layer,
        },
        "backbone": {
            "type": "MinkUNetBackbone",
            "in_channels": 3 + len(config.channels),
            "num_stages": len(config.encoder),
            "base_channels": config.stem,
            "encoder_channels": list(config.encoder),
            "encoder_blocks": list(config.encoder_blocks),
            "decoder_channels": list(config.decoder),
            "decoder_blocks": list(config.decoder_blocks),
            "block_type": "basic",
            "sparseconv_backend": "spconv",
        },
        "decode_head": {"channels": config.decoder[-1], "batch_first": True},
    }
    return as_python(header(config) + NOTES, {"model": model})


TABLE = Table(rows, fragment)
