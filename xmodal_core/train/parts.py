"""What a run is put together from: data set, network, teacher, method, and the loader of batches."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader

from xmodal_core import plugins
from xmodal_core.datasets import Dataset, open_dataset
from xmodal_core.errors import InputError
from xmodal_core.images import load_teacher
from xmodal_core.methods.base import Method
from xmodal_core.points import load_network
from xmodal_core.train.config import Experiment
from xmodal_core.train.examples import Examples, Loaded, gather
from xmodal_core.train.plan import BatchSampler, Plan, evenly_spread
from xmodal_core.train.remember import RememberingTeacher


class Parts(NamedTuple):
    """The data set, and the method around the network and its teacher."""

    dataset: Dataset
    method: Method


def make_parts(experiment: Experiment) -> Parts:
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


def make_plan(experiment: Experiment, dataset: Dataset) -> Plan:
    """The order of frames through the run.

    Raises:
        InputError: the data set has no frame.
    """
    train = experiment.train
    frames = len(evenly_spread(len(dataset), train.frames))
    if frames == 0:
        raise InputError(f"there is no frame in {dataset.root}", "choose another split with --split")
    return Plan(frames, train.batch_size, train.devices, train.accumulate, train.epochs, train.seed)


def fingerprint(experiment: Experiment, dataset: Dataset) -> str:
    """The same for the same frames in the same order."""
    names = (dataset.name(int(index)) for index in evenly_spread(len(dataset), experiment.train.frames))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def make_loader(
    experiment: Experiment, parts: Parts, plan: Plan, first_step: int, rank: int, workers: int, device: torch.device
) -> DataLoader[Loaded]:
    """The batches of device ``rank`` from ``first_step`` to the end of the run, in one go."""
    train = experiment.train
    examples: Any = Examples(
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
    )
    return DataLoader(
        examples,
        batch_sampler=BatchSampler(plan, rank, first_step),
        num_workers=workers,
        collate_fn=gather,
        pin_memory=device.type == "cuda",
        worker_init_fn=_leave_interrupts_to_the_main_process,
    )


@contextmanager
def opened(loader: DataLoader[Loaded]) -> Iterator[Iterator[Loaded]]:
    """The batches of ``loader``; its processes end with the block, even while an error is held."""
    batches = iter(loader)
    try:
        yield batches
    finally:
        getattr(batches, "_shutdown_workers", lambda: None)()


def remember_pictures(method: Method, wanted: float | None, device: torch.device) -> None:
    """Let the teacher keep its maps, in ``wanted`` gigabytes; on a CPU looking again would take most of the time."""
    gigabytes = wanted if wanted is not None else 2.0 if device.type == "cpu" else 0.0
    if method.teacher is not None and gigabytes > 0:
        method.teacher = RememberingTeacher(method.teacher, gigabytes)


def choose_workers(wanted: int | None, device: torch.device, devices: int) -> int:
    """How many processes read frames for one device: on a CPU they would only take time from the training."""
    if wanted is not None:
        return wanted
    if device.type == "cpu":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(16, cores // devices - 1))


def _leave_interrupts_to_the_main_process(worker: int) -> None:
    # Ctrl-C reaches all processes of a terminal; only the main one knows how to end well. (Requests to terminate stay
    # heeded: that is how Python ends workers that are left over at its exit.)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
