"""xmodal units show: see the contrastive units of a frame, and every step on the way to them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmodal_cli.frames import frame_numbers
from xmodal_cli.options import (
    Assignments,
    Cameras,
    ConfigFile,
    DatasetName,
    Json,
    PerturbCalibration,
    Root,
    Split,
    Weights,
    known,
    with_weights,
)
from xmodal_core import plugins

if TYPE_CHECKING:
    from viz.draw import Drawn
    from viz.scene import Scene
    from xmodal_cli.looking import Look, Looking
    from xmodal_cli.several import Several

STAGES = ("sweep", "ground", "seeds", "instances", "units", "similarity", "all")


def show(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    frame: Annotated[
        str,
        typer.Option("--frame", metavar="K", help="Number of the frame, from 0; or several: 10:20, or 0:100:5."),
    ] = "0",
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
        typer.Option(
            "--out",
            metavar="FILE",
            help="File to write: .html, .png, .pdf, .svg or .gif. Several frames: one .gif, or numbered files.",
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="NAME",
            help=f"Image network that compares units: {known(plugins.TEACHER)}.",
        ),
    ] = None,
    weights: Weights = None,
    cameras: Cameras = None,
    perturb_calibration: PerturbCalibration = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Draw frames: sweep, ground, seeds, instances, units, and one unit's similarity to all others.

    Points, camera images with the units drawn in, and labelled boxes; as a page, a window, a picture for a paper, or
    an animated one.
    """
    from viz.draw import attempts, draw, makes_films
    from xmodal_cli.console import print_json
    from xmodal_cli.several import draw_several
    from xmodal_core.errors import InputError

    assignments = with_weights(assignments, weights, teacher)
    if stage not in STAGES:
        raise InputError(f"unknown stage '{stage}'", f"known: {', '.join(STAGES)}")
    # What cannot be is said before a drive is made or a frame read.
    frame_numbers(frame, sys.maxsize)
    first = attempts(out, viewer)[0]
    looking = _looking(dataset, root, split, cameras, perturb_calibration, config, assignments)
    looking.stage, looking.unit, looking.teacher = stage, unit, teacher
    numbers = frame_numbers(frame, len(looking.dataset))
    if len(numbers) > 1 and unit is not None:
        raise InputError(
            "--unit chooses a unit of one frame, and units of other frames have other numbers", "give one --frame"
        )
    # A page and a window show all stages, whichever they open on; a picture only what was asked for, a film one stage.
    whole = first.viewer == "plotly" or first.out is None
    everything = stage == "all" and not (len(numbers) > 1 and makes_films(first))
    looking.compared = whole or everything or unit is not None or stage == "similarity"
    if len(numbers) > 1 and first.out is not None:
        several = draw_several(looking, numbers, out, viewer)
        _tell(several.lines())
        print_json(_summary_of(several, stage)) if json else _print_several(several)
        return
    with _steps(looking) as step:
        look = looking.look(numbers[0])
        if first.out is not None:
            step("drawing")
            drawn = draw(look.scene, out, viewer)
    if first.out is None:
        around = numbers if len(numbers) > 1 else range(len(looking.dataset))
        drawn = draw(look.scene, out, viewer, neighbour=_stepping(looking, around, around.index(numbers[0])))
    _tell([*look.notes, *drawn.notes])
    print_json(summary(look, drawn, stage)) if json else _print(look, drawn)


def _tell(notes: Sequence[str]) -> None:
    from xmodal_cli.console import err

    for note in notes:
        err.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


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


def _stepping(looking: Looking, numbers: range, at: int) -> Callable[[int], Scene]:
    """Frames on or back among ``numbers``, wherever one has got to from the ``at``-th of them."""
    from dataclasses import replace

    from xmodal_core.errors import InputError

    walking = replace(looking, unit=None)

    def neighbour(step: int) -> Scene:
        nonlocal at
        if not 0 <= at + step < len(numbers):
            raise InputError(f"frame {numbers[at]} is the {'last' if step > 0 else 'first'} one", "go the other way")
        scene = walking.look(numbers[at + step]).scene
        at += step
        return scene

    return neighbour


def summary(look: Look, drawn: Drawn, stage: str) -> dict[str, Any]:
    """What was drawn, as values that JSON can hold."""
    return {
        "file": None if drawn.file is None else str(drawn.file),
        "viewer": drawn.viewer,
        "stage": stage,
        **look.found(),
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


def _summary_of(several: Several, stage: str) -> dict[str, Any]:
    """What was drawn of several frames, as values that JSON can hold."""
    return {
        "file": None if several.film is None else str(several.film),
        "viewer": several.viewer,
        "stage": stage,
        "frames": several.frames,
        "notes": several.lines(),
    }


def _print_several(several: Several) -> None:
    from rich.markup import escape

    from xmodal_cli.console import out

    counts = [frame["units"] for frame in several.frames]
    least, most = f"{min(counts):,}", f"{max(counts):,}"
    out.print(f"{len(counts):,} frames, {least} to {most} units each", highlight=False, soft_wrap=True)
    first, last = (escape(str(several.frames[place]["file"])) for place in (0, -1))
    if several.film is not None:
        size = f"{several.film.stat().st_size / 1e6:.1f} MB"
        out.print(f"[bold]{first}[/]  {size}, drawn with {several.viewer}", highlight=False, soft_wrap=True)
    else:
        hint = (
            "open one in a browser; N and P lead to the others"
            if several.viewer == "plotly"
            else f"drawn with {several.viewer}"
        )
        out.print(f"[bold]{first}[/] … [bold]{last}[/]  {hint}", highlight=False, soft_wrap=True)
