"""Teachers whose networks are timm's: normalised pictures in, the maps of the chosen strides out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import timm
import torch
from pydantic import field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from xmodal_core.config import setting
from xmodal_core.images.base import Teacher, TeacherConfig

Stride = Literal[2, 4, 8, 16, 32]

AT_ONCE = {"cpu": 1}
"""How many images go through a network at once, so that memory does not grow with the batch; 8 on other devices. A CPU
is fastest with one: six of 448 x 800 took ResNet-50 2.2 s one by one and 4.1 s together, Lite0 0.55 s and 1.8 s."""


class TimmConfig(TeacherConfig):
    """What the settings of these teachers share."""

    strides: tuple[Stride, ...] = setting(
        (4, 8, 16), "strides of the feature maps whose values are put side by side: one or more of 2, 4, 8, 16, 32"
    )
    seed: int = setting(0, "what random weights are drawn from (weights=random)", ge=0, le=2**31 - 1)

    @field_validator("strides")
    @classmethod
    def _ascending(cls, strides: tuple[Stride, ...]) -> tuple[Stride, ...]:
        if not strides:
            raise ValueError("give at least one stride, e.g. [4, 8, 16]")
        return tuple(sorted(set(strides)))


def build(architecture: str, seed: int, **options: Any) -> nn.Module:
    """Timm's network ``architecture`` with weights drawn from ``seed``; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = timm.create_model(architecture, pretrained=False, **options)
    return network


class TimmTeacher(Teacher):
    """A timm network as a teacher.

    Args:
        config: its settings.
        network: the whole network, its weights loaded; what lies behind the coarsest level is cut off.
        mean, std: three numbers each, by which pictures in 0..1 are normalised.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: TimmConfig, network: Any, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(config)
        level = {info["reduction"]: number for number, info in enumerate(network.feature_info)}
        self.levels = [level[stride] for stride in config.strides]
        self.strides = tuple(config.strides)
        self.channels = tuple(int(network.feature_info[number]["num_chs"]) for number in self.levels)
        network.prune_intermediate_layers(self.levels, prune_head=True)
        self.network = network
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        self.requires_grad_(False)
        self.eval()

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        height, width = images.shape[-2:]
        # TensorFlow's padding shifts a map by a pixel where a size is odd; sizes that all strides divide never are.
        coarsest = self.strides[-1]
        padded = F.pad((images - self.mean) / self.std, (0, -width % coarsest, 0, -height % coarsest))
        parts = [self._maps(part) for part in torch.split(padded, AT_ONCE.get(images.device.type, 8))]
        return [
            torch.cat(level)[..., : -(-height // stride), : -(-width // stride)]
            for level, stride in zip(zip(*parts, strict=True), self.strides, strict=True)
        ]

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.network.forward_intermediates(
            images, indices=self.levels, stop_early=True, intermediates_only=True
        )
        return maps
