"""Any network of timm with intermediate maps: timm:NAME, such as timm:resnet18 or timm:vit_small_patch16_dinov3.

Weights that timm knows are downloaded once into the same folder as those of other teachers, unless Hugging Face's own
cache has them; timm brings them into its names.
"""

from __future__ import annotations

import pickle
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal

import timm
import torch
from huggingface_hub import hf_hub_url, try_to_load_from_cache
from pydantic import field_validator
from safetensors import SafetensorError

from xmodal_core.cache import cache_folder
from xmodal_core.config import setting
from xmodal_core.errors import DataError, InputError
from xmodal_core.images._download import fetch
from xmodal_core.images._timm import Stride, TimmConfig, TimmTeacher, build
from xmodal_core.images._weights import fill, named_tensors, read_checkpoint
from xmodal_core.images.base import OnProgress, TeacherConfig

FLEXIBLE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
"""What lets a network take pictures of any size; families name it differently, and most need nothing."""


class TimmModelConfig(TimmConfig):
    """Options of ``timm``."""

    model: str = setting("resnet18", "timm's name of the network; with a tag, of its weights too: resnet18.a1_in1k")
    strides: tuple[Stride, ...] = setting(
        (), "strides of the feature maps; empty: those of 4, 8 and 16 that the network has, else its finest"
    )
    weights: Literal["pretrained", "random"] = setting(
        "pretrained", "those that timm knows, downloaded once, or random ones drawn from the seed"
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
        InputError: it gives no intermediate maps, takes pictures of one size alone, or has none of a stride; timm
            knows no weights of it.
        DataError: the file of its weights is another network's or damaged.
    """

    Config: ClassVar[type[TeacherConfig]] = TimmModelConfig

    def __init__(self, config: TimmModelConfig) -> None:
        pretrained = config.weights == "pretrained" and config.weights_file is None
        network = _flexible(config, weights_of(config.model) if pretrained else None)
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

    @classmethod
    def prepare(cls, config: TeacherConfig, on_progress: OnProgress | None = None) -> None:
        assert isinstance(config, TimmModelConfig)
        if config.weights == "pretrained" and config.weights_file is None:
            weights_of(config.model, on_progress)

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
            ) from error


def _heads(network: Any) -> tuple[str, ...]:
    """How the names of its classifiers begin, which ``num_classes=0`` leaves out."""
    classifier = network.default_cfg.get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return tuple(f"{name}." for name in names)


def _flexible(config: TimmModelConfig, file: Path | None) -> Any:
    """The network, taking pictures of any size where it can, with the weights in ``file``, or else random ones.

    Raises:
        DataError: the file is another network's or damaged.
    """
    built = (_built(config, file, options) for options in FLEXIBLE)
    return next(network for network in built if network is not None)


def _built(config: TimmModelConfig, file: Path | None, options: dict[str, Any]) -> Any:
    """The network; None where its family has no such ``options``."""
    # A file by timm's names, whatever the weights were in where they come from.
    overlay = {"file": str(file), "custom_load": False}
    weights: dict[str, Any] = {} if file is None else {"pretrained": True, "pretrained_cfg_overlay": overlay}
    try:
        return build(config.model, config.seed, num_classes=0, **weights, **options)
    except TypeError as error:
        if any(option in str(error) for option in options):
            return None
        raise
    except (RuntimeError, KeyError, OSError, SafetensorError, pickle.UnpicklingError) as error:
        if file is None:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{file} does not hold timm's weights of '{config.model}': {reason}",
            "delete it, so that it is downloaded again; or give another with --weights FILE",
        ) from error


def weights_of(model: str, on_progress: OnProgress | None = None) -> Path:
    """The file of the weights that timm knows of ``model``: in Hugging Face's cache if it is there, else in ours,
    downloaded where it is not.

    Raises:
        InputError: timm knows none.
        RunError: it cannot be downloaded.
    """
    known = timm.get_pretrained_cfg(model)
    if known is not None and known.hf_hub_id:
        return _from_hub(known.hf_hub_id, known.hf_hub_filename or "model.safetensors", on_progress)
    if known is not None and known.url:
        return fetch(known.url, cache_folder("weights"), "", on_progress)
    raise InputError(
        f"timm knows no weights of '{model}'", "name others of its tags, or choose --set teacher.weights=random"
    )


def _from_hub(hub_id: str, filename: str, on_progress: OnProgress | None) -> Path:
    repository, _, revision = hub_id.partition("@")
    cached = try_to_load_from_cache(repository, filename, revision=revision or None)
    if isinstance(cached, str):
        return Path(cached)
    # Files of all repositories have the same few names.
    name = f"{hub_id.replace('/', '_')}_{filename}"
    return fetch(
        hf_hub_url(repository, filename, revision=revision or None), cache_folder("weights"), "", on_progress, name
    )
