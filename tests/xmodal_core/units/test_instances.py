"""Clusters, their sizes, and the reasons to reject them."""

from __future__ import annotations

import numpy as np
import pytest

from xmodal_core.bench.units import same_partition
from xmodal_core.config import entries
from xmodal_core.types import Reason, Sensor
from xmodal_core.units.config import InstancesConfig
from xmodal_core.units.filters import judge, measure
from xmodal_core.units.instances import CLUSTERING, clustering, find_clusters, keep_instances, radii, squeeze
from xmodal_core.units.rbnn import connected

DENSE = Sensor("dense", 100_000, (1.0, 0.0), None, 1.0)


def block(length, width, height, step=0.2, at=(10.0, 0.0, 0.0)):
    axes = [np.linspace(0, size, round(size / step) + 1) for size in (length, width, height)]
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*axes)], axis=1)
    return (grid + at).astype(np.float32)


def judged(points, sensor=DENSE, **settings):
    clusters = np.zeros(len(points), np.int64)
    return judge(measure(points, clusters), sensor, InstancesConfig(**settings))[0]


CASES: dict[str, tuple[np.ndarray, Reason]] = {
    "car": (block(4, 1.8, 1.5), "kept"),
    "pedestrian": (block(0.5, 0.5, 1.8), "kept"),
    "bus": (block(12, 2.5, 3), "kept"),
    "side of a car": (block(4.4, 0.0, 1.2), "kept"),
    "side of a lorry": (block(7, 0.0, 1.2), "kept"),
    "two returns": (block(0.5, 0.0, 0.0, 0.5), "too_few_points"),
    "crumb": (block(0.1, 0.1, 0.1, 0.05), "too_small"),
    "facade": (block(30, 0.2, 3), "too_large"),
    "tower": (block(2, 2, 9), "too_large"),
    "square": (block(12, 12, 3, 0.5), "too_large"),
    "kerb": (block(12, 0.2, 0.9), "too_elongated"),
    "puddle": (block(5, 2, 0.1), "too_flat"),
}


@pytest.mark.parametrize("name", CASES)
def test_every_reason(name):
    points, reason = CASES[name]
    assert judged(points) == reason


def test_the_first_reason_in_order_is_given():
    assert judged(block(0.1, 0.0, 0.0, 0.1)) == "too_few_points"


def test_one_beam_may_have_met_something_tall():
    line = block(2.0, 0.0, 0.0, at=(20.0, 0.0, 0.0))
    assert judged(line) == "too_flat"
    assert judged(line, Sensor("sparse", 32, (0.0, 1.0), None, 255.0)) == "kept"


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2, 2.5])
def test_sizes_are_measured_along_the_cluster(angle):
    points = block(4, 1, 2) - np.array([10, 0, 0], np.float32)
    c, s = np.cos(angle), np.sin(angle)
    turned = (points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + [30, 5, -1]).astype(np.float32)
    found = measure(turned, np.zeros(len(points), np.int64))
    np.testing.assert_allclose([found.length[0], found.width[0], found.height[0]], [4, 1, 2], atol=0.02)
    assert found.points[0] == len(points)
    assert found.distance[0] == pytest.approx(np.hypot(*turned[:, :2].mean(axis=0)), abs=1e-3)


def test_clusters_are_measured_apart():
    one, two = block(4, 1, 2), block(1, 1, 1, at=(-20.0, 3.0, 0.0))
    both = measure(np.concatenate([one, two]), np.repeat([0, 1], [len(one), len(two)]))
    for number, alone in enumerate((one, two)):
        expected = measure(alone, np.zeros(len(alone), np.int64))
        np.testing.assert_allclose([values[number] for values in both], [values[0] for values in expected])


def test_rejected_clusters_keep_their_number_and_kept_ones_are_numbered_anew():
    crumb, car = block(0.1, 0, 0, 0.1), block(4, 2, 1.5, at=(20, 0, 0))
    parts = [crumb, car, block(40, 0, 3, at=(0, 30, 0)), block(0.5, 0.5, 1.7, at=(40, 0, 0))]
    points = np.concatenate(parts)
    objects = np.ones(len(points), np.bool_)
    objects[-1] = False
    clusters = find_clusters(points, objects, InstancesConfig())
    found = keep_instances(points, clusters, DENSE, InstancesConfig())
    sizes = [len(part) for part in parts]
    expected = np.repeat([0, 1, 2, 3], sizes)
    expected[-1] = -1
    np.testing.assert_array_equal(clusters, expected)
    assert found.reasons == ("too_few_points", "kept", "too_large", "kept")
    np.testing.assert_array_equal(found.instance, np.array([-1, 0, -1, 1, -1])[expected])


def test_a_plain_radius_gives_plain_rbnn():
    points = np.random.default_rng(0).normal(0, 5, (400, 3)).astype(np.float32)
    plain = InstancesConfig(radius=0.7, radius_growth=0, vertical_reach=1)
    found = find_clusters(points, np.ones(400, np.bool_), plain)
    assert same_partition(found, connected(points, 0.7))


def test_the_radius_grows_with_distance_up_to_its_bound():
    points = np.array([[5.0, 0, 9], [30, 40, 0], [0, 500, 0]], np.float32)
    found = radii(points, InstancesConfig(radius=0.25, radius_growth=0.02, max_radius=1.2))
    np.testing.assert_allclose(found, [0.25, 1.0, 1.2])
    assert radii(points, InstancesConfig(radius=0.5, radius_growth=0)) == 0.5


def test_upright_neighbours_are_reached_farther():
    post = np.array([[10, 0, 0], [10, 0, 0.8]], np.float32)
    beside = np.array([[10, 0, 0], [10, 0.8, 0]], np.float32)
    config = InstancesConfig(radius=0.5, radius_growth=0, vertical_reach=2)
    assert connected(squeeze(post, config), 0.5).tolist() == [0, 0]
    assert connected(squeeze(beside, config), 0.5).tolist() == [0, 1]


@pytest.mark.parametrize(("enabled", "any_object"), [(False, True), (True, False)])
def test_nothing_to_find(enabled, any_object):
    points = block(4, 2, 1.5)
    clusters = find_clusters(points, np.full(len(points), any_object), InstancesConfig(enabled=enabled))
    found = keep_instances(points, clusters, DENSE, InstancesConfig(enabled=enabled))
    assert (clusters == -1).all()
    assert (found.instance == -1).all()
    assert found.reasons == ()


def test_only_the_settings_of_clustering_change_the_clusters():
    """One setting at a time: all of clustering's are named, and no other has a say."""
    points = np.concatenate([block(4, 2, 1.5, at=(x, 8, 0)) for x in (0, 6, 12)])
    objects = np.ones(len(points), np.bool_)
    usual = InstancesConfig()
    for entry in entries(InstancesConfig):
        other = (not entry.default) if entry.kind is bool else entry.ge if entry.default != entry.ge else entry.le
        changed = usual.model_copy(update={entry.path: other})
        assert (clustering(changed) == clustering(usual)) == (entry.path not in CLUSTERING)
        if entry.path not in CLUSTERING:
            np.testing.assert_array_equal(
                find_clusters(points, objects, changed), find_clusters(points, objects, usual)
            )
