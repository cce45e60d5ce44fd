"""The cameras' calibration, made wrong on purpose: how much hangs on where the cameras are thought to be."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import numpy as np

from xmodal_core.config import Settings, setting
from xmodal_core.geometry import invert, rigid, rotation_about
from xmodal_core.types import Camera, Doubles, Frame


class RigConfig(Settings):
    """How wrong the cameras' calibration is made."""

    perturb_calibration: float = setting(
        0.0,
        "turn each camera by just this about a random axis through its centre, the same in all frames; 0: as stated",
        unit="deg",
        ge=0,
        le=90,
        step=0.1,
    )
    seed: int = setting(0, "seed of the random axes; each camera's also depends on its name", ge=0, le=2**31 - 1)


def perturb(frame: Frame, rig: RigConfig) -> Frame:
    """``frame`` with each camera turned as ``rig`` has it; pictures, points and labels stay as they are.

    Pixels that the data set states are those of the true calibration, and left out: the turned models say them.
    """
    if not rig.perturb_calibration:
        return frame
    return _turned(frame, {camera.name: wrong_turn(camera.name, rig) for camera in frame.cameras})


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
