"""What KITTI's three readers share: a view of the points that their boxes were annotated in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xmodal_core.config import validate
from xmodal_core.datasets import open_dataset
from xmodal_core.datasets.kitti_object import KittiObject, KittiObjectConfig
from xmodal_core.errors import DataError, InputError
from xmodal_core.train.finetune_config import read_finetuning
from xmodal_core.types import Camera, Frame

READERS = ("kitti_object", "kitti_raw", "kitti_tracking")


def sees(camera: Camera, point: np.ndarray) -> bool:
    x, y, z = camera.lidar_to_camera[:3, :3] @ point.astype(np.float64) + camera.lidar_to_camera[:3, 3]
    if z <= 0:
        return False
    u, v, _ = camera.intrinsics @ (x / z, y / z, 1.0)
    return bool(0 < u < camera.width and 0 < v < camera.height)


@pytest.mark.parametrize("reader", READERS)
def test_of_a_view_only_the_points_are_left_that_a_camera_sees(
    reader: str, example_root: Callable[[str], Path]
) -> None:
    whole = open_dataset(reader, example_root(reader)).frame(0)
    part = open_dataset(reader, example_root(reader), {"in_view": True}).frame(0)
    seen = np.array([sees(whole.cameras[0], point) for point in whole.points])
    assert 0.02 < seen.mean() < 0.4
    np.testing.assert_array_equal(part.points, whole.points[seen])
    np.testing.assert_array_equal(part.channels["intensity"], whole.channels["intensity"][seen])
    assert part.boxes is not None
    assert whole.boxes is not None
    np.testing.assert_array_equal(part.boxes.centre, whole.boxes.centre)
    assert part.left_out == len(whole) - len(part)


def test_what_is_stored_of_a_view_is_known_by_the_returns_of_its_file(example_copy: Callable[[str], Path]) -> None:
    root = example_copy("kitti_object")
    file = root / "training" / "velodyne" / "000000.bin"
    rows = np.fromfile(file, dtype="<f4").reshape(-1, 4)
    rows[::3, 0] = np.nan
    file.write_bytes(rows.tobytes())
    frame: Frame = open_dataset("kitti_object", root, {"in_view": True}).frame(0)
    assert frame.stored is not None
    assert len(frame.stored) == len(rows)
    np.testing.assert_array_equal(rows[frame.stored, :3], frame.points)


@pytest.mark.parametrize("reader", READERS)
def test_learning_from_labels_begins_with_the_view(reader: str, example_root: Callable[[str], Path]) -> None:
    options = {"dataset.name": reader, "dataset.root": str(example_root(reader))}
    for task in ("segmentation", "detection"):
        taken = read_finetuning(None, [], {**options, "task.name": task}).dataset.options.model_dump()
        assert taken["in_view"] is True
    kept = read_finetuning(None, ["dataset.in_view=false"], options).dataset.options.model_dump()
    assert kept["in_view"] is False


def test_a_view_needs_a_camera(example_copy: Callable[[str], Path]) -> None:
    config = validate(KittiObjectConfig, {"cameras": [], "in_view": True}, "dataset")
    root = example_copy("kitti_tracking")
    with pytest.raises(InputError, match=r"dataset\.in_view needs a camera \(.*dataset\.in_view=false\)"):
        KittiObject(root, config)
    shutil.rmtree(root / "training" / "image_02")
    with pytest.raises(DataError, match=r"frame '0001/.*' has no picture"):
        open_dataset("kitti_tracking", root, {"in_view": True}).frame(0)
