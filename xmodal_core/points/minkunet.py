"""MinkUNet on sparse voxels: MinkUNet34C, MinkUNet18A, or a tiny one for CPUs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor

from xmodal_core.config import setting
from xmodal_core.points._unet import DEEP, TINY, WIDE, Origin, UNet, UNetSettings, VoxelGrid

Input = Literal["occupied", "channels", "height", "xyz"]
NORM_EPS = 1e-5


class MinkUNetConfig(UNetSettings):
    """Options of ``minkunet``; the preset ``minkunet34c`` is the network that SLidR pre-trains,
    ``minkunet34c_pointcept`` has the stem, inputs and voxels of Pointcept's."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {
            "coordinates": "cartesian",
            "inputs": ("occupied", "channels", "height"),
            **TINY,
        },
        "minkunet34c": {
            "coordinates": "cylindrical",
            "inputs": ("channels",),
            **DEEP,
            "norm_momentum": 0.05,
        },
        "minkunet34c_pointcept": {
            "coordinates": "cartesian",
            "origin": "cloud",
            "voxel_size": 0.05,
            "inputs": ("xyz", "channels"),
            "stem_kernel": 5,
            **DEEP,
            "norm_momentum": 0.1,
        },
        "minkunet18a": {
            "coordinates": "cartesian",
            "inputs": ("xyz", "channels"),
            "stem_kernel": 5,
            **WIDE,
            "encoder_blocks": (2, 2, 2, 2),
            "decoder": (128, 128, 96, 96),
            "decoder_blocks": (2, 2, 2, 2),
            "norm_momentum": 0.1,
        },
    }

    preset: Literal["tiny", "minkunet34c", "minkunet34c_pointcept", "minkunet18a"] = setting(
        "tiny",
        "which network; 'tiny' trains on a CPU, 'minkunet34c' is the one that publications compare, "
        "'minkunet34c_pointcept' is Pointcept's of that name, 'minkunet18a' is MinkowskiEngine's MinkUNet18A",
    )
    coordinates: Literal["cartesian", "cylindrical"] = setting(
        "cartesian", "voxels on x, y, z; or, as SLidR does it, on distance from the z axis, angle and z"
    )
    voxel_angle: float = setting(
        1.0, "width of a voxel in cylindrical coordinates", unit="deg", ge=0.1, le=10.0, step=0.1
    )
    origin: Origin = setting(
        "sensor",
        "from where larger voxels are counted: the sensor, as in SLidR; or a frame's own first voxels, as in Pointcept",
    )
    inputs: tuple[Input, ...] = setting(
        ("occupied", "channels", "height"),
        "what a voxel is fed with, each the mean over its points: a one ('occupied'), the channels, z in metres, xyz",
    )
    stem_kernel: Literal[3, 5] = setting(3, "size of the first kernel: 3 in SLidR, 5 in Pointcept", unit="voxels")

    @model_validator(mode="after")
    def _check(self) -> MinkUNetConfig:
        self.check_levels()
        if _input_width(self) == 0:
            raise ValueError("inputs: nothing is left to feed; add 'occupied', or name channels")
        return self


def _input_width(config: MinkUNetConfig) -> int:
    widths = {"occupied": 1, "channels": len(config.channels), "height": 1, "xyz": 3}
    return sum(widths[name] for name in config.inputs)


class MinkUNet(UNet):
    """MinkowskiEngine's residual U-Net (Choy 2019) in the form that SLidR uses, on spconv.

    Unlike SLidR, which draws one point of a voxel, a voxel is fed with the mean of its points, so that nothing is left
    to chance. In cylindrical coordinates the voxels at -180 and at 180 degrees are no neighbours, as there.
    """

    Config = MinkUNetConfig
    config: MinkUNetConfig

    def __init__(self, config: MinkUNetConfig) -> None:
        super().__init__(config)
        cylindrical = config.coordinates == "cylindrical"
        width = config.voxel_angle if cylindrical else config.voxel_size
        size = (config.voxel_size, width, config.voxel_size)
        self.grid = VoxelGrid(config.range, size, len(config.encoder), cylindrical=cylindrical, origin=config.origin)
        self.add_stem(_input_width(config), config.stem_kernel, eps=NORM_EPS)
        self.add_levels(eps=NORM_EPS, widens="block")

    def inputs(self, points: Tensor, channels: Tensor) -> Tensor:
        parts = {
            "occupied": torch.ones_like(points[:, :1]),
            "channels": channels,
            "height": points[:, 2:],
            "xyz": points,
        }
        return torch.cat([parts[name] for name in self.config.inputs], dim=1)
