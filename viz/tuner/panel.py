"""The numbers beside the scene: counts, quality, sizes, times; with pinned settings, both and what lies between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isnan
from typing import Any, NamedTuple

from dash import html

from viz.members import REASONS
from viz.stages import GREYS
from viz.tuner.controls import changed, data, value_of
from viz.tuner.session import Found, Shown
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.statistics import SIZES, FrameStatistics

KEPT = "#69f0a5"


class Figure(NamedTuple):
    """One row of the table: its words, how it is written, and whether more (1) or less (-1) of it is better."""

    name: str
    words: str
    write: Callable[[float], str]
    better: int = 0


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _two(value: float) -> str:
    return f"{value:.2f}"


FIGURES = (
    Figure("units", "units", _count),
    Figure("seeds", "seeds", _count),
    Figure("merged_seeds", "of them in instances", _count),
    Figure("clusters", "clusters, before the filters", _count),
    Figure("instances", "instances, after the filters", _count),
    Figure("coverage", "points in a unit", _percent, 1),
    Figure("ground", "ground", _percent),
    Figure("sensor_height", "sensor height, m", _two),
)
QUALITY = (
    Figure("instance_recall", "objects found", _percent, 1),
    Figure("mean_iou", "mean IoU", _two, 1),
    Figure("over_segmentation", "objects cut up", _percent, -1),
    Figure("under_segmentation", "objects glued", _percent, -1),
    Figure("purity", "purity", _percent, 1),
    Figure("ground_precision", "ground precision", _percent, 1),
    Figure("ground_recall", "ground recall", _percent, 1),
    Figure("false_negative_object", "negatives on the same object", lambda value: f"{value:.3%}", -1),
    Figure("false_negative_class", "negatives of the same class", lambda value: f"{value:.2%}", -1),
)
MEANINGS = {
    "instance_recall": "boxes of 20 points or more that an instance meets with a point IoU of 0.5",
    "over_segmentation": "boxes of whose points the best segment holds less than half",
    "under_segmentation": "boxes whose best segment lies outside by more than half",
    "purity": "points that have their unit's main label",
    "false_negative_object": "pairs of units that are told apart although they lie on one object",
    "false_negative_class": "pairs of units that are told apart although they are of one class",
    "coverage": "of the points that are seen, in range and not ground",
}


def numbers(shown: Shown, config: UnitsConfig, pinned: UnitsConfig | None) -> list[Any]:
    """All of it, top to bottom."""
    b, a = shown.found, shown.pinned
    parts: list[Any] = []
    if a is not None and pinned is not None:
        parts.append(_settings(pinned, config))
    parts.append(_table("found", FIGURES, b.statistics, a.statistics if a else None))
    if b.statistics.quality is not None:
        parts.append(_table("against the labels", QUALITY, b.statistics.quality, a.statistics.quality if a else None))
    if shown.left_out:
        parts.append(html.P(f"{shown.left_out:,} returns are left out: not finite, or the vehicle itself"))
    parts += [
        _section("points in a unit", _histogram(b.statistics, a.statistics if a else None)),
        _section("clusters", _reasons(b.statistics)),
        _section("units that a camera sees", _bars(_camera_rows(b.statistics))),
        _section(f"milliseconds · {shown.milliseconds:.0f} with the picture", _bars(_time_rows(b))),
    ]
    return parts


def _section(title: str, *children: Any) -> Any:
    return html.Section([html.H3(title), *children])


def _settings(pinned: UnitsConfig, config: UnitsConfig) -> Any:
    differing = list(changed(config, pinned))
    if not differing:
        return _section("A and B are the same", html.P("Move a slider: B follows it, A stays."))
    rows = [
        html.Tr([html.Td(path), html.Td(_value(pinned, path)), html.Td(_value(config, path)), html.Td()])
        for path in differing
    ]
    return _section("settings", html.Table([_head("A", "B", ""), html.Tbody(rows)], id="differing"))


def _value(config: UnitsConfig, path: str) -> str:
    value = value_of(config, path)
    if value is None:
        return "automatic"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _head(*columns: str) -> Any:
    return html.Thead(html.Tr([html.Th(), *(html.Th(column) for column in columns)]))


def _table(title: str, figures: Sequence[Figure], b: Any, a: Any) -> Any:
    rows = [_row(figure, b, a) for figure in figures if not isnan(getattr(b, figure.name))]
    head = [_head("A", "B", "B − A")] if a is not None else []
    return _section(title, html.Table([*head, html.Tbody(rows)]))


def _row(figure: Figure, b: Any, a: Any) -> Any:
    value = float(getattr(b, figure.name))
    cells = [html.Td(figure.words, title=MEANINGS.get(figure.name, ""))]
    if a is not None:
        before = float(getattr(a, figure.name))
        cells.append(html.Td(figure.write(before)))
    cells.append(html.Td(figure.write(value), className="value"))
    if a is not None:
        cells.append(_difference(figure, value - before))
    return html.Tr(cells, **data(figure=figure.name))


def _difference(figure: Figure, difference: float) -> Any:
    written = figure.write(abs(difference))
    if isnan(difference) or written == figure.write(0.0):
        return html.Td("=", className="same")
    verdict = figure.better * (1 if difference > 0 else -1)
    return html.Td(
        ("+" if difference > 0 else "−") + written, className={1: "better", -1: "worse", 0: "other"}[verdict]
    )


def _histogram(b: FrameStatistics, a: FrameStatistics | None) -> Any:
    most = max(1, int(b.sizes.max(initial=0)), int(a.sizes.max(initial=0)) if a else 0)
    used = [number for number in range(len(SIZES)) if b.sizes[number] or (a and a.sizes[number])]
    columns = [_column(number, b, a, most) for number in range(used[-1] + 1 if used else 1)]
    return html.Div(columns, className="histogram")


def _column(number: int, b: FrameStatistics, a: FrameStatistics | None, most: int) -> Any:
    last = number + 1 == len(SIZES)
    span = f"{SIZES[number]:,} or more" if last else _span(SIZES[number], SIZES[number + 1] - 1)
    bars = [html.I(style={"height": f"{100 * int(b.sizes[number]) / most:.1f}%"})]
    if a is not None:
        bars.append(html.I(className="before", style={"height": f"{100 * int(a.sizes[number]) / most:.1f}%"}))
    label = f"{SIZES[number] // 1024}k" if SIZES[number] >= 1024 else str(SIZES[number])
    title = f"{int(b.sizes[number]):,} units of {span} points"
    return html.Div([html.Div(bars), html.Span(label)], title=title)


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first:,} to {last:,}"


def _reasons(statistics: FrameStatistics) -> Any:
    total = max(1, statistics.clusters)
    present = [(reason, number) for reason, number in statistics.reasons.items() if number]
    colours = {"kept": KEPT, **GREYS}
    stack = [
        html.I(style={"width": f"{100 * number / total:.2f}%", "background": colours[reason]}, title=REASONS[reason])
        for reason, number in present
    ]
    legend = [
        html.Li([html.I(style={"background": colours[reason]}), f"{REASONS[reason]} {number:,}"])
        for reason, number in present
    ]
    return html.Div([html.Div(stack, className="stack"), html.Ul(legend, className="reasons")])


def _camera_rows(statistics: FrameStatistics) -> Iterator[tuple[str, float, str, str]]:
    for name, share in statistics.cameras.items():
        yield name.removeprefix("CAM_").replace("_", " ").lower(), share, f"{share:.0%}", ""


def _time_rows(found: Found) -> Iterator[tuple[str, float, str, str]]:
    times = found.statistics.milliseconds
    most = max(times.values(), default=0.0) or 1.0
    for step, value in times.items():
        yield step, value / most, f"{value:.1f}", "ran" if step in found.ran else "kept"


def _bars(rows: Iterator[tuple[str, float, str, str]]) -> Any:
    """Name, length from 0 to 1, words at its end, and a class of each bar."""
    lines = [
        html.Div(
            [html.Span(name), html.Div(html.I(style={"width": f"{100 * length:.1f}%"})), html.Span(words)],
            className=f"bar {kind}".strip(),
            title="not touched by the last change: taken from before" if kind == "kept" else "",
        )
        for name, length, words, kind in rows
    ]
    return html.Div(lines, className="bars")
