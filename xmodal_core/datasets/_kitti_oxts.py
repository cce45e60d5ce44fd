"""KITTI's GPS/IMU packets as poses, through the Mercator projection (raw data development kit,
convertOxtsToPose.m)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from xmodal_core import geometry
from xmodal_core.datasets._files import FETCH_AGAIN, plausible, read_text
from xmodal_core.errors import DataError
from xmodal_core.types import Doubles

EARTH_RADIUS = 6378137.0
"""Metres, at the equator."""


def read_oxts(file: Path) -> Doubles:
    """The packet of a file that holds one, see ``parse_oxts``.

    Raises:
        DataError: the file is missing or holds fewer numbers.
    """
    return parse_oxts(read_text(file), str(file))


def parse_oxts(text: str, place: str) -> Doubles:
    """(6,) latitude and longitude in degrees, altitude in metres, roll, pitch and yaw in radians.

    Raises:
        DataError: ``text`` does not begin with them; the message names ``place``.
    """
    try:
        values = np.array([float(word) for word in text.split()[:6]])
    except ValueError:
        values = np.zeros(0)
    if len(values) != 6 or not plausible(values) or abs(values[0]) >= 90:
        raise DataError(f"{place} is no oxts packet: it does not begin with latitude, longitude, …", FETCH_AGAIN)
    return values


class Reference(NamedTuple):
    """Where a drive's world begins: the Mercator ``scale`` of its first packet's latitude, and its place (metres)."""

    scale: float
    origin: Doubles

    @classmethod
    def at(cls, packet: Doubles) -> Reference:
        scale = float(np.cos(np.radians(packet[0])))
        return cls(scale, _place(packet, scale))


def imu_pose(packet: Doubles, reference: Reference) -> Doubles:
    """IMU to world (4,4): axes east, north, up, origin at the reference."""
    roll, pitch, yaw = packet[3:6]
    rotation = geometry.rotation_z(yaw) @ _rotation_y(pitch) @ _rotation_x(roll)
    return geometry.rigid(rotation, _place(packet, reference.scale) - reference.origin)


def _place(packet: Doubles, scale: float) -> Doubles:
    latitude, longitude = np.radians(packet[:2])
    east = scale * EARTH_RADIUS * longitude
    north = scale * EARTH_RADIUS * np.log(np.tan(np.pi / 4 + latitude / 2))
    return np.array([east, north, packet[2]])


def _rotation_x(angle: float) -> Doubles:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _rotation_y(angle: float) -> Doubles:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
