"""How one tensor's memory differs between frameworks: pairs of maps that undo each other.

Ours are PyTorch's layouts and, for sparse convolutions, those of spconv 2.2 and later: ``(out, k0, k1, k2, in)``
("KRSC"), the kernel's axes in the order of the index columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xmodal_core.errors import DataError

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layout:
    """Two maps of a tensor that undo each other.

    Args:
        forth: ours to theirs.
        back: theirs to ours.
    """

    forth: Map
    back: Map

    def then(self, other: Layout) -> Layout:
        """First these maps, then those of ``other``."""
        return Layout(lambda ours: other.forth(self.forth(ours)), lambda theirs: self.back(other.back(theirs)))


def _permuted(*order: int) -> Layout:
    inverse = [order.index(axis) for axis in range(len(order))]
    return Layout(lambda ours: ours.permute(order), lambda theirs: theirs.permute(inverse))


SAME = Layout(lambda ours: ours, lambda theirs: theirs)

SWAP_IN_OUT = _permuted(1, 0, 2, 3)
"""A convolution that enlarges by 1: ``ConvTranspose2d`` (in, out, 1, 1) to ``Conv2d`` (out, in, 1, 1), and back."""

SPCONV1 = _permuted(1, 2, 3, 4, 0)
"""(out, k0, k1, k2, in) of spconv 2 to (k0, k1, k2, in, out) of spconv 1 and mmcv.

This is also the exact inverse of what mmdetection3d, OpenPCDet and det3d do to the older order, 1x1 kernels included.
"""

AXES_REVERSED = _permuted(0, 3, 2, 1, 4)
"""Kernels of a network that indexes voxels by z, y, x to one that indexes them by x, y, z, and back."""

POINTWISE = Layout(
    lambda ours: ours.T.contiguous().view(ours.shape[0], 1, 1, 1, ours.shape[1]),
    lambda theirs: theirs.contiguous().view(theirs.shape[4], theirs.shape[0]).T,
)
"""A matrix (out, in) of ``nn.Linear`` to spconv 2's 1x1x1 kernel (out, 1, 1, 1, in).

spconv multiplies rows by ``kernel.view(in, out)``: it reads the memory anew and does not transpose. Hence its memory
is that of the transposed matrix, under a shape that says otherwise.
"""

POINTWISE_ME = _permuted(1, 0)
"""A matrix (out, in) of ``nn.Linear`` to the kernel (in, out) that MinkowskiEngine and torchsparse have for 1x1x1."""


def _kernel_me(ours: Tensor) -> Tensor:
    out, *sides, width = ours.shape
    return ours.permute(3, 2, 1, 4, 0).reshape(sides[0] * sides[1] * sides[2], width, out)


def _kernel_of_me(theirs: Tensor) -> Tensor:
    side = round(len(theirs) ** (1 / 3))
    return theirs.reshape(side, side, side, *theirs.shape[1:]).permute(4, 2, 1, 0, 3)


KERNEL_ME = Layout(_kernel_me, _kernel_of_me)
"""(out, kx, ky, kz, in) to MinkowskiEngine's kernel (K, in, out), x the fastest of the K places.

Of torchsparse the same holds for odd kernels; of even ones z is the fastest there.
"""


def _with_zeros(tensor: Tensor) -> Tensor:
    return torch.nn.functional.pad(tensor, (0, 1))


def _without_zeros(tensor: Tensor) -> Tensor:
    if tensor[:, -1].any():
        raise DataError(
            "the file's network uses its last input, a point's height above its pillar's centre; ours has none",
            "read it with --set network.centre_offsets=xyz",
        )
    return tensor[:, :-1]


LAST_COLUMN_ZERO = Layout(_with_zeros, _without_zeros)
"""A matrix (out, in) to one with an input more, which counts for nothing."""

LAST_COLUMN_NEW = Layout(lambda ours: ours, _with_zeros)
"""A matrix (out, in) that has lost its last input already; on the way back it gets one that counts for nothing."""


def columns_scaled(factors: Sequence[float]) -> Layout:
    """Weights (out, …, in) whose input i comes multiplied by ``factors[i]`` with us and as it is with them."""
    if all(factor == 1 for factor in factors):
        return SAME

    def scale(tensor: Tensor) -> Tensor:
        return torch.tensor(factors, dtype=tensor.dtype, device=tensor.device)

    return Layout(lambda ours: ours * scale(ours), lambda theirs: theirs / scale(theirs))


def sparse(spconv: int) -> Layout:
    """A sparse kernel (out, k0, k1, k2, in) in the order of spconv's version 1 or 2."""
    return SPCONV1 if spconv == 1 else SAME
