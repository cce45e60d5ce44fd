"""What a teacher is: a frozen image network that gives feature maps at several strides, read bilinearly at pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from xmodal_core.config import Settings, setting


class TeacherConfig(Settings):
    """What every teacher's settings have; a plugin adds its own."""

    image_width: int = setting(
        800, "wider pictures are shrunk to this width first", unit="pixels", ge=64, le=4096, step=32
    )


class Teacher(nn.Module, ABC):
    """A frozen image network.

    A plugin gives ``Config`` and fills ``channels`` and ``strides``, one entry a level, finest first. It is always in
    eval mode, its parameters need no gradient, and its forward pass keeps no graph.
    """

    Config: ClassVar[type[TeacherConfig]]
    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def width(self) -> int:
        """Length of a pixel's feature: the sum over levels."""
        return sum(self.channels)

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of ``images`` (B,3,H,W) float RGB in 0..1: one (B, channels[l], H/strides[l], W/strides[l]) a
        level (sizes rounded up)."""
