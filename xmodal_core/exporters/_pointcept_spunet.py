"""SpUNet in the names of Pointcept's ``SpUNet-v1m1`` (pointcept/models/sparse_unet/spconv_unet_v1m1_base.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xmodal_core.exporters._layouts import POINTWISE
from xmodal_core.exporters._table import Row, norm_rows

if TYPE_CHECKING:
    from xmodal_core.points.spunet import SpUNetConfig


def spunet_rows(config: SpUNetConfig) -> Iterator[Row]:
    """Stem, all halvings, all doublings, the blocks after each halving, those after each doubling.

    Kernels are (out, kx, ky, kz, in) on both sides. Doublings are numbered there by the level they lead to, so that
    the last one is number 0.
    """
    levels = len(config.encoder)
    skips = (config.stem, *config.encoder[:-1])
    before = (config.encoder[-1], *config.decoder[:-1])
    yield from _convolution("backbone.conv_input", "stem", 5, 3 + len(config.channels), config.stem)
    for level, (width, out) in enumerate(zip(skips, config.encoder, strict=True)):
        yield from _convolution(f"backbone.down.{level}", f"down.{level}", 2, width, out)
    for level, step in enumerate(reversed(range(levels))):
        yield from _convolution(f"backbone.up.{level}", f"up.{step}", 2, before[step], config.decoder[step])
    for level, (out, blocks) in enumerate(zip(config.encoder, config.encoder_blocks, strict=True)):
        yield from _stage(f"backbone.enc.{level}", f"encoder.{level}", out, out, blocks)
    for level, step in enumerate(reversed(range(levels))):
        out, blocks = config.decoder[step], config.decoder_blocks[step]
        yield from _stage(f"backbone.dec.{level}", f"decoder.{step}", out + skips[level], out, blocks)


def spunet_arguments(config: SpUNetConfig) -> dict[str, Any]:
    """What the original's class is made with, but for ``num_classes``."""
    return {
        "type": "SpUNet-v1m1",
        "in_channels": 3 + len(config.channels),
        "base_channels": config.stem,
        "channels": (*config.encoder, *config.decoder),
        "layers": (*config.encoder_blocks, *config.decoder_blocks),
    }


def _convolution(theirs: str, ours: str, kernel: int, width: int, out: int) -> Iterator[Row]:
    yield Row(f"{theirs}.0.weight", (out, kernel, kernel, kernel, width), f"{ours}.conv.weight")
    yield from norm_rows(f"{theirs}.1", f"{ours}.norm", out)


def _stage(theirs: str, ours: str, width: int, out: int, blocks: int) -> Iterator[Row]:
    for block in range(blocks):
        yield from _block(f"{theirs}.block{block}", f"{ours}.{block}", out if block else width, out)


def _block(theirs: str, ours: str, width: int, out: int) -> Iterator[Row]:
    if width != out:
        yield Row(f"{theirs}.proj.0.weight", (out, 1, 1, 1, width), f"{ours}.shortcut.0.weight", POINTWISE)
        yield from norm_rows(f"{theirs}.proj.1", f"{ours}.shortcut.1", out)
    for number, into in ((1, width), (2, out)):
        yield Row(f"{theirs}.conv{number}.weight", (out, 3, 3, 3, into), f"{ours}.conv{number}.weight")
        yield from norm_rows(f"{theirs}.bn{number}", f"{ours}.norm{number}", out)
