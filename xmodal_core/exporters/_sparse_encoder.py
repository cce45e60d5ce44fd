"""What the tables of CenterPoint's sparse encoder share in the three frameworks that have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xmodal_core.errors import InputError
from xmodal_core.exporters._inputs import MANY_POINTS, MANY_VOXELS, scales
from xmodal_core.exporters._layouts import Layout, columns_scaled, sparse
from xmodal_core.exporters._table import Row, norm_rows

if TYPE_CHECKING:
    from xmodal_core.points.voxels import VoxelsConfig

FIXED: dict[str, object] = {"stem": 16, "encoder": (16, 32, 64, 128), "encoder_blocks": (2, 2, 2, 2), "flattened": 128}
"""The one encoder that OpenPCDet and det3d have: its widths are written in their code."""


SUITED: dict[str, object] = {**FIXED, "voxel_size": (0.25, 0.25, 0.2)}
"""What makes the default network, which is smaller, such a one."""


def refuse_other_widths(config: VoxelsConfig, name: str) -> None:
    """Complain where a network is not the one that the target's class always builds.

    Raises:
        InputError: it has other widths or blocks.
    """
    for setting, value in FIXED.items():
        found = getattr(config, setting)
        if found != value:
            raise InputError(
                f"{name} always has {setting} {_plain(value)}, but this network has {_plain(found)}",
                "take a full-size preset (nuscenes_0075, nuscenes_01, waymo), or mmdet3d, which has any widths",
            )


def _plain(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def first_layout(config: VoxelsConfig, spconv: int) -> Layout:
    """Of the first convolution, which takes channels as they are stored."""
    return columns_scaled(scales(config)).then(sparse(spconv))


def kernel(spconv: int, out: int, sides: tuple[int, int, int], width: int) -> tuple[int, ...]:
    """The shape of a sparse kernel in the order of spconv 1 or 2."""
    return (*sides, width, out) if spconv == 1 else (out, *sides, width)


def convolution_rows(
    theirs: tuple[str, str], ours: str, shape: tuple[int, ...], width: int, layout: Layout
) -> Iterator[Row]:
    """A convolution and its batch norm.

    Args:
        theirs: the names of the two.
        ours: what our names begin with.
        shape: of the kernel.
        width: features that come out.
        layout: of the kernel.
    """
    yield Row(f"{theirs[0]}.weight", shape, f"{ours}.conv.weight", layout)
    yield from norm_rows(theirs[1], f"{ours}.norm", width)


def block_rows(theirs: str, ours: str, width: int, spconv: int, *, bias: bool) -> Iterator[Row]:
    """A residual block: two convolutions with batch norms.

    Args:
        theirs, ours: what the names begin with.
        width: features of a voxel.
        spconv: 1 or 2.
        bias: whether the target's convolutions have one although a batch norm follows; zeros are the same network.
    """
    shape = kernel(spconv, width, (3, 3, 3), width)
    for number in (1, 2):
        yield Row(f"{theirs}.conv{number}.weight", shape, f"{ours}.conv{number}.weight", sparse(spconv))
        if bias:
            mean = f"{ours}.norm{number}.running_mean"
            yield Row(f"{theirs}.conv{number}.bias", (width,), None, absorbed_by=mean)
        yield from norm_rows(f"{theirs}.bn{number}", f"{ours}.norm{number}", width)


def limits(config: VoxelsConfig) -> tuple[int, tuple[int, int]]:
    """Points of a voxel and voxels of a frame, in training and otherwise."""
    return config.points_per_voxel or MANY_POINTS, config.max_voxels or (MANY_VOXELS, MANY_VOXELS)
