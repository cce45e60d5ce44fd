"""What Open3D is given: a stage's points and lines as plain arrays, and where one looks from. No Open3D in here."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viz.palette import toward
from viz.scene import LineLayer, PointLayer, Scene, Stage
from viz.viewers._sheet_style import LOOKS, SCREEN, plate_rgb
from xmodal_core.types import Bools, Doubles, Floats

BACK = plate_rgb(SCREEN)

RINGS = (0.0, 9.0, 18.0, 32.0, 55.0, np.inf)
"""Distances from the eye, metres, between which points have one size: nearer ones are larger."""

HAZE = (45.0, 110.0, 0.55)
"""From and to which distance, metres, colours fade into the background, and how far."""


@dataclass(frozen=True)
class Dots:
    """Points of one size.

    Args:
        points: (n,3) float32 metres.
        colours: (n,3) float32, 0..1.
        size: diameter in units of a plain point's at middle distance.
    """

    points: Floats
    colours: Floats
    size: float


@dataclass(frozen=True)
class Lines:
    """Segments of one colour.

    Args:
        points: (P,3) float64 metres.
        ends: (L,2) int32 rows of ``points``.
        colour: three floats 0..1.
        width: relative to a box's lines.
    """

    points: Doubles
    ends: NDArray[np.int32]
    colour: tuple[float, float, float]
    width: float


@dataclass(frozen=True)
class Look:
    """Where one looks from: ``eye`` and ``centre`` in metres, ``up``, and the vertical field of view in degrees."""

    eye: tuple[float, float, float]
    centre: tuple[float, float, float]
    up: tuple[float, float, float]
    field: float = 55.0


def from_behind(scene: Scene) -> Look:
    """Behind the vehicle and above it, looking ahead."""
    fx, fy = scene.forward
    floor = scene.floor
    return Look((-15 * fx, -15 * fy, floor + 13), (14 * fx, 14 * fy, floor), (0, 0, 1))


def from_above(scene: Scene) -> Look:
    """High above, the vehicle driving up the page."""
    fx, fy = scene.forward
    return Look((-0.01 * fx, -0.01 * fy, scene.floor + 85), (0, 0, scene.floor), (fx, fy, 0))


def drawing(scene: Scene, stage: Stage, eye: tuple[float, float, float]) -> tuple[list[Dots], list[Lines]]:
    """``stage`` as seen from ``eye``: nearer points are larger, far ones fade."""
    dots = [part for layer in scene.point_layers(stage) for part in _dots(scene, layer, eye)]
    lines = [_lines(layer) for layer in scene.line_layers(stage)]
    return dots, [line for line in lines if len(line.ends)]


def _dots(scene: Scene, layer: PointLayer, eye: tuple[float, float, float]) -> list[Dots]:
    look = LOOKS[layer.emphasis]
    points = scene.cloud[layer.rows]
    colours = toward(layer.colours, BACK, look.fade)[layer.code].astype(np.float32) / 255
    distance = np.linalg.norm(points - np.array(eye, dtype=np.float32), axis=1)
    near, far, most = HAZE
    share = (np.clip((distance - near) / (far - near), 0, 1) * most)[:, None]
    colours = (colours * (1 - share) + np.array(BACK, dtype=np.float32) / 255 * share).astype(np.float32)
    found = []
    for inner, outer in itertools.pairwise(RINGS):
        within: Bools = (distance >= inner) & (distance < outer)
        if within.any():
            middle = (inner + min(outer, 80.0)) / 2
            size = look.size * float(np.clip((25.0 / middle) ** 0.55, 0.65, 1.9))
            found.append(Dots(points[within], colours[within], size))
    return found


def _lines(layer: LineLayer) -> Lines:
    gap = np.isnan(layer.points[:, 0])
    ends = np.flatnonzero(~gap[:-1] & ~gap[1:])
    colour = toward(np.array(layer.colour, dtype=np.uint8), BACK, LOOKS[layer.emphasis].fade) / 255.0
    red, green, blue = colour.tolist()
    return Lines(
        np.nan_to_num(layer.points).astype(np.float64),
        np.stack([ends, ends + 1], axis=1).astype(np.int32),
        (red, green, blue),
        0.7 if layer.emphasis == "quiet" else 1.0,
    )
