"""xmodal units search: try settings over a few frames, and write down the best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmodal_cli.options import Assignments, Cameras, ConfigFile, DatasetName, Json, Root, Seed, Split
from xmodal_cli.searching import SPREAD, caveats, spread, told

if TYPE_CHECKING:
    from xmodal_cli.searching import Searching
    from xmodal_core.units.search.search import Comparison, Found

OBJECTIVES = ("recall", "false-negatives", "ground", "coverage")


def search(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    cameras: Cameras = None,
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            metavar="NAME",
            help="recall: labelled objects found as one instance; false-negatives: pairs of seeds on one object that "
            "become one unit; ground: by per-point labels; coverage: points that lie in a unit, no labels needed.",
        ),
    ] = "recall",
    frame: Annotated[
        str | None,
        typer.Option(
            "--frame", metavar="RANGE", help=f"Frames to search on, e.g. 0:40:4. Default: {SPREAD}, evenly spread."
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option("--check", metavar="RANGE", help="Other frames to try the result on, e.g. 1:40:4."),
    ] = None,
    trials: Annotated[int, typer.Option("--trials", metavar="N", help="How many settings to try in all.", min=2)] = 60,
    vary: Annotated[
        str | None,
        typer.Option(
            "--vary",
            metavar="NAMES",
            help="Settings or groups to vary, e.g. units.ground,units.instances.radius. Default: those that the "
            "objective depends on most.",
        ),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option("--study", metavar="FILE", help="Remember trials in an Optuna journal, and go on from it."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="YAML file to write, as --config takes it.")
    ] = Path("units_best.yaml"),
    config: ConfigFile = None,
    assignments: Assignments = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Search for better settings of the units on a few frames, and write them as YAML for --config.

    The current settings are the first trial, so on these frames the result is never worse; whether it holds on others,
    --check tells. Ctrl-C ends the search and keeps the best so far.
    """
    from xmodal_cli.console import err, print_json

    _refuse_out(out)
    searching = _open(dataset, root, split, cameras, objective, config, assignments, seed)
    space = searching.space(vary)
    numbers, others = _numbers(len(searching.dataset), frame, check)
    cases = searching.cases(numbers)
    found = searching.search(cases, space, trials, study)
    if found.trials < 2:
        err.print("stopped before anything was tried: nothing is written", soft_wrap=True)
        raise typer.Exit(130)
    searching.write(out, found, len(cases))
    compared = {"searched": searching.compare(cases, found, len(cases), "comparing")}
    if others:
        compared["checked"] = searching.check(others, found)
    if found.settings != searching.start:
        searching.notes += caveats(compared)
    if json:
        print_json(_told(searching, found, compared, out))
    else:
        _print(searching, found, compared, out)
    for note in searching.notes:
        err.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    if found.stopped:
        raise typer.Exit(130)


def _refuse_out(out: Path) -> None:
    """Complain now about a file that could not be written at the end."""
    from xmodal_core.errors import InputError
    from xmodal_core.files import refuse_unwritable

    if out.suffix.lower() not in (".yaml", ".yml"):
        raise InputError(f"settings are not written as '{out.name}'", "end it with .yaml")
    refuse_unwritable(out)


def _open(
    dataset: str | None,
    root: Path | None,
    split: str | None,
    cameras: str | None,
    objective: str,
    config: Path | None,
    assignments: list[str] | None,
    seed: int,
) -> Searching:
    """The data set, opened, the settings to begin with, and what to look for."""
    from xmodal_cli.drive import open_from_options
    from xmodal_cli.searching import Searching
    from xmodal_core.config import resolve
    from xmodal_core.errors import InputError, known_names
    from xmodal_core.units.config import UnitsConfig
    from xmodal_core.units.search import objective as objectives

    if objective not in objectives.OBJECTIVES:
        raise InputError(f"unknown objective '{objective}'", known_names(OBJECTIVES, objective))
    start = resolve(UnitsConfig, config, assignments or (), "units")
    opened = open_from_options(dataset, root, split, config, assignments, cameras=cameras)
    return Searching(opened, start, objective, objectives.OBJECTIVES[objective], seed)


def _numbers(count: int, frame: str | None, check: str | None) -> tuple[Sequence[int], Sequence[int]]:
    """The frames to search on, and those to check on."""
    from xmodal_cli.frames import frame_numbers
    from xmodal_core.errors import InputError

    numbers = spread(count) if frame is None else frame_numbers(frame, count)
    others = range(0) if check is None else frame_numbers(check, count)
    if both := sorted(set(numbers) & set(others)):
        raise InputError(
            f"frame {both[0]} is both searched and checked", "choose other frames for --check, e.g. 1:40:4 with 0:40:4"
        )
    return numbers, others


def _told(searching: Searching, found: Found, compared: dict[str, Comparison], out: Path) -> dict[str, Any]:
    from xmodal_core.units.search.space import changes

    return {
        "file": str(out),
        "objective": searching.name,
        "score": {"start": round(found.start_score, 6), "best": round(found.score, 6)},
        "trials": found.trials,
        "pruned": found.pruned,
        "stopped": found.stopped,
        "changed": {f"units.{path}": list(pair) for path, pair in changes(searching.start, found.settings).items()},
        **{name: told(comparison) for name, comparison in compared.items()},
        "notes": list(searching.notes),
    }


def _print(searching: Searching, found: Found, compared: dict[str, Comparison], out: Path) -> None:
    from rich.markup import escape

    from xmodal_cli import console
    from xmodal_cli.search_tables import measures_table, settings_table
    from xmodal_core.units.search.space import changes, shown

    done = f"{found.trials} trials, {found.pruned} of them given up early" + (", then stopped" if found.stopped else "")
    console.out.print(f"{searching.name}: {done}", highlight=False, soft_wrap=True)
    changed = list(shown(changes(searching.start, found.settings)))
    if changed:
        console.out.print(settings_table(changed))
    else:
        console.out.print("no other settings were better: all stay as they are", highlight=False, soft_wrap=True)
    console.out.print(measures_table(compared))
    use = f"see them with: xmodal units show --config {out}"
    console.out.print(f"[bold]{escape(str(out))}[/]  {escape(use)}", highlight=False, soft_wrap=True)
