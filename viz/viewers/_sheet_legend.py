"""Legends: a key for every layer in its colours, and a bar for every measure shown as colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz.palette import Ramp, toward
from viz.scene import Emphasis, LineLayer, PointLayer, Scene, Stage
from viz.viewers._chosen import signed
from viz.viewers._sheet_canvas import Canvas, Measure
from viz.viewers._sheet_style import LOOKS, NOTE, TEXT, plate_rgb

SWATCH, SPACE = 0.075, 0.05
"""Inches: the side of a colour's square, and the room between things."""

LOUDEST_FIRST: tuple[Emphasis, ...] = ("strong", "plain", "marker", "quiet")

WIDEST_BAR, BAR_HEIGHT = 2.3, 0.235
"""Inches: how wide a colour bar gets, and its height with the numbers below."""


@dataclass(frozen=True)
class Key:
    """``title`` beside squares of ``colours``, or beside a line."""

    title: str
    colours: tuple[tuple[int, int, int], ...]
    line: bool = False
    fade: float = 0.0

    @property
    def lead(self) -> float:
        """Inches before the title."""
        squares = 2 if self.line else len(self.colours)
        return squares * SWATCH + 0.04


@dataclass(frozen=True)
class Bar:
    """A measure's colours; ``split`` names what lies below and above the scale's middle, where that means something."""

    ramp: Ramp
    split: tuple[str, str] | None = None


def keys_of(scene: Scene, stage: Stage) -> list[Key]:
    """A key for every point layer of ``stage`` whose colours are not a measure's and that has points to show."""
    layers = [layer for layer in scene.point_layers(stage) if layer.ramp is None and len(layer.rows)]
    layers.sort(key=lambda layer: LOUDEST_FIRST.index(layer.emphasis))
    return [Key(layer.title, _swatches(layer), fade=LOOKS[layer.emphasis].fade) for layer in layers]


def _swatches(layer: PointLayer) -> tuple[tuple[int, int, int], ...]:
    shown = layer.colours[:4].tolist()
    return tuple((red, green, blue) for red, green, blue in shown)


def shared_keys(scene: Scene, stages: Sequence[Stage]) -> list[Key]:
    """A key for every line layer that any of ``stages`` draws."""
    found: dict[str, LineLayer] = {}
    for stage in stages:
        found.update({line.name: line for line in scene.line_layers(stage)})
    return [Key(line.title, (line.colour,), line=True, fade=LOOKS[line.emphasis].fade) for line in found.values()]


def bars_of(scene: Scene, stage: Stage) -> list[Bar]:
    """A bar for each measure that ``stage`` shows."""
    bars: dict[str, Bar] = {}
    for layer in scene.point_layers(stage):
        if layer.ramp is not None:
            split = None if layer.ramp.middle is None else ("negatives", "excluded")
            bars.setdefault(layer.ramp.words, Bar(layer.ramp, split))
    return list(bars.values())


def key_rows(keys: Sequence[Key], measure: Measure, width: float) -> list[list[Key]]:
    """``keys`` in rows that fit ``width`` inches."""
    rows: list[list[Key]] = []
    used = 0.0
    for key in keys:
        need = key.lead + measure(key.title, TEXT) + 2 * SPACE
        if not rows or used + need > width:
            rows.append([])
            used = 0.0
        rows[-1].append(key)
        used += need
    return rows


def draw_keys(canvas: Canvas, left: float, top: float, keys: Sequence[Key]) -> None:
    """One row of keys."""
    measure = Measure()
    for key in keys:
        colours = toward(np.array(key.colours, dtype=np.uint8), plate_rgb(canvas.theme), key.fade) / 255.0
        middle = top + 0.66 * TEXT / 72
        if key.line:
            # On a piece of the panel's background: white lines are lost on paper.
            canvas.dash(left, middle - SWATCH / 2, 2 * SWATCH, SWATCH, canvas.theme.plate)
            canvas.dash(left + 0.01, middle - 0.007, 2 * SWATCH - 0.02, 0.014, colours[0])
        for number, colour in enumerate(() if key.line else colours):
            canvas.dash(left + number * SWATCH, middle - SWATCH / 2, SWATCH, SWATCH, colour, framed=True)
        canvas.text(left + key.lead, top, key.title, TEXT, canvas.theme.ink)
        left += key.lead + measure(key.title, TEXT) + 2 * SPACE


def draw_bar(canvas: Canvas, left: float, top: float, width: float, bar: Bar) -> None:
    """A colour bar with its ends, and where its middle has a meaning, that."""
    ramp, theme = bar.ramp, canvas.theme
    wide = min(width, WIDEST_BAR)
    axes = canvas.axes(left, top + 0.02, wide, 0.07)
    axes.imshow(ramp.colours[None], aspect="auto", extent=(0, 1, 0, 1), interpolation="bilinear")
    axes.set_xlim(0, 1)
    first, middle, last = f"{ramp.low:g}".replace("-", "−"), ramp.words, f"{ramp.high:g}"
    if ramp.middle is not None:
        axes.axvline(0.5, color=theme.plate, linewidth=0.8)
        first, middle, last = signed(ramp.low), f"cosine {signed(ramp.middle)}", signed(ramp.high)
    if bar.split is not None:
        first, last = f"{first}  {bar.split[0]}", f"{bar.split[1]}  {last}"
    for at, words, align in ((0.0, first, "left"), (0.5, middle, "center"), (1.0, last, "right")):
        canvas.text(left + at * wide, top + 0.115, words, NOTE, theme.faint, align=align)
