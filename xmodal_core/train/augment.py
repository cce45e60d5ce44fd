"""Random changes of the points that the network sees: mirrored, turned about the vertical, scaled, shifted.

The points of a frame move as one: their order, the pooling matrices and the pixels stay, so indices stay valid and no
pair of point and pixel breaks; labelled boxes move along.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from xmodal_core.train.batch import Example
from xmodal_core.train.config import AugmentConfig
from xmodal_core.types import Boxes, Doubles, Floats


class Motion(NamedTuple):
    """What happens to a whole frame: ``matrix`` (3,3), of upright mirrors, turns about the vertical and one scale, then
    ``shift`` (3,) metres."""

    matrix: Doubles
    shift: Doubles

    @property
    def scale(self) -> float:
        """By how much lengths grow."""
        return float(np.cbrt(abs(np.linalg.det(self.matrix))))

    def points(self, points: Floats) -> Floats:
        """(N,3) float32 ``points`` moved."""
        return np.asarray(points.astype(np.float64) @ self.matrix.T + self.shift, dtype=np.float32)

    def boxes(self, boxes: Boxes) -> Boxes:
        """``boxes`` moved: just the points that lay in one lie in it then."""
        flat = self.matrix[:2, :2]
        ahead = np.stack([np.cos(boxes.yaw), np.sin(boxes.yaw)], axis=1).astype(np.float64) @ flat.T
        return replace(
            boxes,
            centre=self.points(boxes.centre),
            size=(boxes.size * self.scale).astype(np.float32),
            yaw=np.arctan2(ahead[:, 1], ahead[:, 0]).astype(np.float32),
            velocity=(boxes.velocity @ flat.T).astype(np.float32),
        )


def augment(example: Example, config: AugmentConfig, random: np.random.Generator) -> Example:
    """``example`` with its points moved by one random ``motion``."""
    return replace(example, points=motion(config, random).points(example.points))


def motion(config: AugmentConfig, random: np.random.Generator) -> Motion:
    """Mirrored, then turned, then scaled, then shifted.

    The same numbers are drawn whatever the settings are, so that changing one leaves the others' draws alone.
    """
    mirror = np.where(random.random(2) < (config.flip_x, config.flip_y), -1.0, 1.0)
    angle = np.deg2rad(config.rotation) * random.uniform(-1.0, 1.0)
    scale = random.uniform(config.scale_min, config.scale_max)
    shift: Doubles = config.shift * random.normal(size=3)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    matrix: Doubles = scale * turn * np.array([*mirror, 1.0])
    return Motion(matrix, shift)
