"""A stage in perspective, drawn into a plain array: no graphics driver, no window, the same pixels everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from viz.scene import Scene, Stage
from viz.viewers._open3d_drawing import BACK, Dots, Lines, Look, drawing
from xmodal_core.compiled import compiled
from xmodal_core.types import Doubles, Floats, Image

FINER = 2
"""Drawn so many times finer and averaged, for smooth edges."""
NEAR = 0.5
"""Metres before the eye within which nothing is drawn."""


def draw_perspective(scene: Scene, stage: Stage, look: Look, size: tuple[int, int]) -> Image:
    """``stage`` of ``scene`` as seen from ``look``, (height,width,3) uint8 for ``size`` (width, height)."""
    width, height = size[0] * FINER, size[1] * FINER
    picture = np.empty((height, width, 3), dtype=np.float32)
    picture[:] = np.array(BACK, dtype=np.float32) / 255
    depth = np.full((height, width), np.inf, dtype=np.float32)
    view, focal = _view(look), height / 2 / np.tan(np.radians(look.field) / 2)
    pixels = FINER * float(np.clip(height / FINER / 260, 1.4, 4.5))
    dots, lines = drawing(scene, stage, look.eye)
    for part in dots:
        _splat(picture, depth, _seen(part, view), part.colours, focal, max(1.0, pixels * part.size / 2))
    for line in lines:
        start, end = _ends(line, view)
        _trace(picture, depth, start, end, np.array(line.colour, dtype=np.float32), focal, pixels * line.width / 3.4)
    smooth = picture.reshape(size[1], FINER, size[0], FINER, 3).mean(axis=(1, 3))
    return np.asarray(np.round(smooth * 255), dtype=np.uint8)


def _view(look: Look) -> Doubles:
    """(3,4) from the world to the eye: x to the right, y down, z ahead, metres."""
    eye = np.array(look.eye, dtype=np.float64)
    ahead = np.array(look.centre, dtype=np.float64) - eye
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, look.up)
    right /= np.linalg.norm(right)
    turn = np.stack([right, np.cross(ahead, right), ahead])
    return np.column_stack([turn, -turn @ eye])


def _seen(dots: Dots, view: Doubles) -> Floats:
    return np.asarray(dots.points @ view[:, :3].T + view[:, 3], dtype=np.float32)


def _ends(lines: Lines, view: Doubles) -> tuple[Floats, Floats]:
    """Both ends (L,3) of each segment, cut off where it comes too near."""
    at = lines.points @ view[:, :3].T + view[:, 3]
    start, end = at[lines.ends[:, 0]], at[lines.ends[:, 1]]
    front = np.maximum(start[:, 2], end[:, 2]) > NEAR
    start, end = start[front], end[front]
    fall = np.where(start[:, 2] == end[:, 2], 1.0, end[:, 2] - start[:, 2])
    cut = start + np.clip((NEAR - start[:, 2]) / fall, 0, 1)[:, None] * (end - start)
    start, end = (np.where(side[:, 2:] < NEAR, cut, side) for side in (start, end))
    return start.astype(np.float32), end.astype(np.float32)


@compiled
def _splat(
    picture: NDArray[np.float32], depth: Floats, at: Floats, colours: Floats, focal: float, radius: float
) -> None:
    """A disc of ``radius`` pixels for each point, nearer ones over farther ones."""
    height, width, _ = picture.shape
    reach = int(radius)
    for k in range(len(at)):
        if at[k, 2] < NEAR:
            continue
        u, v = width / 2 + focal * at[k, 0] / at[k, 2], height / 2 + focal * at[k, 1] / at[k, 2]
        if not (-reach <= u < width + reach and -reach <= v < height + reach):
            continue
        for y in range(max(0, int(v) - reach), min(height, int(v) + reach + 1)):
            for x in range(max(0, int(u) - reach), min(width, int(u) + reach + 1)):
                if (x - int(u)) ** 2 + (y - int(v)) ** 2 <= radius * radius and at[k, 2] < depth[y, x]:
                    depth[y, x] = at[k, 2]
                    for channel in range(3):
                        picture[y, x, channel] = colours[k, channel]


@compiled
def _trace(
    picture: NDArray[np.float32],
    depth: Floats,
    start: Floats,
    end: Floats,
    colour: Floats,
    focal: float,
    radius: float,
) -> None:
    """A line for each segment, behind what is nearer."""
    height, width, _ = picture.shape
    reach = int(radius)
    for k in range(len(start)):
        u0, v0 = width / 2 + focal * start[k, 0] / start[k, 2], height / 2 + focal * start[k, 1] / start[k, 2]
        u1, v1 = width / 2 + focal * end[k, 0] / end[k, 2], height / 2 + focal * end[k, 1] / end[k, 2]
        first, last = _within(u0, u1 - u0, width + 2 * reach, -reach), _within(v0, v1 - v0, height + 2 * reach, -reach)
        low, high = max(first[0], last[0]), min(first[1], last[1])
        steps = int(max(abs(u1 - u0), abs(v1 - v0)) * (high - low)) + 1
        for step in range(steps + 1 if low < high else 0):
            share = low + (high - low) * step / steps
            u, v = int(u0 + share * (u1 - u0)), int(v0 + share * (v1 - v0))
            # Along a straight line in a picture it is one over the distance that changes evenly.
            away = 1 / ((1 - share) / start[k, 2] + share / end[k, 2])
            for y in range(max(0, v - reach), min(height, v + reach + 1)):
                for x in range(max(0, u - reach), min(width, u + reach + 1)):
                    if away < depth[y, x]:
                        for channel in range(3):
                            picture[y, x, channel] = colour[channel]


@compiled
def _within(start: float, way: float, length: float, begin: float) -> tuple[float, float]:
    """The shares of a ``way`` from ``start`` at which it enters and leaves ``begin`` to ``begin + length``."""
    if way == 0.0:
        return (0.0, 1.0) if begin <= start <= begin + length else (1.0, 0.0)
    first, last = (begin - start) / way, (begin + length - start) / way
    return max(0.0, min(first, last)), min(1.0, max(first, last))
