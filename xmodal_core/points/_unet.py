"""What the residual U-Nets on sparse voxels share: their grid, their layers and the way down and up."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from xmodal_core.config import setting
from xmodal_core.points._cells import Cells, find_cells
from xmodal_core.points._norm import BatchNorm
from xmodal_core.points._sparse import Voxels, fit_to_device, spconv, supported_precision, voxels_of
from xmodal_core.points._stages import VOXELISE, stage
from xmodal_core.points.base import NetworkSettings, PointFeatures, PointNetwork

Origin = Literal["sensor", "cloud"]

TINY: dict[str, Any] = {
    "stem": 16,
    "encoder": (32, 64, 64),
    "encoder_blocks": (1, 1, 1),
    "decoder": (64, 32, 32),
    "decoder_blocks": (1, 1, 1),
    "norm_momentum": 0.1,
}
"""Widths and depths of every preset ``tiny``."""
WIDE: dict[str, Any] = {"stem": 32, "encoder": (32, 64, 128, 256)}
"""Those on the way down of every full-size preset."""
DEEP: dict[str, Any] = {
    **WIDE,
    "encoder_blocks": (2, 3, 4, 6),
    "decoder": (256, 128, 96, 96),
    "decoder_blocks": (2, 2, 2, 2),
}
"""Those of every preset of 34 layers."""
NEAR: dict[str, Any] = {"voxel_size": 0.1, "range": (-102.4, -102.4, -8.0, 102.4, 102.4, 8.0)}
FINE: dict[str, Any] = {"voxel_size": 0.05, "range": (-102.4, -102.4, -32.0, 102.4, 102.4, 32.0)}
"""The grids of the presets of ``spunet`` and ``minkunet_mmdet3d``: ``NEAR`` of the tiny ones, ``FINE`` of the others,
up to 32 m above and below the sensor, where nuScenes has points."""


class UNetSettings(NetworkSettings):
    """The options that every U-Net on voxels has."""

    voxel_size: float = setting(0.1, "edge of a voxel", unit="m", ge=0.02, le=1.0, step=0.01)
    range: tuple[float, float, float, float, float, float] = setting(
        (-102.4, -102.4, -8.0, 102.4, 102.4, 8.0),
        "the box whose points are taken: x, y, z from, x, y, z to; others get zeros",
        unit="m",
    )
    stem: int = setting(16, "features of a voxel at full resolution, on the way down", unit="features", ge=4, le=256)
    encoder: tuple[int, ...] = setting((32, 64, 64), "features of a voxel at each halving", unit="features")
    encoder_blocks: tuple[int, ...] = setting((1, 1, 1), "residual blocks after each halving", unit="blocks")
    decoder: tuple[int, ...] = setting((64, 32, 32), "features of a voxel after each doubling", unit="features")
    decoder_blocks: tuple[int, ...] = setting((1, 1, 1), "residual blocks after each doubling", unit="blocks")
    norm_momentum: float = setting(0.1, "weight of the newest batch in batch norm's statistics", ge=0.001, le=1.0)

    def check_levels(self) -> None:
        """Raises ValueError where the range is empty, or the levels do not fit each other."""
        low, high = self.range[:3], self.range[3:]
        if any(a >= b for a, b in zip(low, high, strict=True)):
            raise ValueError("range: each of the first three numbers must be below its partner of the last three")
        levels = {len(self.encoder), len(self.encoder_blocks), len(self.decoder), len(self.decoder_blocks)}
        if len(levels) != 1 or not self.encoder:
            raise ValueError("encoder, encoder_blocks, decoder and decoder_blocks must have the same number of entries")
        if min(*self.encoder, *self.encoder_blocks, *self.decoder, *self.decoder_blocks) < 1:
            raise ValueError("encoder, decoder and their blocks must be 1 or more")


class VoxelGrid:
    """The voxels of a range.

    Cell edges lie at whole multiples of the voxel's size from the sensor, or with ``centred`` cell centres do, so that
    which points share a voxel does not depend on the range. Which voxels share one twice as large is counted from
    ``origin``: ``sensor`` (MinkowskiEngine's rule: absolute coordinates) or ``cloud``, each frame's own first voxel
    along each axis (what comes of spconv's rule where voxels are numbered from there).

    Args:
        range: x, y, z from, x, y, z to, in metres.
        size: edges of a voxel: metres; of a cylindrical one metres, degrees, metres.
        levels: how often voxels are halved.
        cylindrical: voxels on distance from the z axis, angle and z.
        origin: from where larger voxels are counted.
        centred: places are rounded to the nearest whole number (halves to the even one) in place of down.
    """

    def __init__(
        self,
        range: Sequence[float],
        size: tuple[float, float, float],
        levels: int,
        *,
        cylindrical: bool = False,
        origin: Origin = "sensor",
        centred: bool = False,
    ) -> None:
        self.range, self.size, self.cylindrical, self.origin = range, size, cylindrical, origin
        self._whole = torch.round if centred else torch.floor
        low, high = tuple(range[:3]), tuple(range[3:])
        if cylindrical:
            reach = math.hypot(max(abs(low[0]), abs(high[0])), max(abs(low[1]), abs(high[1])))
            low, high = (0.0, -180.0, low[2]), (reach, 180.0, high[2])
        self.stride = stride = 2**levels
        self.first = tuple(
            math.floor(start / side) // stride * stride for start, side in zip(low, self.size, strict=True)
        )
        # One cell more than the range has, since rounding errors can carry a point onto its upper end.
        more = 2 if centred else 1
        last = (math.floor(end / side) + more for end, side in zip(high, self.size, strict=True))
        x, y, z = (-(-(end - first) // stride) * stride for end, first in zip(last, self.first, strict=True))
        self.shape = (x, y, z)

    @stage(VOXELISE)
    def cells(self, points: Tensor, offsets: Tensor) -> Cells:
        """The voxels that hold ``points`` (N,3)."""
        low, high = points.new_tensor(self.range[:3]), points.new_tensor(self.range[3:])
        inside = ((points >= low) & (points < high)).all(1)
        place = _cylindrical(points) if self.cylindrical else points
        place = self._whole(place / place.new_tensor(self.size)) - place.new_tensor(self.first)
        cells = find_cells(place.long(), inside, offsets, self.shape)
        return cells if self.origin == "sensor" else _from_first(cells, len(offsets) - 1)


def _cylindrical(points: Tensor) -> Tensor:
    """(N,3) distance from the z axis in metres, angle in degrees, z in metres."""
    x, y, z = points.unbind(1)
    return torch.stack([torch.hypot(x, y), torch.rad2deg(torch.atan2(y, x)), z], dim=1)


def _from_first(cells: Cells, frames: int) -> Cells:
    """The same cells, numbered from the first one along each axis in each of ``frames``."""
    frame, place = cells.index[:, 0].long(), cells.index[:, 1:]
    first = place.new_full((frames, 3), torch.iinfo(place.dtype).max)
    first = first.scatter_reduce(0, frame[:, None].expand(-1, 3), place, "amin")
    return replace(cells, index=torch.cat([cells.index[:, :1], place - first[frame]], dim=1))


class Convolution(nn.Module):
    """A sparse convolution, batch norm, ReLU."""

    def __init__(self, convolution: nn.Module, norm: BatchNorm) -> None:
        super().__init__()
        self.conv, self.norm = convolution, norm

    def forward(self, voxels: Voxels) -> Voxels:
        voxels = voxels.convolved(self.conv)
        return voxels.with_features(torch.relu(self.norm(voxels.features)))


class Block(nn.Module):
    """Two 3x3x3 convolutions around a shortcut, which has a matrix of its own where the width changes."""

    def __init__(self, width: int, out: int, level: int, *, momentum: float, eps: float) -> None:
        super().__init__()
        key = f"level{level}"
        self.conv1 = spconv.SubMConv3d(width, out, 3, bias=False, indice_key=key)
        self.norm1 = BatchNorm(out, eps=eps, momentum=momentum)
        self.conv2 = spconv.SubMConv3d(out, out, 3, bias=False, indice_key=key)
        self.norm2 = BatchNorm(out, eps=eps, momentum=momentum)
        self.shortcut: nn.Module = nn.Identity()
        if width != out:
            # A plain matrix: spconv stores a 1x1 convolution transposed (its versions differ in how).
            self.shortcut = nn.Sequential(nn.Linear(width, out, bias=False), BatchNorm(out, eps=eps, momentum=momentum))

    def forward(self, voxels: Voxels) -> Voxels:
        inner = voxels.convolved(self.conv1)
        inner = inner.with_features(torch.relu(self.norm1(inner.features))).convolved(self.conv2)
        shortcut = self.shortcut(voxels.features)
        return inner.with_features(torch.relu(self.norm2(inner.features) + shortcut))


class UNet(PointNetwork):
    """A residual U-Net of sparse 3D convolutions: voxels halved at each level, then doubled with skips; the feature of
    a point is that of its voxel. No convolution has a bias, since a batch norm follows.

    A plugin fills ``grid`` and ``stem``, a module from voxels to voxels of ``config.stem`` features, and calls
    ``add_levels``; it says in ``inputs`` what a point brings into its voxel. What a voxel is fed with is the mean over
    its points.
    """

    config: UNetSettings
    grid: VoxelGrid
    stem: nn.Module

    def add_levels(self, *, eps: float, widens: Literal["halving", "block"]) -> None:
        """The way down and up; fills ``width``.

        Args:
            eps: of the batch norms.
            widens: whether features become more in the convolution that halves, or in the first block after it.
        """
        config = self.config
        self.down, self.encoder = nn.ModuleList(), nn.ModuleList()
        width, skips = config.stem, [config.stem]
        for level, (out, blocks) in enumerate(zip(config.encoder, config.encoder_blocks, strict=True), start=1):
            halved = out if widens == "halving" else width
            halve = spconv.SparseConv3d(width, halved, 2, stride=2, bias=False, indice_key=f"down{level}")
            self.down.append(self._convolution(halve, halved, eps))
            self.encoder.append(self._blocks(halved, out, blocks, level, eps))
            width = out
            skips.append(out)
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        skips.pop()
        for level, (out, blocks) in zip(
            reversed(range(len(skips))), zip(config.decoder, config.decoder_blocks, strict=True), strict=True
        ):
            double = spconv.SparseInverseConv3d(width, out, 2, bias=False, indice_key=f"down{level + 1}")
            self.up.append(self._convolution(double, out, eps))
            self.decoder.append(self._blocks(out + skips[level], out, blocks, level, eps))
            width = out
        self.width = width

    def add_stem(self, inputs: int, kernel: int, *, eps: float) -> None:
        """A stem of one convolution on voxels of as many ``inputs``."""
        key = "level0" if kernel == 3 else "stem"
        convolution = spconv.SubMConv3d(inputs, self.config.stem, kernel, bias=False, indice_key=key)
        self.stem = self._convolution(convolution, self.config.stem, eps)

    def _convolution(self, convolution: nn.Module, out: int, eps: float) -> Convolution:
        return Convolution(convolution, BatchNorm(out, eps=eps, momentum=self.config.norm_momentum))

    def _blocks(self, width: int, out: int, number: int, level: int, eps: float) -> nn.Sequential:
        widths = [width] + [out] * (number - 1)
        momentum = self.config.norm_momentum
        return nn.Sequential(*(Block(own, out, level, momentum=momentum, eps=eps) for own in widths))

    def forward(self, points: Tensor, channels: Tensor, offsets: Tensor) -> PointFeatures:
        channels = self.scaled_channels(points, channels, offsets)
        cells = self.grid.cells(points, offsets)
        if len(cells) == 0:
            return PointFeatures(points.new_zeros(len(points), self.width), None)
        fit_to_device(self, points.device)
        with supported_precision(points.device):
            inputs = self._means(points, channels, cells)
            voxels = voxels_of(inputs, cells.index, self.grid.shape, len(offsets) - 1, self.grid.stride)
            return PointFeatures(cells.to_points(self._down_and_up(voxels).features), None)

    @abstractmethod
    def inputs(self, points: Tensor, channels: Tensor) -> Tensor:
        """(P,F) what each of ``points`` (P,3), in metres, brings into its voxel with its scaled ``channels`` (P,C)."""

    @stage(VOXELISE)
    def _means(self, points: Tensor, channels: Tensor, cells: Cells) -> Tensor:
        return cells.mean(self.inputs(points[cells.point], channels[cells.point]).to(self.dtype))

    def _down_and_up(self, voxels: Voxels) -> Voxels:
        voxels = self.stem(voxels)
        skips = [voxels]
        for down, blocks in zip(self.down, self.encoder, strict=True):
            voxels = blocks(down(voxels))
            skips.append(voxels)
        skips.pop()
        for up, blocks in zip(self.up, self.decoder, strict=True):
            voxels = up(voxels)
            skip = skips.pop()
            voxels = blocks(voxels.with_features(torch.cat([voxels.features, skip.features], dim=1)))
        return voxels
