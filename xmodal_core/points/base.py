"""What a LiDAR network is: points and offsets in, a feature for every point out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor, nn

from xmodal_core.config import Settings, setting
from xmodal_core.errors import InputError
from xmodal_core.types import Bools, Doubles, Floats


class PointFeatures(NamedTuple):
    """``features`` (N, width) for every point that came in, in the same order; ``bev`` (B, C, ny, nx), the
    bird's-eye map, of networks that have one."""

    features: Tensor
    bev: Tensor | None


class BevGrid(NamedTuple):
    """Where the cells of a bird's-eye map lie: the centre of cell (iy, ix) is at ``low + (ix + .5, iy + .5) * cell``.

    Args:
        low: x, y of the map's corner, in metres.
        cell: edge of a cell, in metres.
        nx: cells along x, the map's columns.
        ny: cells along y, the map's rows.
        width: features of a cell.
    """

    low: tuple[float, float]
    cell: float
    nx: int
    ny: int
    width: int

    def holds(self, centre: Floats | Doubles, margin: float = 0.0) -> Bools:
        """(B,) which of the places ``centre`` (B,2 or more), metres, lie on the map or at most ``margin`` beside it."""
        low = np.array(self.low) - margin
        high = np.array(self.low) + np.array([self.nx, self.ny]) * self.cell + margin
        return np.asarray(((centre[:, :2] >= low) & (centre[:, :2] <= high)).all(axis=1))


class NetworkSettings(Settings):
    """The options that every LiDAR network has; a plugin's ``Config`` extends it.

    A plugin adds ``preset``, the name of a set of defaults in ``presets``. Once made, settings are complete: whatever
    was not given has the preset's value, so that a written file says everything and outlives a change of the presets.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]

    channels: tuple[str, ...] = setting(
        ("intensity",), "per-point channels that the network takes after x, y, z, in this order"
    )
    intensity_scale: float = setting(
        1.0,
        "the channel 'intensity' is multiplied by this first; 1 over the data set's highest value brings it to 0..1",
        ge=1e-6,
        le=1e3,
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        preset = values.get("preset", cls.model_fields["preset"].default)
        known = cls.presets.get(preset, {}) if isinstance(preset, str) else {}
        return {**known, **values}


class PointNetwork(nn.Module, ABC):
    """A LiDAR network.

    A plugin gives ``Config`` (a ``NetworkSettings`` with a ``preset``) and fills ``width``, the length of a point's
    feature, and, where ``forward`` gives a bird's-eye map, ``bev_grid``, which says where its cells lie.

    It is the backbone alone, exactly what is exported: projection and task heads belong to methods and tasks.
    """

    Config: ClassVar[type[NetworkSettings]]
    width: int
    bev_grid: BevGrid | None = None

    def __init__(self, config: NetworkSettings) -> None:
        super().__init__()
        self.config = config

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return next(self.parameters()).dtype

    @abstractmethod
    def forward(self, points: Tensor, channels: Tensor, offsets: Tensor) -> PointFeatures:
        """Features of every point.

        Args:
            points: (N,3) float metres, the frames of the batch one after the other.
            channels: (N,C) float, the values of ``config.channels`` as the data set stores them.
            offsets: (B+1,) int64, frame b is rows offsets[b]:offsets[b+1].

        Points outside the network's range get features too (zeros), so that indices stay valid.

        Raises:
            InputError: the shapes do not fit each other or ``config.channels``.
        """

    def to_bev(self, points: Tensor, channels: Tensor, offsets: Tensor) -> Tensor:
        """(B,C,ny,nx) the bird's-eye map alone, of networks with a ``bev_grid``; detectors need no more.

        Arguments and errors are those of ``forward``; asking a network without one fails an assertion.
        """
        bev = self(points, channels, offsets).bev
        assert isinstance(bev, Tensor), f"{type(self).__name__} has no bird's-eye map"
        return bev

    def scaled_channels(self, points: Tensor, channels: Tensor, offsets: Tensor) -> Tensor:
        """``channels`` (N,C) with intensity scaled as ``config`` says, after the shapes of all three were checked.

        Raises:
            InputError: they do not fit each other or ``config.channels``.
        """
        names = self.config.channels
        if points.ndim != 2 or points.shape[1] != 3:
            raise InputError(f"points are (N, 3), but came as {_shape(points)}", "give x, y, z in metres")
        if channels.shape != (len(points), len(names)):
            raise InputError(
                f"the network takes {len(names)} channels ({', '.join(names) or 'none'}) of {len(points)} points, "
                f"but they came as {_shape(channels)}",
                "give one column for each name in its setting 'channels'",
            )
        if offsets.ndim != 1 or len(offsets) < 2 or int(offsets[0]) != 0 or int(offsets[-1]) != len(points):
            raise InputError(
                f"offsets {_shape(offsets)} do not run from 0 to the {len(points)} points",
                "give B+1 ascending row numbers for B frames",
            )
        scale = [self.config.intensity_scale if name == "intensity" else 1.0 for name in names]
        return channels * torch.tensor(scale, dtype=channels.dtype, device=channels.device)


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(str(side) for side in tensor.shape)})"
