"""SLidR: the points that fall into one SLIC superpixel of a camera's picture."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from xmodal_core import geometry
from xmodal_core.config import Settings, setting
from xmodal_core.types import Frame, Image, Ints, Pooling
from xmodal_core.units.peers.base import Peer, averages


class SuperpixelsConfig(Settings):
    """SLIC's settings, by scikit-image's names."""

    n_segments: int = setting(150, "about how many superpixels a picture is cut into", ge=2, le=5000, step=10)
    compactness: float = setting(6.0, "how much nearness counts beside likeness of colour", ge=0.01, le=100, step=0.5)
    sigma: float = setting(3.0, "how far the picture is blurred first", unit="px", ge=0, le=20, step=0.5)


class Superpixels(Peer):
    """SLIC superpixels of all cameras.

    A point goes to the superpixel of the nearest pixel; one that two cameras see lies in two units. Superpixels without
    points are no units.
    """

    Config: ClassVar[type[Settings]] = SuperpixelsConfig
    system: ClassVar[str] = "SLidR"
    source: ClassVar[str] = "Sautier et al., CVPR 2022; superpixel_segmenter.py of valeoai/SLidR"
    config: SuperpixelsConfig

    def __call__(self, frame: Frame, seed: int = 0) -> Pooling:
        pixels = geometry.pixels(frame.cameras, frame.points, frame.pixels)
        superpixel = np.full(len(pixels), -1, dtype=np.int64)
        first = 0
        for number, camera in enumerate(frame.cameras):
            seen = pixels.camera == number
            if not seen.any():
                continue
            labels = cut(camera.image(), self.config)
            row, column = np.rint(pixels.v[seen]).astype(np.int64), np.rint(pixels.u[seen]).astype(np.int64)
            superpixel[seen] = labels[row, column] + first
            first += int(labels.max()) + 1
        return averages(superpixel, pixels.point, len(frame))


def cut(image: Image, config: SuperpixelsConfig) -> Ints:
    """The superpixel of each pixel, (height, width), numbered from 0; ``image`` is (height, width, 3) uint8 RGB.

    Deterministic: SLIC starts from a regular grid.
    """
    from skimage.segmentation import slic

    labels = slic(
        image,
        n_segments=config.n_segments,
        compactness=config.compactness,
        sigma=config.sigma,
        start_label=0,
        channel_axis=-1,
    )
    return np.asarray(labels, dtype=np.int64)
