"""The 2D part of SECOND (Yan 2018) as CenterPoint has it, and its map read back at points: for networks with a map."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from xmodal_core.config import setting
from xmodal_core.points import _bev_compiled as loops
from xmodal_core.points._neighbours import COMPILED
from xmodal_core.points._stages import DENSE, READ, stage
from xmodal_core.points.base import BevGrid, NetworkSettings, PointFeatures, PointNetwork

NORM_EPS = 1e-3
"""Added to the variance by every batch norm of this family of networks."""


class BevSettings(NetworkSettings):
    """The options of the 2D part; a plugin adds those of what comes before it."""

    range: tuple[float, float, float, float, float, float] = setting(
        (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0),
        "extent of the bird's-eye map: x, y, z from, x, y, z to; points beyond it in x or y get zeros",
        unit="m",
    )
    blocks: tuple[int, ...] = setting((1, 1, 1), "3x3 convolutions of each level, after its strided one", unit="layers")
    strides: tuple[int, ...] = setting((2, 2, 2), "by how much each level shrinks the map")
    features: tuple[int, ...] = setting((32, 64, 64), "features of each level", unit="features")
    up_strides: tuple[float, ...] = setting((1, 2, 4), "by how much the neck enlarges each level's map; 0.5 halves it")
    up_features: tuple[int, ...] = setting((32, 32, 32), "features that the neck makes of each level", unit="features")
    norm_momentum: float = setting(0.1, "weight of the newest batch in batch norm's statistics", ge=0.001, le=1.0)

    @property
    @abstractmethod
    def cell(self) -> float:
        """Edge in metres of a cell of the map that the 2D part is given."""

    @property
    @abstractmethod
    def cells(self) -> tuple[int, int]:
        """Its cells along x and y."""

    @property
    def map_stride(self) -> int:
        """Cells of it along an edge of one cell of the bird's-eye map that the 2D part makes."""
        return round(self.strides[0] / self.up_strides[0])

    def check_levels(self) -> None:
        """Raises ValueError where the levels do not fit each other."""
        levels = {len(part) for part in (self.blocks, self.strides, self.features, self.up_strides, self.up_features)}
        if len(levels) != 1 or not self.blocks:
            raise ValueError("blocks, strides, features, up_strides and up_features must have as many entries each")
        sizes = (*self.strides, *self.features, *self.up_features)
        if min(sizes) < 1 or min(self.blocks) < 0 or min(self.up_strides) <= 0:
            raise ValueError("every width and stride must be above zero")
        if any(stride < 1 and not (1 / stride).is_integer() for stride in self.up_strides) or any(
            stride > 1 and not float(stride).is_integer() for stride in self.up_strides
        ):
            raise ValueError("up_strides must be whole numbers, or one divided by one")
        shrunk = 1.0
        for stride, up in zip(self.strides, self.up_strides, strict=True):
            shrunk *= stride
            if not math.isclose(shrunk / up, self.map_stride):
                raise ValueError("strides and up_strides must bring every level to maps of the same size")

    def check_range(self, size: float, stride: int, what: str) -> None:
        """Raises ValueError where the range is no whole number of cells.

        Args:
            size: edge in metres of a pillar or voxel.
            stride: how many of them make a cell of the map that the 2D part is given.
            what: their name.
        """
        if any(low >= high for low, high in zip(self.range[:3], self.range[3:], strict=True)):
            raise ValueError("range: each of the first three numbers must be below its partner of the last three")
        multiple = stride * math.lcm(math.prod(self.strides), self.map_stride)
        for axis, name in enumerate("xy"):
            exact = (self.range[axis + 3] - self.range[axis]) / size
            if abs(exact - round(exact)) > 1e-3 or round(exact) % multiple:
                raise ValueError(f"range: {exact:g} {what} along {name}, but it must be a whole multiple of {multiple}")


class BevNetwork(PointNetwork):
    """A network whose point features are read from a bird's-eye map.

    A plugin calls ``add_map`` once, and writes ``canvas``.
    """

    config: BevSettings

    def add_map(self, width: int) -> None:
        """The 2D part, which is given maps with ``width`` features; fills ``width`` and ``bev_grid``."""
        config = self.config
        self.levels, self.ups = nn.ModuleList(), nn.ModuleList()
        for out, blocks, stride in zip(config.features, config.blocks, config.strides, strict=True):
            self.levels.append(_level(width, out, blocks, stride, config.norm_momentum))
            width = out
        for width, out, up in zip(config.features, config.up_features, config.up_strides, strict=True):
            self.ups.append(_up(width, out, up, config.norm_momentum))
        self.width = sum(config.up_features)
        nx, ny = (side // config.map_stride for side in config.cells)
        self.bev_grid = BevGrid(config.range[:2], config.cell * config.map_stride, nx, ny, self.width)

    @abstractmethod
    def canvas(self, points: Tensor, channels: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """(B,F,rows,columns) what the 2D part is given, and (N,) bool whether a point is in range; see ``forward``.

        Feature after feature in memory: convolutions keep the order that they are given, and cell after cell a CPU goes
        backwards through them in more than twice the time.
        """

    def forward(self, points: Tensor, channels: Tensor, offsets: Tensor) -> PointFeatures:
        canvas, inside = self.canvas(points, channels, offsets)
        bev = self.to_map(canvas)
        return PointFeatures(self.read(bev, points, inside, offsets), bev)

    def to_bev(self, points: Tensor, channels: Tensor, offsets: Tensor) -> Tensor:
        """See ``PointNetwork``; without reading the map at the points."""
        bev: Tensor = self.to_map(self.canvas(points, channels, offsets)[0])
        return bev

    @stage(DENSE)
    def to_map(self, canvas: Tensor) -> Tensor:
        """(B,width,ny,nx) what the levels and the neck make of ``canvas`` (B,F,rows,columns)."""
        parts = []
        for level, up in zip(self.levels, self.ups, strict=True):
            canvas = level(canvas)
            parts.append(up(canvas))
        return torch.cat(parts, dim=1)

    @stage(READ)
    def read(self, bev: Tensor, points: Tensor, inside: Tensor, offsets: Tensor) -> Tensor:
        """(N,width): the map at each point, between cell centres bilinearly, at its border as the nearest cell.

        Args:
            bev: (B,width,ny,nx).
            points: (N,3) metres.
            inside: (N,) bool; others get zeros.
            offsets: (B+1,) int64.
        """
        # As grid_sample's, whose backward pass takes a CPU longer (docs/networks_speed.md) and sums in no fixed order
        # on a GPU.
        height, width = bev.shape[2:]
        place = (points[:, :2] - points.new_tensor(self.config.range[:2])) / (self.config.cell * self.config.map_stride)
        place = torch.where(inside[:, None], place - 0.5, 0.0)
        place = torch.minimum(place.clamp(min=0.0), place.new_tensor([width - 1, height - 1]))
        left, below = place.long().unbind(1)
        right, above = (left + 1).clamp(max=width - 1), (below + 1).clamp(max=height - 1)
        x, y = (place - place.floor()).unbind(1)
        frame = torch.repeat_interleave(offsets.diff(), output_size=len(points)) * height
        rows = [(frame + row) * width + column for row in (below, above) for column in (left, right)]
        # Zeros to points beyond the map by their weights: a mask over what was read takes a pass more each way.
        weights = [row * column * inside for row in (1 - y, y) for column in (1 - x, x)]
        # In one piece: embedding_bag reads strided rows slowly.
        cells = bev.to(place.dtype).permute(0, 2, 3, 1).flatten(0, 2).contiguous()
        compiled = cells.device.type in COMPILED and cells.dtype == torch.float32
        weigh = _WeighedRows.apply if compiled else _weighed_rows
        read: Tensor = weigh(cells, torch.stack(rows, 1), torch.stack(weights, 1))
        return read


def _weighed_rows(values: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """(N,C): the sum of the K rows of ``values`` (R,C) that each row of ``rows`` (N,K) names, times its ``weights``."""
    return nn.functional.embedding_bag(rows, values, per_sample_weights=weights, mode="sum")


class _WeighedRows(torch.autograd.Function):
    """The same, with a gradient that a loop sums point by point: embedding_bag's own takes a CPU several times as
    long."""

    @staticmethod
    def forward(context: Any, values: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        context.save_for_backward(rows, weights)
        context.count = len(values)
        return _weighed_rows(values, rows, weights)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        rows, weights = (saved.numpy() for saved in context.saved_tensors)
        gradient = gradients[0].detach().contiguous().numpy()
        return torch.from_numpy(loops.spread(gradient, rows, weights, context.count)), None, None


class _Convolution(nn.Module):
    """A 2D convolution, batch norm, ReLU."""

    def __init__(self, convolution: nn.Module, out: int, momentum: float) -> None:
        super().__init__()
        self.conv = convolution
        self.norm = nn.BatchNorm2d(out, eps=NORM_EPS, momentum=momentum)

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
