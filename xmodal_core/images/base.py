"""What a teacher is: a frozen image network that gives feature maps at several strides, read bilinearly at pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import Self

from xmodal_core.config import Settings, setting


class TeacherConfig(Settings):
    """What every teacher's settings have; a plugin adds its own."""

    image_width: int = setting(
        800, "wider pictures are shrunk to this width first", unit="pixels", ge=64, le=4096, step=32
    )


OnProgress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


class Teacher(nn.Module, ABC):
    """A frozen image network.

    A plugin gives ``Config`` and fills ``channels``, ``strides`` and ``origins``, one entry a level, finest first. It
    is always in eval mode, its parameters need no gradient, and its forward pass keeps no graph.

    Cell (i, j) of a level looks at the pixel (``origin`` + j ``stride``, ``origin`` + i ``stride``) of the image: the
    centre of the patch that its convolutions cover, whole numbers being pixel centres. How a network pads its
    convolutions shifts that by up to a stride, so each plugin states it.
    """

    Config: ClassVar[type[TeacherConfig]]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    origins: tuple[float, ...]

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def prepare(cls, config: TeacherConfig, on_progress: OnProgress | None = None) -> None:
        """Bring what the constructor needs and takes long, such as weights over the network; it is kept.

        Raises:
            RunError: it cannot be had.
        """

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever ``mode`` says: a teacher's statistics must not move."""
        return super().train(False)

    @property
    def width(self) -> int:
        """Length of a pixel's feature: the sum over levels."""
        return sum(self.channels)

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of ``images`` (B,3,H,W) float RGB in 0..1: one (B, channels[l], H/strides[l], W/strides[l]) a
        level (sizes rounded up)."""
