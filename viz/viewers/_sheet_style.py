"""How a sheet looks: sizes in inches and points, and colours for white paper or a dark screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from viz.palette import rgb
from viz.scene import Emphasis

WIDTH = 7.16
"""Inches: the text width of a two-column paper, so that printed there the type has the sizes below."""

TITLE, HEADING, TEXT, NOTE = 10.0, 8.0, 6.6, 6.0
"""Type sizes in points."""

SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "pdf.fonttype": 42,  # journals refuse matplotlib's usual type 3 fonts
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "xmodal",  # the same sheet gives the same bytes
    "text.hinting": "none",  # hinted type is wider than measured
}


@contextmanager
def settings() -> Iterator[None]:
    """Matplotlib as the sheet wants it, whatever the user's own file says; as it was, afterwards."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


@dataclass(frozen=True)
class Theme:
    """Colours of a sheet, ``#rrggbb``.

    Args:
        page: behind everything.
        ink, faint: type, and type that stands back.
        plate: behind the points of a panel.
        frame: lines around panels and pictures.
        guide: rings and their labels within a panel.
    """

    page: str
    ink: str
    faint: str
    plate: str
    frame: str
    guide: str


PAPER = Theme(page="#ffffff", ink="#14181f", faint="#5a6472", plate="#11151c", frame="#11151c", guide="#4a5566")
SCREEN = Theme(page="#11151c", ink="#f2f4f7", faint="#9aa5b5", plate="#11151c", frame="#2a323e", guide="#4a5566")


@dataclass(frozen=True)
class Look:
    """How points of one emphasis are drawn: ``size`` relative to plain ones, ``fade`` the share of background."""

    size: float
    fade: float


LOOKS: dict[Emphasis, Look] = {
    "quiet": Look(0.8, 0.3),
    "plain": Look(1.0, 0.0),
    "strong": Look(1.25, 0.0),
    "marker": Look(1.05, 0.0),
}


def plate_rgb(theme: Theme) -> tuple[int, int, int]:
    """The panel's background as three numbers 0..255."""
    return rgb(theme.plate)
