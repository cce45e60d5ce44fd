"""Recall of boxes and quality of ground: on made-up truth, and on real sweeps where there are any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.datasets import open_dataset
from xmodal_core.types import Boxes, Frame, Semantic, Sensor
from xmodal_core.units import discover
from xmodal_core.units.labels import FrameLabels
from xmodal_core.units.quality import (
    coverage,
    ground_quality,
    instance_recall,
    is_ground_class,
    overlaps,
    purity,
    recall_of,
    segmentation_errors,
)


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


def made_up(points: int, inside: list[tuple[int, int]], boxes: int, cls: np.ndarray | None = None) -> FrameLabels:
    """Labels in which ``inside`` (box, point) pairs are given; no point in two boxes."""
    pairs = np.array(sorted(inside), np.int64).reshape(-1, 2)
    owner = np.full(points, -1)
    owner[pairs[:, 1]] = pairs[:, 0]
    return FrameLabels(owner, cls, pairs[:, 0], pairs[:, 1], np.zeros(boxes, np.int64))


def test_errors_of_segmentation_on_paper():
    # Box 0: 6 points, 4 in segment 0, which has one more: fine. Box 1: 4 points, two and one in segments 1 and 2, and
    # segment 1 has five points: under. Box 2: 4 points, one in segment 3 alone: over. Box 3: 4 points in none: over.
    segment = np.array([0, 0, 0, 0, -1, -1, 1, 1, 2, -1, 3, -1, -1, -1, -1, -1, -1, -1, 0, 1, 1, 1])
    inside = [(0, k) for k in range(6)] + [(b, 6 + 4 * (b - 1) + k) for b in (1, 2, 3) for k in range(4)]
    found = overlaps(made_up(len(segment), inside, 4), segment)
    assert segmentation_errors(found, min_points=4) == (2 / 4, 1 / 4, 4)
    assert segmentation_errors(found, min_points=5) == (0.0, 0.0, 1)
    assert np.isnan(segmentation_errors(found, min_points=7)[:2]).all()


def naive_errors(labels, segment, min_points):
    over, under = [], []
    for box in range(labels.boxes):
        points = labels.point[labels.box == box]
        if len(points) < min_points:
            continue
        sizes = {s: (segment[points] == s).sum() for s in sorted(set(segment[points].tolist()) - {-1})}
        best = max(sizes, key=lambda s: sizes[s]) if sizes else None
        over.append(best is None or sizes[best] < len(points) / 2)
        under.append(best is not None and sizes[best] < (segment == best).sum() / 2)
    return (np.mean(over), np.mean(under), len(over)) if over else (np.nan, np.nan, 0)


def naive_purity(labels, unit):
    main = total = 0
    for one in set(unit.tolist()) - {-1}:
        members = np.flatnonzero(unit == one)
        kinds = labels.object[members] if labels.cls is None else labels.cls[members]
        if labels.cls is not None:
            kinds = kinds[kinds >= 0]
        elif (kinds < 0).all():
            continue
        counts = np.unique(kinds, return_counts=True)[1]
        main, total = main + counts.max(initial=0), total + counts.sum()
    return main / total if total else np.nan


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.booleans(), st.integers(0, 6))
def test_errors_purity_and_recall_against_going_through_them_one_by_one(seed, boxes, semantic, segments):
    rng = np.random.default_rng(seed)
    owner = rng.integers(-1, boxes, 60) if boxes else np.full(60, -1)
    cls = rng.integers(-1, 3, 60) if semantic else None
    labels = made_up(60, [(int(box), point) for point, box in enumerate(owner) if box >= 0], boxes, cls)
    segment = rng.integers(-1, segments, 60) if segments else np.full(60, -1)
    found = overlaps(labels, segment)
    assert segmentation_errors(found, min_points=5) == pytest.approx(naive_errors(labels, segment, 5), nan_ok=True)
    assert purity(labels, segment) == pytest.approx(naive_purity(labels, segment), nan_ok=True)
    recall = recall_of(found, min_points=5)
    for box, iou in zip(recall.box, recall.iou, strict=True):
        inside = owner == box
        best = max(
            (((segment == s) & inside).sum() / ((segment == s) | inside).sum() for s in range(segments)), default=0
        )
        assert iou == pytest.approx(best)


def test_purity_of_two_cars_in_one_unit():
    unit = np.array([0, 0, 0, 1, 1, -1, 2])
    inside = [(0, 0), (1, 1), (1, 2), (0, 3)]
    # By box: unit 0 has 2 of 3, unit 1 one of 2 (the other is background), unit 2 touches nothing.
    assert purity(made_up(7, inside, 2), unit) == 3 / 5
    # By class: all of unit 0 are cars; of unit 1 one is ignored; unit 2 is pure.
    assert purity(made_up(7, inside, 2, np.array([4, 4, 4, 4, -1, 4, 9])), unit) == 1.0
    assert np.isnan(purity(made_up(7, inside, 2), np.full(7, -1)))


def test_coverage():
    assert coverage(np.array([0, -1, 3, -1]), np.array([True, True, True, False])) == 2 / 3
    assert np.isnan(coverage(np.array([0]), np.array([False])))
