"""The numbers of many frames as one HTML page that needs no network: cards, plots, and a row for each frame."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from viz.viewers._page import fill, script

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Report:
    """What the page shows, as values that JSON can hold.

    Args:
        title: the data set's name.
        subtitle: which frames, in words.
        summary: means of the frames, by the names of ``xmodal_core.units.statistics.Summary.as_json``.
        rows: one a frame: ``frame`` (its number) and the names of ``FrameStatistics.as_row``.
        ways: ways to units side by side, by the names of ``xmodal_core.units.ways.Way.as_json``.
        settings: what differs from the defaults: name, value, default.
        notes: what is left out and why, one line each.
        command: shows a frame whose number is put behind it; copied by a click on a frame.
        explained: what the numbers mean: name and words.
    """

    title: str
    subtitle: str
    summary: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    ways: Sequence[Mapping[str, Any]] = ()
    settings: Sequence[tuple[str, str, str]] = ()
    notes: Sequence[str] = ()
    command: str = "xmodal units show --frame"
    explained: Sequence[tuple[str, str]] = ()


def page(report: Report) -> str:
    """The HTML text of ``report``."""
    from plotly.offline import get_plotlyjs

    data = json.dumps(asdict(report), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    parts = {
        "title": html.escape(f"{report.title} · units · xmodal"),
        "css": (FOLDER / "report.css").read_text(encoding="utf-8"),
        "plotly": script(get_plotlyjs()),
        "data": data.replace("<", "\\u003c"),
        "js": script((FOLDER / "report.js").read_text(encoding="utf-8")),
    }
    return fill((FOLDER / "report.html").read_text(encoding="utf-8"), parts)
