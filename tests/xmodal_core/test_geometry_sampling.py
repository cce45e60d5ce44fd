"""Farthest point sampling equals the naive algorithm, whatever the points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.bench.naive import naive_farthest_points
from xmodal_core.datasets import open_dataset
from xmodal_core.geometry_sampling import BUCKET, Points, farthest_points
from xmodal_core.types import Ints


def naive(points: Points, count: int, start: int) -> tuple[Ints, float]:
    """Every point against every chosen one, in NumPy."""
    nearest = np.full(len(points), np.inf, dtype=points.dtype)
    chosen = [start]
    while True:
        steps = (points - points[chosen[-1]]) ** 2
        square = steps[:, 0]
        for axis in range(1, points.shape[1]):
            square = square + steps[:, axis]
        nearest = np.minimum(nearest, square)
        nearest[chosen] = -1
        if len(chosen) == min(count, len(points)):
            return np.array(chosen), max(float(nearest.max()), 0.0)
        chosen.append(int(nearest.argmax()))


@given(
    st.integers(1, 400),
    st.integers(0, 10_000),
    st.sampled_from([None, 0.5, 5.0, 1000.0]),
    st.sampled_from([2, 3]),
    st.sampled_from([np.float32, np.float64]),
)
def test_the_same_points_as_the_naive_algorithm(
    number: int, seed: int, grid: float | None, axes: int, kind: type[np.floating]
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(0, rng.choice([0.1, 10, 100]), (number, axes))
    if grid is not None:  # many equal distances, many coincident points; all of them with the coarsest grid
        points = np.round(points / grid) * grid
    points = points.astype(kind)
    start = int(rng.integers(number))
    chosen, square = farthest_points(points, 200, start)
    expected, farthest = naive(points, 200, start)
    np.testing.assert_array_equal(chosen, expected)
    assert square == farthest
    if axes == 2 and kind is np.float64:
        np.testing.assert_array_equal(chosen, naive_farthest_points(points, 200, start))


@pytest.mark.parametrize("number", [1, BUCKET - 1, BUCKET, BUCKET + 1, 3 * BUCKET])
def test_buckets_of_every_filling(number: int) -> None:
    points = np.random.default_rng(number).uniform(-40, 40, (number, 2))
    np.testing.assert_array_equal(farthest_points(points, number)[0], naive(points, number, 0)[0])


def test_points_on_a_line_in_one_place_and_none() -> None:
    line = np.column_stack([np.arange(300.0), np.zeros(300)])
    np.testing.assert_array_equal(farthest_points(line, 50, 7)[0], naive(line, 50, 7)[0])
    chosen, square = farthest_points(np.zeros((90, 2)), 90, 3)
    assert sorted(chosen) == list(range(90))
    assert square == 0
    nothing, square = farthest_points(np.zeros((0, 3)), 5)
    assert (len(nothing), square) == (0, 0)


def test_a_real_sweep(real_data: Path) -> None:
    points = open_dataset("nuscenes", real_data / "nuscenes_keyframe").frame(0).points[:, :2].astype(np.float64)
    np.testing.assert_array_equal(farthest_points(points, 2048, 17)[0], naive_farthest_points(points, 2048, 17))
