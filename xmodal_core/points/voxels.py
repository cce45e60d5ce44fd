"""CenterPoint's voxel network: a sparse 3D encoder, a 2D backbone and neck, features read from the bird's-eye map."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from xmodal_core.config import setting
from xmodal_core.points._bev import NORM_EPS, BevNetwork, BevSettings
from xmodal_core.points._cells import Cells, find_cells, on_grid
from xmodal_core.points._norm import BatchNorm
from xmodal_core.points._sparse import Voxels, fit_to_device, spconv, split_frames, supported_precision
from xmodal_core.points._stages import VOXELISE, stage

_FULL: dict[str, Any] = {
    "stem": 16,
    "encoder": (16, 32, 64, 128),
    "encoder_blocks": (2, 2, 2, 2),
    "flattened": 128,
    "blocks": (5, 5),
    "strides": (1, 2),
    "features": (128, 256),
    "up_strides": (1, 2),
    "up_features": (256, 256),
    "norm_momentum": 0.01,
}


class VoxelsConfig(BevSettings):
    """Options of ``voxels``. Its presets, but for ``tiny``, are the same network of 7,271,120 parameters on the grids
    of CenterPoint's files ``nusc_centerpoint_voxelnet_0075voxel_fix_bn_z``, ``nusc_centerpoint_voxelnet_01voxel`` and
    ``waymo_centerpoint_voxelnet_3x``, with the limits written there. OpenPCDet's ``cbgs_voxel0075_res3d_centerpoint``
    has the same; its ``cbgs_voxel01_res3d_centerpoint`` takes 60,000 voxels, its Waymo ``centerpoint`` 150,000, in
    training and otherwise.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {
            "channels": ("intensity",),
            "range": (-80.0, -80.0, -5.0, 80.0, 80.0, 3.0),
            "voxel_size": (0.25, 0.25, 0.4),
            "points_per_voxel": None,
            "max_voxels": None,
            "stem": 16,
            "encoder": (16, 32, 32),
            "encoder_blocks": (1, 1, 1),
            "flattened": 32,
            "blocks": (1, 1),
            "strides": (1, 2),
            "features": (32, 64),
            "up_strides": (1, 2),
            "up_features": (32, 32),
            "norm_momentum": 0.1,
        },
        "nuscenes_0075": {
            "channels": ("intensity", "time_lag"),
            "range": (-54.0, -54.0, -5.0, 54.0, 54.0, 3.0),
            "voxel_size": (0.075, 0.075, 0.2),
            "points_per_voxel": 10,
            "max_voxels": (120_000, 160_000),
            **_FULL,
        },
        "nuscenes_01": {
            "channels": ("intensity", "time_lag"),
            "range": (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0),
            "voxel_size": (0.1, 0.1, 0.2),
            "points_per_voxel": 10,
            "max_voxels": (90_000, 120_000),
            **_FULL,
        },
        "waymo": {
            "channels": ("intensity", "elongation"),
            "range": (-75.2, -75.2, -2.0, 75.2, 75.2, 4.0),
            "voxel_size": (0.1, 0.1, 0.15),
            "points_per_voxel": 5,
            "max_voxels": (150_000, 200_000),
            **_FULL,
        },
    }

    preset: Literal["tiny", "nuscenes_0075", "nuscenes_01", "waymo"] = setting(
        "tiny",
        "which network; 'tiny' trains on a CPU, the others are CenterPoint's for that data set (and voxels of 0.075 or "
        "0.1 m), with 7.3 million parameters",
    )
    range: tuple[float, float, float, float, float, float] = setting(
        (-80.0, -80.0, -5.0, 80.0, 80.0, 3.0),
        "the box whose points are taken: x, y, z from, x, y, z to; others get zeros",
        unit="m",
    )
    voxel_size: tuple[float, float, float] = setting(
        (0.25, 0.25, 0.4), "edges of a voxel along x, y and z, the first two alike", unit="m"
    )
    points_per_voxel: int | None = setting(
        None, "a voxel is the mean of its first so many points; empty: of all", unit="points", ge=1, le=1000
    )
    max_voxels: tuple[int, int] | None = setting(
        None, "a frame's first so many voxels are taken, in training and otherwise; empty: all", unit="voxels"
    )
    stem: int = setting(16, "features of a voxel after the first convolution", unit="features", ge=4, le=256)
    encoder: tuple[int, ...] = setting(
        (16, 32, 32), "features of a voxel at full size, and after each halving", unit="features"
    )
    encoder_blocks: tuple[int, ...] = setting((1, 1, 1), "residual blocks at each of these sizes", unit="blocks")
    flattened: int = setting(32, "features of each of the last voxels of a column", unit="features", ge=4, le=1024)
    blocks: tuple[int, ...] = setting((1, 1), "3x3 convolutions of each level, after its strided one", unit="layers")
    strides: tuple[int, ...] = setting((1, 2), "by how much each level shrinks the map")
    features: tuple[int, ...] = setting((32, 64), "features of each level", unit="features")
    up_strides: tuple[float, ...] = setting((1, 2), "by how much the neck enlarges each level's map; 0.5 halves it")
    up_features: tuple[int, ...] = setting((32, 32), "features that the neck makes of each level", unit="features")

    @property
    def stride(self) -> int:
        """Voxels along an edge of the encoder's coarsest."""
        return int(2 ** (len(self.encoder) - 1))

    @property
    def cell(self) -> float:
        return self.voxel_size[0] * self.stride

    @property
    def cells(self) -> tuple[int, int]:
        nx, ny, _ = self.grid
        return nx // self.stride, ny // self.stride

    @property
    def grid(self) -> tuple[int, int, int]:
        """Voxels along x, y and z."""
        low, high = self.range[:3], self.range[3:]
        nx, ny, nz = (round((b - a) / size) for a, b, size in zip(low, high, self.voxel_size, strict=True))
        return nx, ny, nz

    @property
    def depth(self) -> int:
        """Voxels above one another that the encoder leaves of a column."""
        return _depth(self.grid[2], len(self.encoder)) or 0

    @model_validator(mode="after")
    def _check(self) -> VoxelsConfig:
        self.check_levels()
        if len(self.encoder) != len(self.encoder_blocks) or len(self.encoder) < 2:
            raise ValueError("encoder and encoder_blocks must have as many entries each, two or more")
        if min(*self.encoder, *self.encoder_blocks) < 1 or self.stem != self.encoder[0]:
            raise ValueError("encoder and its blocks must be 1 or more, and its first width that of the stem")
        if min(self.voxel_size) <= 0 or self.voxel_size[0] != self.voxel_size[1]:
            raise ValueError("voxel_size must be above zero, and the same along x and y")
        if self.max_voxels is not None and min(self.max_voxels) < 1:
            raise ValueError("max_voxels must be 1 or more")
        self.check_range(self.voxel_size[0], self.stride, "voxels")
        self._check_height()
        return self

    def _check_height(self) -> None:
        exact = (self.range[5] - self.range[2]) / self.voxel_size[2]
        number, levels = round(exact), len(self.encoder)
        if abs(exact - number) > 1e-3 or _depth(number, levels) is None:
            fitting = [near for near in range(max(1, number - 64), number + 65) if _depth(near, levels)]
            nearest = min(fitting, key=lambda near: abs(near - exact), default=0)
            raise ValueError(f"range: {exact:g} voxels along z do not come out even at every halving; take {nearest}")


def _depth(number: int, levels: int) -> int | None:
    """What the encoder leaves of ``number`` voxels along z; None where a convolution would lose the last of them."""
    depth = number + 1
    for level in range(1, levels):
        last = level == levels - 1
        if last and (depth < 3 or depth % 2 == 0):
            return None
        depth = (depth - 1) // 2 if last else (depth + 1) // 2
    return (depth - 1) // 2 if depth >= 3 and depth % 2 else None


class VoxelNetwork(BevNetwork):
    """The network of CenterPoint with voxels (Yin 2021; the encoder after Yan 2018, residual).

    OpenPCDet's ``MeanVFE``, ``VoxelResBackBone8x``, ``HeightCompression`` and ``BaseBEVBackbone``; det3d's
    ``VoxelFeatureExtractorV3``, ``SpMiddleResNetFHD`` and ``RPN``; mmdetection3d's ``HardSimpleVFE``,
    ``SparseEncoder``, ``SECOND`` and ``SECONDFPN``. No convolution has a bias, since a batch norm follows: the first
    two frameworks have some there, which change nothing but what the norm subtracts.

    A voxel is the mean of x, y, z and the channels over its points: over its first ``points_per_voxel`` in the first
    ``max_voxels`` voxels of a frame, as those frameworks have it, whose loaders shuffle the points in training so that
    "first" means any; here it means first in the frame's own order. OpenPCDet's ``DynMeanVFE`` has no such limits.
    """

    Config = VoxelsConfig
    config: VoxelsConfig

    def __init__(self, config: VoxelsConfig) -> None:
        super().__init__(config)
        momentum = config.norm_momentum
        first = spconv.SubMConv3d(3 + len(config.channels), config.stem, 3, bias=False, indice_key="level0")
        self.stem = _Convolution(first, config.stem, momentum)
        self.down, self.encoder = nn.ModuleList(), nn.ModuleList()
        width = config.stem
        for level, (out, blocks) in enumerate(zip(config.encoder, config.encoder_blocks, strict=True)):
            if level:
                # The last halving has no padding along z, so that 11 layers become 5, then 2.
                padding = (0 if level == len(config.encoder) - 1 else 1, 1, 1)
                halve = spconv.SparseConv3d(width, out, 3, stride=2, padding=padding, bias=False)
                self.down.append(_Convolution(halve, out, momentum))
            self.encoder.append(nn.Sequential(*(_Block(out, level, momentum) for _ in range(blocks))))
            width = out
        flatten = spconv.SparseConv3d(width, config.flattened, (3, 1, 1), stride=(2, 1, 1), bias=False)
        self.flatten = _Convolution(flatten, config.flattened, momentum)
        self.add_map(config.flattened * config.depth)

    def canvas(self, points: Tensor, channels: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """See ``BevNetwork``: the voxels of the encoder's last level, those above one another side by side."""
        channels = self.scaled_channels(points, channels, offsets)
        nx, ny, nz = self.config.grid
        size = self.config.voxel_size
        place, inside = on_grid(points, self.config.range[:3], size, (nx, ny, nz))
        most = None if self.config.max_voxels is None else self.config.max_voxels[0 if self.training else 1]
        cells = find_cells(place.flip(1), inside, offsets, (nz, ny, nx)).limited(self.config.points_per_voxel, most)
        fit_to_device(self, points.device)
        with supported_precision(points.device):
            return self._encode(self._means(points, channels, cells), cells, len(offsets) - 1), inside

    @stage(VOXELISE)
    def _means(self, points: Tensor, channels: Tensor, cells: Cells) -> Tensor:
        """(V,3+C) means of the points of each voxel."""
        return cells.mean(torch.cat([points, channels], dim=1)[cells.point]).to(self.dtype)

    def _encode(self, means: Tensor, cells: Cells, frames: int) -> Tensor:
        """(B,flattened*depth,ny,nx): the encoder's last voxels side by side, feature by feature from below upwards."""
        nx, ny = self.config.cells
        if len(cells) == 0:
            return means.new_zeros(frames, self.config.flattened * self.config.depth, ny, nx)
        index, shape, corner = self._box(cells.index)
        voxels = self.stem(split_frames(means, index, shape, frames))
        for level, blocks in enumerate(self.encoder):
            voxels = blocks(self.down[level - 1](voxels) if level else voxels)
        voxels = self.flatten(voxels)
        frame, z, y, x = (voxels.index + corner // self.config.stride).long().unbind(1)
        canvas = voxels.features.new_zeros(frames, self.config.flattened, self.config.depth, ny, nx)
        canvas[frame, :, z, y, x] = voxels.features
        stacked: Tensor = canvas.flatten(1, 2)
        return stacked

    def _box(self, index: Tensor) -> tuple[Tensor, tuple[int, int, int], Tensor]:
        """``index`` (V,4) from a corner, the shape of the grid from there, and the corner (4,).

        On a CPU, which can number only so many cells, that grid is one around the voxels alone, in whole coarsest
        voxels along x and y and one more at the upper end, into which convolutions spread; where the whole grid ends
        before, so does it, so that the same voxels come out.
        """
        nx, ny, nz = self.config.grid
        whole = index.new_tensor([nz + 1, ny, nx])
        if index.is_cuda:
            return index, (nz + 1, ny, nx), torch.zeros_like(index[0])
        stride = index.new_tensor([nz + 1, self.config.stride, self.config.stride])
        first = index[:, 1:].amin(0) // stride * stride
        last = torch.minimum((index[:, 1:].amax(0) // stride + 2) * stride, whole)
        corner = nn.functional.pad(first, (1, 0))
        z, y, x = (last - first).tolist()
        return index - corner, (z, y, x), corner


class _Convolution(nn.Module):
    """A sparse convolution, batch norm, ReLU."""

    def __init__(self, convolution: nn.Module, out: int, momentum: float) -> None:
        super().__init__()
        self.conv = convolution
        self.norm = BatchNorm(out, eps=NORM_EPS, momentum=momentum)

    def forward(self, voxels: Voxels) -> Voxels:
        voxels = voxels.convolved(self.conv)
        return voxels.with_features(torch.relu(self.norm(voxels.features)))


class _Block(nn.Module):
    """Two 3x3x3 convolutions around a shortcut."""

    def __init__(self, width: int, level: int, momentum: float) -> None:
        super().__init__()
        key = f"level{level}"
        self.conv1 = spconv.SubMConv3d(width, width, 3, bias=False, indice_key=key)
        self.norm1 = BatchNorm(width, eps=NORM_EPS, momentum=momentum)
        self.conv2 = spconv.SubMConv3d(width, width, 3, bias=False, indice_key=key)
        self.norm2 = BatchNorm(width, eps=NORM_EPS, momentum=momentum)

    def forward(self, voxels: Voxels) -> Voxels:
        inner = voxels.convolved(self.conv1)
        inner = inner.with_features(torch.relu(self.norm1(inner.features))).convolved(self.conv2)
        return inner.with_features(torch.relu(self.norm2(inner.features) + voxels.features))
