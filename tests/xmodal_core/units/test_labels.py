"""What lies on which object: against going through points, boxes and rows one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core import geometry
from xmodal_core.datasets import open_dataset
from xmodal_core.types import Boxes, Frame, Pooling, Semantic, Sensor
from xmodal_core.units import UnitsConfig, discover
from xmodal_core.units.labels import FrameLabels, heaviest, labels_of_units

SENSOR = Sensor("made-up", 64, (1.0, 0.0), None, 1.0)


def random_frame(rng: np.random.Generator, points: int, boxes: int, classes: int | None) -> Frame:
    made = Boxes(
        rng.uniform(-4, 4, (boxes, 3)).astype(np.float32),
        rng.uniform(0.5, 5, (boxes, 3)).astype(np.float32),
        rng.uniform(-4, 4, boxes).astype(np.float32),
        rng.integers(0, 3, boxes),
        ("car", "truck", "person"),
        np.full(boxes, -1),
        np.full((boxes, 2), np.nan, np.float32),
    )
    semantic = None
    if classes is not None:
        semantic = Semantic(rng.integers(0, classes, points), tuple(f"c{k}" for k in range(classes)))
    xyz = rng.uniform(-6, 6, (points, 3)).astype(np.float32)
    return Frame("f", "s", 0.0, xyz, {}, SENSOR, boxes=made, semantic=semantic)


def random_pooling(rng: np.random.Generator, units: int, points: int) -> Pooling:
    """Rows of a few points of unequal weight; eighths, so that sums are exact and some are equal."""
    rows = [np.sort(rng.choice(points, min(points, int(rng.integers(1, 9))), replace=False)) for _ in range(units)]
    row = np.repeat(np.arange(units), [len(members) for members in rows])
    weight = rng.integers(1, 4, len(row)).astype(np.float32) / 8
    return Pooling(row, np.concatenate(rows), weight, (units, points))


def naive_heaviest(pooling: Pooling, label: np.ndarray) -> list[int]:
    found = []
    for unit in range(pooling.shape[0]):
        weight: Counter[int] = Counter()
        for k in np.flatnonzero(pooling.row == unit):
            weight[int(label[pooling.column[k]])] += float(pooling.weight[k])
        found.append(min(weight, key=lambda which: (-weight[which], which)))
    return found


@given(st.integers(0, 2**32 - 1), st.integers(0, 8), st.sampled_from([None, 2, 5]))
def test_labels_of_points_and_units(seed: int, boxes: int, classes: int | None) -> None:
    rng = np.random.default_rng(seed)
    frame = random_frame(rng, 200, boxes, classes)
    pooling = random_pooling(rng, 30, 200)
    labels = FrameLabels.of(frame)
    pairs, owner = [], np.full(200, -1)
    assert frame.boxes is not None
    volume = frame.boxes.size.prod(axis=1)
    for number in range(boxes):
        for point in np.flatnonzero(geometry.points_in_box(frame.points, frame.boxes, number)):
            pairs.append((number, point))
            if owner[point] < 0 or volume[number] < volume[owner[point]]:
                owner[point] = number
    assert list(zip(labels.box, labels.point, strict=True)) == pairs
    np.testing.assert_array_equal(labels.object, owner)
    found = labels_of_units(frame, pooling)
    assert found.object.tolist() == naive_heaviest(pooling, owner)
    assert found.has_objects == (boxes > 0)
    if frame.semantic is not None:
        known = np.where(frame.semantic.label == 0, -1, frame.semantic.label)
        assert found.cls.tolist() == naive_heaviest(pooling, known)
        assert found.has_classes
    else:
        assert found.cls.tolist() == [-1 if k < 0 else frame.boxes.label[k] for k in found.object]
        assert found.has_classes == (boxes > 0)
    assert found.object.dtype == found.cls.dtype == np.int64


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(0, 5))
def test_labelled_instances_stand_in_for_boxes(seed: int, points: int, objects: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.choice(1000, objects, replace=False).tolist()
    kind = {number: int(rng.integers(1, 4)) for number in numbers}
    instance = rng.choice([-1, *numbers], points).astype(np.int64)
    label = np.array([kind.get(number, 0) for number in instance.tolist()], dtype=np.int64)
    xyz = rng.uniform(-6, 6, (points, 3)).astype(np.float32)
    semantic = Semantic(label, ("ignore", "car", "truck", "person"), instance)
    labels = FrameLabels.of(Frame("f", "s", 0.0, xyz, {}, SENSOR, semantic=semantic))
    there = sorted(set(instance.tolist()) - {-1})
    assert labels.boxes == len(there)
    assert labels.box_class.tolist() == [kind[number] for number in there]
    assert labels.object.tolist() == [there.index(number) if number >= 0 else -1 for number in instance.tolist()]
    pairs = [(place, point) for place, number in enumerate(there) for point in np.flatnonzero(instance == number)]
    assert list(zip(labels.box.tolist(), labels.point.tolist(), strict=True)) == pairs


def test_boxes_weigh_more_than_labelled_instances() -> None:
    frame = random_frame(np.random.default_rng(0), 50, 3, 4)
    assert frame.semantic is not None
    told = replace(frame, semantic=replace(frame.semantic, instance=np.arange(50)))
    assert FrameLabels.of(told).boxes == 3
    np.testing.assert_array_equal(FrameLabels.of(told).object, FrameLabels.of(frame).object)


def test_a_frame_without_labels_and_a_pooling_without_rows() -> None:
    frame = Frame("f", "s", 0.0, np.zeros((3, 3), np.float32), {}, SENSOR)
    none = np.zeros(0, np.int64)
    found = labels_of_units(frame, Pooling(none, none, np.zeros(0, np.float32), (2, 3)))
    assert found.object.tolist() == found.cls.tolist() == [-1, -1]
    assert not found.has_objects
    assert not found.has_classes
    assert heaviest(Pooling(none, none, np.zeros(0, np.float32), (0, 3)), np.array([1, 2, 3])).shape == (0,)


@pytest.mark.parametrize("name", ["nuscenes", "kitti_object"])
def test_an_instance_that_is_a_box_lies_on_it(name: str, example_root: Callable[[str], Path]) -> None:
    frame = open_dataset(name, example_root(name)).frame(0)
    units = discover(frame, UnitsConfig.model_validate({"seeds": {"count": 300}, "instances": {"radius": 1.2}}))
    assert frame.boxes is not None
    labels = FrameLabels.of(frame)
    found = labels_of_units(frame, units.pooling, labels)
    hit = np.flatnonzero(units.merged)
    on = {int(k) for k in found.object[hit] if k >= 0}
    assert on, "no instance lies on a box"
    for unit in hit[found.object[hit] >= 0]:
        inside = geometry.points_in_box(frame.points, frame.boxes, int(found.object[unit]))
        own = units.pooling.row == unit
        share = units.pooling.weight[own & inside[units.pooling.column]].sum()
        assert share > 0.4
