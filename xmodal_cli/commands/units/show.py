"""xmodal units show: see the contrastive units of a frame, and every step on the way to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmodal_cli.options import (
    Assignments,
    Cameras,
    ConfigFile,
    DatasetName,
    Json,
    PerturbCalibration,
    Root,
    Split,
    known,
)
from xmodal_core import plugins

if TYPE_CHECKING:
    from viz.draw import Drawn
    from viz.scene import Scene
    from xmodal_cli.looking import Look, Looking

STAGES = ("sweep", "ground", "seeds", "instances", "units", "similarity", "all")


def show(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    frame: Annotated[str, typer.Option("--frame", metavar="K", help="Number of the frame, from 0.")] = "0",
    stage: Annotated[str, typer.Option("--stage", metavar="NAME", help=f"One of {', '.join(STAGES)}.")] = "all",
    unit: Annotated[
        int | None, typer.Option("--unit", metavar="K", help="The unit to compare with all others.", min=0)
    ] = None,
    viewer: Annotated[
        str | None,
        typer.Option(
            "--viewer",
            metavar="NAME",
            help=f"One of {known(plugins.VIEWER)}. Default: what --out says; without it a window, "
            "or where there is no display a page, units.html.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="File to write: .html, .png, .pdf or .svg."),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="NAME",
            help=f"Image network that compares units: {known(plugins.TEACHER)}.",
        ),
    ] = None,
    cameras: Cameras = None,
    perturb_calibration: PerturbCalibration = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Draw one frame: sweep, ground, seeds, instances, units, and one unit's similarity to all others.

    Points, camera images with the units drawn in, and labelled boxes; as a page, a window, or a picture for a paper.
    """
    from viz.draw import attempts, draw
    from xmodal_cli.console import err, print_json
    from xmodal_core.errors import InputError

    if stage not in STAGES:
        raise InputError(f"unknown stage '{stage}'", f"known: {', '.join(STAGES)}")
    number = _number(frame)
    first = attempts(out, viewer)[0]  # complains before a drive is made or a frame read
    looking = _looking(dataset, root, split, cameras, perturb_calibration, config, assignments)
    looking.stage, looking.unit, looking.teacher = stage, unit, teacher
    # A page and a window show all stages, whichever they open on; a picture only what was asked for.
    whole = first.viewer == "plotly" or first.out is None
    looking.compared = whole or unit is not None or stage in ("similarity", "all")
    with _steps(looking) as step:
        look = looking.look(number)
        if first.out is not None:
            step("drawing")
            drawn = draw(look.scene, out, viewer)
    if first.out is None:
        drawn = draw(look.scene, out, viewer, neighbour=_stepping(looking, number))
    for note in (*look.notes, *drawn.notes):
        err.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    if json:
        print_json(summary(look, drawn, number, stage))
    else:
        _print(look, drawn)


def _number(frame: str) -> int:
    """The frame's number as it was typed."""
    from xmodal_core.errors import InputError

    if not frame.isascii() or not frame.strip().isdigit():
        raise InputError(f"'{frame}' is no number of a frame", "give one from 0 on, e.g. --frame 120")
    return int(frame)


def _looking(
    dataset: str | None,
    root: Path | None,
    split: str | None,
    cameras: str | None,
    perturbation: float | None,
    config: Path | None,
    assignments: list[str] | None,
) -> Looking:
    """The data set, opened, and the settings of its units."""
    from xmodal_cli.drive import open_from_options
    from xmodal_cli.looking import Looking
    from xmodal_core.config import resolve
    from xmodal_core.units.config import UnitsConfig

    settings = resolve(UnitsConfig, config, assignments or (), "units")
    opened = open_from_options(dataset, root, split, config, assignments, cameras=cameras, perturbation=perturbation)
    return Looking(opened, settings, config=config, assignments=tuple(assignments or ()))


@contextmanager
def _steps(looking: Looking) -> Iterator[Callable[[str], None]]:
    """A bar that moves on with every step of ``looking``."""
    from xmodal_cli.console import progress

    with progress() as bar:
        task = bar.add_task("reading", total=looking.steps + 1, note="")
        done = -1

        def step(words: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, description=words, completed=done)

        looking.on_step = step
        yield step
        bar.update(task, description="done", completed=looking.steps + 1)
    looking.on_step = lambda words: None


def _stepping(looking: Looking, number: int) -> Callable[[int], Scene]:
    """Frames on or back from ``number``, wherever one has got to."""
    from dataclasses import replace

    at = number
    walking = replace(looking, unit=None)

    def neighbour(step: int) -> Scene:
        nonlocal at
        scene = walking.look(at + step).scene
        at += step
        return scene

    return neighbour


def summary(look: Look, drawn: Drawn, number: int, stage: str) -> dict[str, Any]:
    """What was drawn, as values that JSON can hold."""
    units = look.units
    return {
        "file": None if drawn.file is None else str(drawn.file),
        "viewer": drawn.viewer,
        "frame": number,
        "name": look.frame.name,
        "stage": stage,
        "unit": look.unit,
        "points": len(look.frame),
        "ground": round(float(units.ground.mean()), 4) if len(look.frame) else 0.0,
        "sensor_height": round(units.sensor_height, 3),
        "seeds": len(units.seeds),
        "clusters": len(units.reasons),
        "instances": sum(reason == "kept" for reason in units.reasons),
        "units": units.count,
        "merged_seeds": int((units.instance[units.seeds] >= 0).sum()),
        "milliseconds": {step: round(value, 2) for step, value in units.milliseconds.items()},
        "notes": [*look.notes, *drawn.notes],
    }


def _print(look: Look, drawn: Drawn) -> None:
    from rich.markup import escape

    from xmodal_cli.console import out

    units = look.units
    told = [
        f"{len(look.frame):,} points, {float(units.ground.mean()) if len(look.frame) else 0:.0%} ground",
        f"{len(units.seeds):,} seeds",
        f"{len(units.reasons):,} clusters, {sum(reason == 'kept' for reason in units.reasons):,} kept as instances",
        f"{units.count:,} units, {int(units.merged.sum()):,} of them instances",
    ]
    times = [f"{step} {value:.1f}" for step, value in units.milliseconds.items()]
    out.print("; ".join(told), highlight=False, soft_wrap=True)
    total = sum(units.milliseconds.values())
    out.print(f"found in {total:.1f} ms: {', '.join(times)}", highlight=False, soft_wrap=True)
    if drawn.file is not None:
        out.print(f"[bold]{escape(str(drawn.file))}[/]{_hint(drawn)}", highlight=False, soft_wrap=True)


def _hint(drawn: Drawn) -> str:
    return "  open it in a browser" if drawn.viewer == "plotly" else f"  drawn with {drawn.viewer}"
