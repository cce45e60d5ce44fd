"""What a thing is, apart from where it stands: its triangles, its box and its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sample_data.meshes import Mesh
from xmodal_core.types import Doubles, Floats

PARAMETERS = 18
"""How many numbers a thing hands to its materials."""


@dataclass(frozen=True)
class Model:
    """A thing in its own coordinates: x ahead, y left, z up, the origin on the ground beneath its middle.

    Args:
        category: the nuScenes category of its points.
        poses: its triangles, once for each phase of its gait; a rigid thing has one.
        size: length, width, height of its box, metres; None for what is not labelled with a box.
        parameters: numbers that its materials read (see ``shading``).
        stride: metres it moves while its gait runs through once; 0 for a rigid thing.
        ridden: somebody sits on it.
    """

    category: str
    poses: tuple[Mesh, ...]
    size: tuple[float, float, float] | None = None
    parameters: tuple[float, ...] = ()
    stride: float = 0.0
    ridden: bool = False

    @property
    def mesh(self) -> Mesh:
        return self.poses[0]

    @cached_property
    def bounds(self) -> Doubles:
        """(8,3) corners of the box, along its axes, that holds all its poses."""
        low = np.min([pose.corners.min(axis=(0, 1)) for pose in self.poses], axis=0)
        high = np.max([pose.corners.max(axis=(0, 1)) for pose in self.poses], axis=0)
        ends = np.stack([low, high]).astype(np.float64)
        return np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])

    def row(self) -> Floats:
        """(``PARAMETERS``,) float32: the parameters, filled up with zeros."""
        row = np.zeros(PARAMETERS, dtype=np.float32)
        row[: len(self.parameters)] = self.parameters
        return row


def boxed(category: str, poses: Sequence[Mesh], stride: float = 0.0, ridden: bool = False) -> Model:
    """A model whose origin is moved to the middle of all its poses and whose box holds them all."""
    low = np.min([pose.corners.min(axis=(0, 1)) for pose in poses], axis=0)
    high = np.max([pose.corners.max(axis=(0, 1)) for pose in poses], axis=0)
    middle = (low + high) / 2
    moved = tuple(pose.shifted(-float(middle[0]), -float(middle[1]), 0.0) for pose in poses)
    size = (float(high[0] - low[0]), float(high[1] - low[1]), float(high[2]))
    return Model(category, moved, size, (), stride, ridden)
