"""SpUNet on sparse voxels, Pointcept's network for semantic segmentation, or a tiny one for CPUs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor

from xmodal_core.config import setting
from xmodal_core.points._unet import DEEP, FINE, NEAR, TINY, UNet, UNetSettings, VoxelGrid

NORM_EPS = 1e-3


class SpUNetConfig(UNetSettings):
    """Options of ``spunet``; the preset ``spunet34`` is the network of Pointcept's files
    ``semseg-spunet-v1m1-0-base`` for nuScenes, SemanticKITTI and Waymo.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {**NEAR, **TINY},
        "spunet34": {**FINE, **DEEP, "norm_momentum": 0.01},
    }

    preset: Literal["tiny", "spunet34"] = setting(
        "tiny", "which network; 'tiny' trains on a CPU, 'spunet34' is the one that Pointcept's files build"
    )

    @model_validator(mode="after")
    def _check(self) -> SpUNetConfig:
        self.check_levels()
        return self


class SpUNet(UNet):
    """Pointcept's ``SpUNet-v1m1`` (pointcept/models/sparse_unet/spconv_unet_v1m1_base.py) without its last layer.

    It differs from MinkUNet in where features become more (in the convolution that halves, so that no block on the way
    down has a matrix), in its first kernel of 5 and in its batch norms, so neither can take the other's weights.

    A voxel is fed with x, y, z and the channels, the mean over its points: Pointcept's ``GridSample`` takes one point
    of a voxel, drawn by chance in training, so that its numbers equal ours where a voxel holds one point. Voxels are
    numbered from the frame's own first ones along each axis, as its ``grid_coord`` is: spconv counts larger voxels from
    number 0, so a frame gives the same here and there, though not the same as the frame and one point more beyond its
    edge.
    """

    Config = SpUNetConfig
    config: SpUNetConfig

    def __init__(self, config: SpUNetConfig) -> None:
        super().__init__(config)
        size = config.voxel_size
        self.grid = VoxelGrid(config.range, (size, size, size), len(config.encoder), origin="cloud")
        self.add_stem(3 + len(config.channels), 5, eps=NORM_EPS)
        self.add_levels(eps=NORM_EPS, widens="halving")

    def inputs(self, points: Tensor, channels: Tensor) -> Tensor:
        return torch.cat([points, channels], dim=1)
