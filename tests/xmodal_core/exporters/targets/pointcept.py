"""Pointcept's SpUNet on spconv, built from the arguments in its config alone, over voxels on a dense grid."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tests.xmodal_core.exporters.targets.parts import (
    Grid,
    Inverse,
    Pointwise,
    Rows,
    Sparse,
    SparseSequential,
    grid_of,
    walked,
)


class Block(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(Pointwise(width, out), norm(out)) if width != out else nn.Sequential(nn.Identity())
        self.conv1 = Sparse(width, out, submanifold=True)
        self.bn1 = norm(out)
        self.conv2 = Sparse(out, out, submanifold=True)
        self.bn2 = norm(out)

    def forward(self, grid: Grid) -> Grid:
        inner = self.conv1(grid).with_features(lambda rows: self.bn1(rows).relu())
        inner = self.conv2(inner).with_features(self.bn2)
        return Grid((inner.features + grid.with_features(self.proj).features).relu(), grid.active)


class SpUNet(nn.Module):
    """``SpUNet-v1m1`` without ``final``."""

    def __init__(
        self, in_channels: int, channels: Sequence[int], layers: Sequence[int], base_channels: int = 32
    ) -> None:
        super().__init__()
        self.levels = levels = len(channels) // 2
        first = Sparse(in_channels, base_channels, (5, 5, 5), padding=(2, 2, 2), submanifold=True)
        self.conv_input = SparseSequential(first, norm(base_channels), nn.ReLU())
        self.down, self.up, self.enc, self.dec = (nn.ModuleList() for _ in range(4))
        sides = [base_channels, *channels]
        for level in range(levels):
            half = Sparse(sides[level], channels[level], (2, 2, 2), (2, 2, 2), (0, 0, 0))
            self.down.append(SparseSequential(half, norm(channels[level]), nn.ReLU()))
            self.enc.append(stage(channels[level], channels[level], layers[level]))
            out, below = channels[-1 - level], channels[-2 - level]
            self.up.append(nn.Sequential(Inverse(below, out, (2, 2, 2)), norm(out), nn.ReLU()))
            self.dec.append(stage(out + sides[level], out, layers[-1 - level]))

    def forward(self, grid: Grid) -> Grid:
        grid = self.conv_input(grid)
        skips = [grid]
        for down, blocks in zip(self.down, self.enc, strict=True):
            skips.append(walked(blocks, down(grid)))
            grid = skips[-1]
        for level in reversed(range(self.levels)):
            inverse, *rest = self.up[level]  # type: ignore[misc]
            grid = inverse.onto(grid, skips[level].active).with_features(nn.Sequential(*rest))
            joined = torch.cat([grid.features, skips[level].features], dim=1)
            grid = walked(self.dec[level], Grid(joined, grid.active))
        return grid


def norm(width: int) -> nn.BatchNorm1d:
    return nn.BatchNorm1d(width, eps=1e-3, momentum=0.01)


def stage(width: int, out: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict((f"block{at}", Block(out if at else width, out)) for at in range(blocks)))


def built(config: Mapping[str, Any]) -> SpUNet:
    """The backbone that a Pointcept config describes."""
    arguments = dict(config["model"]["backbone"])
    assert arguments.pop("type") == "SpUNet-v1m1"
    return SpUNet(**arguments)


def loaded(model: SpUNet, checkpoint: Mapping[str, Any]) -> list[str]:
    """What its CheckpointLoader does with ``weight``; the names that neither side fills, those of ``final`` apart."""
    prefix = "backbone."
    weights = {name.removeprefix(prefix): tensor for name, tensor in checkpoint["state_dict"].items()}
    assert all(name.startswith(prefix) for name in checkpoint["state_dict"])
    missing, unexpected = model.load_state_dict(weights, strict=False)
    return [*missing, *unexpected]


def sampled(coord: Tensor, strength: Tensor, grid_size: float, levels: int) -> tuple[Grid, list[tuple[int, ...]]]:
    """GridSample's voxels, numbered from the cloud's first, each the mean of its points; and each point's place."""
    cells = torch.floor(coord / grid_size).long()
    places = [tuple(place) for place in (cells - cells.amin(0)).tolist()]
    rows: dict[tuple[int, ...], list[Tensor]] = {}
    for place, row in zip(places, torch.cat([coord, strength], dim=1), strict=True):
        rows.setdefault(place, []).append(row)
    means: Rows = {place: torch.stack(own).mean(0) for place, own in rows.items()}
    whole = 2**levels
    shape = [(max(place[axis] for place in places) // whole + 1) * whole for axis in range(3)]
    return grid_of(means, shape), places
