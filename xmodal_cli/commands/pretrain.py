"""xmodal pretrain: train a LiDAR network on contrastive units, against a frozen image network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmodal_cli.options import (
    Assignments,
    Cameras,
    DatasetName,
    Json,
    PerturbCalibration,
    Root,
    SkipBad,
    Split,
    known,
)
from xmodal_core import plugins
from xmodal_core.errors import InputError

if TYPE_CHECKING:
    from xmodal_cli.watch import Watcher
    from xmodal_core.train.config import Experiment
    from xmodal_core.train.metrics import Summary


def _recipes() -> str:
    folder = Path(str(resources.files("xmodal_core.recipes")))
    return ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))


def pretrain(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    cameras: Cameras = None,
    perturb_calibration: PerturbCalibration = None,
    frames: Annotated[
        int | None, typer.Option("--frames", metavar="N", help="Only so many frames, evenly spread.", min=1)
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="NAME", help=f"Method: {known(plugins.METHOD)}. Default: units."),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="NAME",
            help=f"LiDAR network: {known(plugins.NETWORK)}. Default: minkunet, on a CPU its preset 'tiny'.",
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="NAME",
            help=f"Frozen image network: {known(plugins.TEACHER)}. Default: efficientnet_lite0.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Default: 50.", min=1)] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", metavar="N", help="Frames a batch and device.", min=1)
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="NAME", help="auto (a GPU where there is one), cpu, cuda, cuda:1 …"),
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="BITS", help="32, 16-mixed or bf16-mixed. Default: 32.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes that read frames and find units.", min=0)
    ] = None,
    skip_bad: SkipBad = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="RUN", help="Folder of the run; else a new one in runs/.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="RUN", help="Go on with a stopped run, to the same weights as if never stopped."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of everything random. Default: 0.", min=0)] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help=f"A YAML file of settings, or a recipe: {_recipes()}."),
    ] = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Pre-train a LiDAR network against a frozen image network on contrastive units.

    Ctrl-C stops after the step at work and saves; go on with --resume RUN. The run's folder has the settings, the
    measures of every step (metrics.jsonl, TensorBoard), checkpoint.pt to resume and backbone.safetensors to use.
    """
    from xmodal_cli.drive import camera_names

    chosen: dict[str, Any] = {
        "dataset.name": dataset,
        "dataset.split": split,
        "dataset.cameras": None if cameras is None else camera_names(cameras),
        "rig.perturb_calibration": perturb_calibration,
        "train.frames": frames,
        "method.name": method,
        "network.name": network,
        "teacher.name": teacher,
        "train.epochs": epochs,
        "train.batch_size": batch_size,
        "train.precision": precision,
        "train.seed": seed,
        "train.damaged": "skip" if skip_bad else None,
    }
    if resume is None:
        chosen |= {"dataset.root": root, "train.device": device, "train.workers": workers}
        summary = _start(out, config, assignments or [], chosen)
    else:
        changed = [_option(name) for name, value in chosen.items() if value is not None]
        changed += [name for name, value in (("--out", out), ("--config", config)) if value]
        summary = _go_on(resume, root, device, workers, [*changed, *(f"--set {text}" for text in assignments or ())])
    if json and summary is not None:
        from xmodal_cli.console import print_json

        print_json(summary.as_json())


def _start(out: Path | None, config: Path | None, assignments: Sequence[str], chosen: dict[str, Any]) -> Summary | None:
    """Train a new run."""
    from xmodal_cli.console import err

    with err.status("loading"):
        from xmodal_core.train.config import read_experiment
        from xmodal_core.train.loop import pretrain as train
        from xmodal_core.train.run import refuse_existing

        if out is not None:
            refuse_existing(out)  # before anything that takes long
        chosen |= _place(config, assignments, chosen)
        experiment = read_experiment(config, assignments, chosen)
    if experiment.dataset.name == "sample" and experiment.root is None:
        from xmodal_cli.drive import ensure_sample_drive

        experiment = replace(experiment, root=ensure_sample_drive())
    _prepare_teacher(experiment)
    return _watched(lambda listener, stop: train(experiment, out, listener=listener, stop=stop))


def _place(config: Path | None, assignments: Sequence[str], chosen: dict[str, Any]) -> dict[str, Any]:
    """The data set and its folder, found as every command finds them."""
    from xmodal_cli.drive import which
    from xmodal_core.config import read_sections
    from xmodal_core.train.config import recipes

    file = recipes().get(str(config), config) if config is not None and not config.exists() else config
    written = read_sections(file, assignments)["dataset"]
    name, root = which(chosen["dataset.name"], chosen["dataset.root"], written)
    return {"dataset.name": name, "dataset.root": root}


def _prepare_teacher(experiment: Experiment) -> None:
    """Bring the teacher's weights, with a bar while they are downloaded."""
    from xmodal_cli.console import downloading

    if plugins.load(plugins.METHOD, experiment.method.name).needs_teacher:
        teacher = experiment.teacher
        with downloading(f"weights of {teacher.name}") as on_bytes:
            plugins.load(plugins.TEACHER, teacher.name).prepare(teacher.options, on_bytes)


def _go_on(
    resume: Path, root: Path | None, device: str | None, workers: int | None, changed: list[str]
) -> Summary | None:
    """Train a stopped run to its end."""
    from xmodal_cli.console import err

    if changed:
        raise InputError(
            f"--resume goes on with the run's own settings, so it cannot be given with {changed[0]}",
            "only --root, --device, --workers and --json go with it; start a new run for other settings",
        )
    with err.status("loading"):
        from xmodal_core.train.loop import resume as go_on
        from xmodal_core.train.run import find_run, read_run

        experiment = read_run(find_run(resume))
    _prepare_teacher(experiment)
    return _watched(
        lambda listener, stop: go_on(resume, root=root, device=device, workers=workers, listener=listener, stop=stop)
    )


def _watched(train: Callable[[Watcher, Callable[[], bool]], Summary]) -> Summary | None:
    """Run ``train`` with somebody to report to and to ask whether to stop."""
    from xmodal_cli.console import err
    from xmodal_cli.stopping import stop_when_asked
    from xmodal_cli.watch import Watcher, report

    watcher = Watcher()
    try:
        with stop_when_asked() as stop:
            train(watcher, stop)
    finally:
        watcher.close()
    if watcher.summary is not None:
        for line in report(watcher.summary):
            err.print(line, highlight=False, soft_wrap=True, markup=False)
    return watcher.summary


def _option(name: str) -> str:
    """How the command line names the setting that an option stands for."""
    section, _, leaf = name.partition(".")
    if name == "train.damaged":
        return "--skip-bad"
    return f"--{section if leaf == 'name' else leaf.replace('_', '-')}"
