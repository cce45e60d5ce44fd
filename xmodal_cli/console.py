"""What a person reads: tables and progress on standard error, results on standard output, errors as two lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

out = Console()
err = Console(stderr=True)


def print_json(value: Any) -> None:
    """One line of JSON on standard output: the last thing that a command with ``--json`` prints."""
    sys.stdout.write(json.dumps(value) + "\n")


def complain(message: str, hint: str = "") -> None:
    """The two lines of an error: what is wrong, what to do."""
    err.print(Text.assemble(("error:", "bold red"), f" {_one_line(message)}"), soft_wrap=True)
    if hint:
        err.print(Text.assemble(("hint:", "bold"), f"  {_one_line(hint)}"), soft_wrap=True)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


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
