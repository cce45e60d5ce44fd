"""KITTI object scenes: calibration and labels against the files read by hand, splits, every fault named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xmodal_core.datasets import Dataset, _kitti_example, open_dataset
from xmodal_core.datasets._kitti_example import DATE
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry import box_corners
from xmodal_core.types import Frame

NAME = "kitti_object"


@pytest.fixture(scope="module")
def real_object(real_data: Path) -> Dataset:
    return open_dataset("kitti_object", real_data / "kitti_object")


def calibration(file: Path) -> dict[str, np.ndarray]:
    lines = [line.split(":") for line in file.read_text().splitlines() if ":" in line]
    return {name: np.array(numbers.split(), dtype=np.float64) for name, numbers in lines}


def to_camera(file: Path) -> np.ndarray:
    """(4,4): the LiDAR to the rectified coordinates of camera 0, R0_rect Tr_velo_to_cam."""
    values = calibration(file)
    rectify = np.eye(4)
    rectify[:3, :3] = values["R0_rect"].reshape(3, 3)
    return rectify @ np.vstack([values["Tr_velo_to_cam"].reshape(3, 4), (0, 0, 0, 1)])


def assert_projects_by_hand(frame: Frame, file: Path) -> None:
    """The development kit's readme: P2 R0_rect Tr_velo_to_cam X."""
    (camera,) = frame.cameras
    seen = camera.project(frame.points)
    whole = np.column_stack([frame.points.astype(np.float64), np.ones(len(frame))])
    u, v, w = calibration(file)["P2"].reshape(3, 4) @ to_camera(file) @ whole.T
    np.testing.assert_allclose(seen.depth, w, atol=1e-4)
    np.testing.assert_allclose(seen.uv[seen.inside], np.stack([u / w, v / w], axis=1)[seen.inside], atol=5e-3)
    assert seen.inside.sum() > 500


def assert_boxes_are_the_labels(frame: Frame, folder: Path) -> None:
    """Corners of each box, brought into the camera, are those of the label as the development kit draws them."""
    assert frame.boxes is not None
    corners = box_corners(frame.boxes).astype(np.float64)
    lines = [line.split() for line in (folder / "label_2" / f"{frame.name}.txt").read_text().splitlines()]
    labels = [line for line in lines if line[0] != "DontCare"]
    assert [frame.boxes.classes[label] for label in frame.boxes.label] == [line[0] for line in labels]
    lidar_to_camera = to_camera(folder / "calib" / f"{frame.name}.txt")
    for number, line in enumerate(labels):
        height, width, length, x, y, z, turn = map(float, line[8:15])
        along, across = np.array([1, -1, -1, 1]) * length / 2, np.array([1, 1, -1, -1]) * width / 2
        wanted = np.array(
            [
                (np.cos(turn) * a + np.sin(turn) * c + x, y - up, -np.sin(turn) * a + np.cos(turn) * c + z)
                for up in (0.0, height)
                for a, c in zip(along, across, strict=True)
            ]
        )
        found = corners[number] @ lidar_to_camera[:3, :3].T + lidar_to_camera[:3, 3]
        distance = np.linalg.norm(found[:, None] - wanted[None], axis=2).min(axis=1)
        # A box upright in the LiDAR's frame leans a little in the camera's: 1.5 degrees at half a box's length.
        assert distance.max() < 0.02 * max(length, 2.0)


def assert_dont_care_regions_are_the_zone(frame: Frame, folder: Path) -> int:
    """How many points lie in one, by the development kit's formula and the lines of the label file."""
    calib = folder / "calib" / f"{frame.name}.txt"
    whole = np.column_stack([frame.points.astype(np.float64), np.ones(len(frame))])
    u, v, w = calibration(calib)["P2"].reshape(3, 4) @ to_camera(calib) @ whole.T
    wanted, nearly = np.zeros(len(frame), bool), np.zeros(len(frame), bool)
    for line in (folder / "label_2" / f"{frame.name}.txt").read_text().splitlines():
        if line.startswith("DontCare"):
            left, top, right, bottom = map(float, line.split()[4:8])
            off = np.minimum.reduce([u / w - left, right - u / w, v / w - top, bottom - v / w])
            wanted |= (w > 0) & (off >= 0)
            nearly |= abs(off) < 0.01  # single precision puts these on either side
    zone = frame.channels["no_label_zone"]
    np.testing.assert_array_equal(zone[~nearly], wanted[~nearly].astype(np.float32))
    assert nearly.sum() < 5
    return int(wanted.sum())


class TestExample:
    def test_points_project_by_the_readmes_formula(self, root: Path) -> None:
        for frame in open_dataset("kitti_object", root):
            assert_projects_by_hand(frame, root / "training" / "calib" / f"{frame.name}.txt")

    def test_boxes_are_the_labels_without_the_dont_care_regions(self, root: Path) -> None:
        for number, frame in enumerate(open_dataset("kitti_object", root)):
            assert_boxes_are_the_labels(frame, root / "training")
            assert frame.boxes is not None
            for place, (_, pose, size) in enumerate(_kitti_example.labelled_boxes(number * 1.0)):
                np.testing.assert_allclose(frame.boxes.centre[place], pose[:3, 3], atol=1e-4)
                np.testing.assert_allclose(frame.boxes.size[place], size, atol=1e-5)
                yaw = frame.boxes.yaw[place]
                np.testing.assert_allclose((np.cos(yaw), np.sin(yaw)), pose[:2, 0], atol=0.01)

    def test_where_nobody_labelled_is_behind_the_dont_care_regions(self, root: Path) -> None:
        for frame in open_dataset("kitti_object", root):
            assert 0 < assert_dont_care_regions_are_the_zone(frame, root / "training") < len(frame) / 4

    def test_scenes_are_unrelated(self, root: Path) -> None:
        dataset = open_dataset("kitti_object", root)
        assert [dataset.scene(index) for index in range(2)] == ["000000", "000007"]
        frame = dataset.frame(1)
        assert (frame.timestamp, frame.pose) == (0.0, None)
        assert frame.boxes is not None
        assert (frame.boxes.track == -1).all()
        assert np.isnan(frame.boxes.velocity).all()


class TestReal:
    def test_points_project_by_the_readmes_formula(self, real_object: Dataset) -> None:
        folder = real_object.root / "training"
        sizes = set()
        for frame in real_object:
            assert_projects_by_hand(frame, folder / "calib" / f"{frame.name}.txt")
            sizes.add((frame.cameras[0].width, frame.cameras[0].height))
        assert (1242, 375) in sizes
        assert len(sizes) > 1  # sizes differ from scene to scene

    def test_boxes_are_the_labels(self, real_object: Dataset) -> None:
        for frame in real_object:
            assert_boxes_are_the_labels(frame, real_object.root / "training")

    def test_where_nobody_labelled_is_behind_the_dont_care_regions(self, real_object: Dataset) -> None:
        found = [assert_dont_care_regions_are_the_zone(frame, real_object.root / "training") for frame in real_object]
        assert 0 in found  # scenes without such a region
        assert max(found) > 100

    def test_boxes_sit_on_their_points(
        self, real_object: Dataset, shares_inside: Callable[[Dataset], list[float]]
    ) -> None:
        shares = shares_inside(real_object)
        assert len(shares) > 30
        assert np.median(shares) > 0.95

    def test_it_agrees_with_the_raw_drive_of_the_same_car(self, real_object: Dataset, real: Dataset) -> None:
        """Scene 000008 was taken with the calibration of 2011_09_26."""
        scene = next(frame for frame in real_object if frame.name == "000008")
        drive = real.frame(0)
        assert real.root.joinpath(DATE).is_dir()
        np.testing.assert_allclose(scene.cameras[0].intrinsics, drive.cameras[0].intrinsics)
        np.testing.assert_allclose(scene.cameras[0].lidar_to_camera, drive.cameras[0].lidar_to_camera, atol=1e-6)


class TestSplits:
    def test_a_list_gives_its_frames_in_its_order(self, copy: Path) -> None:
        assert [frame.name for frame in open_dataset("kitti_object", copy, {"split": "val"})] == ["000007"]
        (copy / "ImageSets" / "mine.txt").write_text("000007\n000000")
        dataset = open_dataset("kitti_object", copy, {"split": "mine"})
        assert [dataset.name(index) for index in range(2)] == ["000007", "000000"]
        with pytest.raises(InputError, match=r"unknown split 'yours'.*known: training, testing, mine, val"):
            open_dataset("kitti_object", copy, {"split": "yours"})

    def test_a_listed_frame_that_is_not_there_is_named(self, copy: Path) -> None:
        (copy / "ImageSets" / "mine.txt").write_text("000001\n")
        with pytest.raises(DataError, match=r"velodyne/000001\.bin is missing"):
            open_dataset("kitti_object", copy, {"split": "mine"}).frame(0)

    def test_the_testing_folder_has_no_labels(self, copy: Path) -> None:
        (copy / "training").rename(copy / "testing")
        for file in (copy / "testing" / "label_2").iterdir():
            file.unlink()
        (copy / "testing" / "label_2").rmdir()
        dataset = open_dataset("kitti_object", copy, {"split": "testing"})
        assert dataset.frame(1).boxes is None
        with pytest.raises(DataError, match=r"training/velodyne is missing"):
            open_dataset("kitti_object", copy)

    def test_the_root_may_be_the_training_folder_itself(self, root: Path) -> None:
        dataset = open_dataset("kitti_object", root / "training")
        assert dataset.root == root
        assert len(dataset) == 2


class TestFaults:
    def test_a_scene_without_objects_has_an_empty_label_file(self, copy: Path) -> None:
        (copy / "training" / "label_2" / "000000.txt").write_text("")
        boxes = open_dataset("kitti_object", copy).frame(0).boxes
        assert boxes is not None
        assert len(boxes) == 0

    def test_a_missing_label_file_is_named(self, copy: Path) -> None:
        (copy / "training" / "label_2" / "000000.txt").unlink()
        with pytest.raises(DataError, match=r"label_2/000000\.txt is missing"):
            open_dataset("kitti_object", copy).frame(0)

    @pytest.mark.parametrize(
        ("line", "complaint"),
        [
            ("Car 0 0 0 1 1 2 2 1.5 1.6 4 1 2", "line 2 is no label of 15 values"),
            ("Car 0 0 0 1 1 2 2 1.5 1.6 4 1 2 far 0", "line 2 is no label of 15 values"),
            ("Car 0 0 0 1 1 2 2 1.5 1.6 4 1 2 nan 0", "line 2 is no box: 1.5 1.6 4 1 2 nan 0"),
            ("Car 0 0 0 1 1 2 2 -1 -1 -1 1 2 3 0", "line 2 is no box"),
            ("Zeppelin 0 0 0 1 1 2 2 1.5 1.6 4 1 2 3 0", "unknown class 'Zeppelin'.*known: Car, Van"),
            ("DontCare -1 -1 -10 1 nan 2 2", r"is no region of a picture: 1\.0 nan 2\.0 2\.0"),
            ("DontCare -1 -1 -10 1 1", "is no label of 15 values"),
        ],
    )
    def test_a_damaged_label_is_named(self, copy: Path, line: str, complaint: str) -> None:
        file = copy / "training" / "label_2" / "000000.txt"
        first, *rest = file.read_text().splitlines()
        file.write_text("\n".join([first, line, *rest]))
        with pytest.raises(DataError, match=rf"000000\.txt.*{complaint}"):
            open_dataset("kitti_object", copy).frame(0)

    def test_a_score_behind_a_label_is_no_fault(self, copy: Path) -> None:
        """Detectors write their results as labels with a sixteenth value."""
        file = copy / "training" / "label_2" / "000000.txt"
        file.write_text("Car 0 0 0 1 1 2 2 1.5 1.6 4 1 2 30 0.2 0.97\n")
        boxes = open_dataset("kitti_object", copy).frame(0).boxes
        assert boxes is not None
        np.testing.assert_allclose(boxes.size, [[4, 1.6, 1.5]])

    @pytest.mark.parametrize(
        ("name", "numbers", "complaint"),
        [
            ("P2", "721 0 609 44 0 0 172 0.2 0 0 1 0", "'P2'.* no projection"),
            ("R0_rect", "1 0 0 0 1 0", "no 'R0_rect' of 3 x 3 numbers"),
            ("Tr_velo_to_cam", "1 0 0 0 0 1 0 0 0 0 2 0", "'Tr_velo_to_cam'.* no rotation"),
        ],
    )
    def test_a_damaged_calibration_is_named(self, copy: Path, name: str, numbers: str, complaint: str) -> None:
        file = copy / "training" / "calib" / "000000.txt"
        lines = [line for line in file.read_text().splitlines() if not line.startswith(name)]
        file.write_text("\n".join([*lines, f"{name}: {numbers}"]))
        with pytest.raises(DataError, match=complaint) as caught:
            open_dataset("kitti_object", copy).frame(0)
        assert str(file) in caught.value.message

    def test_a_missing_calibration_is_named(self, copy: Path) -> None:
        (copy / "training" / "calib" / "000000.txt").unlink()
        with pytest.raises(DataError, match=r"calib/000000\.txt is missing"):
            open_dataset("kitti_object", copy).frame(0)

    def test_a_folder_without_sweeps_is_named(self, copy: Path) -> None:
        for file in (copy / "training" / "velodyne").iterdir():
            file.unlink()
        with pytest.raises(DataError, match=r"training/velodyne holds no sweep"):
            open_dataset("kitti_object", copy)

    def test_a_right_camera_that_was_not_unpacked_is_named(self, copy: Path) -> None:
        file = copy / "training" / "calib" / "000000.txt"
        file.write_text(file.read_text() + file.read_text().splitlines()[0].replace("P2", "P3") + "\n")
        with pytest.raises(DataError, match=r"image_3/000000\.png is missing"):
            open_dataset("kitti_object", copy, {"cameras": ["image_3"]}).frame(0)
