"""What a person reads: tables and progress on standard error, results on standard output, errors as two lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import ceil
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

out = Console()
err = Console(stderr=True)

MEGABYTE = 1e6


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
    _open_bars.append(bar)
    try:
        with bar:
            yield bar
    finally:
        _open_bars.remove(bar)


_open_bars: list[Progress] = []
"""Those of ``progress`` that are on the screen: only one at a time can be, so others write into it."""


@contextmanager
def downloading(what: str) -> Iterator[Callable[[int, int], None]]:
    """Takes (bytes done, bytes in all) of a download: with the first of them a bar appears, or a line more in the one
    that is there. The bytes in all are 0 where nobody knows."""
    with ExitStack() as stack:
        task: TaskID | None = None

        def on_bytes(done: int, total: int) -> None:
            nonlocal task
            if not _open_bars:
                stack.enter_context(progress())
            bar = _open_bars[-1]
            if task is None:
                task = bar.add_task(f"{what} (once), MB", note="")
                stack.callback(bar.remove_task, task)
            bar.update(task, completed=done / MEGABYTE, total=ceil(total / MEGABYTE) if total else None)

        yield on_bytes
