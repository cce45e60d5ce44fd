"""mmdetection3d's CenterPoint up to the head, built from a config alone, and its rule of loading weights."""

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
        self.norm = nn.BatchNorm1d(out, eps=1e-3)
        self.linear = nn.Linear(width, out, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        found: Tensor = self.norm(self.linear(rows))
        return found


class PillarEncoder(nn.Module):
    """``PillarFeatureNet``, whose layers are halved but the last, and ``DynamicPillarFeatureNet``, whose are not."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        super().__init__()
        own = model["pts_voxel_encoder"]
        assert own["legacy"] is False
        self.low, self.size = own["point_cloud_range"][:3], own["voxel_size"]
        self.shape = model["pts_middle_encoder"]["output_shape"]
        layer = model["data_preprocessor"]["voxel_layer"]
        self.slots, self.most = layer["max_num_points"], layer["max_voxels"][1]
        self.hard = own["type"] == "PillarFeatureNet"
        assert self.hard == (model["data_preprocessor"].get("voxel_type", "hard") == "hard")
        widths = [own["in_channels"] + 6, *own["feat_channels"]]
        self.pfn_layers = nn.ModuleList()
        for number, (width, out) in enumerate(pairwise(widths)):
            if self.hard:
                self.pfn_layers.append(PillarLayer(width, out if number == len(widths) - 2 else out // 2))
            else:
                linear = nn.Linear(width * (2 if number else 1), out, bias=False)
                self.pfn_layers.append(nn.Sequential(linear, nn.BatchNorm1d(out, eps=1e-3), nn.ReLU()))

    def forward(self, points: Tensor) -> Tensor:
        ny, nx = self.shape
        slots = self.slots if self.hard else 0
        most = self.most if self.hard else len(points)
        pillars = {}
        for place, rows in parts.grouped(points, self.low, self.size, (nx, ny, 1), slots or len(points), most).items():
            x, y = place[:2]
            centre = [at * self.size[axis] + (self.size[axis] / 2 + self.low[axis]) for axis, at in enumerate(place)]
            pillars[x, y] = parts.encoded(parts.decorated(rows, centre), slots, list(self.pfn_layers))
        return parts.scattered(pillars, nx, ny)


class VoxelEncoder(nn.Module):
    """``HardSimpleVFE`` and ``SparseEncoder`` with basic blocks: a stage ends with the next one's convolution."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        super().__init__()
        own = model["pts_middle_encoder"]
        assert own["type"] == "SparseEncoder"
        assert own["block_type"] == "basicblock"
        assert own["order"] == ("conv", "norm", "act")
        self.layer, self.shape = model["data_preprocessor"]["voxel_layer"], own["sparse_shape"]
        self.conv_input = self.module(parts.Sparse(own["in_channels"], own["base_channels"], submanifold=True))
        self.encoder_layers = nn.Sequential()
        width = own["base_channels"]
        stages = zip(own["encoder_channels"], own["encoder_strides"], own["encoder_paddings"], strict=True)
        for number, (channels, stride, paddings) in enumerate(stages, start=1):
            row: list[nn.Module] = []
            for place, (out, padding) in enumerate(zip(channels, paddings, strict=True)):
                if place == len(channels) - 1 and number < len(own["encoder_channels"]):
                    sides = padding if isinstance(padding, list) else (padding,) * 3
                    row.append(self.module(parts.Sparse(width, out, stride=(stride,) * 3, padding=sides)))
                else:
                    assert width == out
                    row.append(parts.Residual(out, bias=False))
                width = out
            self.encoder_layers.add_module(f"encoder_layer{number}", nn.Sequential(*row))
        out = own["output_channels"]
        self.conv_out = self.module(parts.Sparse(width, out, (3, 1, 1), (2, 1, 1), (0, 0, 0)))

    @staticmethod
    def module(convolution: parts.Sparse) -> parts.SparseSequential:
        norm = nn.BatchNorm1d(len(convolution.weight), eps=1e-3)
        return parts.SparseSequential(convolution, norm, nn.ReLU())

    def forward(self, points: Tensor) -> Tensor:
        layer, (nz, ny, nx) = self.layer, self.shape
        cells = parts.grouped(
            points,
            layer["point_cloud_range"][:3],
            layer["voxel_size"],
            (nx, ny, nz - 1),
            layer["max_num_points"],
            layer["max_voxels"][1],
        )
        grid = parts.grid_of({(z, y, x): rows.mean(0) for (x, y, z), rows in cells.items()}, self.shape)
        return parts.flattened(self.conv_out(self.encoder_layers(self.conv_input(grid))))


class Second(nn.Module):
    """``SECOND``: no padding module, the first convolution pads itself."""

    def __init__(self, own: Mapping[str, Any]) -> None:
        super().__init__()
        width, self.blocks = own["in_channels"], nn.ModuleList()
        for layers, stride, out in zip(own["layer_nums"], own["layer_strides"], own["out_channels"], strict=True):
            row = [nn.Conv2d(width, out, 3, stride, 1, bias=False), *parts.norm_2d(out)]
            for _ in range(layers):
                row += [nn.Conv2d(out, out, 3, padding=1, bias=False), *parts.norm_2d(out)]
            self.blocks.append(nn.Sequential(*row))
            width = out

    def forward(self, canvas: Tensor) -> list[Tensor]:
        found = []
        for block in self.blocks:
            canvas = block(canvas)
            found.append(canvas)
        return found


class SecondFpn(nn.Module):
    """``SECONDFPN`` with ``use_conv_for_no_stride``: enlarging by 1 is a plain convolution."""

    def __init__(self, own: Mapping[str, Any]) -> None:
        super().__init__()
        assert own["use_conv_for_no_stride"]
        self.deblocks = nn.ModuleList()
        ups = zip(own["in_channels"], own["upsample_strides"], own["out_channels"], strict=True)
        for width, stride, out in ups:
            size = round(max(stride, 1 / stride))
            kind = nn.ConvTranspose2d if stride > 1 else nn.Conv2d
            self.deblocks.append(nn.Sequential(kind(width, out, size, size, bias=False), *parts.norm_2d(out)))

    def forward(self, level_maps: list[Tensor]) -> Tensor:
        return parts.necked(level_maps, self.deblocks)


class Detector(nn.Module):
    def __init__(self, model: Mapping[str, Any]) -> None:
        super().__init__()
        if model["pts_middle_encoder"]["type"] == "PointPillarsScatter":
            self.pts_voxel_encoder = PillarEncoder(model)
        else:
            self.pts_middle_encoder = VoxelEncoder(model)
        self.pts_backbone = Second(model["pts_backbone"])
        self.pts_neck = SecondFpn(model["pts_neck"])

    def forward(self, points: Tensor) -> Tensor:
        encoder = self.pts_voxel_encoder if hasattr(self, "pts_voxel_encoder") else self.pts_middle_encoder
        found: Tensor = self.pts_neck(self.pts_backbone(encoder(points)))
        return found


def load(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """What mmdetection3d's sparse modules do with a dictionary that has no ``_metadata``: the last axis of every sparse
    weight comes first, whatever its shape is."""
    assert not hasattr(tensors, "_metadata")
    sparse = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, parts.Sparse)}
    permuted = {name: tensor.permute(4, 0, 1, 2, 3) if name in sparse else tensor for name, tensor in tensors.items()}
    model.load_state_dict(permuted, strict=True)


def build(text: str) -> Detector:
    """The model of a config fragment."""
    names: dict[str, Any] = {}
    exec(text, names)
    with torch.no_grad():
        return Detector(names["model"]).double().eval()
