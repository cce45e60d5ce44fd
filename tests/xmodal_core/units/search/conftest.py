"""A made-up street with boxes, in which one radius is right: things of two halves, standing not far apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from xmodal_core.types import Boxes, Camera, Floats, Frame, Semantic, Sensor
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.search.objective import Case

SENSOR = Sensor("made-up", 64, (1.0, 0.0), 1.8, 1.0)
LENGTH, GAP, APART = 1.0, 0.45, 0.95
"""Metres: of a half, between the halves of a thing, and between two things."""

START = UnitsConfig.model_validate(
    {
        "seeds": {"count": 64},
        "instances": {"radius": 1.5, "radius_growth": 0.0, "max_radius": 1.5, "vertical_reach": 1.0},
    }
)


def half(x: float, y: float) -> Floats:
    """A plate 1 m long and 1 m high, its points 0.1 m apart, from 0.4 m above the ground."""
    across, up = np.meshgrid(np.arange(0, LENGTH + 0.01, 0.1), np.arange(0.4, 1.41, 0.1))
    return np.column_stack([np.full(across.size, x), y + across.ravel(), up.ravel() - 1.8]).astype(np.float32)


def ground(farthest: float = 20.0) -> Floats:
    distance, angle = np.meshgrid(np.geomspace(3.0, farthest, 40), np.linspace(-np.pi, np.pi, 360, endpoint=False))
    x, y = (distance * np.cos(angle)).ravel(), (distance * np.sin(angle)).ravel()
    return np.column_stack([x, y, np.full(x.size, -1.8)]).astype(np.float32)


def camera() -> Camera:
    """Looks along +x with a field of view of 90 degrees; its picture is never read."""

    def read() -> np.ndarray:
        raise AssertionError("a picture was read")

    matrix = np.eye(4)
    matrix[:3, :3] = [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]
    intrinsics = np.array([[320.0, 0.0, 320.0], [0.0, 320.0, 180.0], [0.0, 0.0, 1.0]])
    return Camera("CAM", 640, 360, intrinsics, matrix, read)


def street(name: str = "made/up", distances: Sequence[float] = (8.0, 12.0)) -> Frame:
    """Three things side by side at each of ``distances``, each with a box from the ground up."""
    parts, centres = [ground()], []
    long = 2 * LENGTH + GAP
    for x in distances:
        for left in (-1.5 * long - APART, -0.5 * long, 0.5 * long + APART):
            parts += [half(x, left), half(x, left + LENGTH + GAP)]
            centres.append([x, left + long / 2, -1.8 + 0.75])
    points = np.concatenate(parts)
    n = len(centres)
    boxes = Boxes(
        np.array(centres, np.float32),
        np.tile(np.array([0.4, long + 0.1, 1.5], np.float32), (n, 1)),
        np.zeros(n, np.float32),
        np.zeros(n, np.int64),
        ("thing",),
        np.arange(n),
        np.full((n, 2), np.nan, np.float32),
    )
    semantic = Semantic(np.where(points[:, 2] < -1.7, 1, 2), ("ignore", "road", "thing"))
    return Frame(name, "made", 0.0, points, {}, SENSOR, (camera(),), boxes=boxes, semantic=semantic)


@pytest.fixture
def start() -> UnitsConfig:
    return START


@pytest.fixture(scope="session")
def make_street() -> Callable[..., Frame]:
    return street


@pytest.fixture
def cases() -> list[Case]:
    return [Case.of(street("a"), START), Case.of(street("b", (7.0, 11.0, 15.0)), START)]
