"""ResNet-50 of MoCo v3 (the paper's teacher), of ImageNet, or random.

MoCo v3's weights come from a given file or once over the network from its authors' address, into the cache folder.
They are published under CC BY-NC 4.0, without a checksum: the one of the first download is kept and checked from then
on; give ``weights_sha256`` where you know it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import field_validator
from torch import Tensor

from xmodal_core.cache import cache_folder
from xmodal_core.config import setting
from xmodal_core.errors import DataError
from xmodal_core.images._download import fetch
from xmodal_core.images._timm import TimmConfig, TimmTeacher, build
from xmodal_core.images._weights import check_sha256, fill, read_checkpoint
from xmodal_core.images.base import OnProgress, TeacherConfig

# The statistics of ImageNet, with which MoCo v3 and torchvision train.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

MOCOV3 = "https://dl.fbaipublicfiles.com/moco-v3/r-50-{epochs}ep/r-50-{epochs}ep.pth.tar"
"""Where facebookresearch/moco-v3 (CONFIG.md) publishes its ResNet-50."""

IMAGENET = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
"""torchvision's ``ResNet50_Weights.IMAGENET1K_V1``; the name ends in the first digits of the checksum."""


class ResNet50Config(TimmConfig):
    """Options of ``resnet50``."""

    weights: Literal["mocov3", "imagenet", "random"] = setting(
        "mocov3", "MoCo v3's, torchvision's of ImageNet, or random ones drawn from the seed"
    )
    weights_file: Path | None = setting(None, "file to take the weights from; empty: downloaded once")
    weights_sha256: str = setting("", "SHA-256 of that file or its first digits (8 or more); empty: not checked")
    mocov3_epochs: Literal[100, 300, 1000] = setting(
        300, "which MoCo v3 is downloaded, by how long it was trained: 100, 300 or 1000", unit="epochs"
    )
    encoder: Literal["base", "momentum"] = setting("base", "which of MoCo v3's two encoders")

    @field_validator("weights_sha256")
    @classmethod
    def _hexadecimal(cls, digits: str) -> str:
        if digits and not re.fullmatch(r"[0-9a-fA-F]{8,64}", digits):
            raise ValueError("give 8 to 64 hexadecimal digits")
        return digits.lower()


class ResNet50(TimmTeacher):
    """timm's ``resnet50``: maps of 256, 512 and 1024 channels at strides 4, 8 and 16."""

    Config: ClassVar[type[TeacherConfig]] = ResNet50Config

    def __init__(self, config: ResNet50Config) -> None:
        # Blocks that start as identities would make random features those of a much shallower network.
        network = build("resnet50", config.seed, num_classes=0, zero_init_last=False)
        if config.weights != "random":
            file = weights_of(config)
            fill(network, encoder_tensors(read_checkpoint(file), config.encoder, file), file)
        super().__init__(config, network, MEAN, STD)

    @classmethod
    def prepare(cls, config: TeacherConfig, on_progress: OnProgress | None = None) -> None:
        assert isinstance(config, ResNet50Config)
        if config.weights != "random":
            weights_of(config, on_progress)


def weights_of(config: ResNet50Config, on_progress: OnProgress | None = None) -> Path:
    """The file of the weights that ``config`` asks for, its checksum checked; downloaded where none is given.

    Raises:
        DataError: the file is missing or has another checksum.
        RunError: it cannot be downloaded.
    """
    file = config.weights_file
    if file is None:
        mocov3 = config.weights == "mocov3"
        url = MOCOV3.format(epochs=config.mocov3_epochs) if mocov3 else IMAGENET
        stated = "" if mocov3 else url.rsplit("-", 1)[-1].split(".")[0]
        return fetch(url, cache_folder("weights"), config.weights_sha256 or stated, on_progress)
    if config.weights_sha256 and file.is_file():
        check_sha256(file, config.weights_sha256)
    return file


def encoder_tensors(checkpoint: Mapping[str, Any], encoder: str, file: Path) -> dict[str, Tensor]:
    """The tensors of the ResNet in ``checkpoint``, without what follows its pooling.

    MoCo v3 keeps them under ``state_dict`` as ``module.base_encoder.*`` and ``module.momentum_encoder.*``, with a
    projector in place of ``fc``; a plain ResNet-50's own names are taken too.

    Raises:
        DataError: it holds neither.
    """
    state = checkpoint.get("state_dict", checkpoint)
    items = state.items() if isinstance(state, Mapping) else ()
    tensors = {name: value for name, value in items if isinstance(value, Tensor)}
    prefix = f"module.{encoder}_encoder."
    if not any(name.startswith("conv1.") for name in tensors):
        found = next(iter(tensors), "no tensors")
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if not tensors:
            raise DataError(
                f"{file} holds no ResNet: there is neither conv1.weight nor {prefix}*, but {found}",
                "give a checkpoint of facebookresearch/moco-v3 or a ResNet-50's state_dict",
            )
    return {name: value for name, value in tensors.items() if not name.startswith("fc.")}
