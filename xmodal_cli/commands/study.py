"""xmodal study: run a grid of experiments, each a process, and tabulate them over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmodal_cli.options import Json

if TYPE_CHECKING:
    from xmodal_core.study.jobs import Launcher, Place
    from xmodal_core.study.results import Table

app = typer.Typer(no_args_is_help=True, help="Run a grid of experiments and tabulate them over seeds.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A YAML file, or one of the names 'study list' gives.")]
Folder = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Where jobs are kept; studies share those of the same settings.")
]
JOBS = Path("runs/studies")


@app.callback()
def group() -> None:
    """Run a grid of experiments and tabulate them over seeds."""


@app.command("list")
def list_studies(json: Json = False) -> None:
    """List the studies that come with xmodal."""
    from xmodal_cli.console import out, print_json
    from xmodal_core.study.grid import read_study, shipped

    titles = {name: read_study(file).config.title for name, file in shipped().items()}
    if json:
        print_json(titles)
        return
    width = max(map(len, titles))
    for name, title in titles.items():
        out.print(f"{name:<{width}}  {title}", highlight=False, soft_wrap=True, markup=False)


@app.command("run")
def run(
    file: File,
    folder: Folder = JOBS,
    at_once: Annotated[int, typer.Option("--jobs", metavar="N", help="Jobs at once.", min=1)] = 1,
    slurm: Annotated[
        str | None,
        typer.Option(
            "--slurm",
            metavar="OPTIONS",
            help="Hand jobs to SLURM by submitit, with its options, e.g. "
            "slurm_partition=gpu,gpus_per_node=1,timeout_min=600 (or '' for none).",
        ),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try jobs that failed once more.")] = False,
    dry: Annotated[bool, typer.Option("--dry", help="Check every job's settings and say what would be run.")] = False,
    json: Json = False,
) -> None:
    """Run what is missing of a study. Ctrl-C lets the jobs at work save; the same command goes on with them."""
    from xmodal_cli.console import print_json
    from xmodal_core.errors import RunError
    from xmodal_core.study.grid import read_study
    from xmodal_core.study.jobs import Place

    study = read_study(file)
    places = [Place(folder, job) for job in study.jobs()]
    if dry:
        _check(file)
        _print_states(places)
        states: dict[str, str] = {place.job.name: place.state() for place in places}
    else:
        states = dict(_run(places, _launcher(folder, slurm), at_once, retry_failed))
    count = {state: list(states.values()).count(state) for state in ("done", "failed", "running", "waiting")}
    if json:
        print_json({"study": study.name, "folder": str(folder), **count})
    if count["failed"] and not dry:
        failed = [place for place in places if states[place.job.name] == "failed"]
        raise RunError(
            f"{len(failed)} of {len(places)} jobs failed, the first: {failed[0].why()}",
            f"see {failed[0].path}/log.txt; --retry-failed tries them again",
        )


def _check(file: Path) -> None:
    import tempfile

    from xmodal_core.study.grid import check, read_study

    with tempfile.TemporaryDirectory() as folder:
        check(read_study(file), Path(folder))


def _launcher(folder: Path, slurm: str | None) -> Launcher:
    from xmodal_core.study.jobs import Here

    if slurm is None:
        return Here()
    import yaml

    from xmodal_core.study.slurm import Slurm

    pairs = [text.partition("=") for text in slurm.split(",") if text]
    return Slurm(folder, {name: yaml.safe_load(value) for name, _, value in pairs})


def _run(places: list[Place], launcher: Launcher, at_once: int, retry: bool) -> dict[str, str]:
    from xmodal_cli.stopping import stop_when_asked
    from xmodal_cli.studying import Watcher
    from xmodal_core.study.jobs import Runner

    watcher = Watcher()
    try:
        with stop_when_asked() as stop:
            runner = Runner(places[0].folder, [place.job for place in places], launcher, at_once, retry, watcher, stop)
            return dict(runner.run())
    finally:
        watcher.close()


@app.command("status")
def status(file: File, folder: Folder = JOBS, json: Json = False) -> None:
    """Say of every job whether it is done, running, waiting or failed, and why."""
    from xmodal_cli.console import print_json
    from xmodal_core.study.grid import read_study
    from xmodal_core.study.jobs import Place

    places = [Place(folder, job) for job in read_study(file).jobs()]
    if json:
        rows = [{"job": place.job.name, "folder": str(place.path), "state": place.state()} for place in places]
        print_json(
            [row | ({"why": p.why()} if row["state"] == "failed" else {}) for row, p in zip(rows, places, strict=True)]
        )
    else:
        _print_states(places)


def _print_states(places: list[Place]) -> None:
    from rich.table import Table

    from xmodal_cli.console import out

    table = Table()
    for title in ("job", "state", "begins with", "why"):
        table.add_column(title, no_wrap=title != "why")
    states = [place.state() for place in places]
    for place, state in zip(places, states, strict=True):
        needs = "" if place.job.needs is None else place.job.needs.name
        table.add_row(place.job.name, state, needs, place.why() if state == "failed" else "")
    out.print(table)
    count = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    out.print(f"{len(states)} jobs in {places[0].folder}: {count}", highlight=False, soft_wrap=True, markup=False)


@app.command("report")
def report(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="YAML files, or names that 'study list' gives.")
    ],
    folder: Folder = JOBS,
    page: Annotated[
        Path,
        typer.Option(
            "--into",
            metavar="PAGE",
            help="A Markdown page: what stands between a study's marks is replaced, prose around them stays; pictures "
            "go into a folder of its name.",
        ),
    ] = Path("results.md"),
    json: Json = False,
) -> None:
    """Write what studies came to into a page: tables, pictures, the rules behind them, what they took."""
    from xmodal_cli.console import err, print_json
    from xmodal_core.study.grid import read_study
    from xmodal_core.study.report import as_json, write
    from xmodal_core.study.report import report as summarise

    found = [summarise(read_study(file), folder) for file in files]
    write(page, found)
    err.print(f"wrote {page}", highlight=False, soft_wrap=True, markup=False)
    if json:
        print_json([as_json(one) for one in found])


@app.command("table")
def table(
    file: File,
    folder: Folder = JOBS,
    metric: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="Another figure than the study's own, e.g. mIoU.")
    ] = "",
    first_epoch: Annotated[
        bool, typer.Option("--first-epoch", help="As judged after the first epoch of fine-tuning.")
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="As LaTeX, with booktabs.")] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw it too: .png, .pdf or .svg.")
    ] = None,
    json: Json = False,
) -> None:
    """Print mean ± standard deviation over seeds, in percent, with the rules that the figures come from."""
    from dataclasses import replace

    from xmodal_cli.console import err, out, print_json
    from xmodal_core.study.grid import read_study
    from xmodal_core.study.results import plot as draw
    from xmodal_core.study.results import tabulate, to_latex

    found = tabulate(read_study(file), folder, metric)
    if first_epoch:
        found = replace(found, figures=found.first, title=f"{found.title}, after the first epoch".lstrip(", "))
    if latex:
        out.print(to_latex(found), highlight=False, soft_wrap=True, markup=False)
    elif not json:
        _print_table(found)
    if plot is not None:
        draw(found, plot)
        err.print(f"wrote {plot}", highlight=False, soft_wrap=True, markup=False)
    if found.missing:
        err.print(f"{found.missing} jobs are not done yet", highlight=False, soft_wrap=True, markup=False)
    if json:
        print_json(found.as_json())


def _print_table(found: Table) -> None:
    from rich.table import Table as Grid

    from xmodal_cli.console import out
    from xmodal_core.study.grid import label
    from xmodal_core.study.results import row_in_words

    grid = Grid()
    grid.add_column("")
    for point in found.points:
        grid.add_column(label(point) or found.metric, justify="right")
    for arm in found.arms:
        grid.add_row(arm, *row_in_words(found, arm, "*"))
    out.print(grid)
    notes = [f"{found.caption}."]
    if found.baseline:
        notes.append(f"*: ahead of {found.baseline} by more than twice the larger of the two deviations.")
    if len(found.revisions) > 1:
        notes.append(f"The code was not the same for all: {', '.join(found.revisions)}.")
    for note in notes:
        out.print(note, highlight=False, soft_wrap=True, markup=False)
