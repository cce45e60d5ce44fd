"""A sheet: every stage as a panel with its legend and counts, and the cameras' pictures below.

The panels themselves are painted by whoever asks for the sheet, from above or in perspective.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from viz.scene import Scene, Stage, View
from viz.viewers._overlay import draw_overlay
from viz.viewers._sheet_canvas import Canvas, Measure
from viz.viewers._sheet_legend import BAR_HEIGHT, Bar, Key, bars_of, draw_bar, draw_keys, key_rows, keys_of, shared_keys
from viz.viewers._sheet_style import HEADING, NOTE, TEXT, TITLE, WIDTH, Theme

MARGIN, GAP, PICTURE_GAP = 0.08, 0.14, 0.05
LINE = 1.32
"""Line height over type size."""
WIDE = 0.7
"""A panel of at most this height over its width takes the whole width of the sheet."""

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

    blocks = list(Layout(scene, paint, aspect, theme, paint_detail).blocks())
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


@dataclass
class Layout:
    """Breaks a scene into blocks; see ``make_sheet``."""

    scene: Scene
    paint: Paint
    aspect: float
    theme: Theme
    paint_detail: Paint | None = None
    inner: float = WIDTH - 2 * MARGIN

    def __post_init__(self) -> None:
        self.measure = Measure()
        self.stages = self.scene.drawn_stages()

    def blocks(self) -> Iterator[Block]:
        """From the top to the bottom of the sheet."""
        yield self._header()
        if len(self.stages) == 1:
            yield self._large_beside() if self.aspect > WIDE else self._large_above()
        else:
            yield from self._grid()
        yield self._shared()
        if len(self.scene.views) == 1:
            yield from self._one_camera()
        elif self.scene.views:
            yield from self._cameras()

    def _header(self) -> Block:
        scene, theme, measure, width = self.scene, self.theme, self.measure, self.inner
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

    def _grid(self) -> Iterator[Block]:
        """All stages, two or three in a row."""
        columns = 2 if len(self.stages) in (2, 4) else 3
        width = (self.inner - (columns - 1) * GAP) / columns
        head, panel = _lines(1, HEADING) + 0.02, width * self.aspect
        for first in range(0, len(self.stages), columns):
            row = [
                (f"({chr(97 + number)}) {stage.title}", stage, self._words(stage, width, spoken=False))
                for number, stage in enumerate(self.stages)
            ][first : first + columns]

            def draw(canvas: Canvas, top: float, row: Sequence[tuple[str, Stage, Words]] = row) -> None:
                for column, (title, stage, words) in enumerate(row):
                    left = MARGIN + column * (width + GAP)
                    canvas.text(left, top, title, HEADING, self.theme.ink, bold=True)
                    self.paint(canvas.axes(left, top + head, width, panel), stage, width, panel)
                    _draw_words(canvas, left, top + head + panel + 0.05, width, words)

            yield Block(head + panel + 0.05 + max(words.height for _, _, words in row) + 0.1, draw)

    def _large_beside(self) -> Block:
        """One stage in a panel that is nearly square, its words and a close-up at the right."""
        stage, width = self.stages[0], 0.66 * self.inner
        room, panel, head = self.inner - width - GAP, width * self.aspect, _lines(1, HEADING) + 0.04
        words = self._words(stage, room, spoken=True)
        close = min(panel - head - words.height - GAP, 1.5 * room)

        def draw(canvas: Canvas, top: float) -> None:
            left = MARGIN + width + GAP
            self.paint(canvas.axes(MARGIN, top, width, panel), stage, width, panel)
            canvas.text(left, top, stage.title, HEADING, self.theme.ink, bold=True)
            _draw_words(canvas, left, top + head, room, words)
            if self.paint_detail is not None and close > 0.6 * room:
                self.paint_detail(canvas.axes(left, top + panel - close, room, close), stage, room, close)

        return Block(max(panel, head + words.height) + 0.08, draw)

    def _large_above(self) -> Block:
        """One stage in a wide panel, its words below."""
        stage, width = self.stages[0], self.inner
        panel, head = width * self.aspect, _lines(1, HEADING) + 0.04
        words = self._words(stage, width, spoken=True)

        def draw(canvas: Canvas, top: float) -> None:
            canvas.text(MARGIN, top, stage.title, HEADING, self.theme.ink, bold=True)
            self.paint(canvas.axes(MARGIN, top + head, width, panel), stage, width, panel)
            _draw_words(canvas, MARGIN, top + head + panel + 0.06, width, words)

        return Block(head + panel + 0.06 + words.height + 0.08, draw)

    def _words(self, stage: Stage, width: float, *, spoken: bool) -> Words:
        """What ``stage`` shows; ``spoken``: with the sentence on what it is."""
        told = ([stage.words] if spoken else []) + list(stage.caption)
        lines = [line for text in told for line in self.measure.wrap(text, TEXT, width)]
        keys = key_rows(keys_of(self.scene, stage), self.measure, width)
        return Words(bars_of(self.scene, stage), keys, lines)

    def _shared(self) -> Block:
        """What the lines in every panel mean."""
        rows = key_rows(shared_keys(self.scene, self.stages), self.measure, self.inner)

        def draw(canvas: Canvas, top: float) -> None:
            for row in rows:
                draw_keys(canvas, MARGIN, top, row)
                top += _lines(1, TEXT)

        return Block(_lines(len(rows), TEXT) + 0.1, draw)

    def _one_camera(self) -> Iterator[Block]:
        """Its picture once for each stage, as many as fill rows of two."""
        view, stages = self.scene.views[0], self.stages
        shown = stages[len(stages) % 2 :] if len(stages) > 1 else stages
        columns = min(len(shown), 2)
        for first in range(0, len(shown), columns):
            named = [(view, stage, stage.title if len(shown) > 1 else view.title) for stage in shown[first:][:columns]]
            yield self._row(named, columns)

    def _cameras(self) -> Iterator[Block]:
        """The cameras as they stand on the vehicle in the last stage that tints them; the similarity as a strip."""
        tinting = [stage for stage in self.stages if stage.kind is not None and stage.name != "similarity"]
        main = (tinting or list(self.stages))[-1]
        order = sorted(self.scene.views, key=lambda view: view.place)
        rows = [[view for view in order if view.place[0] == row] for row in sorted({v.place[0] for v in order})]
        if max(len(row) for row in rows) == 1:
            rows = [order]  # one ahead, one behind: side by side they are not as tall as the page
        yield from self._rig(main, rows)
        similarity = next((stage for stage in self.stages if stage.name == "similarity"), main)
        if similarity is not main:
            yield from self._rig(similarity, [order])

    def _rig(self, stage: Stage, rows: Sequence[Sequence[View]]) -> Iterator[Block]:
        def head(canvas: Canvas, top: float) -> None:
            canvas.text(MARGIN, top, f"{stage.title} on the cameras", HEADING, self.theme.ink, bold=True)

        if len(self.stages) > 1:
            yield Block(_lines(1, HEADING) + 0.04, head)
        columns = max(len(row) for row in rows)
        for row in rows:
            yield self._row([(view, stage, view.title) for view in row], columns)
        yield Block(0.06, lambda canvas, top: None)

    def _row(self, named: Sequence[tuple[View, Stage, str]], columns: int) -> Block:
        """Pictures side by side, each with a stage drawn in and a name; fewer than ``columns`` stand in the middle."""
        width = (self.inner - (columns - 1) * PICTURE_GAP) / columns

        def draw(canvas: Canvas, top: float) -> None:
            left = MARGIN + (columns - len(named)) * (width + PICTURE_GAP) / 2
            for view, stage, name in named:
                axes = canvas.axes(left, top, width, width * view.size[1] / view.size[0])
                draw_overlay(axes, self.scene, stage, view, width)
                canvas.badge(axes, name)
                left += width + PICTURE_GAP

        tallest = max(view.size[1] / view.size[0] for view, _, _ in named)
        return Block(width * tallest + PICTURE_GAP, draw)


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
