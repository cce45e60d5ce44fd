"""How Plotly draws a scene, in the page and in a notebook's figure: sizes in pixels, and what fades into the dark."""

from __future__ import annotations

from dataclasses import dataclass

from viz.scene import Emphasis

BACK = "#11151c"
METRES = 20.0
"""Of the world in one unit of Plotly's scene."""


@dataclass(frozen=True)
class Look:
    """``size`` of a point or width of a line in pixels; ``fade`` is the share of background mixed into its colour."""

    size: float
    fade: float


POINTS: dict[Emphasis, Look] = {
    "quiet": Look(1.3, 0.62),
    "plain": Look(2.0, 0.0),
    "strong": Look(2.7, 0.0),
    "marker": Look(3.2, 0.0),
}
STROKES: dict[Emphasis, Look] = {
    "quiet": Look(1.0, 0.62),
    "plain": Look(1.4, 0.3),
    "strong": Look(2.0, 0.0),
    "marker": Look(2.0, 0.0),
}
