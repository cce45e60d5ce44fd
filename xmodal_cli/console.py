"""What a person reads: tables and progress on standard error, results on standard output, errors as two lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from xmodal_core.errors import XmodalError

out = Console()
err = Console(stderr=True)


def print_json(value: Any) -> None:
    """One line of JSON on standard output: the last thing that a command with ``--json`` prints."""
    sys.stdout.write(json.dumps(value) + "\n")


def complain(error: XmodalError) -> None:
    """The two lines of an error: what is wrong, what to do."""
    err.print(f"[bold red]error:[/] {_plain(error.message)}", highlight=False, soft_wrap=True)
    if error.hint:
        err.print(f"[bold]hint:[/]  {_plain(error.hint)}", highlight=False, soft_wrap=True)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


@contextmanager
def progress(quiet: bool = False) -> Iterator[Progress]:
    """A progress bar on standard error with count, time spent and time left."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=err,
        disable=quiet,
    )
    with bar:
        yield bar
