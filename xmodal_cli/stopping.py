"""Ctrl-C as a question that long work asks itself, so that it ends where nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from xmodal_cli.console import err


@contextmanager
def stop_when_asked() -> Iterator[Callable[[], bool]]:
    """A question, answered True once Ctrl-C was pressed or the system asked to stop; a second Ctrl-C ends at once."""
    asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        err.print("stopping after this step, then everything is saved (Ctrl-C again: at once)", soft_wrap=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
