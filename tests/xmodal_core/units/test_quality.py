"""Recall of boxes and quality of ground: on made-up truth, and on real sweeps where there are any."""

from __future__ import annotations

import numpy as np
import pytest

from xmodal_core.datasets import open_dataset
from xmodal_core.types import Boxes, Frame, Semantic, Sensor
from xmodal_core.units import discover
from xmodal_core.units.quality import ground_quality, instance_recall, is_ground_class


def frame_with_boxes(points, centres, size=2.0):
    n = len(centres)
    boxes = Boxes(
        np.array(centres, np.float32).reshape(n, 3),
        np.full((n, 3), size, np.float32),
        np.zeros(n, np.float32),
        np.zeros(n, np.int64),
        ("car",),
        np.full(n, -1),
        np.full((n, 2), np.nan, np.float32),
    )
    sensor = Sensor("made-up", 64, (1.0, 0.0), None, 1.0)
    return Frame("f", "s", 0.0, np.array(points, np.float32), {}, sensor, boxes=boxes)


def test_recall_counts_points_in_common():
    # Ten points in the first box, of which instance 0 has 6 and 2 elsewhere: 6 / 12. Four in the second, all of 1.
    points = [[10, 0, 0]] * 10 + [[20, 0, 0]] * 4 + [[30, 0, 0]] * 2
    frame = frame_with_boxes(points, [[10, 0, 0], [20, 0, 0], [50, 0, 0]])
    instance = np.array([0] * 6 + [-1] * 4 + [1] * 4 + [0] * 2)
    recall = instance_recall(frame, instance, min_points=3)
    assert recall.box.tolist() == [0, 1]
    np.testing.assert_allclose(recall.iou, [0.5, 1.0])
    assert (recall.matched, recall.mean_iou) == (1.0, 0.75)
    assert instance_recall(frame, instance, min_points=3, threshold=0.6).matched == 0.5
    assert instance_recall(frame, instance, min_points=5).box.tolist() == [0]


def test_recall_without_instances_boxes_or_points():
    frame = frame_with_boxes([[10, 0, 0]] * 30, [[10, 0, 0]])
    assert instance_recall(frame, np.full(30, -1)).matched == 0
    assert np.isnan(instance_recall(frame_with_boxes([[10, 0, 0]] * 30, []), np.zeros(30, np.int64)).matched)


def test_ground_quality_leaves_out_the_unlabelled_and_the_far():
    points = np.array([[5, 0, 0]] * 6 + [[50, 0, 0]], np.float32)
    semantic = Semantic(np.array([1, 1, 1, 2, 2, 0, 1]), ("ignore", "road", "car"))
    ground = np.array([True, True, False, True, False, True, False])
    quality = ground_quality(points, semantic, ground, 2.0, 40.0)
    assert quality == (2 / 3, 2 / 3, 5)


@pytest.mark.parametrize(
    "name", ["flat.driveable_surface", "road", "terrain", "flat.other", "other-ground", "sidewalk"]
)
def test_ground_classes(name):
    assert is_ground_class(name)


@pytest.mark.parametrize("name", ["ignore", "vehicle.car", "vegetation", "static.manmade", "human.pedestrian.adult"])
def test_other_classes(name):
    assert not is_ground_class(name)


def test_cars_and_people_are_whole_instances_on_kitti(real_data):
    dataset = open_dataset("kitti_object", real_data / "kitti_object")
    iou = np.concatenate([instance_recall(frame, discover(frame).instance, min_points=20).iou for frame in dataset])
    assert len(iou) >= 30
    assert (iou >= 0.5).mean() >= 0.9


def test_objects_are_instances_on_a_nuscenes_keyframe(real_data):
    frame = open_dataset("nuscenes", real_data / "nuscenes_keyframe").frame(0)
    units = discover(frame)
    assert instance_recall(frame, units.instance, min_points=5).matched >= 0.55
    assert units.sensor_height == pytest.approx(1.84, abs=0.1)
    assert len(units.seeds) == 2048


def test_ground_is_ground_on_semantickitti(real_data):
    folder = real_data / "semantickitti" / "sequences" / "00"
    scans = sorted((folder / "velodyne").glob("*.bin"))
    if not scans:
        pytest.skip("no SemanticKITTI scan there")
    points = np.fromfile(scans[0], np.float32).reshape(-1, 4)[:, :3].copy()
    raw = np.fromfile(folder / "labels" / f"{scans[0].stem}.label", np.uint32) & 0xFFFF
    label = np.where(np.isin(raw, [40, 44, 48, 49, 60, 72]), 1, np.where(raw > 1, 2, 0)).astype(np.int64)
    units = discover(Frame("s", "00", 0.0, points, {}, Sensor("HDL-64E", 64, (1.0, 0.0), None, 1.0)))
    quality = ground_quality(points, Semantic(label, ("ignore", "road", "other")), units.ground, 2.5, 80.0)
    assert quality.precision > 0.95
    assert quality.recall > 0.95
