"""xmodal pretrain: train a LiDAR network on contrastive units, against a frozen image network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmodal_cli.options import (
    AllowMismatch,
    Assignments,
    BatchSize,
    Cameras,
    DatasetName,
    Device,
    Init,
    Json,
    PerturbCalibration,
    Precision,
    Resume,
    Root,
    RunFolder,
    RunSeed,
    SkipBad,
    Split,
    Weights,
    Workers,
    init_source,
    known,
)
from xmodal_core import plugins

if TYPE_CHECKING:
    from xmodal_core.train.config import Pretraining
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
    weights: Weights = None,
    init: Init = None,
    allow_mismatch: AllowMismatch = False,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Default: 50.", min=1)] = None,
    batch_size: BatchSize = None,
    device: Device = None,
    precision: Precision = None,
    workers: Workers = None,
    cache: Annotated[
        str | None,
        typer.Option(
            "--cache",
            metavar="DIR|off",
            help="Where is kept what the teacher sees of each frame's units, so that it looks at a picture only once: "
            "1.7 MB for a nuScenes frame with the usual teacher. Default: the user's cache folder, up to 10 GB "
            "(cache.max_gb); see 'xmodal cache'.",
        ),
    ] = None,
    skip_bad: SkipBad = False,
    out: RunFolder = None,
    resume: Resume = None,
    seed: RunSeed = None,
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
    from xmodal_cli.training import given, go_on

    chosen: dict[str, Any] = {
        "dataset.name": dataset,
        "dataset.split": split,
        "dataset.cameras": None if cameras is None else camera_names(cameras),
        "rig.perturb_calibration": perturb_calibration,
        "train.frames": frames,
        "method.name": method,
        "network.name": network,
        "teacher.name": teacher,
        "teacher.weights_file": None if weights is None else str(weights.expanduser().absolute()),
        "init.source": init_source(init),
        "init.allow_mismatch": allow_mismatch or None,
        "train.epochs": epochs,
        "train.batch_size": batch_size,
        "train.precision": precision,
        "train.seed": seed,
        "cache.folder": None if cache is None else _whole(cache),
        "train.damaged": "skip" if skip_bad else None,
    }
    if resume is None:
        chosen |= {"dataset.root": root, "train.device": device, "train.workers": workers}
        summary = _start(out, config, assignments or [], chosen)
    else:
        changed = given(chosen, _OPTIONS, out, config, assignments)
        summary = go_on(resume, "pretrain", changed, root, device, workers, prepare=_prepare_teacher)
    if json and summary is not None:
        from xmodal_cli.console import print_json

        print_json(summary.as_json())


def _start(out: Path | None, config: Path | None, assignments: Sequence[str], chosen: dict[str, Any]) -> Summary | None:
    """Train a new run."""
    from xmodal_cli.console import err
    from xmodal_cli.training import place, watched

    with err.status("loading"):
        from xmodal_core.train.config import read_experiment
        from xmodal_core.train.loop import pretrain as train
        from xmodal_core.train.run import refuse_existing

    if out is not None:
        refuse_existing(out)  # before anything that takes long
    experiment = read_experiment(config, assignments, chosen | place(config, assignments, chosen))
    _prepare_teacher(experiment)
    return watched(lambda listener, stop: train(experiment, out, listener=listener, stop=stop))


def _prepare_teacher(experiment: Pretraining) -> None:
    """Bring the teacher's weights, with a bar while they are downloaded."""
    from xmodal_cli.console import downloading

    if plugins.load(plugins.METHOD, experiment.method.name).needs_teacher:
        teacher = experiment.teacher
        with downloading(f"weights of {teacher.name}") as on_bytes:
            plugins.load(plugins.TEACHER, teacher.name).prepare(teacher.options, on_bytes)


_OPTIONS = {
    "train.damaged": "--skip-bad",
    "teacher.weights_file": "--weights",
    "cache.folder": "--cache",
    "init.source": "--init",
    "init.allow_mismatch": "--allow-mismatch",
}


def _whole(cache: str) -> str:
    """The folder from the root of the file system on, so that it holds wherever the run is resumed from."""
    return cache if cache == "off" else str(Path(cache).expanduser().absolute())
