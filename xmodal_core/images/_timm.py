"""Teachers whose networks are timm's: normalised pictures in, the maps of the chosen strides out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import timm
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from xmodal_core.config import setting
from xmodal_core.errors import InputError
from xmodal_core.images._weights import Taken
from xmodal_core.images.base import Teacher, TeacherConfig

Stride = Annotated[int, Field(ge=1, le=64)]

AT_ONCE = {"cpu": 1}
"""How many images go through a network at once, so that memory does not grow with the batch; 8 on other devices. A CPU
is fastest with one: six of 448 x 800 took ResNet-50 2.2 s one by one and 4.1 s together, Lite0 0.55 s and 1.8 s."""


class TimmConfig(TeacherConfig):
    """What the settings of these teachers share."""

    strides: tuple[Stride, ...] = setting(
        (4, 8, 16), "strides of the feature maps whose values are put side by side: one or more that the network has"
    )
    seed: int = setting(0, "what random weights are drawn from (weights=random)", ge=0, le=2**31 - 1)

    @field_validator("strides")
    @classmethod
    def _ascending(cls, strides: tuple[Stride, ...]) -> tuple[Stride, ...]:
        if not strides:
            raise ValueError("give at least one stride, e.g. [4, 8, 16]")
        return tuple(sorted(set(strides)))


def build(architecture: str, seed: int, *, pretrained: bool = False, **options: Any) -> nn.Module:
    """Timm's network ``architecture`` with weights drawn from ``seed`` or, ``pretrained``, those that timm fetches; the
    global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = timm.create_model(architecture, pretrained=pretrained, **options)
    return network


def levels_of(network: Any, strides: Sequence[int]) -> list[int]:
    """Which of ``network``'s maps have ``strides``; of several with one stride the last.

    Raises:
        InputError: it has none of a stride.
    """
    level = {info["reduction"]: number for number, info in enumerate(network.feature_info)}
    for stride in strides:
        if stride not in level:
            raise InputError(
                f"setting 'teacher.strides' cannot have {stride}: this network's maps have strides "
                f"{', '.join(map(str, sorted(level)))}",
                f"choose from those, e.g. --set teacher.strides=[{max(level)}]",
            )
    return [level[stride] for stride in strides]


class TimmTeacher(Teacher):
    """A timm network as a teacher.

    Args:
        config: its settings.
        network: the whole network, its weights loaded; what lies behind the coarsest level is cut off.
        mean, std: three numbers each, by which pictures in 0..1 are normalised.
        taken: what of a file became its weights; None where no file was given or fetched.
        strides: of the maps, ascending; by default those of ``config``.
        norm: put the network's last normalisation on the maps, as transformers of one stride are used.
        multiple: sides of pictures are padded to multiples of this; by default of the coarsest stride chosen.

    Raises:
        InputError: the network has no map of a stride that ``config`` names.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        config: TimmConfig,
        network: Any,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        taken: Taken | None = None,
        strides: Sequence[int] | None = None,
        norm: bool = False,
        multiple: int | None = None,
    ) -> None:
        super().__init__(config)
        self.strides = tuple(strides or config.strides)
        self.taken, self.norm, self.multiple = taken, norm, multiple or self.strides[-1]
        self.levels = levels_of(network, self.strides)
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
        multiple = self.multiple
        padded = F.pad((images - self.mean) / self.std, (0, -width % multiple, 0, -height % multiple))
        parts = [self._maps(part) for part in torch.split(padded, AT_ONCE.get(images.device.type, 8))]
        return [
            torch.cat(level)[..., : -(-height // stride), : -(-width // stride)]
            for level, stride in zip(zip(*parts, strict=True), self.strides, strict=True)
        ]

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.network.forward_intermediates(
            images, indices=self.levels, norm=self.norm, stop_early=True, intermediates_only=True
        )
        return maps
