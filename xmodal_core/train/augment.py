"""Random changes of the points that the network sees: mirrored, turned about the vertical, scaled.

Points alone move: their order, the pooling matrices and the pixels stay, so indices stay valid and no pair of point
and pixel breaks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xmodal_core.train.batch import Example
from xmodal_core.train.config import AugmentConfig
from xmodal_core.types import Doubles


def augment(example: Example, config: AugmentConfig, random: np.random.Generator) -> Example:
    """``example`` with its points moved by one random ``motion``."""
    moved = example.points.astype(np.float64) @ motion(config, random).T
    return replace(example, points=moved.astype(np.float32))


def motion(config: AugmentConfig, random: np.random.Generator) -> Doubles:
    """(3,3) what the points are multiplied by: mirrored, then turned, then scaled.

    The same numbers are drawn whatever the settings are, so that changing one leaves the others' draws alone.
    """
    mirror = np.where(random.random(2) < (config.flip_x, config.flip_y), -1.0, 1.0)
    angle = np.deg2rad(config.rotation) * random.uniform(-1.0, 1.0)
    scale = random.uniform(config.scale_min, config.scale_max)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    result: Doubles = scale * turn * np.array([*mirror, 1.0])
    return result
