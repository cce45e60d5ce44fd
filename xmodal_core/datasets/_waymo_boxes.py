"""Waymo's boxes of a segment: read whole, checked once, then given frame by frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core.datasets._files import FETCH_AGAIN, plausible
from xmodal_core.datasets._waymo_classes import BOXES
from xmodal_core.datasets._waymo_parquet import Component
from xmodal_core.errors import DataError
from xmodal_core.types import Boxes, Doubles, Ints

FASTEST = 1e3
"""Metres a second: what is said to be faster has no known velocity."""


class BoxTable(NamedTuple):
    """All boxes of a segment, ``time`` (B,) in microseconds; the rest as in ``Boxes``, velocity (B,3) in the world's
    axes."""

    time: Ints
    centre: Doubles
    size: Doubles
    yaw: Doubles
    label: Ints
    track: Ints
    velocity: Doubles
    points: Ints
    difficulty: Ints

    def at(self, time: int, vehicle_to_world: Doubles | None) -> Boxes:
        """Those of the frame at ``time``, in the vehicle's frame.

        Args:
            vehicle_to_world: (4,4): velocities are stored in the world's axes; None: they are unknown.
        """
        mine = np.flatnonzero(self.time == time)
        turn = np.full((3, 3), np.nan) if vehicle_to_world is None else vehicle_to_world[:3, :3]
        return Boxes(
            centre=self.centre[mine].astype(np.float32),
            size=self.size[mine].astype(np.float32),
            yaw=self.yaw[mine].astype(np.float32),
            label=self.label[mine],
            classes=BOXES,
            track=self.track[mine],
            velocity=(self.velocity[mine] @ turn)[:, :2].astype(np.float32),
            points=self.points[mine],
            difficulty=self.difficulty[mine],
        )


def read_boxes(found: Component) -> BoxTable:
    """The boxes in ``found``, the component ``lidar_box``.

    Raises:
        DataError: one has no place or size, is of no known type, or of an object that its frame has twice.
    """

    def columns(name: str, axes: str = "xyz") -> Doubles:
        return np.stack([found.numbers(f"{name}.{axis}") for axis in axes], axis=1)

    times = found.times()
    centre, size, yaw = columns("box.center"), columns("box.size"), found.numbers("box.heading")
    kind = found.numbers("type")
    if not (plausible(centre) and plausible(size) and plausible(yaw)) or (size <= 0).any():
        raise DataError(f"{found.file} holds a box without place or size", FETCH_AGAIN)
    if not np.isin(kind, np.arange(len(BOXES))).all():
        raise DataError(f"{found.file} holds a box of unknown type", f"known: 0 to {len(BOXES) - 1}")
    objects, track = np.unique(found.texts("laser_object_id"), return_inverse=True)
    if len(np.unique(times.astype(np.int64) * (len(objects) + 1) + track)) != len(times):
        raise DataError(f"{found.file} holds an object twice in a frame", FETCH_AGAIN)
    velocity = columns("speed") if found.has("speed.x") else np.full((len(times), 3), np.nan)
    velocity[~(np.abs(velocity) < FASTEST)] = np.nan
    return BoxTable(
        times,
        centre,
        size,
        yaw,
        kind.astype(np.int64),
        track.astype(np.int64).reshape(-1),
        velocity,
        _counts(found, "num_lidar_points_in_box", -1),
        _counts(found, "difficulty_level.detection", 0),
    )


def _counts(found: Component, column: str, unknown: int) -> Ints:
    """(rows,) a column of whole numbers that may be absent, in part or as a whole."""
    if not found.has(column):
        return np.full(len(found.times()), unknown, dtype=np.int64)
    values = found.numbers(column)
    values = np.where(np.isfinite(values), values, unknown)
    if not plausible(values) or (values != np.floor(values)).any() or (values < unknown).any():
        raise DataError(f"{found.file}: '{column}' holds what is no count", FETCH_AGAIN)
    return values.astype(np.int64)
