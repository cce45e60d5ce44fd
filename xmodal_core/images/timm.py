"""Any network of timm with intermediate maps: timm:NAME, such as timm:resnet18 or timm:vit_small_patch16_dinov3."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal

import timm
import torch
from pydantic import field_validator

from xmodal_core.config import setting
from xmodal_core.errors import InputError, RunError
from xmodal_core.images._timm import Stride, TimmConfig, TimmTeacher, build
from xmodal_core.images._weights import fill, named_tensors, read_checkpoint
from xmodal_core.images.base import TeacherConfig

FLEXIBLE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
"""What lets a network take pictures of any size; families name it differently, and most need nothing."""


class TimmModelConfig(TimmConfig):
    """Options of ``timm``."""

    model: str = setting("resnet18", "timm's name of the network; with a tag, of its weights too: resnet18.a1_in1k")
    strides: tuple[Stride, ...] = setting(
        (), "strides of the feature maps; empty: those of 4, 8 and 16 that the network has, else its finest"
    )
    weights: Literal["pretrained", "random"] = setting(
        "pretrained", "timm's, which it downloads once into Hugging Face's cache, or random ones drawn from the seed"
    )
    weights_file: Path | None = setting(None, "file of tensors by timm's names to take the weights from instead")

    @field_validator("strides")
    @classmethod
    def _ascending(cls, strides: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(strides)))

    @field_validator("model")
    @classmethod
    def _known(cls, model: str) -> str:
        if not timm.is_model(model):
            near = get_close_matches(model.partition(".")[0], timm.list_models(), n=3)
            raise ValueError(f"timm has no such network; near: {', '.join(near) or 'none, see timm.list_models()'}")
        return model


class TimmModel(TimmTeacher):
    """A network by its name, normalised as its ``default_cfg`` says; transformers of one stride behind their last
    normalisation.

    Raises:
        InputError: it gives no intermediate maps, takes pictures of one size alone, or has none of a stride.
    """

    Config: ClassVar[type[TeacherConfig]] = TimmModelConfig

    def __init__(self, config: TimmModelConfig) -> None:
        pretrained = config.weights == "pretrained" and config.weights_file is None
        network = _flexible(config, pretrained)
        if not (hasattr(network, "forward_intermediates") and hasattr(network, "prune_intermediate_layers")):
            raise InputError(
                f"timm's '{config.model}' gives no intermediate maps", "choose another, e.g. timm:resnet18"
            )
        taken = None
        if config.weights == "pretrained" and config.weights_file is not None:
            state = named_tensors(read_checkpoint(config.weights_file), ("state_dict", "model"))
            heads = _heads(network)
            kept = {name: value for name, value in state.items() if not name.startswith(heads)}
            taken = fill(network, kept, config.weights_file, [name for name in state if name not in kept])
        has = sorted({int(info["reduction"]) for info in network.feature_info})
        wanted = config.strides or tuple(stride for stride in (4, 8, 16) if stride in has) or (has[0],)
        mean, std = network.default_cfg["mean"], network.default_cfg["std"]
        # Networks that bring coarse maps back to fine ones need sides that their coarsest divides too.
        super().__init__(config, network, mean, std, taken=taken, strides=wanted, norm=len(has) == 1, multiple=max(has))
        self._try(config.model)

    def _try(self, model: str) -> None:
        """Whether pictures of any size can go through."""
        side = self.multiple
        try:
            self(torch.zeros(1, 3, 3 * side, 4 * side))
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"timm's '{model}' does not take pictures of any size: {reason}",
                "choose a network without fixed windows, e.g. timm:resnet18",
            ) from None


def _heads(network: Any) -> tuple[str, ...]:
    """How the names of its classifiers begin, which ``num_classes=0`` leaves out."""
    classifier = network.default_cfg.get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return tuple(f"{name}." for name in names)


def _flexible(config: TimmModelConfig, pretrained: bool) -> Any:
    """The network, taking pictures of any size where it can.

    Raises:
        RunError: its weights cannot be had.
    """
    for options in FLEXIBLE:
        try:
            return build(config.model, config.seed, pretrained=pretrained, num_classes=0, **options)
        except TypeError:  # noqa: PERF203
            if not options:
                raise
        except Exception as error:  # of many kinds, of timm, Hugging Face and what they fetch with
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise RunError(
                f"cannot have timm's weights of '{config.model}': {reason}", _by_hand(config.model)
            ) from None
    raise AssertionError(FLEXIBLE)


def _by_hand(model: str) -> str:
    known = timm.get_pretrained_cfg(model)
    hub = known.hf_hub_id if known is not None else None
    fetched = f"download https://huggingface.co/{hub}/resolve/main/model.safetensors and " if hub else ""
    return f"{fetched}give a file with --weights FILE, or choose --set teacher.weights=random"
