"""The 2D part of SECOND (Yan 2018), which three frameworks build alike but for names: levels and a neck."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xmodal_core.exporters._layouts import SAME, SWAP_IN_OUT
from xmodal_core.exporters._table import Row, norm_rows

if TYPE_CHECKING:
    from xmodal_core.points._bev import BevSettings


def level_rows(config: BevSettings, theirs: str, width: int, *, padded: bool) -> Iterator[Row]:
    """The levels, each a strided convolution and more of them, all followed by batch norm and ReLU.

    Args:
        config: of our network.
        theirs: what the names begin with, up to the number of the level.
        width: features that come in.
        padded: whether a padding stands before the first convolution and counts in the numbers.
    """
    for level, (out, blocks) in enumerate(zip(config.features, config.blocks, strict=True)):
        for number in range(blocks + 1):
            place = 3 * number + padded
            ours = f"levels.{level}.{number}"
            yield Row(f"{theirs}.{level}.{place}.weight", (out, width, 3, 3), f"{ours}.conv.weight")
            yield from norm_rows(f"{theirs}.{level}.{place + 1}", f"{ours}.norm", out)
            width = out


def neck_rows(config: BevSettings, theirs: str, *, plain: bool) -> Iterator[Row]:
    """The neck: a convolution for each level that brings it to the map's size, batch norm and ReLU.

    Args:
        config: of our network.
        theirs: what the names begin with, up to the number of the level.
        plain: whether the target takes a plain convolution, weights (out, in), where nothing is enlarged. Else it is a
            transposed one, weights (in, out), as with us. Wherever something is enlarged it is transposed, and where
            the map shrinks plain.
    """
    for level, (out, stride) in enumerate(zip(config.up_features, config.up_strides, strict=True)):
        within, size = config.features[level], round(stride if stride >= 1 else 1 / stride)
        is_plain = stride < 1 or (stride == 1 and plain)
        shape = (out, within, size, size) if is_plain else (within, out, size, size)
        layout = SWAP_IN_OUT if stride == 1 and plain else SAME
        yield Row(f"{theirs}.{level}.0.weight", shape, f"ups.{level}.conv.weight", layout)
        yield from norm_rows(f"{theirs}.{level}.1", f"ups.{level}.norm", out)
