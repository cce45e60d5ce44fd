"""OpenPCDet's pillar and voxel networks up to the head, built from a cfg alone, and its rule of loading weights."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from tests.xmodal_core.exporters.targets import parts


class PillarLayer(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out, bias=False)
        self.norm = nn.BatchNorm1d(out, eps=1e-3)

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.norm(self.linear(rows))
        return found


class PillarEncoder(nn.Module):
    """``DynPillarVFE`` and ``PillarVFE``: each layer but the last has half of its filters."""

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        super().__init__()
        data = cfg["DATA_CONFIG"]
        self.range, self.step = data["POINT_CLOUD_RANGE"], data["DATA_PROCESSOR"][-1]
        self.hard = cfg["MODEL"]["VFE"]["NAME"] == "PillarVFE"
        widths = [len(data["POINT_FEATURE_ENCODING"]["used_feature_list"]) + 6, *cfg["MODEL"]["VFE"]["NUM_FILTERS"]]
        last = len(widths) - 2
        self.pfn_layers = nn.ModuleList(
            PillarLayer(width, out if number == last else out // 2)
            for number, (width, out) in enumerate(pairwise(widths))
        )

    def forward(self, points: Tensor) -> Tensor:
        size, low = self.step["VOXEL_SIZE"], self.range[:3]
        nx, ny = (round((self.range[axis + 3] - low[axis]) / size[axis]) for axis in (0, 1))
        slots = self.step["MAX_POINTS_PER_VOXEL"] if self.hard else 0
        most = self.step["MAX_NUMBER_OF_VOXELS"]["test"] if self.hard else len(points)
        shape = (nx, ny, 1) if self.hard else (nx, ny)
        pillars = {}
        for place, rows in parts.grouped(points, low, size, shape, slots or len(points), most).items():
            x, y = place[:2]
            centre = [(at + 0.5) * size[axis] + low[axis] for axis, at in enumerate((x, y, 0))]
            pillars[x, y] = parts.encoded(parts.decorated(rows, centre), slots, list(self.pfn_layers))
        return parts.scattered(pillars, nx, ny)


class VoxelEncoder(nn.Module):
    """``MeanVFE`` or ``DynMeanVFE``, ``VoxelResBackBone8x`` with the widths of its code, and ``HeightCompression``."""

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        super().__init__()
        data = cfg["DATA_CONFIG"]
        self.range, self.step = data["POINT_CLOUD_RANGE"], data["DATA_PROCESSOR"][-1]
        width = len(data["POINT_FEATURE_ENCODING"]["used_feature_list"])
        self.conv_input = self.block(parts.Sparse(width, 16, submanifold=True), 16)
        self.conv1 = parts.SparseSequential(parts.Residual(16, bias=True), parts.Residual(16, bias=True))
        self.conv2 = self.stage(16, 32, (1, 1, 1))
        self.conv3 = self.stage(32, 64, (1, 1, 1))
        self.conv4 = self.stage(64, 128, (0, 1, 1))
        self.conv_out = self.block(parts.Sparse(128, 128, (3, 1, 1), (2, 1, 1), (0, 0, 0)), 128)

    @staticmethod
    def block(convolution: parts.Sparse, width: int) -> parts.SparseSequential:
        return parts.SparseSequential(convolution, nn.BatchNorm1d(width, eps=1e-3), nn.ReLU())

    def stage(self, width: int, out: int, padding: tuple[int, int, int]) -> nn.Sequential:
        halve = parts.Sparse(width, out, stride=(2, 2, 2), padding=padding)
        return nn.Sequential(self.block(halve, out), parts.Residual(out, bias=True), parts.Residual(out, bias=True))

    def forward(self, points: Tensor) -> Tensor:
        size, low = self.step["VOXEL_SIZE"], self.range[:3]
        nx, ny, nz = (round((self.range[axis + 3] - low[axis]) / size[axis]) for axis in range(3))
        limit = self.step.get("MAX_POINTS_PER_VOXEL", len(points))
        most = self.step.get("MAX_NUMBER_OF_VOXELS", {"test": len(points)})["test"]
        cells = parts.grouped(points, low, size, (nx, ny, nz), limit, most)
        grid = parts.grid_of({(z, y, x): rows.mean(0) for (x, y, z), rows in cells.items()}, (nz + 1, ny, nx))
        for stage in (self.conv_input, self.conv1, self.conv2, self.conv3, self.conv4, self.conv_out):
            grid = stage(grid)
        return parts.flattened(grid)


class Backbone2d(nn.Module):
    """``BaseBEVBackbone``: a padding before the first convolution; enlarging by 1 is a transposed convolution too."""

    def __init__(self, cfg: Mapping[str, Any]) -> None:
        super().__init__()
        part, width = cfg["MODEL"]["BACKBONE_2D"], cfg["MODEL"]["MAP_TO_BEV"]["NUM_BEV_FEATURES"]
        self.blocks, self.deblocks = nn.ModuleList(), nn.ModuleList()
        for layers, stride, out in zip(part["LAYER_NUMS"], part["LAYER_STRIDES"], part["NUM_FILTERS"], strict=True):
            row = [nn.ZeroPad2d(1), nn.Conv2d(width, out, 3, stride, 0, bias=False), *parts.norm_2d(out)]
            for _ in range(layers):
                row += [nn.Conv2d(out, out, 3, padding=1, bias=False), *parts.norm_2d(out)]
            self.blocks.append(nn.Sequential(*row))
            width = out
        ups = zip(part["NUM_FILTERS"], part["UPSAMPLE_STRIDES"], part["NUM_UPSAMPLE_FILTERS"], strict=True)
        for width, stride, out in ups:
            size = round(max(stride, 1 / stride))
            kind = nn.ConvTranspose2d if stride >= 1 else nn.Conv2d
            self.deblocks.append(nn.Sequential(kind(width, out, size, size, bias=False), *parts.norm_2d(out)))

    def forward(self, canvas: Tensor) -> Tensor:
        found = []
        for block in self.blocks:
            canvas = block(canvas)
            found.append(canvas)
        return parts.necked(found, self.deblocks)


class Detector(nn.Module):
    def __init__(self, cfg: Mapping[str, Any]) -> None:
        super().__init__()
        if "BACKBONE_3D" in cfg["MODEL"]:
            assert cfg["MODEL"]["BACKBONE_3D"]["NAME"] == "VoxelResBackBone8x"
            self.backbone_3d = VoxelEncoder(cfg)
        else:
            self.vfe = PillarEncoder(cfg)
        self.backbone_2d = Backbone2d(cfg)

    def forward(self, points: Tensor) -> Tensor:
        encoder = self.backbone_3d if hasattr(self, "backbone_3d") else self.vfe
        found: Tensor = self.backbone_2d(encoder(points))
        return found


def load(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """``load_params_from_file``'s way with sparse weights: where a shape differs, the last two axes are swapped, or
    the last is brought to the front, if one of them fits. Unlike it, nothing may be missing or left over."""
    own = model.state_dict()
    adapted = {}
    for name, tensor in tensors.items():
        candidates = [tensor]
        if tensor.ndim == 5:
            candidates += [tensor.transpose(-1, -2), tensor.permute(4, 0, 1, 2, 3)]
        adapted[name] = next(candidate for candidate in candidates if candidate.shape == own[name].shape)
    model.load_state_dict(adapted, strict=True)


def build(text: str) -> Detector:
    """The model of a cfg fragment."""
    import yaml

    with torch.no_grad():
        return Detector(yaml.safe_load(text)).double().eval()
