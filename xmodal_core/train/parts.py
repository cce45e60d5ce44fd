"""What a run is put together from: data set, network, teacher, method, and the loader of batches."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch.utils.data import DataLoader

from xmodal_core import plugins
from xmodal_core.datasets import Dataset, open_dataset
from xmodal_core.errors import InputError
from xmodal_core.images import load_teacher
from xmodal_core.methods.base import Method
from xmodal_core.points import load_network
from xmodal_core.train.config import Pretraining
from xmodal_core.train.examples import Examples
from xmodal_core.train.forget import memories
from xmodal_core.train.plan import BatchSampler, Plan, evenly_spread
from xmodal_core.train.recipe import make_recipe
from xmodal_core.train.remember import Memory

L = TypeVar("L")

OFF = "off"
"""In place of a folder: nothing is kept."""


class Parts(NamedTuple):
    """The data set, and the method around the network and its teacher."""

    dataset: Dataset
    method: Method


def make_parts(experiment: Pretraining) -> Parts:
    """The parts that ``experiment`` names, with fresh weights.

    Raises:
        InputError, DataError: the data set cannot be opened, the teacher's weights are not there.
    """
    data = experiment.dataset
    dataset = open_dataset(data.name, experiment.root, data.options.model_dump(), experiment.rig)
    kind = plugins.load(plugins.METHOD, experiment.method.name)
    network = load_network(experiment.network.name, experiment.network.options.model_dump())
    teacher = (
        load_teacher(experiment.teacher.name, experiment.teacher.options.model_dump()) if kind.needs_teacher else None
    )
    return Parts(dataset, kind(experiment.method.options, network, teacher))


def make_examples(experiment: Pretraining, parts: Parts, memory: Memory | None = None) -> Any:
    """The examples of pre-training, by ``Key``; those whose units are kept in ``memory`` have no pictures."""
    train = experiment.train
    return Examples(
        dataset=parts.dataset,
        indices=evenly_spread(len(parts.dataset), train.frames),
        units=experiment.units,
        augment=experiment.augment,
        channels=tuple(getattr(parts.method.network.config, "channels", ())),
        image_width=getattr(experiment.teacher.options, "image_width", 800),
        reach=getattr(parts.method.network.config, "range", None),
        min_units=train.min_units,
        skip_damaged=train.damaged == "skip",
        seed=train.seed,
        variants=train.unit_variants,
        memory=memory,
    )


def make_loader(
    examples: Any,
    gather: Callable[[Sequence[Any]], L],
    plan: Plan,
    first_step: int,
    rank: int,
    workers: int,
    device: torch.device,
) -> DataLoader[L]:
    """The batches of device ``rank`` from ``first_step`` to the end of the run, in one go."""
    return DataLoader(
        examples,
        batch_sampler=BatchSampler(plan, rank, first_step),
        num_workers=workers,
        collate_fn=gather,
        pin_memory=device.type == "cuda",
        worker_init_fn=leave_interrupts_to_the_main_process,
    )


@contextmanager
def opened(loader: DataLoader[L]) -> Iterator[Iterator[L]]:
    """The batches of ``loader``; its processes end with the block, even while an error is held."""
    batches = iter(loader)
    try:
        yield batches
    finally:
        getattr(batches, "_shutdown_workers", lambda: None)()


def open_memory(experiment: Pretraining, method: Method, device: torch.device) -> Memory | None:
    """Where is kept what the teacher sees; None where that is off, or where the method needs more of its teacher than
    the features of units.

    Raises:
        InputError: units are new every epoch, and a place to keep them was named.
    """
    cache, train = experiment.cache, experiment.train
    if cache.folder == OFF or method.teacher is None or not method.pools_teacher:
        return None
    if not train.unit_variants:
        if not cache.folder:
            return None
        raise InputError(
            "units that are new in every epoch cannot be kept",
            "give --set train.unit_variants=4, or --cache off",
        )
    recipe = make_recipe(
        experiment.teacher.name,
        method.teacher,
        experiment.units,
        train.unit_variants,
        half=cache.half,
        device=device.type,
        precision=train.precision,
    )
    return Memory(Path(cache.folder).expanduser() if cache.folder else memories(), recipe, int(cache.max_gb * 1e9))


def choose_workers(wanted: int | None, device: torch.device, devices: int) -> int:
    """How many processes read frames for one device: on a CPU they would only take time from the training."""
    if wanted is not None:
        return wanted
    if device.type == "cpu":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(16, cores // devices - 1))


def leave_interrupts_to_the_main_process(worker: int) -> None:
    """What a process that reads frames begins with."""
    # Ctrl-C reaches all processes of a terminal; only the main one knows how to end well. (Requests to terminate stay
    # heeded: that is how Python ends workers that are left over at its exit.)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
