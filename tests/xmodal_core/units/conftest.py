"""Small made-up sweeps: a spinning scanner over a ground of any shape, things on it, cameras around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from xmodal_core.types import Camera, Floats, Frame, Sensor

SENSOR = Sensor("made-up", 64, (1.0, 0.0), None, 1.0)
Height = Callable[[np.ndarray, np.ndarray], np.ndarray]


class World:
    """Ground points on rings around a sensor ``height`` above the origin of a surface z = ``shape``(x, y), and solid
    things on it; all in the sensor's coordinates."""

    def __init__(self, shape: Height = lambda x, y: 0 * x, height: float = 1.8, farthest: float = 40.0) -> None:
        distance, angle = np.meshgrid(np.geomspace(3.0, farthest, 60), np.linspace(-np.pi, np.pi, 720, endpoint=False))
        x, y = (distance * np.cos(angle)).ravel(), (distance * np.sin(angle)).ravel()
        self.shape, self.height = shape, height
        self.ground = self._placed(x, y, 0 * x)

    def _placed(self, x: np.ndarray, y: np.ndarray, above: np.ndarray) -> Floats:
        return np.column_stack([x, y, self.shape(x, y) + above - self.height]).astype(np.float32)

    def box(self, x: float, y: float, size: Sequence[float] = (4.0, 1.8, 1.5), step: float = 0.1) -> Floats:
        """The points of a thing standing at (x, y), from 0.3 m above the ground up, every ``step`` metres."""
        axes = [np.arange(-size[0] / 2, size[0] / 2, step) + x, np.arange(-size[1] / 2, size[1] / 2, step) + y]
        grid = np.meshgrid(*axes, np.arange(0.3, size[2], step))
        return self._placed(*(axis.ravel() for axis in grid))


def look(yaw: float, height: float = 1.8, width: int = 640) -> Camera:
    """A camera with a field of view of 90 degrees at the sensor, looking along ``yaw``."""
    forward, right = np.array([np.cos(yaw), np.sin(yaw), 0.0]), np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, [0.0, 0.0, -1.0], forward])
    intrinsics = np.array([[width / 2, 0.0, width / 2], [0.0, width / 2, 180.0], [0.0, 0.0, 1.0]])
    return Camera(f"CAM_{yaw:.1f}", width, 360, intrinsics, matrix, lambda: np.zeros((360, width, 3), np.uint8))


def make_frame(points: Floats, cameras: Sequence[Camera] = (), sensor: Sensor = SENSOR) -> Frame:
    return Frame("made/up", "made", 0.0, points, {}, sensor, tuple(cameras))


@pytest.fixture
def sensor() -> Sensor:
    return SENSOR


@pytest.fixture
def world() -> type[World]:
    return World


@pytest.fixture
def frame_of() -> Callable[..., Frame]:
    return make_frame


@pytest.fixture
def street() -> Frame:
    """Flat ground, two cars and a pedestrian, seen by three cameras whose views overlap."""
    world = World()
    things = [world.box(8, 3), world.box(-9, -4), world.box(6, -3, (0.6, 0.6, 1.8))]
    return make_frame(np.concatenate([world.ground, *things]), [look(0.0), look(1.2), look(np.pi)])
