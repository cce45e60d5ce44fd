"""Soft darkness near the ground under and beside things, and where the shadows of moving things can fall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sample_data.ground_texture import Texture
from sample_data.models import Model
from xmodal_core.types import Bools, Doubles

Shape = tuple[Doubles, tuple[float, float, float]]


class Occlusion:
    """How much sky each place on the ground sees, as a grid over the finely painted ground.

    Args:
        texture: whose extent it covers.
        standing: poses and models of what stands.
    """

    cell = 0.25

    def __init__(self, texture: Texture, standing: Sequence[tuple[Doubles, Model]]) -> None:
        self.x, self.y = texture.x, texture.y
        h, w, _ = texture.levels[0].shape
        self._base = np.full(
            (int(h * texture.texel / self.cell), int(w * texture.texel / self.cell)), 255, dtype=np.uint8
        )
        for pose, model in standing:
            low, high = model.mesh.corners.min(axis=(0, 1)), model.mesh.corners.max(axis=(0, 1))
            tall = float(high[2])
            if model.category.endswith("vegetation") and tall > 2.5:
                self._stamp(self._base, pose, (0.0, 0.0), (0.2, 0.2), float(high[0]) * 1.3, 0.72)
            elif float(np.hypot(high[0] - low[0], high[1] - low[1])) < 80.0:
                middle = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2)
                half = ((high[0] - low[0]) / 2, (high[1] - low[1]) / 2)
                self._stamp(self._base, pose, middle, half, min(0.25 + 0.35 * tall, 2.2), 0.42 if tall < 5 else 0.55)

    def with_moving(self, shapes: Sequence[Shape]) -> NDArray[np.uint8]:
        """The grid with moving things of these poses and sizes on it."""
        grid = self._base.copy()
        for pose, size in shapes:
            self._stamp(grid, pose, (0.0, 0.0), (size[0] / 2 - 0.1, size[1] / 2 - 0.1), 0.2 + 0.3 * size[2], 0.4)
        return grid

    def _stamp(
        self,
        grid: NDArray[np.uint8],
        pose: Doubles,
        middle: tuple[float, float],
        half: tuple[float, float],
        reach: float,
        least: float,
    ) -> None:
        # Darkest under the rectangle, fading out over `reach` metres around it.
        centre = pose[:2, :2] @ np.array(middle) + pose[:2, 3]
        radius = float(np.hypot(*half)) + reach
        i0 = max(int((centre[1] - radius - self.y) / self.cell), 0)
        i1 = min(int((centre[1] + radius - self.y) / self.cell) + 2, grid.shape[0])
        j0 = max(int((centre[0] - radius - self.x) / self.cell), 0)
        j1 = min(int((centre[0] + radius - self.x) / self.cell) + 2, grid.shape[1])
        if i1 <= i0 or j1 <= j0:
            return
        x = self.x + np.arange(j0, j1) * self.cell - centre[0]
        y = self.y + np.arange(i0, i1)[:, None] * self.cell - centre[1]
        heading = np.arctan2(pose[1, 0], pose[0, 0])
        c, k = np.cos(heading), np.sin(heading)
        along, across = np.abs(x * c + y * k) - half[0], np.abs(-x * k + y * c) - half[1]
        distance = np.hypot(np.maximum(along, 0), np.maximum(across, 0))
        open_ = np.clip(distance / reach, 0, 1)
        value = least + (1 - least) * open_ * (2 - open_)
        part = grid[i0:i1, j0:j1]
        np.multiply(part, value, out=part, casting="unsafe")


class Swept:
    """The places from which the sun may be hidden by a moving thing: a coarse mask, generous on all sides.

    Args:
        shapes: poses and sizes of the moving things.
        sun: (3,) unit vector towards the sun.
        x, y: the mask's corner; ``extent`` its size in metres.
    """

    cell = 1.0

    def __init__(self, shapes: Sequence[Shape], sun: Doubles, x: float, y: float, extent: tuple[float, float]) -> None:
        self._x, self._y = x, y
        self._mask = np.zeros((int(extent[1]) + 2, int(extent[0]) + 2), dtype=np.bool_)
        away = -sun[:2] / max(float(sun[2]), 0.1)
        for pose, size in shapes:
            radius = float(np.hypot(size[0], size[1])) / 2 + 1.0
            reach = float(np.hypot(*away)) * (size[2] + 0.8)
            for step in np.linspace(0, 1, max(int(reach / 1.0), 1) + 1):
                self._mark(pose[:2, 3] + away * (size[2] + 0.8) * step, radius)

    def _mark(self, centre: Doubles, radius: float) -> None:
        j0, j1 = max(int(centre[0] - radius - self._x), 0), int(centre[0] + radius - self._x) + 2
        i0, i1 = max(int(centre[1] - radius - self._y), 0), int(centre[1] + radius - self._y) + 2
        if i1 > 0 and j1 > 0:
            self._mask[i0:i1, j0:j1] = True

    def holds(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> Bools:
        """(N,) bool for places (N,)."""
        i = (y - self._y).astype(np.int64)
        j = (x - self._x).astype(np.int64)
        inside = (i >= 0) & (j >= 0) & (i < self._mask.shape[0]) & (j < self._mask.shape[1])
        result = np.zeros(len(x), dtype=np.bool_)
        result[inside] = self._mask[i[inside], j[inside]]
        return result
