"""Units beyond the network's range go, the others stay what they were."""

from __future__ import annotations

import numpy as np
import pytest

from xmodal_core.train.batch import Example
from xmodal_core.train.reach import keep_units, within_reach
from xmodal_core.types import Pixels, Pooling

BOX = (-10.0, -10.0, -2.0, 10.0, 10.0, 2.0)


@pytest.fixture
def example() -> Example:
    """Forty points, ten units of three points each at random; every point seen once."""
    random = np.random.default_rng(0)
    points = random.uniform(-14, 14, (40, 3)).astype(np.float32)
    points[:, 2] /= 10
    column = np.concatenate([np.sort(random.choice(40, 3, replace=False)) for _ in range(10)])
    row = np.repeat(np.arange(10), 3)
    weight = np.tile(np.float32([0.25, 0.25, 0.5]), 10)
    pooling = Pooling(row, column, weight, (10, 40))
    index = np.arange(40)
    pixels = Pixels(index, np.zeros(40, dtype=np.int64), *random.uniform(0, 9, (2, 40)).astype(np.float32))
    return Example(
        "frame", points, np.zeros((40, 1), np.float32), pooling, pooling, pixels, (np.zeros((9, 9, 3), np.uint8),)
    )


def _dense(pooling: Pooling) -> np.ndarray:
    matrix = np.zeros(pooling.shape)
    matrix[pooling.row, pooling.column] = pooling.weight
    return matrix


def test_units_stay_where_half_of_them_is_inside(example):
    found = within_reach(example, BOX)
    dense = _dense(example.pooling)
    inside = [all(lo <= v < hi for v, lo, hi in zip(p, BOX[:3], BOX[3:], strict=True)) for p in example.points]
    kept = [sum(weight for weight, within in zip(row, inside, strict=True) if within) >= 0.5 for row in dense]
    assert 0 < sum(kept) < 10
    np.testing.assert_array_equal(_dense(found.pooling), dense[kept])
    np.testing.assert_array_equal(_dense(found.image_pooling), _dense(example.image_pooling)[kept])
    assert found.points is example.points
    assert found.pixels is example.pixels


def test_the_end_of_the_range_is_outside(example):
    points = example.points.copy()
    points[:] = [10.0, 0.0, 0.0]
    assert within_reach(Example(**{**vars(example), "points": points}), BOX).pooling.shape == (0, 40)
    points[:] = [-10.0, 0.0, 0.0]
    assert within_reach(Example(**{**vars(example), "points": points}), BOX).pooling.shape == (10, 40)


def test_all_kept_is_the_same_and_none_is_empty(example):
    assert keep_units(example, np.ones(10, dtype=bool)) is example
    none = keep_units(example, np.zeros(10, dtype=bool))
    assert none.pooling.shape == (0, 40)
    assert len(none.pooling.row) == len(none.image_pooling.row) == 0
