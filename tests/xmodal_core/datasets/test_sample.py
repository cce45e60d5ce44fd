"""The generated drive as a data set: nuScenes' reader over its files, made on first use where no root is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sample_data
from xmodal_core.config import Settings
from xmodal_core.datasets import open_dataset
from xmodal_core.datasets._nuscenes_classes import SEGMENTATION
from xmodal_core.datasets.sample import VERSION, Sample
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry import points_in_box

NAME = "sample"


def test_without_a_root_the_cached_drive_is_made_and_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(sample_data, "ensure_drive", lambda *arguments: asked.append(arguments) or root)
    assert open_dataset("sample").root == root
    assert asked == [()]
    assert open_dataset("sample", root).root == root
    assert len(asked) == 1


def test_it_is_never_made_where_a_root_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_data, "ensure_drive", lambda *arguments: pytest.fail("made a drive"))
    with pytest.raises(DataError, match=rf"has no folder {VERSION}.*there are: none"):
        open_dataset("sample", tmp_path)
    assert not list(tmp_path.iterdir())


def test_it_is_nuscenes_under_another_version(root: Path) -> None:
    ours = open_dataset("sample", root).frame(1)
    theirs = open_dataset("nuscenes", root).frame(1)
    np.testing.assert_array_equal(ours.points, theirs.points)
    assert [camera.name for camera in ours.cameras] == [camera.name for camera in theirs.cameras]
    assert len(ours.cameras) == 6


def test_points_have_classes_that_fit_the_boxes(root: Path) -> None:
    """Points of class car lie in boxes of class car."""
    inside, total = 0, 0
    for frame in open_dataset("sample", root):
        assert frame.semantic is not None
        assert frame.boxes is not None
        of_car = frame.semantic.label == SEGMENTATION.index("car")
        boxed = np.zeros(len(frame), np.bool_)
        for number in range(len(frame.boxes)):
            if frame.boxes.classes[frame.boxes.label[number]] == "car":
                boxed |= points_in_box(frame.points, frame.boxes, number, margin=0.15)
        inside, total = inside + int((of_car & boxed).sum()), total + int(of_car.sum())
    assert total > 100
    assert inside / total > 0.98


def test_settings_of_another_data_set_are_refused(root: Path) -> None:
    with pytest.raises(InputError, match="'sample' cannot be opened with Settings"):
        Sample.open(root, Settings())
