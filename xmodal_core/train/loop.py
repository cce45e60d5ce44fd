"""Pre-training: set-up, main, and ``fit``, the loop, which is visible on one screen.

Everything that varies from step to step (frames, learning rate, random numbers) is a function of the step's number, so
a run that was stopped anywhere and resumed takes the same steps as one that never was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from xmodal_core.config import validate
from xmodal_core.datasets import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.train import run
from xmodal_core.train.config import Experiment, TrainConfig, whole_path
from xmodal_core.train.devices import (
    News,
    complete,
    describe_device,
    launch,
    on_first,
    scaler_of,
    seed_all,
    share,
)
from xmodal_core.train.examples import Loaded
from xmodal_core.train.metrics import Summary
from xmodal_core.train.optim import make_optimizer, rates, set_rates
from xmodal_core.train.parts import (
    Parts,
    choose_workers,
    fingerprint,
    make_loader,
    make_parts,
    make_plan,
    opened,
    remember_pictures,
)
from xmodal_core.train.report import Header, Listener
from xmodal_core.train.sitting import Sitting


def pretrain(
    experiment: Experiment,
    folder: Path | None = None,
    *,
    build: Callable[[Experiment], Parts] = make_parts,
    listener: Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Train a new run.

    Args:
        experiment: what is trained, on what, how.
        folder: the run's; None: a new one in ``runs``.
        build: makes data set and method; called once the random numbers are seeded.
        listener: told how it goes.
        stop: asked before each step; True ends the run after a checkpoint, to be resumed.

    Raises:
        InputError, DataError: settings or files that cannot be; ``folder`` is there already; a damaged frame.
        RunError: a NaN, no memory, a full disk. The last checkpoint stays.
        RunInterruptedError: ``stop`` said so; see ``sitting``.
    """
    fabric = launch(experiment.train)
    parts = build(experiment)

    def create() -> Path:
        path = folder or run.new_folder(experiment)
        run.create_run(path, experiment, _facts(experiment, parts))
        return path

    path = on_first(fabric, create)
    with _alone(fabric, path):
        return main(fabric, experiment, parts, path, listener or Listener(), stop)


def resume(
    folder: Path,
    *,
    root: Path | None = None,
    device: str | None = None,
    workers: int | None = None,
    build: Callable[[Experiment], Parts] = make_parts,
    listener: Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Train the run in ``folder`` to its end, from its last checkpoint on: to the same weights, on the same kind of
    machine, as if it had never been stopped.

    Args:
        folder: a run's, or its ``checkpoint.pt``.
        root: where the data set is now, if it was moved.
        device, workers: other ones than before.
        build, listener, stop: see ``pretrain``.

    Raises:
        InputError: ``folder`` is no run that can be resumed, or the data set has other frames now.
        RunError: another process trains it; else see ``pretrain``.
    """
    path = run.find_run(folder)
    experiment, facts = run.read_run(path), run.read_facts(path)
    changes = {"threads": facts.get("threads"), "device": device, "workers": workers}
    given = {name: value for name, value in changes.items() if value is not None}
    train = validate(TrainConfig, {**experiment.train.model_dump(), **given}, "train", "the command line")
    experiment = replace(experiment, train=train, root=whole_path(root) if root else experiment.root)
    fabric = launch(train)
    with _alone(fabric, path):
        parts = build(experiment)
        _refuse_other_frames(experiment, parts, facts)
        return main(fabric, experiment, parts, path, listener or Listener(), stop)


def main(
    fabric: Fabric, experiment: Experiment, parts: Parts, folder: Path, listener: Listener, stop: Callable[[], bool]
) -> Summary:
    """Take up the last checkpoint, if there is one, and train to the end."""
    plan = make_plan(experiment, parts.dataset)
    workers = choose_workers(experiment.train.workers, fabric.device, plan.devices)
    remember_pictures(parts.method, experiment.train.teacher_memory, fabric.device)
    optimizer = make_optimizer(parts.method, experiment.train)
    method, stepper = fabric.setup(parts.method, optimizer)
    sitting = Sitting(
        folder=folder,
        experiment=experiment,
        plan=plan,
        method=parts.method,
        optimizer=optimizer,
        scaler=scaler_of(fabric),
        device=fabric.device,
        leads=fabric.is_global_zero,
        listener=listener if fabric.is_global_zero else Listener(),
    )
    sitting.take_up()
    sitting.listener.begins(_header(sitting, workers, parts.dataset.notes()))
    loader = make_loader(experiment, parts, plan, sitting.progress.step, fabric.global_rank, workers, fabric.device)
    with sitting.open_books(stop), opened(loader) as batches:
        fit(fabric, method, stepper, batches, sitting, stop)
    return on_first(fabric, sitting.summary)


def fit(
    fabric: Fabric,
    method: Any,
    optimizer: Any,
    loaded: Iterator[Loaded],
    sitting: Sitting,
    stop: Callable[[], bool],
) -> None:
    """The loop, from where ``sitting`` is to the last step of its plan."""
    plan, train = sitting.plan, sitting.experiment.train
    method.train()
    for step in range(sitting.progress.step, plan.steps):
        batches = [next(loaded) for _ in plan.batches(step, fabric.global_rank)]
        news = share(fabric, tell(batches, stop()))
        sitting.hear(news)
        seed_all(train.seed, step, fabric.global_rank)
        set_rates(optimizer, rates(step, plan.steps, train))
        outcomes = []
        usable = [batch for number in complete(news) if (batch := batches[number].batch)]
        for number, batch in enumerate(usable, start=1):
            with fabric.no_backward_sync(method, enabled=number < len(usable)):
                loss, measures = method(batch.to(fabric.device))
                fabric.backward(loss / len(usable))
            outcomes.append({"loss": loss.detach(), **measures})
        measured = {}
        if outcomes:
            norm: Any = fabric.clip_gradients(method, optimizer, max_norm=train.clip, error_if_nonfinite=False)
            measured = {**average(fabric, outcomes), "gradient_norm": float(norm)}
            sitting.refuse_nan(measured)
            optimizer.step()
            optimizer.zero_grad()
        sitting.record(measured, news)


def tell(batches: Sequence[Loaded], stop: bool) -> News:
    """What this device has to say of the ``batches`` of a step."""
    return News(
        names=tuple(batch.names if batch else () for batch, _, _ in batches),
        skipped=tuple(skip for _, skipped, _ in batches for skip in skipped),
        failure=next((failure for _, _, failure in batches if failure), None),
        stop=stop,
    )


def average(fabric: Fabric, outcomes: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """The mean of each measure over a step's batches and over devices."""
    names = list(outcomes[0])
    values = torch.stack([torch.stack([outcome[name].float() for name in names]) for outcome in outcomes]).mean(0)
    means: Any = fabric.all_reduce(values, reduce_op="mean")
    return dict(zip(names, means.tolist(), strict=True))


def _alone(fabric: Fabric, folder: Path) -> AbstractContextManager[None]:
    return run.locked(folder) if fabric.is_global_zero else nullcontext()


def _facts(experiment: Experiment, parts: Parts) -> dict[str, Any]:
    return {
        **run.facts_of_machine(experiment.train.seed),
        "threads": torch.get_num_threads(),
        "frames": make_plan(experiment, parts.dataset).frames,
        "fingerprint": fingerprint(experiment, parts.dataset),
        "classes": _classes(parts.dataset),
    }


def _classes(dataset: Dataset) -> dict[str, list[str]]:
    try:
        return dataset.label_classes()
    except DataError:  # pre-training needs no labels, and whether a damaged frame ends the run is another's decision
        return {}


def _refuse_other_frames(experiment: Experiment, parts: Parts, facts: Mapping[str, Any]) -> None:
    frames = make_plan(experiment, parts.dataset).frames
    if fingerprint(experiment, parts.dataset) != facts.get("fingerprint"):
        raise InputError(
            f"{parts.dataset.root} has other frames than when the run began ({frames} now, {facts.get('frames')} then)",
            "name the folder it began with: --root DIR",
        )


def _header(sitting: Sitting, workers: int, notes: tuple[str, ...]) -> Header:
    trained = sum(p.numel() for p in sitting.method.parameters() if p.requires_grad)
    network = sum(p.numel() for p in sitting.method.network.parameters())
    precision = sitting.experiment.train.precision
    return Header(
        run=sitting.folder,
        experiment=sitting.experiment,
        plan=sitting.plan,
        step=sitting.progress.step,
        device=describe_device(sitting.device),
        precision="32" if precision == "auto" else precision,
        workers=workers,
        parameters=network,
        head_parameters=trained - network,
        differences=run.differences(run.read_facts(sitting.folder)),
        notes=notes,
    )
