"""What the plain models of the targets are made of: loops over points, and sparse convolutions done densely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

Rows = dict[tuple[int, ...], Tensor]


def grouped(
    points: Tensor, low: Sequence[float], size: Sequence[float], shape: Sequence[int], per_cell: int, most: int
) -> Rows:
    """The points of each cell, cells in the order of their first points; both cut off at their limits."""
    cells: dict[tuple[int, ...], list[Tensor]] = {}
    for point in points:
        place = tuple(int((point[axis] - low[axis]) // size[axis]) for axis in range(len(shape)))
        if all(0 <= at < side for at, side in zip(place, shape, strict=True)) and (place in cells or len(cells) < most):
            rows = cells.setdefault(place, [])
            if len(rows) < per_cell:
                rows.append(point)
    return {place: torch.stack(rows) for place, rows in cells.items()}


def decorated(rows: Tensor, centre: Sequence[float]) -> Tensor:
    """Points of a pillar with their offsets from its mean and from ``centre``, of as many axes as that has."""
    from_mean = rows[:, :3] - rows[:, :3].mean(0)
    return torch.cat([rows, from_mean, rows[:, : len(centre)] - torch.tensor(centre).to(rows)], dim=1)


def encoded(features: Tensor, slots: int, layers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """(F,) a pillar's feature; its rows are filled up with zeros to ``slots`` of them, 0: not at all."""
    if slots:
        features = torch.cat([features, features.new_zeros(slots - len(features), features.shape[1])])
    for number, layer in enumerate(layers):
        features = layer(features).relu()
        highest = features.max(0, keepdim=True)[0]
        if number < len(layers) - 1:
            features = torch.cat([features, highest.expand_as(features)], dim=1)
    return highest[0]


def scattered(pillars: dict[tuple[int, int], Tensor], nx: int, ny: int) -> Tensor:
    """(1,F,ny,nx) the features of pillars at their places (x, y)."""
    width = len(next(iter(pillars.values())))
    canvas = torch.zeros(1, width, ny, nx, dtype=torch.float64)
    for (x, y), feature in pillars.items():
        canvas[0, :, y, x] = feature
    return canvas


class Grid(NamedTuple):
    """A sparse tensor done densely: (1,C,z,y,x) features, zero where (1,1,z,y,x) ``active`` is False."""

    features: Tensor
    active: Tensor

    def with_features(self, change: Callable[[Tensor], Tensor]) -> Grid:
        """``change`` applied to the rows (V,C) of the active places."""
        rows = self.features[0].permute(1, 2, 3, 0)[self.active[0, 0]]
        features = torch.zeros(*self.active.shape[2:], change(rows).shape[1], dtype=rows.dtype)
        features[self.active[0, 0]] = change(rows)
        return Grid(features.permute(3, 0, 1, 2)[None], self.active)


def grid_of(rows: dict[tuple[int, ...], Tensor], shape: Sequence[int]) -> Grid:
    """Features by place (z, y, x)."""
    width = len(next(iter(rows.values())))
    features = torch.zeros(1, width, *shape, dtype=torch.float64)
    active = torch.zeros(1, 1, *shape, dtype=torch.bool)
    for (z, y, x), feature in rows.items():
        features[0, :, z, y, x] = feature
        active[0, 0, z, y, x] = True
    return Grid(features, active)


class Sparse(nn.Module):
    """spconv 2's convolution, weights (out, k0, k1, k2, in); ``submanifold`` keeps the active places as they are."""

    def __init__(
        self,
        width: int,
        out: int,
        kernel: tuple[int, int, int] = (3, 3, 3),
        stride: Sequence[int] = (1, 1, 1),
        padding: Sequence[int] = (1, 1, 1),
        *,
        submanifold: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, *kernel, width))
        if bias:
            self.bias = nn.Parameter(torch.empty(out))
        self.kernel, self.stride, self.padding, self.submanifold = kernel, tuple(stride), tuple(padding), submanifold

    def forward(self, grid: Grid) -> Grid:
        bias = getattr(self, "bias", None)
        weight = self.weight.permute(0, 4, 1, 2, 3)
        found = nn.functional.conv3d(grid.features, weight, bias, self.stride, self.padding)
        if self.submanifold:
            return Grid(found * grid.active, grid.active)
        ones = torch.ones(1, 1, *self.kernel, dtype=found.dtype)
        active = nn.functional.conv3d(grid.active.to(found.dtype), ones, None, self.stride, self.padding) > 0
        return Grid(found * active, active)


class Pointwise(nn.Module):
    """spconv's 1x1x1 convolution: the memory of the kernel (out, 1, 1, 1, in) is read as a matrix (in, out)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, 1, 1, 1, width))

    def forward(self, rows: Tensor) -> Tensor:
        out, width = self.weight.shape[0], self.weight.shape[4]
        return rows @ self.weight.reshape(-1).reshape(width, out)


class Inverse(Sparse):
    """spconv's inverse of a convolution of stride 2: onto the places that it came from."""

    def onto(self, grid: Grid, active: Tensor) -> Grid:
        found = nn.functional.conv_transpose3d(grid.features, self.weight.permute(4, 0, 1, 2, 3), stride=2)
        return Grid(found * active, active)


class SparseSequential(nn.Sequential):
    """Convolutions as they are, everything else on the rows of the active places."""

    def forward(self, grid: Grid) -> Grid:
        for module in self:
            grid = module(grid) if isinstance(module, Sparse | Residual) else grid.with_features(module)
        return grid


class Residual(nn.Module):
    """conv1, bn1, ReLU, conv2, bn2, shortcut, ReLU."""

    def __init__(self, width: int, *, bias: bool) -> None:
        super().__init__()
        self.conv1 = Sparse(width, width, submanifold=True, bias=bias)
        self.bn1 = nn.BatchNorm1d(width, eps=1e-3)
        self.conv2 = Sparse(width, width, submanifold=True, bias=bias)
        self.bn2 = nn.BatchNorm1d(width, eps=1e-3)

    def forward(self, grid: Grid) -> Grid:
        inner = self.conv1(grid).with_features(lambda rows: self.bn1(rows).relu())
        inner = self.conv2(inner).with_features(self.bn2)
        return Grid((inner.features + grid.features).relu(), grid.active)


def walked(blocks: nn.Module, grid: Grid) -> Grid:
    for block in blocks.children():
        grid = block(grid)
    return grid


def flattened(grid: Grid) -> Tensor:
    """(1,C*D,y,x): what all three frameworks make of a dense tensor (1,C,D,y,x)."""
    batch, width, depth, ny, nx = grid.features.shape
    return grid.features.reshape(batch, width * depth, ny, nx)


def norm_2d(width: int) -> list[nn.Module]:
    """A batch norm over maps and a ReLU."""
    return [nn.BatchNorm2d(width, eps=1e-3), nn.ReLU()]


def necked(level_maps: Sequence[Tensor], deblocks: nn.ModuleList) -> Tensor:
    """The maps of all levels brought to one size, side by side."""
    return torch.cat([deblock(found) for deblock, found in zip(deblocks, level_maps, strict=True)], dim=1)
