"""Options that several commands share, each written once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from xmodal_core import plugins


def known(kind: plugins.Kind) -> str:
    """The names of all plugins of ``kind``, for a help line."""
    return ", ".join(plugins.names(kind))


def with_weights(assignments: list[str] | None, weights: Path | None, teacher: str | None) -> list[str]:
    """``assignments`` with the file that ``--weights`` gives, for the ``teacher``, whichever a settings file names."""
    if weights is None:
        return list(assignments or ())
    given = {"teacher.name": teacher, "teacher.weights_file": str(weights.expanduser().absolute())}
    # Values are read as YAML, where only quotes keep a path such as 'a: b #1.pth' whole.
    texts = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items() if value is not None]
    return [*(assignments or ()), *texts]


DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help=f"Data set: {known(plugins.DATASET)}. Default: what --root holds; without it sample, a generated drive, "
        "made on first use.",
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="DIR",
        help="The data set's folder. Default: XMODAL_ROOT_NAME of the environment. Not needed for 'sample'.",
    ),
]
Split = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="Which split; each data set has a default of its own.")
]
Cameras = Annotated[
    str | None,
    typer.Option(
        "--cameras",
        metavar="NAMES",
        help="Only these cameras, e.g. CAM_FRONT,CAM_BACK. Default: the data set's usual ones.",
    ),
]
PerturbCalibration = Annotated[
    float | None,
    typer.Option(
        "--perturb-calibration",
        metavar="DEG",
        help="Turn each camera by so many degrees about a random axis: what a wrong calibration does.",
        min=0,
        max=90,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="The image network's weights, as their authors published them: teacher.weights_file=FILE.",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="A YAML file of settings, as 'xmodal settings --as yaml' prints them."
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="One setting, e.g. units.instances.radius=0.6; may be repeated."),
]
SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="Go on past frames with a missing or damaged file; they are counted and told."),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="End with one line of JSON on standard output.")]
Init = Annotated[
    str | None,
    typer.Option(
        "--init",
        metavar="RUN|FILE|none",
        help="Begin with these weights: a run's folder or a backbone.safetensors, also one that import-ckpt wrote.",
    ),
]
AllowMismatch = Annotated[
    bool,
    typer.Option(
        "--allow-mismatch",
        help="Go on where voxels, range, channels or intensity are not those of pre-training, with what fits.",
    ),
]

BatchSize = Annotated[int | None, typer.Option("--batch-size", metavar="N", help="Frames a batch and device.", min=1)]
Device = Annotated[
    str | None, typer.Option("--device", metavar="NAME", help="auto (a GPU where there is one), cpu, cuda, cuda:1 …")
]
Precision = Annotated[
    str | None, typer.Option("--precision", metavar="BITS", help="32, 16-mixed or bf16-mixed. Default: 32.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Processes that read frames and prepare them.", min=0)
]
RunFolder = Annotated[
    Path | None, typer.Option("--out", metavar="RUN", help="Folder of the run; else a new one in runs/.")
]
Resume = Annotated[
    Path | None,
    typer.Option("--resume", metavar="RUN", help="Go on with a stopped run, to the same weights as if never stopped."),
]
RunSeed = Annotated[int | None, typer.Option("--seed", help="Seed of everything random. Default: 0.", min=0)]


def init_source(given: str | None) -> str | None:
    """What ``--init`` says; nothing where that is 'none'."""
    return None if given == "none" else given
