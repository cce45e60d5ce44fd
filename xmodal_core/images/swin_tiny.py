"""Swin-T of EsViT (the paper's other teacher), of ImageNet, or random.

EsViT's file holds ``teacher`` and ``student`` (microsoft/esvit:main_esvit.py), the student's names with ``module.``
before them, and the teacher's too where its heads have batch norms; microsoft/Swin-Transformer's holds ``model``. Both
(models/swin_transformer.py) keep the merging of patches at the end of the stage before, where timm has it at the start
of the next; the four patches are merged in the same order. Both keep the index of relative positions, the latter also
the masks of shifted windows, which follow from the window's size alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from torch import Tensor

from xmodal_core.config import setting
from xmodal_core.images._published import Published, PublishedConfig, given_or_fetched
from xmodal_core.images._timm import TimmTeacher, build
from xmodal_core.images._weights import fill, named_tensors, read_checkpoint, without_prefixes
from xmodal_core.images.base import OnProgress, TeacherConfig

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

ESVIT = (
    "https://chunyleu.blob.core.windows.net/output/ckpts/esvit/swin/swin_tiny/"
    "bl_lr0.0005_gpu16_bs32_dense_multicrop_epoch300/checkpoint_best.pth"
)
"""Where microsoft/esvit (README.md) publishes Swin-T, window 7, trained with both of its losses."""

IMAGENET = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_tiny_patch4_window7_224.pth"
"""Where microsoft/Swin-Transformer publishes Swin-T of ImageNet-1k."""

PREFIXES = ("module.", "backbone.")

COMPUTED = ("relative_position_index", "attn_mask")
"""Tensors that follow from the window's size."""


class SwinTinyConfig(PublishedConfig):
    """Options of ``swin_tiny``."""

    weights: Literal["esvit", "imagenet", "random"] = setting(
        "esvit", "EsViT's, microsoft's of ImageNet, or random ones drawn from the seed"
    )
    encoder: Literal["teacher", "student"] = setting("teacher", "which of EsViT's two encoders")


class SwinTiny(TimmTeacher):
    """timm's ``swin_tiny_patch4_window7_224``: maps of 96, 192, 384 and 768 channels at strides 4, 8, 16 and 32."""

    Config: ClassVar[type[TeacherConfig]] = SwinTinyConfig

    def __init__(self, config: SwinTinyConfig) -> None:
        network = build("swin_tiny_patch4_window7_224", config.seed, num_classes=0, strict_img_size=False)
        taken = None
        if config.weights != "random":
            file = weights_of(config)
            state = named_tensors(read_checkpoint(file), (config.encoder, "model", "state_dict"))
            tensors = timm_names(state)
            taken = fill(network, tensors, file, [name for name in state if _left_out(_bare(name))])
        super().__init__(config, network, MEAN, STD, taken=taken)

    @classmethod
    def prepare(cls, config: TeacherConfig, on_progress: OnProgress | None = None) -> None:
        assert isinstance(config, SwinTinyConfig)
        if config.weights != "random":
            weights_of(config, on_progress)


def weights_of(config: SwinTinyConfig, on_progress: OnProgress | None = None) -> Path:
    """The file of the weights that ``config`` asks for; see ``given_or_fetched``."""
    esvit = Published(ESVIT, name="esvit_swin_tiny_w7.pth")
    return given_or_fetched(config, esvit if config.weights == "esvit" else Published(IMAGENET), on_progress)


def timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone of ``state``, in its authors' names or in timm's, by timm's names; heads and what can be computed
    are left out, names that are not this network's stay."""
    bare = {name: value for name, value in without_prefixes(state, PREFIXES).items() if not _left_out(name)}
    ends_with_merging = any(name.startswith("layers.0.downsample.") for name in bare)
    return {_later(name) if ends_with_merging else name: value for name, value in bare.items()}


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _left_out(name: str) -> bool:
    return name.startswith(("head.", "head_dense.")) or name.endswith(COMPUTED)


def _later(name: str) -> str:
    """The merging at the end of a stage is the next one's start."""
    return re.sub(r"^layers\.(\d+)\.downsample\.", lambda found: f"layers.{int(found[1]) + 1}.downsample.", name)
