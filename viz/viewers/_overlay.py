"""A stage on a camera's picture: clusters or units as tints with outlines, else points as dots."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from viz.scene import Scene, Stage, View
from viz.viewers._sheet_style import LOOKS
from xmodal_core.types import Bools, Image

OUTLINED = 128
"""Tints more opaque than this get an outline: whole instances do, single seeds and rejected clusters do not."""


def draw_overlay(axes: Any, scene: Scene, stage: Stage, view: View, width: float) -> None:
    """Draw ``view`` with ``stage`` on it into ``axes``, a matplotlib Axes ``width`` inches wide."""
    picture_width, picture_height = view.size
    axes.imshow(tinted(view, stage), interpolation="antialiased", rasterized=True, zorder=0)
    scale = width * 72 / picture_width  # points of type in a pixel
    if stage.kind is None:
        _draw_dots(axes, scene, stage, view, float(np.clip(2.2 * scale, 0.6, 1.8)))
    for line in scene.line_layers(stage):
        strokes = view.strokes.get(line.name)
        if strokes is not None and len(strokes):
            colour = tuple(value / 255 for value in line.colour)
            axes.plot(strokes[:, 0], strokes[:, 1], color="black", linewidth=0.9, alpha=0.35, zorder=3)
            axes.plot(strokes[:, 0], strokes[:, 1], color=colour, linewidth=0.4, zorder=4)
    axes.set_xlim(-0.5, picture_width - 0.5)
    axes.set_ylim(picture_height - 0.5, -0.5)


def tinted(view: View, stage: Stage, calm: float = 0.3) -> Image:
    """The picture of ``view`` with the clusters or units of ``stage`` in their colours, (h,w,3) uint8.

    Args:
        view: a camera's picture and its masks.
        stage: gives the tint of each cluster or unit; without a kind the picture is only calmed.
        calm: the share of colour taken out of what is not tinted, and the half of it of brightness.
    """
    picture = view.image.astype(np.float32)
    grey = picture @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    picture = ((picture * (1 - calm) + grey[..., None] * calm) * (1 - calm / 2)).astype(np.float32)
    if stage.kind is not None and len(stage.tint):
        mask = view.masks[stage.kind]
        tint = np.concatenate([stage.tint, np.zeros((1, 4), np.uint8)]).astype(np.float32)[mask]
        share = tint[..., 3:] / 255
        # Shading shows through the tint, so that the thing below stays recognisable.
        shaded = tint[..., :3] * (0.55 + 0.45 * grey[..., None] / 255)
        picture = (picture * (1 - share) + shaded * share).astype(np.float32)
        edge = outlines(mask) & (tint[..., 3] > OUTLINED)
        picture[edge] = 0.25 * picture[edge] + 0.75 * tint[edge, :3]
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def outlines(mask: NDArray[np.int32]) -> Bools:
    """(h,w) bool: the pixels of a cluster or unit that touch a pixel of none or of another."""
    framed = np.pad(mask, 1, mode="edge")
    inner = framed[1:-1, 1:-1]
    around = (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:])
    edge: Bools = (inner >= 0) & np.any([side != inner for side in around], axis=0)
    return edge


def _draw_dots(axes: Any, scene: Scene, stage: Stage, view: View, dot: float) -> None:
    place = np.full(len(scene.cloud), -1, dtype=np.int64)
    for layer in scene.point_layers(stage):
        if not layer.on_images:
            continue
        place[:] = -1
        place[layer.rows] = np.arange(len(layer.rows))
        at = place[view.rows]
        seen = at >= 0
        if not seen.any():
            continue
        look = LOOKS[layer.emphasis]
        quiet, marked = layer.emphasis == "quiet", layer.emphasis == "marker"
        axes.scatter(
            view.uv[seen, 0],
            view.uv[seen, 1],
            s=(dot * look.size) ** 2,
            c=layer.rgb()[at[seen]] / 255.0,
            alpha=0.45 if quiet else 1.0,
            edgecolors="black" if marked else "none",
            linewidths=0.2 if marked else 0,
            rasterized=True,
            zorder=2,
        )
