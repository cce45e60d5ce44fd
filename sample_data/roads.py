"""A piece of a road network: one main road that the ego car follows, side roads that cross it, and the land's slope.

All of it is in the scene's own flat coordinates: x roughly along the main road, y to its left, metres. Along the road
``s`` is the distance from its start and ``t`` the distance to the left of its centre line. Traffic keeps to the right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sample_data.styles import Style
from xmodal_core.types import Doubles

STEP = 0.5
"""Metres between the stored points of the centre line."""
KERB = 0.14
"""Height of the kerb, metres."""
FILLET = 5.0
"""Radius of the kerb at a corner, metres."""


@dataclass(frozen=True)
class SideRoad:
    """A straight road that crosses the main one at right angles, or ends on it.

    Args:
        s: where its centre line meets the main road's.
        x, y: that place.
        heading: of its own direction of travel, radians; it points to the main road's left.
        half: half of its width between kerbs, metres.
        left, right: whether it goes on to that side of the main road.
    """

    s: float
    x: float
    y: float
    heading: float
    half: float
    left: bool
    right: bool


@dataclass(frozen=True)
class Land:
    """Gentle slopes: a tilted plane and two slow waves, (3,3) rows of height, x- and y-wave number, phase."""

    tilt: tuple[float, float]
    waves: Doubles

    def height(self, x: ArrayLike, y: ArrayLike) -> Doubles:
        """Metres at ``x``, ``y`` of any one shape."""
        px, py = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        z = self.tilt[0] * px + self.tilt[1] * py
        for amplitude, kx, ky, phase in self.waves:
            z = z + amplitude * np.sin(kx * px + ky * py + phase)
        return np.asarray(z)

    def frame(self, x: float, y: float, heading: float) -> Doubles:
        """The 3x3 rotation of something that stands on the slope there and faces ``heading``."""
        d = 0.5
        slope_x = float(self.height(x + d, y) - self.height(x - d, y)) / (2 * d)
        slope_y = float(self.height(x, y + d) - self.height(x, y - d)) / (2 * d)
        up = np.array([-slope_x, -slope_y, 1.0]) / np.sqrt(slope_x**2 + slope_y**2 + 1)
        ahead = np.array([np.cos(heading), np.sin(heading), 0.0])
        ahead -= up * (ahead @ up)
        ahead /= np.linalg.norm(ahead)
        return np.stack([ahead, np.cross(up, ahead), up], axis=1)


@dataclass(frozen=True)
class Roads:
    """The road network piece.

    Args:
        style: widths and what stands beside it.
        centre: (P,3) x, y, heading of the main road's centre line each ``STEP`` metres.
        sides: side roads in order of s.
        land: the slope under it all.
    """

    style: Style
    centre: Doubles
    sides: tuple[SideRoad, ...]
    land: Land

    @property
    def length(self) -> float:
        return (len(self.centre) - 1) * STEP

    @property
    def half(self) -> float:
        """Half of the main road's width between kerbs."""
        return self.style.half

    def at(self, s: ArrayLike, t: ArrayLike = 0.0) -> Doubles:
        """(...,3) x, y and heading of the main road's direction at (``s``, ``t``); straight on past its ends."""
        along, left = np.asarray(s, dtype=np.float64), np.asarray(t, dtype=np.float64)
        inside = np.clip(along, 0.0, self.length)
        place = inside / STEP
        before = np.minimum(place.astype(np.int64), len(self.centre) - 2)
        row = self.centre[before]
        row = row + (place - before)[..., None] * (self.centre[before + 1] - row)
        over, heading = along - inside, row[..., 2]
        c, k = np.cos(heading), np.sin(heading)
        x, y = row[..., 0] + over * c - left * k, row[..., 1] + over * k + left * c
        result = np.empty((*x.shape, 3))
        result[..., 0], result[..., 1], result[..., 2] = x, y, heading
        return result

    def coordinates(self, x: ArrayLike, y: ArrayLike) -> tuple[Doubles, Doubles]:
        """The main road's (s, t) of places; exact near the road, and sensible far from it."""
        px, py = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        grid = np.arange(len(self.centre)) * STEP
        s = np.interp(px, self.centre[:, 0], grid)
        s = s + np.minimum(px - self.centre[0, 0], 0) + np.maximum(px - self.centre[-1, 0], 0)
        for _ in range(3):
            here = self.at(s)
            c, k = np.cos(here[..., 2]), np.sin(here[..., 2])
            s = s + np.clip((px - here[..., 0]) * c + (py - here[..., 1]) * k, -40.0, 40.0) * 0.9
        here = self.at(s)
        c, k = np.cos(here[..., 2]), np.sin(here[..., 2])
        s = s + (px - here[..., 0]) * c + (py - here[..., 1]) * k
        return s, -(px - here[..., 0]) * k + (py - here[..., 1]) * c

    def outside(self, x: ArrayLike, y: ArrayLike) -> Doubles:
        """Metres outside of the carriageway (negative within it), with rounded corners where roads meet."""
        px, py = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        _, t = self.coordinates(px, py)
        main = np.abs(t) - self.half
        result = main
        for side in self.sides:
            result = _round_union(result, self._outside_of(side, px, py), FILLET)
        return np.asarray(result)

    def _outside_of(self, side: SideRoad, x: Doubles, y: Doubles) -> Doubles:
        along, across = self.on_side(side, x, y)
        wall = np.abs(across) - side.half
        beyond = -np.inf * np.ones_like(along)
        if not side.left:
            beyond = np.maximum(beyond, along)
        if not side.right:
            beyond = np.maximum(beyond, -along)
        return np.maximum(wall, beyond)

    @staticmethod
    def on_side(side: SideRoad, x: ArrayLike, y: ArrayLike) -> tuple[Doubles, Doubles]:
        """A side road's own coordinates: metres along it from the main road's centre line, and to its left."""
        dx, dy = np.asarray(x, dtype=np.float64) - side.x, np.asarray(y, dtype=np.float64) - side.y
        c, k = np.cos(side.heading), np.sin(side.heading)
        return dx * c + dy * k, -dx * k + dy * c

    def side_at(self, side: SideRoad, along: float, across: float = 0.0) -> tuple[float, float, float]:
        """x, y and heading of a place on a side road."""
        c, k = np.cos(side.heading), np.sin(side.heading)
        return (
            float(side.x + along * c - across * k),
            float(side.y + along * k + across * c),
            side.heading,
        )

    def near_side(self, s: ArrayLike, margin: float = 0.0) -> Doubles:
        """1 where ``s`` lies within a side road's mouth widened by ``margin`` metres, else 0."""
        along = np.asarray(s, dtype=np.float64)
        hit = np.zeros(along.shape)
        for side in self.sides:
            hit = np.maximum(hit, np.abs(along - side.s) < side.half + margin)
        return hit


def _round_union(a: Doubles, b: Doubles, radius: float) -> Doubles:
    # Signed distance to two roads together, with the inner corner rounded by `radius`.
    u, v = np.maximum(radius - a, 0), np.maximum(radius - b, 0)
    return np.asarray(np.maximum(radius, np.minimum(a, b)) - np.sqrt(u * u + v * v))


def lay(style: Style, length: float, sides: list[tuple[float, bool, bool]], rng: np.random.Generator) -> Roads:
    """A main road of ``length`` metres that bends gently, with side roads at the given (s, left, right)."""
    s = np.arange(0.0, length + STEP, STEP)
    bend = style.bend * rng.choice([-1.0, 1.0])
    wave = 2 * np.pi / rng.uniform(260.0, 340.0)
    heading = bend * np.sin(wave * s + rng.uniform(0, 2 * np.pi))
    heading -= heading.mean()
    x = np.r_[0.0, np.cumsum(np.cos((heading[1:] + heading[:-1]) / 2) * STEP)]
    y = np.r_[0.0, np.cumsum(np.sin((heading[1:] + heading[:-1]) / 2) * STEP)]
    centre = np.stack([x, y - y.mean(), heading], axis=1)
    roads = Roads(style, centre, (), _land(style, rng))
    mouths = []
    for place, left, right in sides:
        at = roads.at(place)
        mouths.append(
            SideRoad(place, float(at[0]), float(at[1]), float(at[2]) + np.pi / 2, style.side_half, left, right)
        )
    return Roads(style, centre, tuple(mouths), roads.land)


def _land(style: Style, rng: np.random.Generator) -> Land:
    tilt = (rng.choice([-1, 1]) * rng.uniform(0.004, 0.016) * style.hills, rng.uniform(-0.004, 0.004) * style.hills)
    waves = []
    for wavelength, slope in ((rng.uniform(150, 220), 0.016), (rng.uniform(90, 130), 0.007)):
        angle = rng.uniform(-0.5, 0.5)
        k = 2 * np.pi / wavelength
        waves.append((slope * style.hills / k, k * np.cos(angle), k * np.sin(angle), rng.uniform(0, 2 * np.pi)))
    return Land(tilt, np.array(waves))
