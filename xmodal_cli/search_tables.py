"""What ``units search`` found, as tables for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich.table import Table

from xmodal_cli.searching import rows
from xmodal_cli.survey_tables import QUALITY, Form, count, share

if TYPE_CHECKING:
    from xmodal_core.units.search.search import Comparison

MEASURES: Mapping[str, tuple[str, Form]] = {
    "score": ("score", lambda value: f"{value:.4f}"),
    **{name: (title, share) for name, title in QUALITY.items()},
    "mean_iou": ("mean IoU", lambda value: f"{value:.3f}"),
    "units": ("units", count),
    "instances": ("instances", count),
    "coverage": ("coverage", share),
    "ground": ("ground", share),
    "milliseconds": ("all steps, ms", lambda value: f"{value:.1f}"),
}
"""What the rows are called, in their order."""


def settings_table(changed: Iterable[tuple[str, str, str]]) -> Table:
    """Settings by name, before and after."""
    table = Table(title="settings that changed", title_justify="left")
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    for row in changed:
        table.add_row(*row)
    return table


def measures_table(compared: Mapping[str, Comparison]) -> Table:
    """Each measure before and after, on every set of frames; ``compared`` says what was done with each."""
    frames = " and ".join(f"{comparison.frames:,} {name}" for name, comparison in compared.items())
    table = Table(title=f"means of frames: {frames}", title_justify="left")
    table.add_column("", no_wrap=True)
    several = len(compared) > 1
    for name in compared:
        table.add_column(f"{name}: before" if several else "before", justify="right")
        table.add_column("after", justify="right")
    columns = [rows(comparison) for comparison in compared.values()]
    for name, (title, form) in MEASURES.items():
        if any(name in column for column in columns):
            cells = [_cell(form, value) for column in columns for value in column.get(name, (None, None))]
            table.add_row(title, *cells)
    return table


def _cell(form: Form, value: float | None) -> str:
    return "–" if value is None or value != value else form(value)
