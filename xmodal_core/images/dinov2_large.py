"""DINOv2's ViT-L/14, with or without registers, or random: one map of 1024 channels at stride 14."""

from __future__ import annotations

from typing import ClassVar, Literal

from xmodal_core.images._dinov2 import DinoV2


class DinoV2Large(DinoV2):
    """timm's ``vit_large_patch14_dinov2`` or ``vit_large_patch14_reg4_dinov2``."""

    size: ClassVar[Literal["small", "base", "large"]] = "large"
