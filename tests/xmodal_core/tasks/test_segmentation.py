"""Which classes are told apart, and what points of others teach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xmodal_core.datasets import open_dataset
from xmodal_core.errors import InputError
from xmodal_core.geometry import points_in_box
from xmodal_core.tasks.segmentation import BACKGROUND, IGNORE, Segmentation, SegmentationConfig

Root = Callable[[str], Path]


def test_of_boxes_those_of_chosen_classes_beside_background(example_root: Root) -> None:
    dataset = open_dataset("kitti_object", example_root("kitti_object"))
    every = Segmentation.classes_of(dataset, SegmentationConfig())
    assert every[0] == BACKGROUND
    assert "Misc" not in every
    config = SegmentationConfig(classes=("Truck", "Car"))
    assert Segmentation.classes_of(dataset, config) == (BACKGROUND, "Car", "Truck")
    frame = dataset.frame(0)
    labels = Segmentation.label(frame, (BACKGROUND, "Truck"), SegmentationConfig(classes=("Truck",)))
    assert labels is not None
    assert frame.boxes is not None
    kinds = [frame.boxes.classes[kind] for kind in frame.boxes.label]
    inside = {kind: np.zeros(len(frame), bool) for kind in kinds}
    for number, kind in enumerate(kinds):
        inside[kind] |= points_in_box(frame.points, frame.boxes, number)
    assert inside["Car"].any()
    assert inside["Truck"].any()
    assert (labels[inside["Truck"]] == 1).all()
    assert (labels[inside["Car"] & ~inside["Truck"]] == IGNORE).all()
    unlabelled = frame.channels["no_label_zone"] > 0
    assert (labels[~np.logical_or.reduce(list(inside.values())) & ~unlabelled] == 0).all()


@pytest.mark.parametrize("name", ["waymo", "kitti_object", "kitti_tracking"])
def test_where_nobody_drew_boxes_there_is_no_background_to_learn(name: str, example_root: Root) -> None:
    frame = open_dataset(name, example_root(name)).frame(0)
    assert frame.boxes is not None
    labels = Segmentation.label(frame, (BACKGROUND, *frame.boxes.classes), SegmentationConfig(source="boxes"))
    assert labels is not None
    inside = np.zeros(len(frame), bool)
    for number in range(len(frame.boxes)):
        inside |= points_in_box(frame.points, frame.boxes, number)
    zone = frame.channels["no_label_zone"] > 0
    assert (zone & ~inside).any()
    assert (labels[zone & ~inside] == IGNORE).all()
    assert (labels[~zone & ~inside] == 0).all()
    assert (labels[inside] > 0).all()


def test_of_classes_of_points_the_chosen_ones_and_nothing_of_the_rest(example_root: Root) -> None:
    dataset = open_dataset("semantic_kitti", example_root("semantic_kitti"))
    config = SegmentationConfig(classes=("road", "car"))
    assert Segmentation.classes_of(dataset, config) == ("car", "road")
    frame = dataset.frame(0)
    assert frame.semantic is not None
    labels = Segmentation.label(frame, ("car", "road"), config)
    assert labels is not None
    names = np.array(frame.semantic.classes)[frame.semantic.label]
    assert (labels[names == "road"] == 1).all()
    assert (labels[names == "car"] == 0).all()
    assert (labels[~np.isin(names, ("car", "road"))] == IGNORE).all()


def test_a_class_that_nothing_has_is_refused(example_root: Root) -> None:
    dataset = open_dataset("kitti_object", example_root("kitti_object"))
    with pytest.raises(InputError, match=r"task\.classes: nothing is labelled 'Cat' here \(did you mean 'Car'\?"):
        Segmentation.classes_of(dataset, SegmentationConfig(classes=("Cat",)))
