"""spconv as the networks use it: imported without noise, its algorithm by device, the precisions and sizes it knows."""

from __future__ import annotations

import gc
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xmodal_core.errors import InputError
from xmodal_core.points._stages import CONVOLUTIONS, VOXELISE, stage


@contextmanager
def _quickly_without_noise() -> Iterator[None]:
    """For importing spconv, which then describes all its GPU kernels: in so many objects that to look for garbage among
    them again and again takes a quarter of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            # spconv 2.3 decorates its functions in a way that torch 2.4 and later call deprecated.
            warnings.filterwarnings("ignore", message=r"`torch\.cuda\.amp\.custom_(fwd|bwd)", category=FutureWarning)
            yield
    finally:
        if collecting:
            gc.enable()


with _quickly_without_noise():
    import spconv.pytorch as spconv
    from spconv.core import ConvAlgo
    from spconv.pytorch.conv import SparseConvolution

# A note about torch.fx that torch 2.14 logs whenever spconv makes its first tensor, and that is no user's business.
logging.getLogger("torch.fx._symbolic_trace").addFilter(
    lambda record: not record.getMessage().startswith("is_fx_tracing will return true")
)

__all__ = ["Voxels", "fit_to_device", "spconv", "split_frames", "supported_precision", "voxels_of"]

MOST_CELLS = 2**32
"""The most cells, empty ones too, that one tensor may have on a CPU: spconv tells them apart there by 32 bits."""


def fit_to_device(network: nn.Module, device: torch.device) -> None:
    """Let every sparse convolution of ``network`` use the algorithm that ``device`` knows.

    spconv chooses when a layer is made, before anybody knows where it will run: on a CPU only ``Native`` works; a
    GPU takes spconv's own choice.
    """
    for module in network.modules():
        if isinstance(module, SparseConvolution):
            if not hasattr(module, "default_algo"):
                module.default_algo = module.algo
            module.algo = ConvAlgo.Native if device.type == "cpu" else module.default_algo


@contextmanager
def supported_precision(device: torch.device) -> Iterator[None]:
    """Within it, automatic mixed precision is off unless spconv can follow: float16 on a GPU, nothing on a CPU."""
    kind = device.type
    follows = kind == "cuda" and torch.get_autocast_dtype(kind) == torch.float16
    with torch.autocast(kind, enabled=follows and torch.is_autocast_enabled(kind)):
        yield


@dataclass(frozen=True)
class Voxels:
    """The occupied voxels of a batch.

    Args:
        features: (V,C).
        parts: the same, as one of spconv's tensors or, where that would be too large, several of whole frames.
        firsts: the number of each part's first frame.
    """

    features: Tensor
    parts: tuple[Any, ...]
    firsts: tuple[int, ...] = (0,)

    @property
    def index(self) -> Tensor:
        """(V,4) int32: frame of the batch, then the place on the grid, in the order of ``features``."""
        parts = zip(self.parts, self.firsts, strict=True)
        return torch.cat([part.indices + part.indices.new_tensor([first, 0, 0, 0]) for part, first in parts])

    @stage(CONVOLUTIONS)
    def convolved(self, convolution: nn.Module) -> Voxels:
        """What ``convolution``, one of spconv's, makes of them."""
        parts = tuple(convolution(part) for part in self.parts)
        features = [part.features for part in parts]
        return Voxels(features[0] if len(features) == 1 else torch.cat(features), parts, self.firsts)

    def with_features(self, features: Tensor) -> Voxels:
        """The same voxels with other features (V,D)."""
        sizes = [len(part.features) for part in self.parts]
        parts = tuple(
            part.replace_feature(own) for part, own in zip(self.parts, torch.split(features, sizes), strict=True)
        )
        return Voxels(features, parts, self.firsts)


@stage(VOXELISE)
def voxels_of(features: Tensor, index: Tensor, shape: tuple[int, int, int], frames: int, stride: int) -> Voxels:
    """The voxels with ``features`` (V,C), at least one.

    Args:
        features: (V,C).
        index: (V,4) int32: frame, then the place on the grid; ascending frames.
        shape: cells along each axis of the grid, multiples of ``stride``.
        frames: in the batch.
        stride: cells along an edge of the network's coarsest voxel.

    Raises:
        InputError: one frame alone has more than ``MOST_CELLS`` cells between its outermost voxels, on a CPU.
    """
    if not features.is_cuda:
        index, shape = _cropped(index, stride)
    return split_frames(features, index, shape, frames)


@stage(VOXELISE)
def split_frames(features: Tensor, index: Tensor, shape: tuple[int, int, int], frames: int) -> Voxels:
    """The voxels with ``features`` (V,C), at least one, in as few parts as spconv can take.

    Args:
        features: (V,C).
        index: (V,4) int32: frame, then the place on the grid; ascending frames.
        shape: cells along each axis of the grid.
        frames: in the batch.

    Raises:
        InputError: one frame alone has more than ``MOST_CELLS`` cells, on a CPU.
    """
    if features.is_cuda:
        return Voxels(features, (spconv.SparseConvTensor(features, index, list(shape), frames),))
    together = min(frames, MOST_CELLS // math.prod(shape))
    if together == 0:
        raise InputError(
            f"a grid of {' x '.join(map(str, shape))} voxels is more than spconv can take on a CPU",
            "give the network a larger voxel_size or a smaller range",
        )
    firsts = range(0, frames, together)
    rows = [int(count.sum()) for count in torch.split(torch.bincount(index[:, 0], minlength=frames), together)]
    parts = {
        first: spconv.SparseConvTensor(own, places - places.new_tensor([first, 0, 0, 0]), list(shape), together)
        for first, own, places in zip(firsts, torch.split(features, rows), torch.split(index, rows), strict=True)
        if len(own)
    }
    return Voxels(features, tuple(parts.values()), tuple(parts))


def _cropped(index: Tensor, stride: int) -> tuple[Tensor, tuple[int, int, int]]:
    """``index`` from the corner of the box around all voxels, and the box's shape, in whole coarsest voxels."""
    first = index[:, 1:].amin(0) // stride * stride
    x, y, z = ((index[:, 1:].amax(0) - first) // stride * stride + stride).tolist()
    return index - nn.functional.pad(first, (1, 0)), (x, y, z)
