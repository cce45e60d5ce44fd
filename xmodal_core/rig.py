"""The sensors' calibration: the cameras' made wrong on purpose, to see how much hangs on it; and a frame of coordinates
that all data sets share, so that what a network learnt on one means the same on another."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import numpy as np

from xmodal_core.config import Settings, setting
from xmodal_core.geometry import invert, rigid, rotation_about, rotation_z, transform_points, yaw_of
from xmodal_core.types import Boxes, Camera, Doubles, Frame
from xmodal_core.units.level import fit_level

NEAREST = 2.5
"""Returns nearer than this are of the vehicle itself, metres, when the ground's height is looked for."""


class RigConfig(Settings):
    """How wrong the cameras' calibration is made, and in which coordinates frames come."""

    perturb_calibration: float = setting(
        0.0,
        "turn each camera by just this about a random axis through its centre, the same in all frames; 0: as stated",
        unit="deg",
        ge=0,
        le=90,
        step=0.1,
    )
    seed: int = setting(0, "seed of the random axes; each camera's also depends on its name", ge=0, le=2**31 - 1)
    common_frame: bool = setting(
        False,
        "bring frames into coordinates that all data sets share: x ahead, y to the left, the ground at z = 0; "
        "off: those of the data set's own LiDAR",
    )


def perturb(frame: Frame, rig: RigConfig) -> Frame:
    """``frame`` with each camera turned as ``rig`` has it; pictures, points and labels stay as they are.

    Pixels that the data set states are those of the true calibration, and left out: the turned models say them.
    """
    if not rig.perturb_calibration:
        return frame
    return _turned(frame, {camera.name: wrong_turn(camera.name, rig) for camera in frame.cameras})


def to_common(frame: Frame, rig: RigConfig) -> Frame:
    """``frame`` in the coordinates that ``rig`` asks for: points, boxes, cameras and pose, all by one transform.

    Where the data set does not state how high its LiDAR stands, the ground's height is that found in the sweep.
    """
    if not rig.common_frame:
        return frame
    own = common_from_own(frame)
    back = invert(own)
    return replace(
        frame,
        points=transform_points(own, frame.points),
        sensor=replace(frame.sensor, forward=(1.0, 0.0), height=0.0),
        cameras=tuple(replace(camera, lidar_to_camera=camera.lidar_to_camera @ back) for camera in frame.cameras),
        pose=None if frame.pose is None else frame.pose @ back,
        boxes=None if frame.boxes is None else boxes_to_common(frame.boxes, own),
    )


def common_from_own(frame: Frame) -> Doubles:
    """(4,4) float64: from the LiDAR's own coordinates to the common ones."""
    ahead, left = frame.sensor.forward
    height = frame.sensor.height
    if height is None:
        height = fit_level(frame.points, NEAREST, tilt=False).height
    return rigid(rotation_z(-float(np.arctan2(left, ahead))), (0.0, 0.0, height))


def boxes_to_common(boxes: Boxes, own: Doubles) -> Boxes:
    """``boxes`` moved by ``common_from_own``."""
    turn = yaw_of(own[:3, :3])
    return replace(
        boxes,
        centre=transform_points(own, boxes.centre),
        yaw=np.asarray((boxes.yaw + turn + np.pi) % (2 * np.pi) - np.pi, dtype=np.float32),
        velocity=np.asarray(boxes.velocity @ own[:2, :2].T, dtype=np.float32),
    )


def restore(frame: Frame, rig: RigConfig) -> Frame:
    """The frame that ``perturb`` made ``frame`` from."""
    if not rig.perturb_calibration:
        return frame
    return _turned(frame, {camera.name: invert(wrong_turn(camera.name, rig)) for camera in frame.cameras})


def wrong_turn(camera: str, rig: RigConfig) -> Doubles:
    """(4,4) float64: the turn of a camera, in its own coordinates, about a point that it keeps: its centre.

    The axis is drawn evenly from all directions, from the seed and the camera's name alone, so that leaving out other
    cameras does not change it.
    """
    axis = np.random.default_rng([rig.seed, crc32(camera.encode())]).normal(size=3)
    return rigid(rotation_about(axis, np.radians(rig.perturb_calibration)), (0.0, 0.0, 0.0))


def _turned(frame: Frame, turns: dict[str, Doubles]) -> Frame:
    cameras = tuple(_turn(camera, turns[camera.name]) for camera in frame.cameras)
    return replace(frame, cameras=cameras, pixels=None)


def _turn(camera: Camera, turn: Doubles) -> Camera:
    return replace(camera, lidar_to_camera=turn @ camera.lidar_to_camera)
