"""Where a run computes: devices, precision, threads, and what the devices of one run agree on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision

from xmodal_core.errors import InputError, XmodalError
from xmodal_core.train.config import EngineConfig, has_gpu
from xmodal_core.train.examples import Failure

T = TypeVar("T")


def launch(train: EngineConfig) -> Fabric:
    """The devices that ``train`` asks for, their processes started and their random numbers seeded.

    Raises:
        InputError: there are not so many GPUs, or none, or the precision needs one.
    """
    accelerator, number = _accelerator(train)
    if accelerator == "cpu" and train.precision not in ("auto", "32"):
        raise InputError(
            f"precision '{train.precision}' needs a GPU: sparse convolutions compute in 32 bits on a CPU",
            "leave out --precision, or train with --device cuda",
        )
    fabric = Fabric(
        accelerator=accelerator,
        devices=[int(number)] if number else train.devices,
        strategy="ddp" if train.devices > 1 else "auto",
        plugins=[make_precision(train, accelerator)],
    )
    fabric.launch()
    if accelerator == "cpu" and train.threads is not None:
        torch.set_num_threads(train.threads)
    seed_all(train.seed)
    return fabric


def find_device(train: EngineConfig) -> torch.device:
    """The one device that ``train`` names, without starting anything.

    Raises:
        InputError: there is no such GPU.
    """
    accelerator, number = _accelerator(train)
    return torch.device(f"{accelerator}:{number}" if number else accelerator)


def _accelerator(train: EngineConfig) -> tuple[str, str]:
    """The kind of device, and the number of the one GPU that is named, else empty."""
    kind, _, number = train.device.partition(":")
    accelerator = kind if kind != "auto" else "cuda" if has_gpu() else "cpu"
    if accelerator == "cuda":
        _check_gpus(number, train.devices)
    return accelerator, number


def _check_gpus(number: str, devices: int) -> None:
    found = torch.cuda.device_count() if has_gpu() else 0
    if not found:
        raise InputError("there is no GPU that torch can use", "train with --device cpu, or see 'xmodal doctor'")
    if devices > found or (number and int(number) >= found):
        wanted = f"cuda:{number}" if number else f"{devices} GPUs"
        raise InputError(f"asked for {wanted}, but there are {found} GPUs", f"choose cuda:0 to cuda:{found - 1}")


class Autocast(MixedPrecision):
    """Mixed precision that leaves the batch alone: metres in 16 bits would be rounded to centimetres."""

    def convert_input(self, data: Any) -> Any:
        return data


def make_precision(train: EngineConfig, accelerator: str) -> Precision:
    """The computation's precision; in 16 bits with a gradient scaler, whose state belongs into checkpoints."""
    if train.precision == "auto" or train.precision == "32":
        return Precision()
    return Autocast(train.precision, accelerator)


def scaler_of(fabric: Fabric) -> torch.amp.GradScaler | None:
    """The gradient scaler of 16-bit training."""
    return getattr(fabric.strategy.precision, "scaler", None)


def describe_device(device: torch.device) -> str:
    """In words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'s' if threads > 1 else ''}"


def seed_all(*parts: int) -> None:
    """Seed Python's, NumPy's and torch's random numbers, of every device, from ``parts``."""
    seed = int(np.random.SeedSequence(parts).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (what a library may draw from)
    torch.manual_seed(seed)


def on_first(fabric: Fabric, act: Callable[[], T]) -> T:
    """What ``act`` gives in the first process, handed to all; its error is raised in all."""
    outcome: Any = None
    if fabric.is_global_zero:
        try:
            outcome = act()
        except XmodalError as error:
            outcome = error
    outcome = fabric.broadcast(outcome)
    if isinstance(outcome, XmodalError):
        raise outcome
    return outcome  # type: ignore[no-any-return]


@dataclass(frozen=True)
class News:
    """What one device tells the others before a step.

    Args:
        names: of the frames of each of its batches; empty where it has no frame to train on.
        skipped: frame and reason of those left out.
        failure: an error that ends the run.
        stop: somebody asked to stop.
    """

    names: tuple[tuple[str, ...], ...]
    skipped: tuple[tuple[str, str], ...]
    failure: Failure | None
    stop: bool


def share(fabric: Fabric, news: News) -> list[News]:
    """The news of all devices, the same list on each."""
    if fabric.world_size == 1:
        return [news]
    everyone: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(everyone, news)
    return everyone


def complete(news: Sequence[News]) -> list[int]:
    """Which batches of a step can be trained on: all devices take part in each, so those that all have a frame for."""
    return [number for number, names in enumerate(zip(*(one.names for one in news), strict=True)) if all(names)]
