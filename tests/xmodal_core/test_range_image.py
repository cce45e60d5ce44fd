from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.range_image import COLUMNS, of_rings
from xmodal_core.types import Floats, Sensor

SENSOR = Sensor("made up", beams=4, forward=(0.0, 1.0), height=None, intensity_max=255.0)


def naive(points: Floats, ring: Floats, values: Floats, sensor: Sensor, columns: int) -> Floats:
    """Point by point."""
    image = np.zeros((sensor.beams, columns, 2), dtype=np.float32)
    image[..., 0] = -1
    forward = np.array(sensor.forward)
    right = np.array([forward[1], -forward[0]])
    for place, beam, value in zip(points.astype(np.float64), ring, values, strict=True):
        distance = float(np.sqrt((place**2).sum()))
        if distance == 0:
            continue
        turned = np.arctan2(place[:2] @ right, place[:2] @ forward)  # clockwise from ahead
        pixel = image[sensor.beams - 1 - int(beam), int((turned / (2 * np.pi) + 0.5) * columns) % columns]
        if pixel[0] < 0 or distance < pixel[0]:
            pixel[:] = distance, value
    return image


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 60), columns=st.integers(1, 40), turn=st.floats(0, 6.28))
def test_equals_one_made_point_by_point(seed: int, count: int, columns: int, turn: float) -> None:
    random = np.random.default_rng(seed)
    points = random.normal(size=(count, 3)).astype(np.float32) * 20
    ring, values = random.integers(0, 4, count).astype(np.float32), random.random(count).astype(np.float32)
    sensor = Sensor("made up", 4, (float(np.cos(turn)), float(np.sin(turn))), None, 255.0)
    found, wanted = of_rings(points, ring, values, sensor, columns), naive(points, ring, values, sensor, columns)
    # A point on the line between two columns may fall to either side.
    assert (found != wanted).any(axis=2).sum() <= 2 * (columns > 1)


def test_ahead_is_in_the_middle_left_is_left_and_behind_at_the_ends() -> None:
    """In nuScenes' axes: x right, y forward."""
    points = np.array([[0, 9, 0], [-5, 0, 0], [7, 0, 0], [-0.01, -8, 0], [0.01, -6, 0]], dtype=np.float32)
    image = of_rings(points, np.ones(5, np.float32), np.arange(5, dtype=np.float32), SENSOR, 8)
    assert image[2, :, 0].tolist() == pytest.approx([8.0, -1, 5, -1, 9, -1, 7, 6], abs=1e-4)
    assert image[2, :, 1].tolist() == [3, 0, 1, 0, 0, 0, 2, 4]
    assert (image[[0, 1, 3], :, 0] == -1).all()


def test_firings_in_their_order_have_a_column_each() -> None:
    points = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    points[5] = np.nan
    ring = np.tile(np.arange(4, dtype=np.float32), 3)
    image = of_rings(points, ring, np.arange(12, dtype=np.float32), SENSOR)
    assert image.shape == (4, 3, 2)
    wanted = np.linalg.norm(points, axis=1).reshape(3, 4).T[::-1]
    wanted[2, 1] = -1
    np.testing.assert_allclose(image[..., 0], wanted, rtol=1e-6)
    assert of_rings(points, ring[::-1], ring, SENSOR).shape == (4, COLUMNS, 2)


def test_what_is_no_return_of_a_beam_is_left_out() -> None:
    points = np.full((6, 3), 3.0, dtype=np.float32)
    points[0], points[1, 1], points[2, 0] = 0.0, np.nan, np.inf
    ring = np.array([0, 0, 0, 4, -1, np.nan], dtype=np.float32)
    assert (of_rings(points, ring, np.ones(6, np.float32), SENSOR) == (-1, 0)).all()
