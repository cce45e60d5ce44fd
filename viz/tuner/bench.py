"""``xmodal bench tuner``: how long the page waits for the server when a slider moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

from viz.tuner.controls import between, value_of
from viz.tuner.panel import numbers
from viz.tuner.session import Session, Source
from xmodal_core.bench.timing import OURS, Row, measured, with_ratios
from xmodal_core.config import Entry, Settings, entries
from xmodal_core.units.config import UnitsConfig

ANEW = "units show, the frame anew"
"""What one would do instead: change a setting and have the picture made again, all of it."""


def bench_tuner(
    source: Source,
    number: int,
    config: UnitsConfig | None = None,
    *,
    repeat: int = 5,
    on_step: Callable[[str], None] = lambda step: None,
) -> list[Row]:
    """Move every setting by a step and back, and make the whole picture anew for comparison.

    Args:
        source: where the frame comes from.
        number: of the frame.
        config: the settings to start from; None for the defaults.
        repeat: how often each is moved; the median counts.
        on_step: told the setting before it is moved.
    """
    config = config or UnitsConfig()
    session = Session(source)
    session.look(number, config)
    rows = []
    for entry in entries(UnitsConfig):
        on_step(entry.path)
        rows.append(Row(entry.path, OURS, _moving(session, number, config, entry, repeat)))
    on_step(ANEW)
    _, anew = measured(lambda: _answer(Session(source), number, config, whole=True), repeat)
    slowest = max(rows, key=lambda row: row.milliseconds)
    return with_ratios([*rows, Row("slowest", OURS, slowest.milliseconds), Row("slowest", ANEW, anew)])


def _moving(session: Session, number: int, config: UnitsConfig, entry: Entry, repeat: int) -> float:
    """Milliseconds from a moved slider to what goes to the browser: the scene as text, and the table of numbers."""
    there, turn = moved(config, entry), [config]

    def move() -> None:
        turn[0] = there if turn[0] is config else config
        _answer(session, number, turn[0], whole=False)

    return measured(move, repeat)[1]


def _answer(session: Session, number: int, config: UnitsConfig, *, whole: bool) -> tuple[str, list[Any]]:
    shown = session.look(number, config, whole=whole)
    return json.dumps(shown.scene), numbers(shown, config, None)


def moved(config: UnitsConfig, entry: Entry) -> UnitsConfig:
    """``config`` with one setting a step up, or down where there is no up."""
    step, _, name = entry.path.partition(".")
    part: Settings = getattr(config, step)
    return config.model_copy(update={step: part.model_copy(update={name: _next(entry, value_of(config, entry.path))})})


def _next(entry: Entry, value: Any) -> Any:
    if entry.kind is bool:
        return not value
    if isinstance(value, str):
        return next(choice for choice in get_args(entry.kind) if choice != value)
    if value is None:
        return between(entry)
    step = entry.step or 1
    return value + step if entry.le is None or value + step <= entry.le else value - step
