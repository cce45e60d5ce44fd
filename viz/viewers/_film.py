"""One picture of a film: a stage in perspective with the cameras' pictures, small enough to be sent around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from viz.scene import Scene, Stage, View
from viz.viewers._open3d_drawing import Look
from viz.viewers._overlay import draw_overlay
from viz.viewers._perspective import draw_perspective
from viz.viewers._sheet_canvas import Canvas, Measure
from viz.viewers._sheet_legend import BAR_HEIGHT, Key, bars_of, draw_bar, draw_keys, key_rows, keys_of
from viz.viewers._sheet_style import NOTE, SCREEN, TEXT, TITLE, WIDTH
from xmodal_core.types import Image

MARGIN, GAP = 0.08, 0.05
"""Inches, as on a sheet."""
LINE = 1.32
SPACE, SPACE_ALONE = 0.56, 0.38
"""Share of the width that the stage takes beside several cameras; its height over its width above one or none."""
LOWEST = 0.5
"""Height over width of the stage, beside cameras."""
FIELD_ALONE = 44.0
"""Degrees: a wide picture needs less sky."""


def film_picture(scene: Scene, stage: Stage, look: Look, pixels: int) -> Image:
    """``stage`` of ``scene`` seen from ``look``, (h,w,3) uint8, ``pixels`` wide; its height follows from what is on
    it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    inner = WIDTH - 2 * MARGIN
    rows = rig_rows(scene.views)
    beside = _stand_beside(rows, inner)
    width = SPACE * inner if beside else inner
    room = inner - width - GAP if beside else inner
    tall = [_row_height(row, room) for row in rows]
    panel = sum(tall) + GAP * (len(rows) - 1) if beside else SPACE_ALONE * inner
    keys = key_rows(keys_of(scene, stage), Measure(), inner)
    head = MARGIN + (TITLE + NOTE) * LINE / 72 + 0.06
    foot = 0.04 + BAR_HEIGHT * len(bars_of(scene, stage)) + len(keys) * TEXT * LINE / 72
    below = 0.0 if beside else sum(tall) + GAP * len(rows)
    height = head + panel + below + foot + MARGIN
    # Whole and even numbers of pixels, so that nothing is blurred.
    dpi = pixels / WIDTH
    figure = Figure(figsize=(WIDTH, 2 * round(height * dpi / 2) / dpi), dpi=dpi, facecolor=SCREEN.page)
    canvas = Canvas(figure, WIDTH, float(figure.get_figheight()), SCREEN)
    _draw_head(canvas, scene, stage, inner)
    look = look if beside else replace(look, field=FIELD_ALONE)
    space = draw_perspective(scene, stage, look, (round(width * dpi), round(panel * dpi)))
    top = head if beside else head + below
    canvas.axes(MARGIN, top, width, panel).imshow(space, interpolation="antialiased", aspect="auto")
    left, top = (MARGIN + width + GAP, head) if beside else (MARGIN, head)
    for row, high in zip(rows, tall, strict=True):
        _draw_row(canvas, scene, stage, row, left, top, room)
        top += high + GAP
    _draw_foot(canvas, scene, stage, keys, head + panel + below + 0.04, inner)
    agg = FigureCanvasAgg(figure)
    agg.draw()
    return np.asarray(agg.buffer_rgba())[..., :3].copy()


def rig_rows(views: Sequence[View]) -> list[list[View]]:
    """The cameras in rows: the one that looks straight ahead by itself, those beside it, those that look back."""
    order = sorted(views, key=lambda view: view.place)
    rows = [[view for view in order if view.place[0] == row] for row in sorted({view.place[0] for view in order})]
    if rows and len(rows[0]) in (3, 5):
        middle = len(rows[0]) // 2
        rows[:1] = [[rows[0][middle]], rows[0][:middle] + rows[0][middle + 1 :]]
    return rows


def _stand_beside(rows: Sequence[Sequence[View]], inner: float) -> bool:
    """Whether the cameras, beside the stage, are several and high enough to leave it a good shape."""
    room = (1 - SPACE) * inner - GAP
    return sum(map(len, rows)) > 1 and sum(_row_height(row, room) for row in rows) > LOWEST * SPACE * inner


def _row_height(row: Sequence[View], room: float) -> float:
    """Inches: pictures of one height side by side fill ``room``."""
    return (room - GAP * (len(row) - 1)) / sum(view.size[0] / view.size[1] for view in row)


def _draw_row(
    canvas: Canvas, scene: Scene, stage: Stage, row: Sequence[View], left: float, top: float, room: float
) -> None:
    high = _row_height(row, room)
    for view in row:
        width = high * view.size[0] / view.size[1]
        axes = canvas.axes(left, top, width, high)
        draw_overlay(axes, scene, stage, view, width)
        canvas.badge(axes, view.title)
        left += width + GAP


def _draw_head(canvas: Canvas, scene: Scene, stage: Stage, inner: float) -> None:
    measure = Measure()
    facts = "   ".join(f"{number} {what}" for number, what in scene.facts)
    title = measure.cut(scene.title, TITLE, inner - measure(facts, TEXT) - 0.2, bold=True)
    canvas.text(MARGIN, MARGIN, title, TITLE, SCREEN.ink, bold=True)
    canvas.text(MARGIN + inner, MARGIN + 0.03, facts, TEXT, SCREEN.ink, align="right")
    top = MARGIN + TITLE * LINE / 72
    name = f"{stage.title}: {stage.words}"
    canvas.text(MARGIN, top, measure.cut(name, NOTE, inner), NOTE, SCREEN.faint)


def _draw_foot(
    canvas: Canvas, scene: Scene, stage: Stage, keys: Sequence[Sequence[Key]], top: float, inner: float
) -> None:
    for bar in bars_of(scene, stage):
        draw_bar(canvas, MARGIN, top, inner, bar)
        top += BAR_HEIGHT
    for row in keys:
        draw_keys(canvas, MARGIN, top, row)
        top += TEXT * LINE / 72
