"""Colours with a meaning: distinct ones for units, ramps for measures, and which neighbours may share one.

The ten unit colours were chosen to lie far apart in OKLab for normal sight and for the simulated sight of people with
deuteranopia and protanopia (Machado et al. 2009), and to be legible on a dark page and on white paper alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from xmodal_core.compiled import compiled
from xmodal_core.types import Doubles, Floats, Ints

Colours = NDArray[np.uint8]
Codes = NDArray[np.uint8]


def rgb(text: str) -> tuple[int, int, int]:
    """``#rrggbb`` as three numbers 0..255."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def table(*texts: str) -> Colours:
    """(K,3) uint8 from ``#rrggbb`` texts."""
    return np.array([rgb(text) for text in texts], dtype=np.uint8)


UNITS = table(
    "#ffd22d", "#4b78e1", "#ff78b4", "#69f0a5", "#d25a0f", "#87d2ff", "#a55aa5", "#96b400", "#b496ff", "#2d9669"
)
_MORE = table(
    "#636363", "#6333ff", "#dbab7b", "#c30f3f", "#0fb7c3", "#ab0fb7", "#ff4b63",
    "#e71bcf", "#939f93", "#c3e7db", "#4bdbcf", "#0fff6f", "#937b93", "#c31b7b",
    "#cfc357", "#7b87ff", "#0f930f", "#b7c3ab", "#276f87", "#db93db",
)  # fmt: skip
CLASSES = np.concatenate([UNITS, _MORE])
"""Thirty for classes, where none may share one: after the units' ten each next one lies farthest from all before it, to
normal sight and to both simulated ones, among those of WCAG's contrast 3 on the dark page and lightness below 0.9."""
GROUND = "#c79a5b"
OBJECTS = "#58b0f5"
QUIET = "#8b95a5"
SEED = "#ffffff"
LABEL = "#c3ccd9"
VEHICLE = "#f2f4f7"
CHOSEN = "#ff4fa3"

HEIGHT = ("#4a4fb0", "#2f7fc0", "#1fa7a4", "#63c56b", "#c5d94a", "#ffe45c")
BELOW, ABOVE = ("#2257d6", "#3f7be6", "#7fa8e8", "#b4c6e0"), ("#c98a3a", "#e8a52c", "#fbc62f", "#ffe85a")
"""Two sides of an edge that matters: cool below it, warm above, with a jump between."""

RAMP_STEPS = 256


def spread(anchors: tuple[str, ...], steps: int = RAMP_STEPS) -> Colours:
    """A ramp of ``steps`` colours through ``anchors`` at equal distances, (steps,3) uint8."""
    stops = table(*anchors).astype(np.float64)
    at = np.linspace(0, len(stops) - 1, steps)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)


def split(below: tuple[str, ...], above: tuple[str, ...]) -> Colours:
    """A ramp of 256 colours, half of them through ``below``, half through ``above``, (256,3) uint8."""
    half = RAMP_STEPS // 2
    return np.concatenate([spread(below, half), spread(above, half)])


@dataclass(frozen=True)
class Ramp:
    """A measure as colour: ``low`` is the first colour, ``high`` the last, and ``middle``, where given, the middle one.

    A value at ``middle`` still has a colour of the lower half.

    Args:
        colours: (256,3) uint8.
        low, high, middle: values of the measure.
        words: the measure's name, with its unit.
    """

    colours: Colours
    low: float
    high: float
    words: str
    middle: float | None = None

    def codes(self, values: Floats) -> Codes:
        """The rows of ``colours`` for ``values`` of any shape; values outside take the nearer end."""
        middle = (self.low + self.high) / 2 if self.middle is None else self.middle
        at = np.interp(values, *_increasing((self.low, middle, self.high)))
        # The last step down to the middle and the first above it are apart: 0.5 is of the lower half.
        return np.ceil(at * len(self.colours) - 1).clip(0).astype(np.uint8)


def _increasing(ends: tuple[float, float, float]) -> tuple[list[float], list[float]]:
    # Where all values are equal the ends coincide; a hair between them keeps the mapping defined.
    low, middle, high = ends
    middle = max(middle, low + 1e-6)
    return [low, middle, max(high, middle + 1e-6)], [0.0, 0.5, 1.0]


CLOSE = 5
"""Among so many of the nearest things no colour is shared, even if it is wished for."""


def tell_apart(centres: Floats, wishes: Ints | None = None, colours: int = len(UNITS), neighbours: int = 14) -> Codes:
    """A colour for each of G things so that near ones differ: (G,) uint8, 0..``colours`` - 1.

    Each thing in turn takes the colour that it wishes for, or, where one of the ``CLOSE`` nearest things has that, the
    one whose nearest user is farthest away among its ``neighbours`` nearest things.

    Args:
        centres: (G,D) where they are.
        wishes: (G,) a number that stands for each; equal numbers wish for equal colours. None: their place in the list.
        colours: how many there are to choose from.
        neighbours: how many things around are looked at.
    """
    count = len(centres)
    wishes = np.arange(count) if wishes is None else _scattered(wishes)
    if count < 2:
        return (wishes % colours).astype(np.uint8)
    distance, near = cKDTree(centres).query(centres, k=min(neighbours + 1, count))
    codes: Codes = _take_in_turn(distance, near, wishes % colours, colours)
    return codes


def _scattered(numbers: Ints) -> Ints:
    """Numbers that follow one another, far apart (Knuth's multiplicative hash)."""
    return (numbers * 2654435761 % 2**32) >> 8


@compiled
def _take_in_turn(distance: Doubles, near: Ints, wishes: Ints, colours: int) -> Codes:
    count, neighbours = near.shape
    codes = np.zeros(count, dtype=np.uint8)
    for thing in range(count):
        room = np.full(colours, np.inf)
        for k in range(neighbours):
            if near[thing, k] < thing:
                colour = codes[near[thing, k]]
                room[colour] = min(room[colour], distance[thing, k])
        best = wishes[thing]
        if room[best] <= distance[thing, min(CLOSE, neighbours - 1)]:
            # Colours nobody near uses are equally good: take them in turn, so that all of them are used.
            for turn in range(1, colours):
                colour = (wishes[thing] + turn) % colours
                if room[colour] > room[best]:
                    best = colour
        codes[thing] = best
    return codes


def toward(colours: Colours, background: tuple[int, int, int], share: float) -> Colours:
    """``colours`` (...,3) mixed with ``share`` (0..1) of ``background``: how a viewer makes things quiet."""
    mixed = colours.astype(np.float64) * (1 - share) + np.array(background, dtype=np.float64) * share
    return np.round(mixed).astype(np.uint8)
