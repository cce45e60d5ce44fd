"""xmodal evaluate: what the official protocol says of a fine-tuned model, by class and range, and submission files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmodal_cli.options import Json, SkipBad

if TYPE_CHECKING:
    import torch
    from rich.console import Console
    from rich.table import Table

ARCHIVES = (".zip", ".tar", ".gz", ".tgz")


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="A run of finetune, or its model.safetensors.")],
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="The data set's folder. Default: the run's.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", help="Default: the frames on which the run was judged."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", metavar="N", help="Only so many frames, evenly spread.", min=1)
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Of a run the model that was judged best, not the last one.")
    ] = False,
    submission: Annotated[
        Path | None,
        typer.Option(
            "--submission", metavar="DIR|FILE", help="Write the benchmark's submission instead; no labels are needed."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="auto (a GPU where there is one), cpu, cuda …")
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", metavar="N", help="Frames a batch.", min=1)] = 1,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes that read frames.", min=0)
    ] = None,
    skip_bad: SkipBad = False,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another option of the data set, e.g. dataset.n_sweeps=10."),
    ] = None,
    json: Json = False,
) -> None:
    """Judge a fine-tuned model by the data set's official protocol, by class and range."""
    from dataclasses import replace

    from xmodal_cli.console import err, out, print_json, progress
    from xmodal_core.errors import InputError

    if submission is not None and submission.suffix in ARCHIVES:
        raise InputError(
            f"--submission writes what a benchmark takes in folders and plain files, not {submission.name}",
            f"name a folder, e.g. {submission.with_suffix('')}, and pack what is in it",
        )
    with err.status("loading"):
        from xmodal_core.train.judging import find_judging, standing
        from xmodal_core.train.model import load_model

        found = load_model(model, best=best)
        judging = find_judging(model, found, root, split, frames, assignments or ())
    place, reading = _machine(device, workers)
    with progress() as bar:
        shown = bar.add_task("judging" if submission is None else "predicting", note="", total=len(judging.indices))
        judging = replace(
            judging,
            device=place,
            workers=reading,
            batch_size=batch_size,
            skip_damaged=skip_bad,
            tell=lambda done, total: bar.update(shown, completed=done, total=total),
        )
        task = found.task.to(place)
        protocol = task.protocol(judging.dataset)
        if submission is not None:
            judging.submit(task, protocol, submission)
            told = f"submission for {protocol.name}, split {judging.split}: {submission}"
            err.print(told, markup=False, highlight=False, soft_wrap=True)
            if json:
                print_json({**standing(model, found, protocol), "submission": str(submission)})
            return
        result = judging.judge(task, protocol)
    for table in _tables(result.parts, result.measures, out):
        out.print(table)
    out.print(result.line(), soft_wrap=True, highlight=False)
    if json:
        print_json({**standing(model, found, protocol), **result.as_json()})


def _machine(device: str | None, workers: int | None) -> tuple[torch.device, int]:
    """Where to compute, and how many processes read frames."""
    from xmodal_core.config import validate
    from xmodal_core.train.config import EngineConfig
    from xmodal_core.train.devices import find_device
    from xmodal_core.train.parts import choose_workers

    place = find_device(validate(EngineConfig, {"device": device or "auto"}, "train", "--device"))
    return place, choose_workers(workers, place, 1)


def _tables(parts: Mapping[str, Mapping[str, float]], measures: Mapping[str, float], console: Console) -> list[Table]:
    """A row a class with its figures, and the first of them again for each range: as one table, or as several below one
    another where ``console`` is too narrow for one."""
    ranges = list(dict.fromkeys(within for name in parts if (within := _range_of(name))))
    rows = list(dict.fromkeys(name.removesuffix(_range_of(name)).strip() for name in parts))
    figures = list(dict.fromkeys(figure for name, part in parts.items() if not _range_of(name) for figure in part))
    columns: list[tuple[str, list[str]]] = [
        (figure, [_figure(parts.get(row, {}).get(figure, _mean_of(figure, row, measures))) for row in rows])
        for figure in figures
    ]
    for within in ranges:
        near = [next(iter(parts.get(f"{row} {within}".strip(), {}).values()), None) for row in rows]
        columns.append((f"{within} m", [_figure(value) for value in near]))
    names = [row or "mean" for row in rows]
    tables, taken = [], 0
    while taken < len(columns):
        most = len(columns)
        while most > taken + 1 and not _fits(_table(names, columns[taken:most]), console):
            most -= 1
        tables.append(_table(names, columns[taken:most]))
        taken = most
    return tables


def _mean_of(figure: str, row: str, measures: Mapping[str, float]) -> float | None:
    """In the row of all classes, the mean of ``figure`` over them: ``mIoU`` of ``IoU``."""
    return None if row else measures.get(f"m{figure}")


def _table(names: Sequence[str], columns: Sequence[tuple[str, list[str]]]) -> Table:
    from rich.table import Table

    table = Table("class")
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for row, name in enumerate(names):
        table.add_row(name, *(values[row] for _, values in columns))
    return table


def _fits(table: Table, console: Console) -> bool:
    options = console.options.update(width=10_000)
    return console.measure(table, options=options).maximum <= console.width


def _range_of(part: str) -> str:
    """The range at the end of a part's name, such as ``[20, 40)``; empty where there is none."""
    found = re.search(r"\[[^\[]*\)$", part)
    return found.group() if found else ""


def _figure(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4f}"
