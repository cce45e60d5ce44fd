"""DINOv2's vision transformers of patch 14, whose three sizes are plugins.

Their files (facebookresearch/dinov2) hold plain names. timm has no ``mask_token``, calls the registers ``reg_token``,
and where there are registers keeps no position of the class token: it is added to the token itself, which is the same.
Positions are stretched to each picture's size by timm, bicubic and with antialiasing. The authors do so for networks
with registers; for the others they leave antialiasing out and stretch by (cells + 0.1) / 37 (hub/backbones.py, and
``interpolate_pos_encoding`` of models/vision_transformer.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from xmodal_core.config import setting
from xmodal_core.images._published import Published, PublishedConfig, given_or_fetched
from xmodal_core.images._timm import Stride, TimmTeacher, build
from xmodal_core.images._weights import fill, named_tensors, read_checkpoint, without_prefixes
from xmodal_core.images.base import OnProgress, TeacherConfig

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

URL = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vit{letter}14/dinov2_vit{letter}14_{registers}pretrain.pth"
"""Where facebookresearch/dinov2 (README.md) publishes its backbones."""

SIDE = 518
"""Pictures of this many pixels a side are what the published positions are for."""

LEFT_OUT = ("mask_token", "dino_head.", "ibot_head.")


class DinoV2Config(PublishedConfig):
    """Options of the DINOv2 teachers."""

    strides: tuple[Stride, ...] = setting((14,), "stride of the feature map; these networks have one, 14")
    weights: Literal["dinov2", "random"] = setting("dinov2", "DINOv2's, or random ones drawn from the seed")
    registers: bool = setting(
        False, "the networks with four registers, whose maps have fewer outliers; a file that is given says so itself"
    )


class DinoV2(TimmTeacher):
    """The last block's tokens behind the last normalisation, as the authors' dense tasks read them."""

    Config: ClassVar[type[TeacherConfig]] = DinoV2Config
    size: ClassVar[Literal["small", "base", "large"]]

    def __init__(self, config: DinoV2Config) -> None:
        tensors: dict[str, Tensor] = {}
        registers, file, left_out = config.registers, None, []
        if config.weights != "random":
            file = self.weights_of(config)
            state = named_tensors(read_checkpoint(file), ("teacher", "model", "state_dict"))
            tensors = timm_names(state)
            registers = "reg_token" in tensors
            left_out = [name for name in state if name.removeprefix("backbone.").startswith(LEFT_OUT)]
        architecture = f"vit_{self.size}_patch14_{'reg4_' if registers else ''}dinov2"
        network = build(architecture, config.seed, num_classes=0, img_size=SIDE, dynamic_img_size=True)
        taken = fill(network, tensors, file, left_out) if file else None
        super().__init__(config, network, MEAN, STD, taken=taken, norm=True)

    @classmethod
    def prepare(cls, config: TeacherConfig, on_progress: OnProgress | None = None) -> None:
        assert isinstance(config, DinoV2Config)
        if config.weights != "random":
            cls.weights_of(config, on_progress)

    @classmethod
    def weights_of(cls, config: DinoV2Config, on_progress: OnProgress | None = None) -> Path:
        """The file of the weights that ``config`` asks for; see ``given_or_fetched``."""
        url = URL.format(letter=cls.size[0], registers="reg4_" if config.registers else "")
        return given_or_fetched(config, Published(url), on_progress)


def timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone of ``state``, in its authors' names, by timm's; names that are not this network's stay.

    Blocks that training keeps in chunks (``blocks.1.7.*``) are numbered through there already.
    """
    bare = {
        re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", name): value
        for name, value in without_prefixes(state, ("backbone.",)).items()
        if not name.removeprefix("backbone.").startswith(LEFT_OUT)
    }
    if "register_tokens" in bare:
        bare["reg_token"] = bare.pop("register_tokens")
        if "pos_embed" in bare and "cls_token" in bare:
            bare["cls_token"] = bare["cls_token"] + bare["pos_embed"][:, :1]
            bare["pos_embed"] = bare["pos_embed"][:, 1:]
    return bare
