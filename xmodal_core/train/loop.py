"""The engine of both verbs: set-up, main, and ``fit``, the loop, which is visible on one screen.

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
from lightning_fabric import Fabric
from torch import Tensor

from xmodal_core.config import validate
from xmodal_core.errors import InputError
from xmodal_core.train import run
from xmodal_core.train.checkpoint import FILE_NAME as CHECKPOINT
from xmodal_core.train.config import Experiment, Pretraining, whole_path
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
from xmodal_core.train.finetune_config import Finetuning
from xmodal_core.train.finetune_work import FinetuneWork
from xmodal_core.train.metrics import Summary
from xmodal_core.train.optim import make_optimizer, rates, set_rates
from xmodal_core.train.parts import Parts, choose_workers, make_loader, make_parts, opened
from xmodal_core.train.pretrain_work import PretrainWork
from xmodal_core.train.report import Header, Listener
from xmodal_core.train.sitting import Sitting
from xmodal_core.train.work import AnyLoaded, Work


def pretrain(
    experiment: Pretraining,
    folder: Path | None = None,
    *,
    build: Callable[[Pretraining], Parts] = make_parts,
    listener: Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Pre-train in a new run.

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
    return begin(experiment, lambda: PretrainWork(experiment, build(experiment), fresh=True), folder, listener, stop)


def finetune(
    experiment: Finetuning,
    folder: Path | None = None,
    *,
    listener: Listener | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Fine-tune on labels in a new run; see ``pretrain``.

    Raises:
        InputError: beside those of ``pretrain``: no frame is labelled or none is left to be judged on, or the
            pre-trained network takes its input otherwise.
    """
    return begin(experiment, lambda: FinetuneWork(experiment, fresh=True), folder, listener, stop)


def begin(
    experiment: Experiment,
    make: Callable[[], Work],
    folder: Path | None,
    listener: Listener | None,
    stop: Callable[[], bool],
) -> Summary:
    """Train a new run of either verb; ``make`` is called once the random numbers are seeded."""
    fabric = launch(experiment.train)
    work = make()

    def create() -> Path:
        path = folder or run.new_folder(experiment)
        run.create_run(path, experiment, _facts(work))
        work.folder_made(path)
        return path

    path = on_first(fabric, create)
    with _alone(fabric, path):
        return main(fabric, work, path, listener or Listener(), stop)


def resume(
    folder: Path,
    *,
    root: Path | None = None,
    device: str | None = None,
    workers: int | None = None,
    build: Callable[[Pretraining], Parts] = make_parts,
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
    train = validate(type(experiment.train), {**experiment.train.model_dump(), **given}, "train", "the command line")
    changed: dict[str, Any] = {"train": train, "root": whole_path(root) if root else experiment.root}
    experiment = replace(experiment, **changed)
    fabric = launch(train)
    with _alone(fabric, path):
        fresh = not (path / CHECKPOINT).exists()
        work: Work
        if isinstance(experiment, Finetuning):
            work = FinetuneWork(experiment, facts.get("told_apart"), fresh=fresh)
        else:
            work = PretrainWork(experiment, build(experiment), fresh=fresh)
        _refuse_other_frames(work, facts)
        return main(fabric, work, path, listener or Listener(), stop)


def main(fabric: Fabric, work: Work, folder: Path, listener: Listener, stop: Callable[[], bool]) -> Summary:
    """Take up the last checkpoint, if there is one, and train to the end."""
    plan, train = work.plan(), work.experiment.train
    workers = choose_workers(train.workers, fabric.device, plan.devices)
    work.get_ready(fabric, folder)
    optimizer = make_optimizer(work.module, train, work.head(), work.head_rate())
    module, stepper = fabric.setup(work.module, optimizer)
    sitting = Sitting(
        folder=folder,
        work=work,
        plan=plan,
        optimizer=optimizer,
        scaler=scaler_of(fabric),
        device=fabric.device,
        leads=fabric.is_global_zero,
        listener=listener if fabric.is_global_zero else Listener(),
    )
    sitting.take_up()
    sitting.listener.begins(_header(sitting, workers))
    loader = make_loader(
        work.examples(), work.gather(), plan, sitting.progress.step, fabric.global_rank, workers, fabric.device
    )
    with sitting.open_books(stop), opened(loader) as batches:
        fit(fabric, module, stepper, batches, sitting, stop)
    return on_first(fabric, sitting.summary)


def fit(
    fabric: Fabric,
    module: Any,
    optimizer: Any,
    loaded: Iterator[AnyLoaded],
    sitting: Sitting,
    stop: Callable[[], bool],
) -> None:
    """The loop, from where ``sitting`` is to the last step of its plan."""
    plan, train = sitting.plan, sitting.work.experiment.train
    judge_if_due(fabric, module, sitting, stop)
    module.train()
    for step in range(sitting.progress.step, plan.steps):
        batches = [next(loaded) for _ in plan.batches(step, fabric.global_rank)]
        news = share(fabric, tell(batches, stop()))
        sitting.hear(news)
        seed_all(train.seed, step, fabric.global_rank)
        set_rates(optimizer, rates(step, plan.steps, train))
        outcomes = []
        usable = [batch for number in complete(news) if (batch := batches[number].batch)]
        for number, batch in enumerate(usable, start=1):
            with fabric.no_backward_sync(module, enabled=number < len(usable)):
                loss, measures = module(sitting.work.prepared(batch.to(fabric.device)))
                fabric.backward(loss / len(usable))
            outcomes.append({"loss": loss.detach(), **measures})
        measured = {}
        if outcomes:
            norm: Any = fabric.clip_gradients(module, optimizer, max_norm=train.clip, error_if_nonfinite=False)
            measured = {**average(fabric, outcomes), "gradient_norm": float(norm)}
            sitting.refuse_nan(measured)
            optimizer.step()
            optimizer.zero_grad()
        sitting.record(measured, news)
        judge_if_due(fabric, module, sitting, stop)


def judge_if_due(fabric: Fabric, module: Any, sitting: Sitting, stop: Callable[[], bool]) -> None:
    """After some epochs a judge looks at the module; the first process does it, the others wait."""
    if sitting.due():
        module.eval()
        # Of several processes none may leave the others waiting.
        sitting.judge(stop if fabric.world_size == 1 else lambda: False) if fabric.is_global_zero else None
        fabric.barrier()
        module.train()


def tell(batches: Sequence[AnyLoaded], stop: bool) -> News:
    """What this device has to say of the ``batches`` of a step."""
    return News(
        names=tuple(one.batch.names if one.batch else () for one in batches),
        skipped=tuple(skip for one in batches for skip in one.skipped),
        failure=next((one.failure for one in batches if one.failure), None),
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


def _facts(work: Work) -> dict[str, Any]:
    machine = run.facts_of_machine(work.experiment.train.seed)
    work.plan()  # so that a run without frames is not even begun
    return {**machine, "threads": torch.get_num_threads(), **work.facts()}


def _refuse_other_frames(work: Work, facts: Mapping[str, Any]) -> None:
    if work.fingerprint() != facts.get("fingerprint"):
        raise InputError(
            f"{work.dataset.root} has other frames than when the run began "
            f"({len(work.indices)} now, {facts.get('frames')} then)",
            "name the folder it began with: --root DIR",
        )


def _header(sitting: Sitting, workers: int) -> Header:
    work = sitting.work
    heads = [p for name, p in work.module.named_parameters() if not name.startswith(("network.", "teacher."))]
    precision = work.experiment.train.precision
    return Header(
        run=sitting.folder,
        experiment=work.experiment,
        plan=sitting.plan,
        step=sitting.progress.step,
        device=describe_device(sitting.device),
        precision="32" if precision == "auto" else precision,
        workers=workers,
        parameters=sum(p.numel() for p in work.module.network.parameters()),
        head_parameters=sum(p.numel() for p in heads),
        differences=run.differences(run.read_facts(sitting.folder)),
        notes=work.dataset.notes(),
        details=tuple(work.details()),
    )
