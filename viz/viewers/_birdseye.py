"""A stage from above: the vehicle drives up the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viz.palette import toward
from viz.scene import LineLayer, PointLayer, Scene, Stage
from viz.viewers._sheet_style import LOOKS, NOTE, Theme, plate_rgb
from xmodal_core.types import Floats

SMALLEST = 40.0
"""Metres that a window shows at least, so that a lone object does not fill it."""


@dataclass(frozen=True)
class Window:
    """What part of the ground a panel shows: metres to the right of the vehicle and ahead of it."""

    left: float
    right: float
    back: float
    ahead: float

    @property
    def aspect(self) -> float:
        """Height over width."""
        return (self.ahead - self.back) / (self.right - self.left)


def to_page(points: Floats, forward: tuple[float, float]) -> Floats:
    """``points`` (N,2 or 3) of the cloud as (N,2): metres to the right of the vehicle, metres ahead."""
    fx, fy = np.float32(forward[0]), np.float32(forward[1])
    right = points[:, 0] * fy - points[:, 1] * fx
    return np.stack([right, points[:, 0] * fx + points[:, 1] * fy], axis=1).astype(np.float32)


def choose_window(scene: Scene, aspect: tuple[float, float] = (0.72, 1.05)) -> Window:
    """The part of the ground that holds nearly all units (without any: nearly all points) and the vehicle.

    Args:
        scene: what is shown.
        aspect: the least and the greatest height over width.
    """
    member = scene.members["unit"] >= 0
    points = scene.cloud[member] if member.any() else scene.cloud
    at = to_page(points, scene.forward) if len(points) else np.zeros((1, 2), np.float32)
    low, high = np.percentile(at, [3, 97], axis=0)
    low, high = np.minimum(low - 3, -6), np.maximum(high + 3, 6)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, SMALLEST / 2)
    half[1] = max(half[1], half[0] * aspect[0])
    half[0] = max(half[0], half[1] / aspect[1])
    (left, back), (right, ahead) = (middle - half).tolist(), (middle + half).tolist()
    return Window(left, right, back, ahead)


def choose_detail(scene: Scene, stage: Stage, window: Window, aspect: float) -> Window:
    """A part of ``window`` worth a closer look, its height ``aspect`` times its width: around the chosen unit, else
    where most instances stand."""
    half = max(9.0, 0.11 * (window.right - window.left))
    tall = half * aspect
    chosen = [layer.rows for layer in scene.point_layers(stage) if layer.name == "chosen" and len(layer.rows)]
    middle = to_page(scene.cloud[chosen[0]], scene.forward).mean(axis=0) if chosen else _busiest(scene, half)
    # Within the window wherever it is.
    right = float(np.clip(middle[0], window.left + half, window.right - half))
    ahead = float(np.clip(middle[1], window.back + tall, window.ahead - tall))
    return Window(right - half, right + half, ahead - tall, ahead + tall)


def _busiest(scene: Scene, half: float) -> Floats:
    """The middle of the square of side 2 ``half`` with most units in it that are more than a few points."""
    group = scene.members["unit"]
    sizes = np.bincount(group[group >= 0])
    large = np.flatnonzero(sizes >= 20)
    if not len(large):
        return np.zeros(2, np.float32)
    at = to_page(scene.cloud, scene.forward)
    inside = group >= 0
    middle = np.stack([np.bincount(group[inside], at[inside, axis]) / np.maximum(sizes, 1) for axis in (0, 1)], axis=1)
    middle = middle[large]
    apart = np.abs(middle[:, None] - middle[None]).max(axis=2)
    # Of equally busy places the one nearest to the vehicle: that is where shapes can be made out.
    score = (apart < half).sum(axis=1) - 0.05 * np.linalg.norm(middle, axis=1)
    return np.asarray(middle[int(np.argmax(score))], dtype=np.float32)


def draw_frame(axes: Any, window: Window) -> None:
    """Mark the ground of ``window`` in a panel that shows more."""
    across = (window.left, window.right, window.right, window.left, window.left)
    along = (window.back, window.back, window.ahead, window.ahead, window.back)
    axes.plot(across, along, color="#ffffff", linewidth=0.5, linestyle=(0, (4, 3)), zorder=6)


def draw_birdseye(axes: Any, scene: Scene, stage: Stage, theme: Theme, window: Window, width: float) -> None:
    """Draw ``stage`` into ``axes``, a matplotlib Axes ``width`` inches wide."""
    axes.set_facecolor(theme.plate)
    axes.set_xlim(window.left, window.right)
    axes.set_ylim(window.back, window.ahead)
    for line in scene.line_layers(stage):
        if line.emphasis == "quiet":
            _draw_rings(axes, scene, line, theme, window)
    dot = dot_size(width, window.right - window.left)
    for layer in scene.point_layers(stage):
        _draw_points(axes, scene, layer, theme, dot)
    for line in scene.line_layers(stage):
        if line.emphasis != "quiet":
            at = to_page(line.points, scene.forward)
            colour = tuple(value / 255 for value in line.colour)
            axes.plot(at[:, 0], at[:, 1], color=colour, linewidth=0.5, solid_joinstyle="round", zorder=4)


def dot_size(width: float, metres: float) -> float:
    """Diameter of a plain point, in points of type: some 30 cm of ground, but neither a speck nor a blot."""
    return float(np.clip(0.3 / metres * width * 72, 0.7, 1.9))


def _draw_points(axes: Any, scene: Scene, layer: PointLayer, theme: Theme, dot: float) -> None:
    look = LOOKS[layer.emphasis]
    points = scene.cloud[layer.rows]
    colours = toward(layer.colours, plate_rgb(theme), look.fade) / 255.0
    order = np.argsort(points[:, 2], kind="stable")  # what is higher lies over what is lower
    at = to_page(points[order], scene.forward)
    marked = layer.emphasis == "marker"
    axes.scatter(
        at[:, 0],
        at[:, 1],
        s=(dot * look.size) ** 2,
        c=colours[layer.code[order]],
        edgecolors=theme.plate if marked else "none",
        linewidths=0.25 if marked else 0,
        rasterized=True,
        zorder=3 if marked else 2,
    )


def _draw_rings(axes: Any, scene: Scene, line: LineLayer, theme: Theme, window: Window) -> None:
    at = to_page(line.points, scene.forward)
    axes.plot(at[:, 0], at[:, 1], color=theme.guide, linewidth=0.45, zorder=1)
    for radius in ring_radii(line):
        place = _label_place(radius, window)
        if place is not None:
            axes.text(
                *place,
                f"{radius:.0f} m",
                color="#aab4c2",
                fontsize=NOTE,
                ha="center",
                va="center",
                zorder=5,
                bbox={"facecolor": theme.plate, "edgecolor": "none", "pad": 0.8, "alpha": 0.75},
            )


MANY = 16
"""Points that a stroke has at least if it is a circle and not an edge that happens to stay as far away."""


def ring_radii(line: LineLayer) -> list[float]:
    """The radii, metres, of strokes that are circles around the sensor."""
    ends = np.flatnonzero(np.isnan(line.points[:, 0]))
    radii = []
    for stroke in np.split(line.points, ends):
        distance: NDArray[np.float64] = np.hypot(stroke[:, 0], stroke[:, 1]).astype(np.float64)
        distance = distance[np.isfinite(distance)]
        if len(distance) > MANY and np.ptp(distance) < 0.01 * distance.mean():
            radii.append(float(distance.mean()))
    return radii


def _label_place(radius: float, window: Window) -> tuple[float, float] | None:
    """Where a ring's label stands clear of the edge: beside the way ahead if it can, else farther round."""
    edge = 0.04 * (window.right - window.left)
    for degrees in (62, 50, 38, 118, 130, 25, 10, 155, 170, -30, -60, -120, -150):
        x, y = radius * np.cos(np.radians(degrees)), radius * np.sin(np.radians(degrees))
        if window.left + 2 * edge < x < window.right - 2 * edge and window.back + edge < y < window.ahead - edge:
            return float(x), float(y)
    return None
