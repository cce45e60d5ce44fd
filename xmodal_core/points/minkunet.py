"""MinkUNet on sparse voxels: MinkUNet34C, MinkUNet18A, or a tiny one for CPUs."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from xmodal_core.config import setting
from xmodal_core.points._cells import Cells, find_cells
from xmodal_core.points._norm import BatchNorm
from xmodal_core.points._sparse import Voxels, fit_to_device, spconv, supported_precision, voxels_of
from xmodal_core.points.base import NetworkSettings, PointFeatures, PointNetwork

Input = Literal["occupied", "channels", "height", "xyz"]


class MinkUNetConfig(NetworkSettings):
    """Options of ``minkunet``; the preset ``minkunet34c`` is the network that SLidR pre-trains,
    ``minkunet34c_pointcept`` has the stem, inputs and voxels of Pointcept's."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {
            "coordinates": "cartesian",
            "inputs": ("occupied", "channels", "height"),
            "stem": 16,
            "encoder": (32, 64, 64),
            "encoder_blocks": (1, 1, 1),
            "decoder": (64, 32, 32),
            "decoder_blocks": (1, 1, 1),
            "norm_momentum": 0.1,
        },
        "minkunet34c": {
            "coordinates": "cylindrical",
            "inputs": ("channels",),
            "stem": 32,
            "encoder": (32, 64, 128, 256),
            "encoder_blocks": (2, 3, 4, 6),
            "decoder": (256, 128, 96, 96),
            "decoder_blocks": (2, 2, 2, 2),
            "norm_momentum": 0.05,
        },
        "minkunet34c_pointcept": {
            "coordinates": "cartesian",
            "voxel_size": 0.05,
            "inputs": ("xyz", "channels"),
            "stem": 32,
            "stem_kernel": 5,
            "encoder": (32, 64, 128, 256),
            "encoder_blocks": (2, 3, 4, 6),
            "decoder": (256, 128, 96, 96),
            "decoder_blocks": (2, 2, 2, 2),
            "norm_momentum": 0.1,
        },
        "minkunet18a": {
            "coordinates": "cartesian",
            "inputs": ("xyz", "channels"),
            "stem": 32,
            "stem_kernel": 5,
            "encoder": (32, 64, 128, 256),
            "encoder_blocks": (2, 2, 2, 2),
            "decoder": (128, 128, 96, 96),
            "decoder_blocks": (2, 2, 2, 2),
            "norm_momentum": 0.1,
        },
    }

    preset: Literal["tiny", "minkunet34c", "minkunet34c_pointcept", "minkunet18a"] = setting(
        "tiny",
        "which network; 'tiny' trains on a CPU, 'minkunet34c' is the one that publications compare, "
        "'minkunet34c_pointcept' is Pointcept's of that name, 'minkunet18a' is MinkowskiEngine's MinkUNet18A",
    )
    voxel_size: float = setting(0.1, "edge of a voxel", unit="m", ge=0.02, le=1.0, step=0.01)
    coordinates: Literal["cartesian", "cylindrical"] = setting(
        "cartesian", "voxels on x, y, z; or, as SLidR does it, on distance from the z axis, angle and z"
    )
    voxel_angle: float = setting(
        1.0, "width of a voxel in cylindrical coordinates", unit="deg", ge=0.1, le=10.0, step=0.1
    )
    range: tuple[float, float, float, float, float, float] = setting(
        (-102.4, -102.4, -8.0, 102.4, 102.4, 8.0),
        "the box whose points are taken: x, y, z from, x, y, z to; others get zeros",
        unit="m",
    )
    inputs: tuple[Input, ...] = setting(
        ("occupied", "channels", "height"),
        "what a voxel is fed with, each the mean over its points: a one ('occupied'), the channels, z in metres, xyz",
    )
    stem: int = setting(16, "features of a voxel at full resolution, on the way down", unit="features", ge=4, le=256)
    stem_kernel: Literal[3, 5] = setting(3, "size of the first kernel: 3 in SLidR, 5 in Pointcept", unit="voxels")
    encoder: tuple[int, ...] = setting((32, 64, 64), "features of a voxel at each halving", unit="features")
    encoder_blocks: tuple[int, ...] = setting((1, 1, 1), "residual blocks after each halving", unit="blocks")
    decoder: tuple[int, ...] = setting((64, 32, 32), "features of a voxel after each doubling", unit="features")
    decoder_blocks: tuple[int, ...] = setting((1, 1, 1), "residual blocks after each doubling", unit="blocks")
    norm_momentum: float = setting(0.1, "weight of the newest batch in batch norm's statistics", ge=0.001, le=1.0)

    @model_validator(mode="after")
    def _check(self) -> MinkUNetConfig:
        low, high = self.range[:3], self.range[3:]
        if any(a >= b for a, b in zip(low, high, strict=True)):
            raise ValueError("range: each of the first three numbers must be below its partner of the last three")
        levels = {len(self.encoder), len(self.encoder_blocks), len(self.decoder), len(self.decoder_blocks)}
        if len(levels) != 1 or not self.encoder:
            raise ValueError("encoder, encoder_blocks, decoder and decoder_blocks must have the same number of entries")
        if min(*self.encoder, *self.encoder_blocks, *self.decoder, *self.decoder_blocks) < 1:
            raise ValueError("encoder, decoder and their blocks must be 1 or more")
        if _input_width(self) == 0:
            raise ValueError("inputs: nothing is left to feed; add 'occupied', or name channels")
        return self


def _input_width(config: MinkUNetConfig) -> int:
    widths = {"occupied": 1, "channels": len(config.channels), "height": 1, "xyz": 3}
    return sum(widths[name] for name in config.inputs)


class MinkUNet(PointNetwork):
    """A residual U-Net of sparse 3D convolutions: voxels halved at each level, then doubled with skips; the feature of
    a point is that of its voxel.

    Structure: Choy 2019 in the form that SLidR uses, on spconv. No convolution has a bias, since a batch norm follows.
    Unlike SLidR, which draws one point of a voxel, a voxel is fed with the mean of its points, so that nothing is left
    to chance. In cylindrical coordinates the voxels at -180 and at 180 degrees are no neighbours, as there.
    """

    Config = MinkUNetConfig
    config: MinkUNetConfig

    def __init__(self, config: MinkUNetConfig) -> None:
        super().__init__(config)
        self.grid = _Grid(config)
        momentum = config.norm_momentum
        self.stem = _Convolution(
            spconv.SubMConv3d(
                _input_width(config),
                config.stem,
                config.stem_kernel,
                bias=False,
                indice_key="level0" if config.stem_kernel == 3 else "stem",
            ),
            config.stem,
            momentum,
        )
        self.down, self.encoder = nn.ModuleList(), nn.ModuleList()
        width, skips = config.stem, [config.stem]
        for level, (out, blocks) in enumerate(zip(config.encoder, config.encoder_blocks, strict=True), start=1):
            halve = spconv.SparseConv3d(width, width, 2, stride=2, bias=False, indice_key=f"down{level}")
            self.down.append(_Convolution(halve, width, momentum))
            self.encoder.append(_blocks(width, out, blocks, level, momentum))
            width = out
            skips.append(out)
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        skips.pop()
        for level, (out, blocks) in zip(
            reversed(range(len(skips))), zip(config.decoder, config.decoder_blocks, strict=True), strict=True
        ):
            double = spconv.SparseInverseConv3d(width, out, 2, bias=False, indice_key=f"down{level + 1}")
            self.up.append(_Convolution(double, out, momentum))
            self.decoder.append(_blocks(out + skips[level], out, blocks, level, momentum))
            width = out
        self.width = width

    def forward(self, points: Tensor, channels: Tensor, offsets: Tensor) -> PointFeatures:
        channels = self.scaled_channels(points, channels, offsets)
        cells = self.grid.cells(points, offsets)
        if len(cells) == 0:
            return PointFeatures(points.new_zeros(len(points), self.width), None)
        fit_to_device(self, points.device)
        with supported_precision(points.device):
            inputs = self._inputs(points, channels, cells)
            voxels = voxels_of(inputs, cells.index, self.grid.shape, len(offsets) - 1, self.grid.stride)
            return PointFeatures(cells.to_points(self._unet(voxels).features), None)

    def _inputs(self, points: Tensor, channels: Tensor, cells: Cells) -> Tensor:
        points, channels = points[cells.point], channels[cells.point]
        parts = {
            "occupied": torch.ones_like(points[:, :1]),
            "channels": channels,
            "height": points[:, 2:],
            "xyz": points,
        }
        inputs = torch.cat([parts[name] for name in self.config.inputs], dim=1)
        return cells.mean(inputs.to(self.dtype))

    def _unet(self, voxels: Voxels) -> Voxels:
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


class _Grid:
    """The voxels of a ``MinkUNetConfig``.

    Cell edges lie at whole multiples of the voxel's size from the sensor and the corner at a multiple of the coarsest
    voxel's, so that which points share a voxel, at any level, does not depend on the range (MinkowskiEngine's rule).
    """

    def __init__(self, config: MinkUNetConfig) -> None:
        self.range = config.range
        self.cylindrical = config.coordinates == "cylindrical"
        self.size = (config.voxel_size, config.voxel_size, config.voxel_size)
        low, high = config.range[:3], config.range[3:]
        if self.cylindrical:
            self.size = (config.voxel_size, config.voxel_angle, config.voxel_size)
            reach = math.hypot(max(abs(low[0]), abs(high[0])), max(abs(low[1]), abs(high[1])))
            low, high = (0.0, -180.0, low[2]), (reach, 180.0, high[2])
        self.stride = stride = 2 ** len(config.encoder)
        self.first = tuple(
            math.floor(start / size) // stride * stride for start, size in zip(low, self.size, strict=True)
        )
        # One cell more than the range has, since rounding can carry a point onto its upper end.
        last = (math.floor(end / size) + 1 for end, size in zip(high, self.size, strict=True))
        x, y, z = (-(-(end - first) // stride) * stride for end, first in zip(last, self.first, strict=True))
        self.shape = (x, y, z)

    def cells(self, points: Tensor, offsets: Tensor) -> Cells:
        """The voxels that hold ``points`` (N,3)."""
        low, high = points.new_tensor(self.range[:3]), points.new_tensor(self.range[3:])
        inside = ((points >= low) & (points < high)).all(1)
        place = _cylindrical(points) if self.cylindrical else points
        place = torch.floor(place / place.new_tensor(self.size)) - place.new_tensor(self.first)
        return find_cells(place.long(), inside, offsets, self.shape)


def _cylindrical(points: Tensor) -> Tensor:
    """(N,3) distance from the z axis in metres, angle in degrees, z in metres."""
    x, y, z = points.unbind(1)
    return torch.stack([torch.hypot(x, y), torch.rad2deg(torch.atan2(y, x)), z], dim=1)


class _Convolution(nn.Module):
    """A sparse convolution, batch norm, ReLU."""

    def __init__(self, convolution: nn.Module, width: int, momentum: float) -> None:
        super().__init__()
        self.conv = convolution
        self.norm = BatchNorm(width, momentum=momentum)

    def forward(self, voxels: Voxels) -> Voxels:
        voxels = voxels.convolved(self.conv)
        return voxels.with_features(torch.relu(self.norm(voxels.features)))


class _Block(nn.Module):
    """Two 3x3x3 convolutions around a shortcut, which has a matrix of its own where the width changes."""

    def __init__(self, width: int, out: int, level: int, momentum: float) -> None:
        super().__init__()
        key = f"level{level}"
        self.conv1 = spconv.SubMConv3d(width, out, 3, bias=False, indice_key=key)
        self.norm1 = BatchNorm(out, momentum=momentum)
        self.conv2 = spconv.SubMConv3d(out, out, 3, bias=False, indice_key=key)
        self.norm2 = BatchNorm(out, momentum=momentum)
        self.shortcut: nn.Module = nn.Identity()
        if width != out:
            # A plain matrix: spconv stores a 1x1 convolution transposed (its versions differ in how).
            self.shortcut = nn.Sequential(nn.Linear(width, out, bias=False), BatchNorm(out, momentum=momentum))

    def forward(self, voxels: Voxels) -> Voxels:
        inner = voxels.convolved(self.conv1)
        inner = inner.with_features(torch.relu(self.norm1(inner.features))).convolved(self.conv2)
        shortcut = self.shortcut(voxels.features)
        return inner.with_features(torch.relu(self.norm2(inner.features) + shortcut))


def _blocks(width: int, out: int, number: int, level: int, momentum: float) -> nn.Sequential:
    return nn.Sequential(
        *(_Block(width if first else out, out, level, momentum) for first in [True] + [False] * (number - 1))
    )
