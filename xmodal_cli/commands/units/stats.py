"""xmodal units stats: the numbers of contrastive units, frame by frame and over many frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from csv import DictWriter
from dataclasses import replace
from io import StringIO
from json import dumps
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
    Seed,
    Split,
    Weights,
    known,
    with_weights,
)
from xmodal_core import plugins

if TYPE_CHECKING:
    from xmodal_cli.surveying import Survey, Surveying

PAGES, SUFFIXES = (".html", ".htm"), (".html", ".htm", ".json", ".csv")


def stats(
    dataset: DatasetName = None,
    root: Root = None,
    split: Split = None,
    cameras: Cameras = None,
    perturb_calibration: PerturbCalibration = None,
    frame: Annotated[
        str,
        typer.Option("--frame", metavar="K", help="One frame, or a range: 0:40 or 0:400:10. Default: all frames."),
    ] = ":",
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", metavar="NAME", help=f"Image network that compares units: {known(plugins.TEACHER)}."),
    ] = None,
    weights: Weights = None,
    no_teacher: Annotated[
        bool, typer.Option("--no-teacher", help="Look at no picture: false negatives without similarity balance.")
    ] = False,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers/--no-peers",
            help="Also measure the units of other systems: superpixels, segments, single points (seconds a frame).",
        ),
    ] = False,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad/--no-skip-bad", help="Leave damaged frames out and count them, or stop at the first one."
        ),
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Also write a report: .html with plots, .json, or .csv by frame."),
    ] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Count, time and judge the units of a range of frames.

    What was found and how long it took; where there are labels, how good it is: instances against boxes, units and
    ground against classes, and the share of negative pairs that lie on one object or on one class, for seeds alone,
    with instances, and with similarity balance.
    """
    from xmodal_cli.console import err, print_json
    from xmodal_cli.frames import frame_numbers
    from xmodal_cli.stopping import stop_when_asked
    from xmodal_core.errors import InputError

    assignments = with_weights(assignments, weights, teacher)
    if teacher is not None and no_teacher:
        raise InputError("--teacher and --no-teacher contradict one another", "leave one of them out")
    if out is not None:
        check(out)
    opened = _open(dataset, root, split, config, assignments, cameras, perturb_calibration)
    numbers = frame_numbers(frame, len(opened.dataset))
    shown = _show(dataset, root, split, config, assignments, cameras, perturb_calibration)
    surveying = replace(opened, seed=seed, balanced=not no_teacher, teacher=teacher, peers=peers, skip_bad=skip_bad)
    with _bar(surveying, len(numbers)), stop_when_asked() as stop:
        survey = surveying.survey(numbers, stop)
    if not survey.frames:
        raise typer.Exit(130)
    for note in survey.notes:
        err.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        write(out, surveying, survey, shown)
    if json:
        print_json(_told(surveying, survey, out))
    else:
        _print(survey, out)
    if survey.interrupted:
        raise typer.Exit(130)


def check(out: Path) -> None:
    """Complain now about a report that could not be written at the end.

    Raises:
        InputError: no report has such an ending, or its folder cannot be written to.
    """
    from xmodal_core.errors import InputError
    from xmodal_core.files import refuse_unwritable

    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"no report is written as '{out.name}'", f"end it with one of {', '.join(SUFFIXES)}")
    refuse_unwritable(out)


def _open(
    dataset: str | None,
    root: Path | None,
    split: str | None,
    config: Path | None,
    assignments: list[str] | None,
    cameras: str | None,
    perturbation: float | None,
) -> Surveying:
    """The data set, opened, and the settings of its units."""
    from xmodal_cli.drive import open_from_options
    from xmodal_cli.surveying import Surveying
    from xmodal_core.config import resolve
    from xmodal_core.units.config import UnitsConfig

    settings = resolve(UnitsConfig, config, assignments or (), "units")
    opened = open_from_options(dataset, root, split, config, assignments, cameras=cameras, perturbation=perturbation)
    return Surveying(opened, settings, config=config, assignments=tuple(assignments or ()))


@contextmanager
def _bar(surveying: Surveying, frames: int) -> Iterator[None]:
    """A bar that moves on with every frame of ``surveying``."""
    from xmodal_cli.console import progress

    with progress() as bar:
        task = bar.add_task("measuring", total=frames, note="")
        surveying.on_step = lambda words, done: bar.update(task, description=words, completed=done)
        yield
    surveying.on_step = lambda words, done: None


def _show(
    dataset: str | None,
    root: Path | None,
    split: str | None,
    config: Path | None,
    assignments: list[str] | None,
    cameras: str | None,
    perturbation: float | None,
) -> str:
    """The command that shows a frame as it was measured, up to the frame's number."""
    from xmodal_cli.drive import options_again

    given = {
        "dataset": dataset,
        "root": root,
        "split": split,
        "cameras": cameras,
        "perturb-calibration": perturbation,
        "config": config,
    }
    return " ".join(part for part in ("xmodal units show", options_again(given, assignments or ()), "--frame") if part)


def write(out: Path, surveying: Surveying, survey: Survey, shown: str) -> None:
    """The report as a page with plots, as JSON or as a table with a row for each frame, by the ending of ``out``.

    Args:
        out: the file.
        surveying, survey: what was measured, and how.
        shown: the command that shows a frame, up to the frame's number.

    Raises:
        InputError: the folder cannot be written to.
    """
    from xmodal_core.files import whole_file

    suffix = out.suffix.lower()
    with whole_file(out) as temporary:
        if suffix in PAGES:
            text = _page(surveying, survey, shown)
        elif suffix == ".json":
            told = {**_told(surveying, survey), "settings": surveying.units.model_dump(), "per_frame": survey.rows()}
            text = f"{dumps(told, indent=1)}\n"
        else:
            text = _csv(survey)
        temporary.write_text(text, encoding="utf-8")


def _csv(survey: Survey) -> str:
    rows = survey.rows()
    lines = StringIO()
    table = DictWriter(lines, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return lines.getvalue()


def _told(surveying: Surveying, survey: Survey, out: Path | None = None) -> dict[str, Any]:
    where = {} if out is None else {"file": str(out)}
    return {"dataset": surveying.title, **survey.as_json(), **where}


def _print(survey: Survey, out: Path | None) -> None:
    from rich.markup import escape

    from xmodal_cli.console import out as console
    from xmodal_cli.survey_tables import numbers_table, ways_table

    console.print(numbers_table(survey.summary, survey.miscalibration))
    console.print(ways_table(survey.compared))
    if out is not None:
        console.print(f"[bold]{escape(str(out))}[/]", highlight=False, soft_wrap=True)


def _page(surveying: Surveying, survey: Survey, shown: str) -> str:
    from viz.report import Report, page
    from xmodal_cli.surveying import MEANINGS

    return page(
        Report(
            title=surveying.title,
            subtitle=survey.words,
            summary=survey.as_json(),
            rows=survey.rows(),
            ways=[way.as_json() for way in survey.compared],
            settings=surveying.changed,
            notes=survey.notes,
            command=shown,
            explained=list(MEANINGS.items()),
        )
    )
