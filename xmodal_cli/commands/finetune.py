"""xmodal finetune: train a task's head, and the network below it, on labelled frames, and have it judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmodal_cli.options import (
    AllowMismatch,
    Assignments,
    BatchSize,
    DatasetName,
    Device,
    Init,
    Json,
    Precision,
    Resume,
    Root,
    RunFolder,
    RunSeed,
    SkipBad,
    Workers,
    init_source,
    known,
)
from xmodal_core import plugins
from xmodal_core.errors import InputError

if TYPE_CHECKING:
    from xmodal_core.train.metrics import Summary

RULES = "frames, slidr, sequences, segcontrast"


def finetune(
    dataset: DatasetName = None,
    root: Root = None,
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="NAME", help=f"What is learnt: {known(plugins.TASK)}. Default: segmentation."),
    ] = None,
    init: Init = None,
    allow_mismatch: AllowMismatch = False,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="The head alone learns, the network stays as it is: a linear probe.")
    ] = False,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", help="The split that labelled frames are of. Default: train, or all."),
    ] = None,
    fraction: Annotated[
        float | None,
        typer.Option("--fraction", metavar="SHARE", help="Label this share of the split, e.g. 0.01. Default: 1."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", metavar="N", help="Label just so many frames, evenly spread.", min=1)
    ] = None,
    label_protocol: Annotated[
        str | None,
        typer.Option("--label-protocol", metavar="RULE", help=f"What a share is of: {RULES}. Default: frames."),
    ] = None,
    label_seed: Annotated[
        int | None,
        typer.Option("--label-seed", help="Another subset by the same rule. Default: 0, the published one.", min=0),
    ] = None,
    label_file: Annotated[
        Path | None,
        typer.Option("--label-file", metavar="FILE", help="Names of the labelled frames, one a line, or a JSON list."),
    ] = None,
    evaluate_on: Annotated[
        str | None,
        typer.Option(
            "--evaluate-on",
            metavar="SPLIT",
            help="A split, 'rest' (what is not labelled) or 'labelled'. Default: val, or rest where there is none.",
        ),
    ] = None,
    evaluate_every: Annotated[
        int | None,
        typer.Option(
            "--evaluate-every",
            metavar="N",
            help="In epochs; also after the first and the last. 0: after the last.",
            min=0,
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="NAME",
            help=f"LiDAR network: {known(plugins.NETWORK)}. Default: that of --init, else one that suits the task.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Default: the task's.", min=1)] = None,
    batch_size: BatchSize = None,
    device: Device = None,
    precision: Precision = None,
    workers: Workers = None,
    skip_bad: SkipBad = False,
    out: RunFolder = None,
    resume: Resume = None,
    seed: RunSeed = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="A YAML file of settings, e.g. the settings.yaml of a run."),
    ] = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Fine-tune a LiDAR network on a share of the labels, and have it judged by the data set's official protocol.

    Ctrl-C stops after the step at work and saves; go on with --resume RUN. The run's folder has the settings, the
    names of the labelled frames (labelled.txt), the measures of every step (metrics.jsonl), every evaluation
    (evaluations.jsonl), and the model as it is at last (model.safetensors) and at best (best.safetensors).
    """
    from xmodal_cli.training import given, go_on

    chosen: dict[str, Any] = {
        "dataset.name": dataset,
        "task.name": task,
        "init.source": init_source(init),
        "init.allow_mismatch": allow_mismatch or None,
        "train.freeze": freeze or None,
        "labels.split": split,
        "labels.fraction": fraction,
        "labels.frames": frames,
        "labels.protocol": label_protocol,
        "labels.seed": label_seed,
        "labels.file": None if label_file is None else str(label_file.absolute()),
        "evaluate.split": evaluate_on,
        "evaluate.every": evaluate_every,
        "network.name": network,
        "train.epochs": epochs,
        "train.batch_size": batch_size,
        "train.precision": precision,
        "train.seed": seed,
        "train.damaged": "skip" if skip_bad else None,
    }
    if resume is None:
        chosen |= {"dataset.root": root, "train.device": device, "train.workers": workers}
        _refuse_two_choices({"--fraction": fraction, "--frames": frames, "--label-file": label_file}, label_protocol)
        summary = _start(out, config, assignments or [], chosen)
    else:
        changed = given(chosen, _OPTIONS, out, config, assignments)
        summary = go_on(resume, "finetune", changed, root, device, workers)
    if json and summary is not None:
        from xmodal_cli.console import print_json

        print_json(summary.as_json())


def _refuse_two_choices(ways: dict[str, Any], protocol: str | None) -> None:
    """A share, a number and a list of labelled frames exclude one another, but for a list by its share."""
    given = [name for name, value in ways.items() if value is not None]
    if "--frames" in given and (len(given) > 1 or protocol is not None):
        other = next((name for name in given if name != "--frames"), "--label-protocol")
        raise InputError(
            f"--frames N takes evenly spread frames, so it cannot be given with {other}", "leave out one of them"
        )


def _start(out: Path | None, config: Path | None, assignments: Sequence[str], chosen: dict[str, Any]) -> Summary | None:
    """Train a new run."""
    from xmodal_cli.console import err
    from xmodal_cli.training import place, watched

    with err.status("loading"):
        from xmodal_core.train.finetune_config import read_finetuning
        from xmodal_core.train.loop import finetune as train
        from xmodal_core.train.run import refuse_existing

    if out is not None:
        refuse_existing(out)  # before anything that takes long
    experiment = read_finetuning(config, assignments, chosen | place(config, assignments, chosen))
    return watched(lambda listener, stop: train(experiment, out, listener=listener, stop=stop))


_OPTIONS = {
    "train.damaged": "--skip-bad",
    "init.source": "--init",
    "labels.split": "--split",
    "labels.protocol": "--label-protocol",
    "labels.seed": "--label-seed",
    "labels.file": "--label-file",
    "evaluate.split": "--evaluate-on",
    "evaluate.every": "--evaluate-every",
}
