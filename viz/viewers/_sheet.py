"""A sheet: every stage as a panel with its legend and counts, and the cameras' pictures below.

The panels themselves are painted by whoever asks for the sheet, from above or in perspective.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from viz.scene import Scene, Stage
from viz.viewers._overlay import draw_overlay
from viz.viewers._sheet_canvas import Canvas, Measure
from viz.viewers._sheet_legend import BAR_HEIGHT, Bar, Key, bars_of, draw_bar, draw_keys, key_rows, keys_of, shared_keys
from viz.viewers._sheet_style import HEADING, NOTE, TEXT, TITLE, WIDTH, Theme

MARGIN, GAP, PICTURE_GAP = 0.08, 0.14, 0.05
LINE = 1.32
"""Line height over type size."""

Paint = Callable[[Any, Stage, float, float], None]
"""Draws a stage into a matplotlib Axes that is so many inches wide and so many high."""

Draw = Callable[[Canvas, float], None]


@dataclass(frozen=True)
class Block:
    """Something across the sheet: its height in inches, and what draws it from its top downwards."""

    height: float
    draw: Draw


@dataclass(frozen=True)
class Words:
    """What stands below a panel, broken into lines that fit its width."""

    bars: Sequence[Bar]
    rows: Sequence[Sequence[Key]]
    lines: Sequence[str]

    @property
    def height(self) -> float:
        return BAR_HEIGHT * len(self.bars) + _lines(len(self.rows), TEXT) + _lines(len(self.lines), TEXT) + 0.04


def make_sheet(
    scene: Scene, paint: Paint, aspect: float, theme: Theme, pixels: int, paint_detail: Paint | None = None
) -> Any:
    """The sheet of ``scene`` as a matplotlib Figure, ``pixels`` wide; its height follows from what is on it.

    Args:
        scene: its opening stage, or all of them, are shown.
        paint: draws a panel.
        aspect: a panel's height over its width.
        theme: the colours.
        pixels: width of the figure when it is saved as pixels.
        paint_detail: draws a close-up, for which there is room beside a single stage.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    measure = Measure()
    inner = WIDTH - 2 * MARGIN
    blocks = [_header(scene, theme, measure, inner)]
    stages = scene.drawn_stages()
    if len(stages) == 1:
        blocks.append(_large(scene, stages[0], paint, aspect, theme, measure, inner, paint_detail))
    else:
        blocks += _grid(scene, stages, paint, aspect, theme, measure, inner)
    blocks.append(_shared(scene, stages, theme, measure, inner))
    blocks += _pictures(scene, stages, theme, inner)
    height = sum(block.height for block in blocks) + 2 * MARGIN
    figure = Figure(figsize=(WIDTH, height), dpi=pixels / WIDTH, facecolor=theme.page)
    FigureCanvasAgg(figure)
    canvas = Canvas(figure, WIDTH, height, theme)
    top = MARGIN
    for block in blocks:
        block.draw(canvas, top)
        top += block.height
    return figure


def _lines(count: int, size: float) -> float:
    return count * size * LINE / 72


def _header(scene: Scene, theme: Theme, measure: Measure, width: float) -> Block:
    facts = "   ".join(f"{number} {what}" for number, what in scene.facts)
    title = measure.cut(scene.title, TITLE, width, bold=True)
    beside = measure(title, TITLE, bold=True) + measure(facts, TEXT) + 0.3 < width
    rows = [(scene.subtitle, scene.shown)] if beside else [(facts, ""), (scene.subtitle, scene.shown)]

    def draw(canvas: Canvas, top: float) -> None:
        canvas.text(MARGIN, top, title, TITLE, theme.ink, bold=True)
        if beside:
            canvas.text(MARGIN + width, top + 0.03, facts, TEXT, theme.ink, align="right")
        top += _lines(1, TITLE) + 0.02
        for left, right in rows:
            room = width - measure(right, NOTE) - 0.2
            canvas.text(MARGIN, top, measure.cut(left, NOTE, room), NOTE, theme.faint)
            canvas.text(MARGIN + width, top, right, NOTE, theme.faint, align="right")
            top += _lines(1, NOTE)

    return Block(_lines(1, TITLE) + 0.02 + _lines(len(rows), NOTE) + 0.1, draw)


def _words(scene: Scene, stage: Stage, measure: Measure, width: float, *, spoken: bool) -> Words:
    text = ([stage.words] if spoken else []) + list(stage.caption)
    lines = [line for words in text for line in measure.wrap(words, TEXT, width)]
    return Words(bars_of(scene, stage), key_rows(keys_of(scene, stage), measure, width), lines)


def _draw_words(canvas: Canvas, left: float, top: float, width: float, words: Words) -> None:
    for bar in words.bars:
        draw_bar(canvas, left, top, width, bar)
        top += BAR_HEIGHT
    for row in words.rows:
        draw_keys(canvas, left, top, row)
        top += _lines(1, TEXT)
    top += 0.02
    for line in words.lines:
        canvas.text(left, top, line, TEXT, canvas.theme.faint)
        top += _lines(1, TEXT)


def _grid(
    scene: Scene,
    stages: Sequence[Stage],
    paint: Paint,
    aspect: float,
    theme: Theme,
    measure: Measure,
    inner: float,
) -> list[Block]:
    columns = 2 if len(stages) in (2, 4) else 3
    width = (inner - (columns - 1) * GAP) / columns
    blocks = []
    for first in range(0, len(stages), columns):
        row = list(enumerate(stages))[first : first + columns]
        words = [_words(scene, stage, measure, width, spoken=False) for _, stage in row]

        def draw(canvas: Canvas, top: float, row: Any = row, words: Any = words) -> None:
            for column, ((number, stage), text) in enumerate(zip(row, words, strict=True)):
                left = MARGIN + column * (width + GAP)
                canvas.text(left, top, f"({chr(97 + number)}) {stage.title}", HEADING, theme.ink, bold=True)
                below = top + _lines(1, HEADING) + 0.02
                _draw_panel(canvas, left, below, width, aspect, stage, paint)
                _draw_words(canvas, left, below + width * aspect + 0.05, width, text)

        height = _lines(1, HEADING) + 0.02 + width * aspect + 0.05 + max(text.height for text in words) + 0.1
        blocks.append(Block(height, draw))
    return blocks


def _large(
    scene: Scene,
    stage: Stage,
    paint: Paint,
    aspect: float,
    theme: Theme,
    measure: Measure,
    inner: float,
    paint_detail: Paint | None,
) -> Block:
    """One stage: its words beside a panel that is nearly square, below one that is wide."""
    beside = aspect > 0.7
    width = 0.66 * inner if beside else inner
    room = inner - width - GAP if beside else inner
    words = _words(scene, stage, measure, room, spoken=True)
    head, panel = _lines(1, HEADING) + 0.04, width * aspect

    def draw_beside(canvas: Canvas, top: float) -> None:
        left = MARGIN + width + GAP
        _draw_panel(canvas, MARGIN, top, width, aspect, stage, paint)
        canvas.text(left, top, stage.title, HEADING, theme.ink, bold=True)
        _draw_words(canvas, left, top + head, room, words)
        high = min(panel - head - words.height - GAP, 1.5 * room)
        if paint_detail is not None and high > 0.6 * room:
            _draw_panel(canvas, left, top + panel - high, room, high / room, stage, paint_detail)

    def draw_below(canvas: Canvas, top: float) -> None:
        canvas.text(MARGIN, top, stage.title, HEADING, theme.ink, bold=True)
        _draw_panel(canvas, MARGIN, top + head, width, aspect, stage, paint)
        _draw_words(canvas, MARGIN, top + head + panel + 0.06, room, words)

    if beside:
        return Block(max(panel, head + words.height) + 0.08, draw_beside)
    return Block(head + panel + 0.06 + words.height + 0.08, draw_below)


def _draw_panel(
    canvas: Canvas, left: float, top: float, width: float, aspect: float, stage: Stage, paint: Paint
) -> None:
    axes = canvas.axes(left, top, width, width * aspect)
    paint(axes, stage, width, width * aspect)


def _shared(scene: Scene, stages: Sequence[Stage], theme: Theme, measure: Measure, inner: float) -> Block:
    """What the lines in every panel mean."""
    rows = key_rows(shared_keys(scene, stages), measure, inner)

    def draw(canvas: Canvas, top: float) -> None:
        for row in rows:
            draw_keys(canvas, MARGIN, top, row)
            top += _lines(1, TEXT)

    return Block(_lines(len(rows), TEXT) + 0.1, draw)


def _pictures(scene: Scene, stages: Sequence[Stage], theme: Theme, inner: float) -> list[Block]:
    """The cameras: one camera once for each stage, several cameras as they stand on the vehicle."""
    if not scene.views:
        return []
    if len(scene.views) == 1:
        return _one_camera(scene, stages, theme, inner)
    masked = [stage for stage in stages if stage.kind is not None and stage.name != "similarity"]
    shown = stages[0] if len(stages) == 1 else (masked or list(stages))[-1]
    blocks = _rig(scene, shown, theme, inner, headed=len(stages) > 1)
    similar = [stage for stage in stages if stage.name == "similarity"]
    if similar and similar[0] is not shown:
        blocks += _rig(scene, similar[0], theme, inner, headed=True, strip=True)
    return blocks


def _one_camera(scene: Scene, stages: Sequence[Stage], theme: Theme, inner: float) -> list[Block]:
    view = scene.views[0]
    shown = list(stages[len(stages) % 2 :]) if len(stages) > 1 else list(stages)
    columns = 1 if len(shown) == 1 else 2
    width = (inner - (columns - 1) * PICTURE_GAP) / columns
    height = width * view.size[1] / view.size[0]

    blocks = []
    for first in range(0, len(shown), columns):

        def draw(canvas: Canvas, top: float, row: Sequence[Stage] = shown[first : first + columns]) -> None:
            for column, stage in enumerate(row):
                axes = canvas.axes(MARGIN + column * (width + PICTURE_GAP), top, width, height)
                draw_overlay(axes, scene, stage, view, width)
                canvas.badge(axes, stage.title if len(shown) > 1 else view.title)

        blocks.append(Block(height + PICTURE_GAP, draw))
    return blocks


def _rig(scene: Scene, stage: Stage, theme: Theme, inner: float, *, headed: bool, strip: bool = False) -> list[Block]:
    """All cameras in ``stage``: ahead above and behind below, or in one strip."""
    order = sorted(scene.views, key=lambda view: view.place)
    rows = [order] if strip else [[v for v in order if v.place[0] == r] for r in sorted({v.place[0] for v in order})]
    if max(len(row) for row in rows) == 1:
        rows = [order]  # one ahead, one behind: side by side they are not as tall as the page
    columns = max(len(row) for row in rows)
    width = (inner - (columns - 1) * PICTURE_GAP) / columns
    blocks = []
    if headed:

        def head(canvas: Canvas, top: float) -> None:
            canvas.text(MARGIN, top, f"{stage.title} on the cameras", HEADING, theme.ink, bold=True)

        blocks.append(Block(_lines(1, HEADING) + 0.04, head))
    for row in rows:
        height = max(width * view.size[1] / view.size[0] for view in row)

        def draw(canvas: Canvas, top: float, row: Any = row) -> None:
            # A short row stands in the middle.
            left = MARGIN + (columns - len(row)) * (width + PICTURE_GAP) / 2
            for view in row:
                axes = canvas.axes(left, top, width, width * view.size[1] / view.size[0])
                draw_overlay(axes, scene, stage, view, width)
                canvas.badge(axes, view.title)
                left += width + PICTURE_GAP

        blocks.append(Block(height + PICTURE_GAP, draw))
    blocks.append(Block(0.06, lambda canvas, top: None))
    return blocks
