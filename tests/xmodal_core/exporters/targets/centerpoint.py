"""CenterPoint's (det3d's) detectors up to the head, built from a config alone, and its rule of loading weights."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from tests.xmodal_core.exporters.targets import parts
from tests.xmodal_core.exporters.targets.openpcdet import PillarLayer
from tests.xmodal_core.exporters.targets.openpcdet import load as load  # det3d permutes by the same rule


class Reader(nn.Module):
    """``PillarFeatureNet``: hard pillars, offsets from the centre in x and y alone."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        own, self.generator = config["model"]["reader"], config["voxel_generator"]
        assert own["type"] == "PillarFeatureNet"
        self.low, self.high, self.size = own["pc_range"][:3], own["pc_range"][3:], own["voxel_size"]
        widths = [own["num_input_features"] + 5, *own["num_filters"]]
        last = len(widths) - 2
        self.pfn_layers = nn.ModuleList(
            PillarLayer(width, out if number == last else out // 2)
            for number, (width, out) in enumerate(pairwise(widths))
        )

    def forward(self, points: Tensor) -> Tensor:
        nx, ny = (round((self.high[axis] - self.low[axis]) / self.size[axis]) for axis in (0, 1))
        slots, most = self.generator["max_points_in_voxel"], self.generator["max_voxel_num"][1]
        pillars = {}
        for place, rows in parts.grouped(points, self.low, self.size, (nx, ny, 1), slots, most).items():
            x, y = place[:2]
            centre = [at * self.size[axis] + self.size[axis] / 2 + self.low[axis] for axis, at in enumerate((x, y))]
            pillars[x, y] = parts.encoded(parts.decorated(rows, centre), slots, list(self.pfn_layers))
        return parts.scattered(pillars, nx, ny)


class SpMiddleResNetFHD(nn.Module):
    """After the means of ``VoxelFeatureExtractorV3``: the widths of its code, everything of a stage in one sequence."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        own, self.generator = config["model"]["backbone"], config["voxel_generator"]
        first = parts.Sparse(own["num_input_features"], 16, submanifold=True)
        self.conv_input = parts.SparseSequential(first, nn.BatchNorm1d(16, eps=1e-3), nn.ReLU())
        self.conv1 = parts.SparseSequential(parts.Residual(16, bias=True), parts.Residual(16, bias=True))
        self.conv2 = self.stage(16, 32, (1, 1, 1))
        self.conv3 = self.stage(32, 64, (1, 1, 1))
        self.conv4 = self.stage(64, 128, (0, 1, 1))
        last = parts.Sparse(128, 128, (3, 1, 1), (2, 1, 1), (0, 0, 0))
        self.extra_conv = parts.SparseSequential(last, nn.BatchNorm1d(128, eps=1e-3), nn.ReLU())

    @staticmethod
    def stage(width: int, out: int, padding: tuple[int, int, int]) -> parts.SparseSequential:
        halve = parts.Sparse(width, out, stride=(2, 2, 2), padding=padding)
        blocks = (parts.Residual(out, bias=True), parts.Residual(out, bias=True))
        return parts.SparseSequential(halve, nn.BatchNorm1d(out, eps=1e-3), nn.ReLU(), *blocks)

    def forward(self, points: Tensor) -> Tensor:
        span, size = self.generator["range"], self.generator["voxel_size"]
        nx, ny, nz = (round((span[axis + 3] - span[axis]) / size[axis]) for axis in range(3))
        limits = (self.generator["max_points_in_voxel"], self.generator["max_voxel_num"][1])
        cells = parts.grouped(points, span[:3], size, (nx, ny, nz), *limits)
        grid = parts.grid_of({(z, y, x): rows.mean(0) for (x, y, z), rows in cells.items()}, (nz + 1, ny, nx))
        for stage in (self.conv_input, self.conv1, self.conv2, self.conv3, self.conv4, self.extra_conv):
            grid = stage(grid)
        return parts.flattened(grid)


class Rpn(nn.Module):
    """``RPN``: a padding before the first convolution; enlarging by 1 is a plain convolution."""

    def __init__(self, own: Mapping[str, Any]) -> None:
        super().__init__()
        assert own["logger"].name == "RPN"
        width, self.blocks, self.deblocks = own["num_input_features"], nn.ModuleList(), nn.ModuleList()
        levels = zip(own["layer_nums"], own["ds_layer_strides"], own["ds_num_filters"], strict=True)
        for layers, stride, out in levels:
            row = [nn.ZeroPad2d(1), nn.Conv2d(width, out, 3, stride, bias=False), *parts.norm_2d(out)]
            for _ in range(layers):
                row += [nn.Conv2d(out, out, 3, padding=1, bias=False), *parts.norm_2d(out)]
            self.blocks.append(nn.Sequential(*row))
            width = out
        ups = zip(own["ds_num_filters"], own["us_layer_strides"], own["us_num_filters"], strict=True)
        for width, stride, out in ups:
            size = round(max(stride, 1 / stride))
            kind = nn.ConvTranspose2d if stride > 1 else nn.Conv2d
            self.deblocks.append(nn.Sequential(kind(width, out, size, size, bias=False), *parts.norm_2d(out)))

    def forward(self, canvas: Tensor) -> Tensor:
        found = []
        for block in self.blocks:
            canvas = block(canvas)
            found.append(canvas)
        return parts.necked(found, self.deblocks)


class Detector(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        if config["model"]["type"] == "PointPillars":
            self.reader = Reader(config)
        else:
            self.backbone = SpMiddleResNetFHD(config)
        self.neck = Rpn(config["model"]["neck"])

    def forward(self, points: Tensor) -> Tensor:
        encoder = self.reader if hasattr(self, "reader") else self.backbone
        found: Tensor = self.neck(encoder(points))
        return found


def build(text: str) -> Detector:
    """The model of a config fragment."""
    names: dict[str, Any] = {}
    exec(text, names)
    with torch.no_grad():
        return Detector(names).double().eval()
