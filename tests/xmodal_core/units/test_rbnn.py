"""The partition equals scikit-learn's DBSCAN with min_samples=1, and the definition where radii differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN

from xmodal_core.bench.units import same_partition
from xmodal_core.datasets import open_dataset
from xmodal_core.units.config import InstancesConfig
from xmodal_core.units.instances import squeeze
from xmodal_core.units.rbnn import connected


def naive(points, radii):
    """The definition: every pair of points."""
    points = points.astype(np.float64)
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    return connected_components(squared <= np.minimum(radii[:, None], radii[None]) ** 2)[1]


def cloud(seed, number, spread, grid=None, apart=0.0):
    rng = np.random.default_rng(seed)
    points = rng.normal(0, spread, (number, 3)) + apart * rng.integers(0, 3, (number, 1))
    if grid:
        points = np.round(points / grid) * grid
    return points.astype(np.float32)


@given(
    st.integers(0, 100_000),
    st.integers(1, 150),
    st.sampled_from([0.2, 1.0, 3.0, 20.0]),
    st.sampled_from([None, 0.25, 0.5]),
    st.sampled_from([0.0, 4.0, 512.0]),
)
def test_the_same_partition_as_dbscan(seed, number, spread, grid, apart):
    # On the grids many distances equal the radius exactly, and many points coincide.
    points = cloud(seed, number, spread, grid, apart)
    assert same_partition(connected(points, 0.5), DBSCAN(eps=0.5, min_samples=1).fit_predict(points))


@given(
    st.integers(0, 100_000), st.integers(1, 120), st.sampled_from([0.5, 2.0, 8.0]), st.sampled_from([1.0, 3.0, 12.0])
)
def test_the_definition_where_every_point_has_its_own_radius(seed, number, spread, most):
    points = cloud(seed, number, spread)
    radii = np.random.default_rng(seed).uniform(0.3, 0.3 * most + 0.01, number)
    assert same_partition(connected(points, radii), naive(points, radii))


def test_a_thousand_points_of_a_street():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(centre, 0.4, (200, 3)) for centre in rng.uniform(-20, 20, (8, 3))])
    for radius in (0.1, 0.3, 0.5, 1.0):
        assert same_partition(connected(points, radius), DBSCAN(eps=radius, min_samples=1).fit_predict(points))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_distance_of_exactly_the_radius_joins(axis):
    points = np.zeros((2, 3))
    points[1, axis] = 0.5
    assert connected(points, 0.5).tolist() == [0, 0]
    points[1, axis] = np.nextafter(0.5, 1)
    assert connected(points, 0.5).tolist() == [0, 1]


def test_chains_join_through_far_corners_of_cells():
    steps = np.cumsum(np.full((200, 3), 0.5 / np.sqrt(3) * (1 - 1e-9)), axis=0)
    assert connected(steps, 0.5).max() == 0
    assert connected(steps * 1.001, 0.5).max() == 199


def test_numbers_follow_the_first_point_and_the_order_of_points_changes_nothing():
    points = cloud(3, 300, 3.0)
    found = connected(points, 0.6)
    first = [int(np.flatnonzero(found == number)[0]) for number in range(found.max() + 1)]
    assert first == sorted(first)
    order = np.random.default_rng(1).permutation(len(points))
    assert same_partition(connected(points[order], 0.6), found[order])


def test_no_points_one_point_and_coincident_points():
    assert connected(np.zeros((0, 3), np.float32), 0.5).shape == (0,)
    assert connected(np.ones((1, 3), np.float32), 0.5).tolist() == [0]
    assert connected(np.ones((50, 3), np.float32), 0.5).tolist() == [0] * 50


def test_the_smaller_of_two_radii_decides():
    points = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    assert connected(points, np.array([0.5, 2.0])).tolist() == [0, 1]
    assert connected(points, np.array([1.0, 2.0])).tolist() == [0, 0]
    # Also where a cell holds points of both kinds: only the far one of the first pair reaches the third point.
    points = np.array([[0.0, 0, 0], [-0.05, 0, 0], [0.8, 0, 0]])
    assert connected(points, np.array([0.3, 2.0, 0.9])).tolist() == [0, 0, 0]
    assert connected(points, np.array([0.3, 0.5, 0.9])).tolist() == [0, 0, 1]
    assert connected(points, np.array([0.82, 0.3, 0.3])).tolist() == [0, 0, 1]


def test_same_partition_sees_a_difference():
    assert same_partition(np.array([0, 0, 1]), np.array([5, 5, 2]))
    assert not same_partition(np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert not same_partition(np.array([0, 0, 1]), np.array([0, 0, 0]))
    assert not same_partition(np.array([0, 0]), np.array([0, 0, 0]))


def test_a_real_sweep_also_squeezed(real_data):
    frame = open_dataset("kitti_object", real_data / "kitti_object").frame(5)
    above = frame.points[frame.points[:, 2] > -1.5]
    assert len(above) > 30_000
    for points in (above, squeeze(above, InstancesConfig(vertical_reach=2.0))):
        assert same_partition(connected(points, 0.3), DBSCAN(eps=0.3, min_samples=1).fit_predict(points))
