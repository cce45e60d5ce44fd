"""Merging seeds, W and W' against loops that follow the words of the paper."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.types import Pixels, Pooling, Units
from xmodal_core.units.context import Context
from xmodal_core.units.merge import merge_seeds, pooling_matrix
from xmodal_core.units.pool import image_pooling


def dense(pooling: Pooling) -> np.ndarray:
    matrix = np.zeros(pooling.shape)
    matrix[pooling.row, pooling.column] = pooling.weight
    return matrix


def assert_well_formed(pooling: Pooling) -> None:
    key = pooling.row * pooling.shape[1] + pooling.column
    assert (np.diff(key) > 0).all()  # sorted by row, then column, no pair twice
    assert (pooling.weight > 0).all()
    np.testing.assert_allclose(dense(pooling).sum(axis=1), 1, atol=1e-5)


def made(seed, points=60, count=15):
    """Seeds, an instance of each point, and a context of each seed."""
    rng = np.random.default_rng(seed)
    seeds = rng.choice(points, count, replace=False)
    instance = rng.integers(-1, 4, points)
    groups = [np.unique(np.append(rng.integers(0, points, rng.integers(0, 8)), number)) for number in seeds]
    begin = np.cumsum([0, *map(len, groups)])
    return seeds, instance, Context(np.concatenate(groups), begin)


@given(st.integers(0, 100_000))
def test_seeds_in_one_instance_are_one_unit(seed):
    seeds, instance, _ = made(seed)
    unit = merge_seeds(seeds, instance)
    expected: dict[tuple[str, int], int] = {}
    for number, point in enumerate(seeds):
        key = ("instance", int(instance[point])) if instance[point] >= 0 else ("seed", number)
        assert unit[number] == expected.setdefault(key, len(expected))


@given(st.integers(0, 100_000))
def test_a_units_row_is_the_average_of_its_seeds_rows(seed):
    seeds, instance, context = made(seed)
    unit = merge_seeds(seeds, instance)
    pooling = pooling_matrix(context, unit, len(instance))
    rows = np.zeros((len(seeds), len(instance)))
    for number in range(len(seeds)):
        near = context.point[context.begin[number] : context.begin[number + 1]]
        rows[number, near] = 1 / len(near)
    expected = np.stack([rows[unit == number].mean(axis=0) for number in range(unit.max() + 1)])
    np.testing.assert_allclose(dense(pooling), expected, atol=1e-6)
    assert_well_formed(pooling)


@given(st.integers(0, 100_000))
def test_the_image_side_averages_over_visible_points_and_their_cameras(seed):
    units = made_units(seed)
    pooling = image_pooling(units)
    matrix, expected = dense(units.pooling), np.zeros((units.count, len(units.pixels)))
    for unit in range(units.count):
        for row, point in enumerate(units.pixels.point):
            expected[unit, row] = matrix[unit, point] / (units.pixels.point == point).sum()
        expected[unit] /= expected[unit].sum()
    np.testing.assert_allclose(dense(pooling), expected, atol=1e-6)
    assert_well_formed(pooling)


def made_units(seed) -> Units:
    """Units whose seeds are visible; other points are seen by none, one or several of three cameras."""
    seeds, instance, context = made(seed)
    rng = np.random.default_rng(seed + 1)
    seen = rng.random((len(instance), 3)) < 0.3
    seen[seeds, 0] = True
    point, camera = np.nonzero(seen)
    zeros = np.zeros(len(point), np.float32)
    unit = merge_seeds(seeds, instance)
    return Units(
        ground=np.zeros(len(instance), np.bool_),
        visible=seen.any(axis=1),
        seeds=seeds,
        clusters=instance,
        reasons=("kept",) * 4,
        instance=instance,
        unit=unit,
        pooling=pooling_matrix(context, unit, len(instance)),
        pixels=Pixels(point, camera, zeros, zeros),
        sensor_height=1.8,
    )


def test_no_seeds_no_units():
    none = np.zeros(0, np.int64)
    instance = np.full(10, -1)
    unit = merge_seeds(none, instance)
    pooling = pooling_matrix(Context(none, np.zeros(1, np.int64)), unit, 10)
    assert unit.shape == (0,)
    assert pooling.shape == (0, 10)
    assert merge_seeds(none, none).shape == (0,)
