"""MinkUNet as mmdetection3d builds it, on sparse voxels, or a tiny one for CPUs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from xmodal_core.config import setting
from xmodal_core.points._sparse import spconv
from xmodal_core.points._unet import DEEP, FINE, NEAR, TINY, UNet, UNetSettings, VoxelGrid

NORM_EPS = 1e-5


class MinkUNetMmdet3dConfig(UNetSettings):
    """Options of ``minkunet_mmdet3d``; the preset ``minkunet34`` is the network of mmdetection3d's
    ``minkunet34_w32_spconv_8xb2-laser-polar-mix-3x_semantickitti.py`` (37,873,280 parameters).
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {**NEAR, **TINY},
        "minkunet34": {**FINE, **DEEP, "norm_momentum": 0.1},
    }

    preset: Literal["tiny", "minkunet34"] = setting(
        "tiny", "which network; 'tiny' trains on a CPU, 'minkunet34' is the one of mmdetection3d's configs"
    )

    @model_validator(mode="after")
    def _check(self) -> MinkUNetMmdet3dConfig:
        self.check_levels()
        return self


class MinkUNetMmdet3d(UNet):
    """mmdetection3d's ``MinkUNetBackbone`` on spconv (mmdet3d/models/backbones/minkunet_backbone.py).

    It differs from MinkUNet34C in its stem of two convolutions, and from SpUNet in where features become more (in the
    first block after a halving), so none of the three can take another's weights.

    A voxel is fed with x, y, z and the channels, the mean over its points; mmdetection3d takes the first point of a
    voxel, so that its numbers equal ours where a voxel holds one point. As there, points are rounded to the nearest
    voxel, and voxels are numbered from the frame's own first ones along each axis. Its grid ends with a batch's last
    voxel: where a number of voxels along an axis cannot be halved, the outermost ones have no part in the coarser
    levels there, but have here.
    """

    Config = MinkUNetMmdet3dConfig
    config: MinkUNetMmdet3dConfig

    def __init__(self, config: MinkUNetMmdet3dConfig) -> None:
        super().__init__(config)
        size, stem = config.voxel_size, config.stem
        self.grid = VoxelGrid(config.range, (size, size, size), len(config.encoder), origin="cloud", centred=True)
        widths = ((3 + len(config.channels), stem), (stem, stem))
        convolutions = (spconv.SubMConv3d(*pair, 3, bias=False, indice_key="level0") for pair in widths)
        self.stem = nn.Sequential(*(self._convolution(each, stem, NORM_EPS) for each in convolutions))
        self.add_levels(eps=NORM_EPS, widens="block")

    def inputs(self, points: Tensor, channels: Tensor) -> Tensor:
        return torch.cat([points, channels], dim=1)
