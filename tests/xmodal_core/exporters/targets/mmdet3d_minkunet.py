"""mmdetection3d's MinkUNetBackbone on spconv, from the arguments in its config alone, over voxels on a dense grid."""

from __future__ import annotations

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
    def __init__(self, width: int, out: int, *, downsample: bool) -> None:
        super().__init__()
        self.conv1 = Sparse(width, out, submanifold=True)
        self.bn1 = nn.BatchNorm1d(out)
        self.conv2 = Sparse(out, out, submanifold=True)
        self.bn2 = nn.BatchNorm1d(out)
        if downsample:
            self.downsample = nn.Sequential(Pointwise(width, out), nn.BatchNorm1d(out))

    def forward(self, grid: Grid) -> Grid:
        inner = self.conv1(grid).with_features(lambda rows: self.bn1(rows).relu())
        inner = self.conv2(inner).with_features(self.bn2)
        kept = grid.with_features(self.downsample) if hasattr(self, "downsample") else grid
        return Grid((inner.features + kept.features).relu(), grid.active)


def convolution(width: int, out: int, kernel: tuple[int, int, int], **options: Any) -> SparseSequential:
    return SparseSequential(Sparse(width, out, kernel, **options), nn.BatchNorm1d(out), nn.ReLU())


class MinkUNetBackbone(nn.Module):
    def __init__(
        self,
        in_channels: int,
        base_channels: int,
        encoder_channels: Sequence[int],
        encoder_blocks: Sequence[int],
        decoder_channels: Sequence[int],
        decoder_blocks: Sequence[int],
    ) -> None:
        super().__init__()
        self.conv_input = nn.Sequential(
            convolution(in_channels, base_channels, (3, 3, 3), submanifold=True),
            convolution(base_channels, base_channels, (3, 3, 3), submanifold=True),
        )
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        down = [base_channels, *encoder_channels]
        up = [down[-1], *decoder_channels]
        for level, blocks in enumerate(encoder_blocks):
            width, out = down[level], down[level + 1]
            halve = convolution(width, width, (2, 2, 2), stride=(2, 2, 2), padding=(0, 0, 0))
            first = Block(width, out, downsample=width != out)
            self.encoder.append(
                nn.Sequential(halve, first, *(Block(out, out, downsample=False) for _ in range(blocks - 1)))
            )
        for step, blocks in enumerate(decoder_blocks):
            out, skip = up[step + 1], down[-2 - step]
            double = nn.Sequential(Inverse(up[step], out, (2, 2, 2)), nn.BatchNorm1d(out), nn.ReLU())
            first = Block(out + skip, out, downsample=True)
            rest = (Block(out, out, downsample=False) for _ in range(blocks - 1))
            self.decoder.append(nn.ModuleList([double, nn.Sequential(first, *rest)]))

    def forward(self, grid: Grid) -> Grid:
        laterals = [walked(self.conv_input, grid)]
        for level in self.encoder:
            laterals.append(walked(level, laterals[-1]))
        grid = laterals.pop()
        for double, blocks in self.decoder:  # type: ignore[misc]
            lateral = laterals.pop()
            inverse, *rest = double
            grid = inverse.onto(grid, lateral.active).with_features(nn.Sequential(*rest))
            grid = walked(blocks, Grid(torch.cat([grid.features, lateral.features], dim=1), grid.active))
        return grid


def built(config: Mapping[str, Any]) -> MinkUNetBackbone:
    """The backbone that a config of mmdetection3d describes."""
    arguments = dict(config["model"]["backbone"])
    fixed = {name: arguments.pop(name) for name in ("type", "block_type", "sparseconv_backend", "num_stages")}
    assert fixed == {
        "type": "MinkUNetBackbone",
        "block_type": "basic",
        "sparseconv_backend": "spconv",
        "num_stages": len(arguments["encoder_channels"]),
    }
    return MinkUNetBackbone(**arguments)


def load(model: MinkUNetBackbone, checkpoint: Mapping[str, Any]) -> None:
    """``load_from`` as its sparse modules take it (write_spconv2.py): without metadata, the last axis comes first."""
    prefix = "backbone."
    tensors = checkpoint["state_dict"]
    assert type(tensors) is dict
    assert all(name.startswith(prefix) for name in tensors)
    turned = {name.removeprefix(prefix): t.permute(4, 0, 1, 2, 3) if t.ndim == 5 else t for name, t in tensors.items()}
    model.load_state_dict(turned, strict=True)


def voxelised(points: Tensor, size: float) -> tuple[Grid, list[tuple[int, ...]]]:
    """The voxels of type 'minkunet', rounded and numbered from the frame's first, and each point's place.

    A voxel is fed with the mean of its points, where mmdetection3d takes one of them.
    """
    cells = torch.round(points[:, :3] / size).int()
    places = [tuple(place) for place in (cells - cells.min(0)[0]).tolist()]
    rows: dict[tuple[int, ...], list[Tensor]] = {}
    for place, row in zip(places, points, strict=True):
        rows.setdefault(place, []).append(row)
    means: Rows = {place: torch.stack(own).mean(0) for place, own in rows.items()}
    return grid_of(means, [max(place[axis] for place in places) + 1 for axis in range(3)]), places
