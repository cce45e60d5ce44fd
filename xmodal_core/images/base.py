"""What a teacher is: a frozen image network that gives feature maps at several strides, read bilinearly at pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from xmodal_core.config import Settings, setting

if TYPE_CHECKING:
    from typing_extensions import Self


class TeacherConfig(Settings):
    """What every teacher's settings have; a plugin adds its own."""

    image_width: int = setting(
        800, "wider pictures are shrunk to this width first", unit="pixels", ge=64, le=4096, step=32
    )


OnProgress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


class Teacher(nn.Module, ABC):
    """A frozen image network.

    A plugin gives ``Config`` and fills ``channels`` and ``strides``, one entry a level, finest first. It is always in
    eval mode, its parameters need no gradient, and its forward pass keeps no graph.

    Cell j of a level of stride s is read as the value at pixel s (j + 0.5) - 0.5, as if each cell covered s pixels of
    the image (whole numbers are pixel centres). The patch that its convolutions cover is centred elsewhere: at s j
    where they pad both sides alike, at s j + s - 1 where they pad as TensorFlow does. Yet training on mirrored pictures
    pulls what a cell attends to towards the middle of its s pixels: in EfficientNet-Lite0 the squared gradient of a
    cell of stride 8 is centred at 8 j + 3.7 across and 8 j + 3.0 down, not at 8 j + 7. It is also how maps that are
    scaled up and put side by side, as in the paper, come to lie on the image. For transformers, whose patches do not
    overlap, it holds from the start: with random weights the squared gradient of a cell of DINOv2's (stride 14) and of
    Swin-T's (4, 8, 16) is centred within 0.2 pixels of where the cell is read.
    """

    Config: ClassVar[type[TeacherConfig]]
    channels: tuple[int, ...]
    strides: tuple[int, ...]

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
