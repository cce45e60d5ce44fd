"""A tiny world to write format-true fixtures from: flat ground, a round wall, a handful of boxes, exact rays.

Everything in it is analytic, so a reader is checked to the pixel: the picture shows at each pixel what the ray through
its middle hits, and the sweep says of each return what it hit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmodal_core import geometry
from xmodal_core.types import Doubles, Image, Ints, Lens

GROUND, WALL, SKY = -1, -2, -3
WALL_RADIUS = 60.0
MARKER = (255, 0, 255)
"""Colour of the marker: a dot of 3x3 pixels on the pixel that the sweep's last point projects to."""

_PINHOLE = Lens()
_COLOURS = np.array([[200, 40, 40], [40, 160, 60], [40, 60, 200], [220, 180, 40], [60, 190, 190]], dtype=np.uint8)
_BACKGROUND = np.array([[170, 205, 240], [150, 130, 110], [95, 95, 95]], dtype=np.uint8)  # sky, wall, ground


@dataclass(frozen=True)
class Thing:
    """A box on the ground: ``kind`` as nuScenes categories name it, ``place`` (x, y) and ``velocity`` in world metres
    (a second), ``size`` length, width, height, ``yaw`` radians."""

    kind: str
    place: tuple[float, float]
    size: tuple[float, float, float]
    yaw: float
    velocity: tuple[float, float] = (0.0, 0.0)

    def pose(self, time: float) -> Doubles:
        """(4,4) box to world at ``time`` seconds; the origin is the box's middle."""
        x, y = (p + v * time for p, v in zip(self.place, self.velocity, strict=True))
        return geometry.rigid(geometry.rotation_z(self.yaw), (x, y, self.size[2] / 2))


THINGS = (
    Thing("vehicle.car", (14.0, 4.0), (4.4, 1.8, 1.6), 0.25, (3.0, 0.75)),
    Thing("human.pedestrian.adult", (9.0, -2.5), (0.7, 0.7, 1.8), 1.2, (0.3, 1.0)),
    Thing("vehicle.truck", (22.0, -6.0), (8.0, 2.6, 3.2), -0.1),
    Thing("animal", (-9.0, 3.0), (1.0, 0.5, 0.8), 2.0),
    Thing("vehicle.car", (-14.0, -4.0), (4.2, 1.7, 1.5), 3.0),
)


def vehicle_pose(time: float) -> Doubles:
    """(4,4) vehicle (x forward, on the ground) to world: a gentle left turn at 4 m/s."""
    return geometry.rigid(geometry.rotation_z(0.05 * time), (4.0 * time, 0.1 * time * time, 0.0))


def cast(origin: Doubles, directions: Doubles, time: float) -> tuple[Doubles, Ints]:
    """Distance along each of ``directions`` (R,3) and what is hit: a thing's number, GROUND, WALL or SKY."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(directions[:, 2] < 0, -origin[2] / directions[:, 2], np.inf)
        hit = np.full(len(directions), GROUND, dtype=np.int64)
        wall = _to_wall(origin, directions)
        hit[wall < distance] = WALL
        distance = np.minimum(distance, wall)
        hit[directions[:, 2] > 0.25 * np.linalg.norm(directions[:, :2], axis=1)] = SKY
        for number, thing in enumerate(THINGS):
            to_box = geometry.invert(thing.pose(time))
            start, along = to_box[:3, :3] @ origin + to_box[:3, 3], directions @ to_box[:3, :3].T
            half = np.array(thing.size) / 2
            sides = np.stack([(-half - start) / along, (half - start) / along])
            enter, leave = sides.min(axis=0).max(axis=1), sides.max(axis=0).min(axis=1)
            nearer = (enter > 0) & (enter <= leave) & (enter < distance)
            distance[nearer], hit[nearer] = enter[nearer], number
    return distance, hit


def _to_wall(origin: Doubles, directions: Doubles) -> Doubles:
    a = (directions[:, :2] ** 2).sum(axis=1)
    b = directions[:, :2] @ origin[:2]
    c = float(origin[:2] @ origin[:2]) - WALL_RADIUS**2
    return np.asarray((-b + np.sqrt(b * b - a * c)) / a, dtype=np.float64)


def sweep(lidar_to_world: Doubles, elevations: Doubles, columns: int, time: float) -> tuple[Doubles, Ints, Ints]:
    """Returns of a turning LiDAR, firing after firing, azimuth falling: (N,3) in its own frame, what each hit, and
    its ring (index into ``elevations``)."""
    azimuth = np.repeat(-np.arange(columns) * 2 * np.pi / columns, len(elevations))
    elevation = np.tile(elevations, columns)
    flat = np.cos(elevation)
    rays = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1)
    distance, hit = cast(lidar_to_world[:3, 3], rays @ lidar_to_world[:3, :3].T, time)
    back = hit != SKY
    ring = np.tile(np.arange(len(elevations), dtype=np.int64), columns)
    return (rays * distance[:, None])[back], hit[back], ring[back]


def picture(
    camera_to_world: Doubles, intrinsics: Doubles, width: int, height: int, time: float, lens: Lens = _PINHOLE
) -> Image:
    """What a camera sees, (height, width, 3) uint8: each thing in its colour. Without ``lens``, a pinhole."""
    v, u = np.mgrid[:height, :width]
    x, y, _ = np.linalg.inv(intrinsics) @ np.stack([u.ravel(), v.ravel(), np.ones(u.size)])
    rays = np.column_stack([*_undistorted(x, y, lens), np.ones(u.size)])
    _, hit = cast(camera_to_world[:3, 3], rays @ camera_to_world[:3, :3].T, time)
    pixels: Image = colour_of(hit).reshape(height, width, 3)
    return pixels


def _undistorted(seen_x: Doubles, seen_y: Doubles, lens: Lens) -> tuple[Doubles, Doubles]:
    """Where, at depth 1, lies what ``lens`` shows at (``seen_x``, ``seen_y``): found by turning the distortion round
    again and again, which converges for a weak one."""
    x, y = seen_x, seen_y
    for _ in range(0 if lens.is_pinhole else 40):
        r2 = x * x + y * y
        radial = 1 + lens.k1 * r2 + lens.k2 * r2**2 + lens.k3 * r2**3
        shift_x = 2 * lens.p1 * x * y + lens.p2 * (r2 + 2 * x * x)
        shift_y = lens.p1 * (r2 + 2 * y * y) + 2 * lens.p2 * x * y
        x, y = (seen_x - shift_x) / radial, (seen_y - shift_y) / radial
    return x, y


def colour_of(hit: Ints) -> NDArray[np.uint8]:
    """(N,3) the colour in pictures of what was hit."""
    colours: NDArray[np.uint8] = np.concatenate([_COLOURS, _BACKGROUND])[hit]
    return colours


def mark(pixels: Image, u: float, v: float) -> None:
    """Draws the marker around the pixel nearest to (u, v)."""
    column, row = round(u), round(v)
    pixels[row - 1 : row + 2, column - 1 : column + 2] = MARKER
