"""MinkowskiEngine's MinkUNet, as SLidR and Pointcept have it: its tensors in the order of the original's modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xmodal_core.errors import InputError
from xmodal_core.exporters._layouts import KERNEL_ME, POINTWISE_ME, SAME, columns_scaled
from xmodal_core.exporters._table import Row, norm_rows

if TYPE_CHECKING:
    from xmodal_core.points.minkunet import MinkUNetConfig

LEVELS = 4
SMALL: dict[str, Any] = {
    "stem": 4,
    "encoder": [4, 6, 6, 8],
    "encoder_blocks": [1, 1, 2, 1],
    "decoder": [8, 6, 6, 4],
    "decoder_blocks": [1, 2, 1, 1],
}
"""Widths of a network with the levels that the original's class has, small enough for a CPU."""


def minkunet_rows(config: MinkUNetConfig, prefix: str = "", *, as_stored: bool = True) -> Iterator[Row]:
    """Stem, then each halving with its blocks, then each doubling with its blocks.

    Args:
        config: of our network.
        prefix: what the names begin with.
        as_stored: whether the target feeds intensity as the data set stores it, so that ``intensity_scale`` goes into
            the first kernel.

    Raises:
        InputError: the network has not the original's four levels.
    """
    if len(config.encoder) != LEVELS:
        raise InputError(
            f"MinkowskiEngine's MinkUNet has {LEVELS} levels, this network {len(config.encoder)}",
            "pre-train with --set network.preset=minkunet34c",
        )
    width = len(input_scales(config))
    scaled = columns_scaled(input_scales(config)) if as_stored else SAME
    yield Row(
        f"{prefix}conv0p1s1.kernel",
        (config.stem_kernel**3, width, config.stem),
        "stem.conv.weight",
        scaled.then(KERNEL_ME),
    )
    yield from norm_rows(f"{prefix}bn0.bn", "stem.norm", config.stem)
    skips = [config.stem, *config.encoder[:-1]]
    width = config.stem
    for level, (out, blocks) in enumerate(zip(config.encoder, config.encoder_blocks, strict=True)):
        conv = f"{prefix}conv{level + 1}p{2**level}s2.kernel"
        yield Row(conv, (8, width, width), f"down.{level}.conv.weight", KERNEL_ME)
        yield from norm_rows(f"{prefix}bn{level + 1}.bn", f"down.{level}.norm", width)
        yield from _stage(f"{prefix}block{level + 1}", f"encoder.{level}", width, out, blocks)
        width = out
    for step, (out, blocks) in enumerate(zip(config.decoder, config.decoder_blocks, strict=True)):
        conv = f"{prefix}convtr{LEVELS + step}p{2 ** (LEVELS - step)}s2.kernel"
        yield Row(conv, (8, width, out), f"up.{step}.conv.weight", KERNEL_ME)
        yield from norm_rows(f"{prefix}bntr{LEVELS + step}.bn", f"up.{step}.norm", out)
        joined = out + skips[-1 - step]
        yield from _stage(f"{prefix}block{LEVELS + 1 + step}", f"decoder.{step}", joined, out, blocks)
        width = out


def input_scales(config: MinkUNetConfig) -> list[float]:
    """For each input of a voxel, by what the network multiplies it first."""
    channels = [config.intensity_scale if name == "intensity" else 1.0 for name in config.channels]
    parts = {"occupied": [1.0], "channels": channels, "height": [1.0], "xyz": [1.0] * 3}
    return [scale for name in config.inputs for scale in parts[name]]


def planes(config: MinkUNetConfig) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """LAYERS and PLANES of the original's class."""
    return (*config.encoder_blocks, *config.decoder_blocks), (*config.encoder, *config.decoder)


def _stage(theirs: str, ours: str, width: int, out: int, blocks: int) -> Iterator[Row]:
    for block in range(blocks):
        yield from _block(f"{theirs}.{block}", f"{ours}.{block}", width if block == 0 else out, out)


def _block(theirs: str, ours: str, width: int, out: int) -> Iterator[Row]:
    for number, into in ((1, width), (2, out)):
        yield Row(f"{theirs}.conv{number}.kernel", (27, into, out), f"{ours}.conv{number}.weight", KERNEL_ME)
        yield from norm_rows(f"{theirs}.norm{number}.bn", f"{ours}.norm{number}", out)
    if width != out:
        yield Row(f"{theirs}.downsample.0.kernel", (width, out), f"{ours}.shortcut.0.weight", POINTWISE_ME)
        yield from norm_rows(f"{theirs}.downsample.1.bn", f"{ours}.shortcut.1", out)
