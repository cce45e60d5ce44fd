"""CenterPoint's pillar network: pillars, a 2D backbone and neck, features read back from the bird's-eye map."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from xmodal_core.config import setting
from xmodal_core.points._cells import Cells, find_cells
from xmodal_core.points._norm import BatchNorm
from xmodal_core.points.base import BevGrid, NetworkSettings, PointFeatures, PointNetwork

_NORM_EPS = 1e-3


class PillarsConfig(NetworkSettings):
    """Options of ``pillars``; ``nuscenes``, ``waymo`` and ``kitti`` are the networks of OpenPCDet's
    ``cbgs_dyn_pp_centerpoint``, ``centerpoint_pillar_1x`` and ``pointpillar``."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {
            "channels": ("intensity",),
            "range": (-80.0, -80.0, -5.0, 80.0, 80.0, 3.0),
            "pillar_size": 0.25,
            "pillar_features": (32,),
            "blocks": (1, 1, 1),
            "strides": (2, 2, 2),
            "features": (32, 64, 64),
            "up_strides": (1, 2, 4),
            "up_features": (32, 32, 32),
            "norm_momentum": 0.1,
        },
        "nuscenes": {
            "channels": ("intensity", "time_lag"),
            "range": (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0),
            "pillar_size": 0.2,
            "pillar_features": (64, 64),
            "blocks": (3, 5, 5),
            "strides": (2, 2, 2),
            "features": (64, 128, 256),
            "up_strides": (0.5, 1, 2),
            "up_features": (128, 128, 128),
            "norm_momentum": 0.01,
        },
        "waymo": {
            "channels": ("intensity", "elongation"),
            "range": (-74.88, -74.88, -2.0, 74.88, 74.88, 4.0),
            "pillar_size": 0.32,
            "pillar_features": (64, 64),
            "blocks": (3, 5, 5),
            "strides": (1, 2, 2),
            "features": (64, 128, 256),
            "up_strides": (1, 2, 4),
            "up_features": (128, 128, 128),
            "norm_momentum": 0.01,
        },
        "kitti": {
            "channels": ("intensity",),
            "range": (0.0, -39.68, -3.0, 69.12, 39.68, 1.0),
            "pillar_size": 0.16,
            "pillar_features": (64,),
            "blocks": (3, 5, 5),
            "strides": (2, 2, 2),
            "features": (64, 128, 256),
            "up_strides": (1, 2, 4),
            "up_features": (128, 128, 128),
            "norm_momentum": 0.01,
        },
    }

    preset: Literal["tiny", "nuscenes", "waymo", "kitti"] = setting(
        "tiny", "which network; 'tiny' trains on a CPU, the others are those of OpenPCDet for that data set"
    )
    range: tuple[float, float, float, float, float, float] = setting(
        (-80.0, -80.0, -5.0, 80.0, 80.0, 3.0),
        "extent of the bird's-eye map: x, y, z from, x, y, z to; points beyond it in x or y get zeros",
        unit="m",
    )
    pillar_size: float = setting(0.25, "edge of a pillar", unit="m", ge=0.05, le=2.0, step=0.01)
    pillar_features: tuple[int, ...] = setting(
        (32,), "features of a pillar after each layer of the pillar network", unit="features"
    )
    blocks: tuple[int, ...] = setting((1, 1, 1), "3x3 convolutions of each level, after its strided one", unit="layers")
    strides: tuple[int, ...] = setting((2, 2, 2), "by how much each level shrinks the map")
    features: tuple[int, ...] = setting((32, 64, 64), "features of each level", unit="features")
    up_strides: tuple[float, ...] = setting((1, 2, 4), "by how much the neck enlarges each level's map; 0.5 halves it")
    up_features: tuple[int, ...] = setting((32, 32, 32), "features that the neck makes of each level", unit="features")
    norm_momentum: float = setting(0.1, "weight of the newest batch in batch norm's statistics", ge=0.001, le=1.0)

    @property
    def grid(self) -> tuple[int, int]:
        """Pillars along x and y."""
        x, y = (round((self.range[axis + 3] - self.range[axis]) / self.pillar_size) for axis in (0, 1))
        return x, y

    @property
    def map_stride(self) -> int:
        """Pillars along an edge of one cell of the bird's-eye map."""
        return round(self.strides[0] / self.up_strides[0])

    @model_validator(mode="after")
    def _check(self) -> PillarsConfig:
        levels = {len(part) for part in (self.blocks, self.strides, self.features, self.up_strides, self.up_features)}
        if len(levels) != 1 or not self.blocks:
            raise ValueError("blocks, strides, features, up_strides and up_features must have as many entries each")
        sizes = (*self.pillar_features, *self.strides, *self.features, *self.up_features)
        if not self.pillar_features or min(sizes) < 1 or min(self.blocks) < 0 or min(self.up_strides) <= 0:
            raise ValueError("every width and stride must be above zero, and there must be a pillar layer")
        if any(width % 2 for width in self.pillar_features[:-1]):
            raise ValueError("pillar_features: all but the last must be even, since half of each is the pillar's own")
        self._check_strides()
        self._check_range()
        return self

    def _check_strides(self) -> None:
        if any(stride < 1 and not (1 / stride).is_integer() for stride in self.up_strides) or any(
            stride > 1 and not float(stride).is_integer() for stride in self.up_strides
        ):
            raise ValueError("up_strides must be whole numbers, or one divided by one")
        shrunk = 1.0
        for stride, up in zip(self.strides, self.up_strides, strict=True):
            shrunk *= stride
            if not math.isclose(shrunk / up, self.map_stride):
                raise ValueError("strides and up_strides must bring every level to maps of the same size")

    def _check_range(self) -> None:
        if any(low >= high for low, high in zip(self.range[:3], self.range[3:], strict=True)):
            raise ValueError("range: each of the first three numbers must be below its partner of the last three")
        cells = math.lcm(math.prod(self.strides), self.map_stride)
        for axis, count in enumerate(self.grid):
            exact = (self.range[axis + 3] - self.range[axis]) / self.pillar_size
            if abs(exact - count) > 1e-3 or count % cells:
                raise ValueError(
                    f"range: {exact:g} pillars along {'xy'[axis]}, but it must be a whole multiple of {cells}"
                )


class Pillars(PointNetwork):
    """PointPillars' encoder, backbone and neck as CenterPoint uses them (Lang 2019, Yin 2021).

    Every point of a pillar counts ("dynamic" pillars): nothing is thrown away by a limit on points or pillars, and
    OpenPCDet's ``DynPillarVFE`` computes the same from the same weights. As there, points above or below the range
    are kept: its z part only says where a pillar's centre lies. OpenPCDet's ``PillarVFE`` takes the weights too, but
    sees at most 32 (KITTI) or 20 points of a pillar, and lets its padding take part in the maximum.
    """

    Config = PillarsConfig
    config: PillarsConfig

    def __init__(self, config: PillarsConfig) -> None:
        super().__init__(config)
        self.pillar_layers = nn.ModuleList()
        width = 3 + len(config.channels) + 6
        for number, out in enumerate(config.pillar_features, start=1):
            last = number == len(config.pillar_features)
            self.pillar_layers.append(_PillarLayer(width, out if last else out // 2, config.norm_momentum))
            width = out
        self.levels, self.ups = nn.ModuleList(), nn.ModuleList()
        for out, blocks, stride in zip(config.features, config.blocks, config.strides, strict=True):
            self.levels.append(_level(width, out, blocks, stride, config.norm_momentum))
            width = out
        for width, out, up in zip(config.features, config.up_features, config.up_strides, strict=True):
            self.ups.append(_up(width, out, up, config.norm_momentum))
        self.width = sum(config.up_features)
        stride = config.map_stride
        nx, ny = (side // stride for side in config.grid)
        self.bev_grid = BevGrid(config.range[:2], config.pillar_size * stride, nx, ny, self.width)

    def forward(self, points: Tensor, channels: Tensor, offsets: Tensor) -> PointFeatures:
        channels = self.scaled_channels(points, channels, offsets)
        inside = self._inside(points)
        place = self._place(points, 1)
        cells = find_cells(torch.floor(place).long(), inside, offsets, (*self.config.grid, 1))
        pillars = self._pillars(points, channels, cells)
        bev = self._map(self._scatter(pillars, cells, len(offsets) - 1))
        return PointFeatures(self._read(bev, points, inside, offsets), bev)

    def _inside(self, points: Tensor) -> Tensor:
        low, high = points.new_tensor(self.config.range[:2]), points.new_tensor(self.config.range[3:5])
        return ((points[:, :2] >= low) & (points[:, :2] < high)).all(1) & torch.isfinite(points[:, 2])

    def _place(self, points: Tensor, stride: int) -> Tensor:
        """(N,3) where points are on a grid of ``stride`` pillars a cell, cell i being i..i+1; the third is zero."""
        low = points.new_tensor(self.config.range[:2])
        place = (points[:, :2] - low) / (self.config.pillar_size * stride)
        return nn.functional.pad(place, (0, 1))

    def _pillars(self, points: Tensor, channels: Tensor, cells: Cells) -> Tensor:
        """(V,F) one feature a pillar."""
        points, channels = points[cells.point], channels[cells.point]
        from_mean = points - cells.spread(cells.mean(points))
        from_centre = points - cells.spread(self._centres(cells, points))
        features = torch.cat([points, channels, from_mean, from_centre], dim=1).to(self.dtype)
        for number, layer in enumerate(self.pillar_layers, start=1):
            features = layer(features)
            highest = cells.max(features)
            if number < len(self.pillar_layers):
                features = torch.cat([features, cells.spread(highest)], dim=1)
        return highest

    def _centres(self, cells: Cells, like: Tensor) -> Tensor:
        """(V,3) centres of the pillars in metres."""
        low, high = self.config.range[:3], self.config.range[3:]
        size = like.new_tensor([self.config.pillar_size, self.config.pillar_size, high[2] - low[2]])
        return (cells.index[:, 1:].to(like.dtype) + 0.5) * size + like.new_tensor(low)

    def _scatter(self, pillars: Tensor, cells: Cells, frames: int) -> Tensor:
        """(B,F,ny,nx) with the pillars at their places and zeros elsewhere."""
        nx, ny = self.config.grid
        frame, x, y, _ = cells.index.long().unbind(1)
        canvas = pillars.new_zeros(frames * ny * nx, pillars.shape[1])
        canvas = canvas.index_copy(0, (frame * ny + y) * nx + x, pillars)
        return canvas.view(frames, ny, nx, -1).permute(0, 3, 1, 2)

    def _map(self, canvas: Tensor) -> Tensor:
        parts = []
        for level, up in zip(self.levels, self.ups, strict=True):
            canvas = level(canvas)
            parts.append(up(canvas))
        return torch.cat(parts, dim=1)

    def _read(self, bev: Tensor, points: Tensor, inside: Tensor, offsets: Tensor) -> Tensor:
        """(N,width): the map at each point, between cell centres bilinearly, at its border as the nearest cell."""
        height, width = bev.shape[2:]
        place = self._place(points, self.config.map_stride)[:, :2]
        place = torch.where(inside[:, None], place * 2 / place.new_tensor([width, height]) - 1, 0.0)
        bounds = offsets.tolist()
        rows = [
            nn.functional.grid_sample(
                frame[None].to(place.dtype), place[None, None, first:last], padding_mode="border", align_corners=False
            )[0, :, 0].T
            for frame, first, last in zip(bev, bounds[:-1], bounds[1:], strict=True)
        ]
        return torch.where(inside[:, None], torch.cat(rows), 0.0)


class _PillarLayer(nn.Module):
    """A matrix, batch norm over all points, ReLU."""

    def __init__(self, width: int, out: int, momentum: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out, bias=False)
        self.norm = BatchNorm(out, eps=_NORM_EPS, momentum=momentum)

    def forward(self, rows: Tensor) -> Tensor:
        return torch.relu(self.norm(self.linear(rows)))


class _Convolution(nn.Module):
    """A 2D convolution, batch norm, ReLU."""

    def __init__(self, convolution: nn.Module, out: int, momentum: float) -> None:
        super().__init__()
        self.conv = convolution
        self.norm = nn.BatchNorm2d(out, eps=_NORM_EPS, momentum=momentum)

    def forward(self, image: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(image)))


def _level(width: int, out: int, blocks: int, stride: int, momentum: float) -> nn.Sequential:
    """A strided 3x3 convolution and ``blocks`` more."""
    convolutions = [nn.Conv2d(width, out, 3, stride, padding=1, bias=False)]
    convolutions += [nn.Conv2d(out, out, 3, padding=1, bias=False) for _ in range(blocks)]
    return nn.Sequential(*(_Convolution(convolution, out, momentum) for convolution in convolutions))


def _up(width: int, out: int, stride: float, momentum: float) -> _Convolution:
    """To the map's size: transposed also where nothing is enlarged, as OpenPCDet has it; a plain one shrinks."""
    if stride >= 1:
        size = round(stride)
        return _Convolution(nn.ConvTranspose2d(width, out, size, size, bias=False), out, momentum)
    size = round(1 / stride)
    return _Convolution(nn.Conv2d(width, out, size, size, bias=False), out, momentum)
