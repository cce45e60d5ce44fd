"""PPKT: single points, each paired with the pixel at which a camera sees it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from xmodal_core import geometry
from xmodal_core.config import Settings, setting
from xmodal_core.types import Frame, Ints, Pooling
from xmodal_core.units.peers.base import Peer


class PointsConfig(Settings):
    """PPKT's settings in SLidR's version of it."""

    pairs: int = setting(
        4096, "how many pairs of a point and a pixel are drawn", unit="points", ge=1, le=100000, step=64
    )


class Points(Peer):
    """Pairs drawn without replacement from all that a frame has; a point may occur once for each camera.

    (PPKT draws them from all frames of a batch: with one frame a batch this is the same.)
    """

    Config: ClassVar[type[Settings]] = PointsConfig
    system: ClassVar[str] = "PPKT"
    source: ClassVar[str] = "Liu et al., 2021; config/ppkt_nuscenes.yaml of valeoai/SLidR"
    config: PointsConfig

    def __call__(self, frame: Frame, seed: int = 0) -> Pooling:
        pixels = geometry.pixels(frame.cameras, frame.points, frame.pixels)
        point = pixels.point[draw(len(pixels), self.config.pairs, seed)]
        weight = np.ones(len(point), dtype=np.float32)
        return Pooling(np.arange(len(point)), point, weight, (len(point), len(frame)))


def draw(pairs: int, count: int, seed: int) -> Ints:
    """``count`` of the numbers below ``pairs``, each at most once, in rising order; all where there are fewer."""
    if pairs <= count:
        return np.arange(pairs, dtype=np.int64)
    chosen = np.random.default_rng(seed).choice(pairs, count, replace=False)
    return np.sort(chosen).astype(np.int64)
