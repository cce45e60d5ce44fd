"""SegContrast's segments: a plane with things on it in, the things out."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from xmodal_core.errors import RunError
from xmodal_core.types import Floats, Frame, Sensor
from xmodal_core.units import peers
from xmodal_core.units.peers.segments import SegmentsConfig, density_clusters, largest_segments, plane_points

SENSOR = Sensor("made-up", 64, (1.0, 0.0), None, 1.0)


def plane(count: int = 4000, slope: float = 0.1) -> Floats:
    x, y = np.random.default_rng(0).uniform(-20, 20, (2, count))
    return np.column_stack([x, y, slope * x - 1.8]).astype(np.float32)


def block(x: float, y: float, count: int, above: float = 5.0) -> Floats:
    """A line of points 0.05 m apart, well above the plane."""
    return np.column_stack([np.full(count, x), y + 0.05 * np.arange(count), np.full(count, above)]).astype(np.float32)


def frame_of(*parts: Floats) -> Frame:
    return Frame("f", "s", 0.0, np.concatenate(parts), {}, SENSOR)


def test_things_on_a_slope_are_units_and_the_slope_is_not() -> None:
    frame = frame_of(plane(), block(3, 0, 30), block(-8, 4, 45), block(9, 9, 19))
    pooling = peers.load("segments")(frame)
    found = [pooling.column[pooling.row == unit].tolist() for unit in range(pooling.shape[0])]
    assert sorted(found) == [list(range(4000, 4030)), list(range(4030, 4075))], "19 points are too few"


def test_the_plane_is_measured_square_to_itself() -> None:
    """On a slope of 1 a point 0.3 m above along z is 0.21 m from the plane."""
    steep = plane(slope=1.0)
    points = np.concatenate([steep, steep[:10] + np.float32([0, 0, 0.3]), steep[:10] + np.float32([0, 0, 0.5])])
    near = plane_points(points, SegmentsConfig(), 0)
    assert near[:4010].all()
    assert not near[4010:].any()


def test_open3d_is_told_to_try_every_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    """Left to itself it stops early, and when that is its threads race for: another plane now and then on a busy
    machine, which no test would meet reliably."""
    told: list[tuple[tuple[float, ...], dict[str, float]]] = []
    import open3d

    class Cloud(open3d.geometry.PointCloud):
        def segment_plane(self, *arguments: float, **named: float) -> object:
            told.append((arguments, named))
            return super().segment_plane(*arguments, **named)

    monkeypatch.setattr(open3d.geometry, "PointCloud", Cloud)
    assert plane_points(plane(), SegmentsConfig(), 0).sum() == 4000
    assert told == [((0.25, 3, 200), {"probability": 1.0})]


def test_dbscan_leaves_out_noise() -> None:
    points = np.concatenate([block(0, 0, 12), block(3, 0, 9), block(6, 0, 12)])
    clusters = density_clusters(points, SegmentsConfig())
    assert clusters.tolist() == [0] * 12 + [-1] * 9 + [1] * 12


def test_the_largest_are_kept_and_of_equals_the_first() -> None:
    clusters = np.array([2] * 5 + [0] * 3 + [1] * 3 + [-1] * 9 + [3] * 2)
    kept = largest_segments(clusters, SegmentsConfig(largest=2, min_points=1))
    assert kept.tolist() == [2] * 5 + [0] * 3 + [-1] * 14
    kept = largest_segments(clusters, SegmentsConfig(largest=9, min_points=3))
    assert kept.tolist() == [2] * 5 + [0] * 3 + [1] * 3 + [-1] * 11
    assert largest_segments(np.full(4, -1), SegmentsConfig()).tolist() == [-1] * 4


@pytest.mark.parametrize("points", [1, 2, 3, 5])
def test_a_handful_of_points_is_no_unit(points: int) -> None:
    assert peers.load("segments")(frame_of(plane(points))).shape == (0, points)


def test_all_in_one_plane_is_no_unit() -> None:
    assert peers.load("segments")(frame_of(plane())).shape == (0, 4000)


def test_dbscan_is_that_of_open3d(real_frame: Callable[[], Frame]) -> None:
    import open3d

    config = SegmentsConfig()
    frame = real_frame()
    points = frame.points[~plane_points(frame.points, config, 0)]
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.astype(np.float64)))
    theirs = np.asarray(cloud.cluster_dbscan(config.eps, config.min_samples))
    ours = density_clusters(points, config)
    pairs = np.unique(np.column_stack([ours, theirs]), axis=0)
    assert len(pairs) == len(np.unique(ours)) == len(np.unique(theirs))
    assert np.array_equal(ours < 0, theirs < 0)


def test_without_open3d_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(RunError, match="need open3d, which cannot be loaded") as caught:
        peers.load("segments")(frame_of(plane()))
    assert caught.value.hint == "pip install open3d"


@pytest.fixture
def real_frame(real_data: object) -> Callable[[], Frame]:
    from pathlib import Path

    from xmodal_core.datasets import open_dataset

    assert isinstance(real_data, Path)
    return lambda: open_dataset("nuscenes", real_data / "nuscenes_keyframe").frame(0)
