"""Waymo's cameras: their lenses, and where the vehicle was while a picture was exposed."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets._files import FETCH_AGAIN, decode_image, plausible
from xmodal_core.datasets._waymo_classes import CAMERAS
from xmodal_core.datasets._waymo_parquet import Component
from xmodal_core.errors import DataError
from xmodal_core.types import Camera, Doubles, Image, Lens

TO_OPENCV = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
"""From Waymo's camera axes, x along the optical axis and z up, to x right, y down, z along the axis."""
ROLLING = (1, 2, 3, 4)
"""Directions of the rolling shutter; 0 is unknown, 5 exposes all pixels at once."""
LATEST = 1.0
"""Seconds: a picture is not taken farther than this from the time of its pose."""
FASTEST = 1e3
"""Metres and radians a second: with what is said to be faster the vehicle is taken to have stood still."""
HALF = 0.5
"""Waymo counts pixels from the picture's edge, here the first pixel's centre is 0."""


class Model(NamedTuple):
    """``intrinsics`` (9,) f_u, f_v, c_u, c_v, k1, k2, p1, p2, k3."""

    intrinsics: Doubles
    to_vehicle: Doubles
    width: int
    height: int
    rolling: bool

    def camera(self, number: int, moved: Doubles, pictures: Component, row: int, lane: int) -> Camera:
        """The camera ``number``, from 1 on, of a frame.

        Args:
            moved: (4,4) from the vehicle's frame at the frame's time to that at the exposure.
            pictures: with the picture in ``row``, read in ``lane``.
        """
        f_u, f_v, c_u, c_v, k1, k2, p1, p2, k3 = (float(term) for term in self.intrinsics)
        return Camera(
            name=CAMERAS[number - 1],
            width=self.width,
            height=self.height,
            intrinsics=np.array([[f_u, 0.0, c_u - HALF], [0.0, f_v, c_v - HALF], [0.0, 0.0, 1.0]]),
            lidar_to_camera=geometry.rigid(TO_OPENCV, (0.0, 0.0, 0.0)) @ geometry.invert(self.to_vehicle) @ moved,
            read=partial(_picture, pictures, row, lane, self.width, self.height),
            lens=Lens(k1=k1, k2=k2, p1=p1, p2=p2, k3=k3),
        )


def _picture(component: Component, row: int, lane: int, width: int, height: int) -> Image:
    content = component.content(row, "image", lane)
    return decode_image(content, f"{component.file}: picture in row {row}", width, height)


class Moment(NamedTuple):
    """The vehicle's pose in the world at a stated time, its ``velocity`` (6,): metres a second along the world's axes
    and radians a second about the vehicle's, and how much later, in seconds, the middle of the picture was exposed."""

    stated: Doubles
    velocity: Doubles
    later: float

    def pose(self, rolling: bool) -> Doubles:
        """(4,4) vehicle to world at the middle of the exposure; that of a shutter which does not roll is as stated."""
        speed = float(np.linalg.norm(self.velocity[3:]))
        if not rolling or not self.later:
            return self.stated
        turn = geometry.rotation_about(self.velocity[3:], speed * self.later) if speed > 0 else np.eye(3)
        return geometry.rigid(self.stated[:3, :3] @ turn, self.stated[:3, 3] + self.velocity[:3] * self.later)


def read_models(found: Component) -> dict[int, Model]:
    """Each camera's model by its number, from ``found``, the component ``camera_calibration``.

    Raises:
        DataError: one has no size or no focal length.
    """
    numbers = found.keys("camera_name", CAMERAS)
    terms = ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")
    intrinsics = np.stack([found.numbers(f"intrinsic.{term}") for term in terms], axis=1)
    to_vehicle = found.transforms("extrinsic.transform")
    sizes = np.stack([found.numbers("width"), found.numbers("height")], axis=1)
    way = found.numbers("rolling_shutter_direction") if found.has("rolling_shutter_direction") else None
    if not plausible(intrinsics) or not plausible(sizes) or (intrinsics[:, :2] < 1).any() or (sizes < 1).any():
        raise DataError(f"{found.file} holds a camera without size or focal length", FETCH_AGAIN)
    return {
        int(number): Model(
            intrinsics[row],
            to_vehicle[row],
            int(sizes[row, 0]),
            int(sizes[row, 1]),
            way is not None and way[row] in ROLLING,
        )
        for row, number in enumerate(numbers)
    }


def read_moments(found: Component) -> list[Moment] | None:
    """Where the vehicle was when each row's picture of ``found``, the component ``camera_image``, was taken; None where
    the file does not say."""
    if not found.has("pose.transform"):
        return None
    poses = found.transforms("pose.transform")
    motion = [f"velocity.{kind}_velocity.{axis}" for kind in ("linear", "angular") for axis in "xyz"]
    times = ["pose_timestamp"] + [f"rolling_shutter_params.camera_{end}_time" for end in ("trigger", "readout_done")]
    if not all(found.has(column) for column in (*motion, *times)):
        return [Moment(pose, np.zeros(6), 0.0) for pose in poses]
    velocity = np.stack([found.numbers(column) for column in motion], axis=1)
    stated, begun, done = (found.numbers(column) for column in times)
    later = (begun + done) / 2 - stated
    usable = (np.abs(later) < LATEST) & (np.abs(velocity) < FASTEST).all(axis=1)
    return [
        Moment(pose, speed if use else np.zeros(6), float(lag) if use else 0.0)
        for pose, speed, lag, use in zip(poses, velocity, later, usable, strict=True)
    ]
