"""What a LiDAR network is: points and offsets in, a feature for every point out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from xmodal_core.config import Settings


class PointFeatures(NamedTuple):
    """``features`` (N, width) for every point that came in, in the same order; ``bev`` (B, C, ny, nx), the
    bird's-eye map, of networks that have one."""

    features: Tensor
    bev: Tensor | None


class PointNetwork(nn.Module, ABC):
    """A LiDAR network.

    A plugin gives ``Config`` (with a ``preset`` and ``channels``, the names of the per-point channels it takes after
    x, y, z, in order) and fills ``width``, the length of a point's feature.

    It is the backbone alone, exactly what is exported: projection and task heads belong to methods and tasks.
    """

    Config: ClassVar[type[Settings]]
    width: int

    def __init__(self, config: Settings) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def forward(self, points: Tensor, channels: Tensor, offsets: Tensor) -> PointFeatures:
        """Features of every point.

        Args:
            points: (N,3) float metres, the frames of the batch one after the other.
            channels: (N,C) float, the values of ``config.channels``.
            offsets: (B+1,) int64, frame b is rows offsets[b]:offsets[b+1].

        Points outside the network's range get features too (zeros), so that indices stay valid.
        """
