"""KITTI tracking: calibration, tracks and poses against the files read by hand, gaps told, every fault named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from xmodal_core.config import validate
from xmodal_core.datasets import _example, _kitti_example, open_dataset
from xmodal_core.datasets._kitti_example import LIDAR_TO_EGO
from xmodal_core.datasets._kitti_tracking_example import STEP
from xmodal_core.datasets.kitti_tracking import KittiTracking, KittiTrackingConfig
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry import box_corners

NAME = "kitti_tracking"


@pytest.fixture
def training(copy: Path) -> Path:
    return copy / "training"


def calibration(file: Path) -> dict[str, np.ndarray]:
    lines = [line.replace(":", " ").split() for line in file.read_text().splitlines()]
    return {name: np.array(numbers, dtype=np.float64) for name, *numbers in lines}


def to_camera(file: Path) -> np.ndarray:
    values = calibration(file)
    rectify = np.eye(4)
    rectify[:3, :3] = values["R_rect"].reshape(3, 3)
    return rectify @ np.vstack([values["Tr_velo_cam"].reshape(3, 4), (0, 0, 0, 1)])


class TestExample:
    def test_points_project_by_the_readmes_formula(self, root: Path) -> None:
        file = root / "training" / "calib" / "0001.txt"
        assert "R_rect " in file.read_text()  # the benchmark leaves out some of the colons
        for frame in open_dataset(NAME, root):
            seen = frame.cameras[0].project(frame.points)
            whole = np.column_stack([frame.points.astype(np.float64), np.ones(len(frame))])
            u, v, w = calibration(file)["P2"].reshape(3, 4) @ to_camera(file) @ whole.T
            assert seen.inside.sum() > 500
            np.testing.assert_allclose(seen.uv[seen.inside], np.stack([u / w, v / w], axis=1)[seen.inside], atol=5e-3)

    def test_boxes_are_the_lines_of_their_frame_with_their_tracks(self, root: Path) -> None:
        lines = [line.split() for line in (root / "training" / "label_02" / "0001.txt").read_text().splitlines()]
        inverse = np.linalg.inv(to_camera(root / "training" / "calib" / "0001.txt"))
        for frame in open_dataset(NAME, root):
            number = str(int(frame.name.split("/")[1]))
            labels = [line for line in lines if line[0] == number and line[2] != "DontCare"]
            assert frame.boxes is not None
            assert frame.boxes.track.tolist() == [int(line[1]) for line in labels]
            assert [frame.boxes.classes[kind] for kind in frame.boxes.label] == [line[2] for line in labels]
            for corners, line in zip(box_corners(frame.boxes), labels, strict=True):
                height, width, length, x, y, z, turn = map(float, line[10:17])
                front = (x + np.cos(turn) * length / 2, y - height / 2, z - np.sin(turn) * length / 2, 1.0)
                found = corners[[0, 3, 4, 7]].mean(axis=0)
                np.testing.assert_allclose(found, (inverse @ front)[:3], atol=0.02 * max(length, 2.0))
                assert width > 0

    def test_where_nobody_labelled_is_behind_the_dont_care_region_of_the_frame(self, training: Path) -> None:
        file = training / "label_02" / "0001.txt"
        lines = file.read_text().splitlines()
        (other,) = [number for number, line in enumerate(lines) if line.startswith("2 -1 DontCare")]
        lines[other] = "2 -1 DontCare -1 -1 -10 100.0 40.0 180.0 100.0 -1 -1 -1 -1000 -1000 -1000 -10"
        file.write_text("\n".join(lines))
        for frame, (left, right, top, bottom) in zip(
            open_dataset(NAME, training.parent), ((252.89, 295.61, 49.71, 70.13), (100, 180, 40, 100)), strict=True
        ):
            zone = frame.channels["no_label_zone"] == 1
            seen = frame.cameras[0].project(frame.points, min_depth=0.0, border=0.0)
            u, v = seen.uv.T
            region = (u >= left) & (u <= right) & (v >= top) & (v <= bottom)
            np.testing.assert_array_equal(zone, seen.inside & region)
            assert zone.any()

    def test_an_object_keeps_its_track_while_it_moves(self, root: Path) -> None:
        first, second = (frame.boxes for frame in open_dataset(NAME, root))
        assert first is not None
        assert second is not None
        assert first.track.tolist() == second.track.tolist() == [0, 1, 2, 3]
        assert np.linalg.norm(second.centre[0] - first.centre[0]) > 0.1

    def test_poses_are_of_the_gps(self, root: Path) -> None:
        first, second = (frame.pose for frame in open_dataset(NAME, root))
        start, after = (_example.vehicle_pose(time) @ LIDAR_TO_EGO for time in (0.0, 2 * STEP))
        assert first is not None
        assert second is not None
        np.testing.assert_allclose(np.linalg.inv(first) @ second, np.linalg.inv(start) @ after, atol=1e-4)

    def test_times_are_ten_a_second(self, root: Path) -> None:
        assert [frame.timestamp for frame in open_dataset(NAME, root)] == pytest.approx([0.0, 0.2])


class TestGaps:
    def test_frames_without_a_sweep_are_left_out_and_told(self, root: Path) -> None:
        dataset = open_dataset(NAME, root)
        assert [dataset.name(index) for index in range(2)] == ["0001/000000", "0001/000002"]
        assert dataset.notes() == ("sequence 0001: no sweep of frame 1 (only other files are there): left out",)

    def test_those_of_the_release_are_known(self, training: Path) -> None:
        sweep = training / "velodyne" / "0001" / "000002.bin"
        for number in (1, *range(3, 177), 181, 182):
            (sweep.parent / f"{number:06d}.bin").symlink_to(sweep)
        dataset = open_dataset(NAME, training.parent)
        assert dataset.notes() == ("sequence 0001: no sweep of frames 177-180 (the release has none): left out",)
        (sweep.parent / "000005.bin").unlink()
        (sweep.parent / "000007.bin").unlink()
        (sweep.parent / "000008.bin").unlink()
        notes = open_dataset(NAME, training.parent).notes()
        assert notes[1] == "sequence 0001: no sweep of frames 5, 7-8 (only other files are there): left out"

    def test_what_else_is_absent_is_told(self, training: Path) -> None:
        shutil.rmtree(training / "image_02")
        (training / "oxts" / "0001.txt").unlink()
        (training / "label_02" / "0001.txt").unlink()
        dataset = open_dataset(NAME, training.parent)
        frame = dataset.frame(0)
        assert (frame.cameras, frame.pose, frame.boxes) == ((), None, None)
        assert dataset.notes()[-3:] == (
            "sequence 0001: no pictures in image_02",
            "sequence 0001: no poses in oxts",
            "sequence 0001: no labels in label_02",
        )

    def test_a_frame_without_objects_has_no_boxes_in_it(self, training: Path) -> None:
        file = training / "label_02" / "0001.txt"
        file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if line[0] != "2"))
        boxes = open_dataset(NAME, training.parent).frame(1).boxes
        assert boxes is not None
        assert len(boxes) == 0


class TestChoosing:
    def test_sequences_by_name(self, training: Path) -> None:
        for kind, suffix in (
            ("velodyne", ""),
            ("image_02", ""),
            ("calib", ".txt"),
            ("label_02", ".txt"),
            ("oxts", ".txt"),
        ):
            copied = shutil.copytree if not suffix else shutil.copy
            copied(training / kind / f"0001{suffix}", training / kind / f"0004{suffix}")
        assert len(open_dataset(NAME, training.parent)) == 4
        dataset = open_dataset(NAME, training.parent, {"sequences": [4]})  # as YAML reads 0004
        assert {dataset.scene(index) for index in range(len(dataset))} == {"0004"}
        with pytest.raises(InputError, match=r"no sequence '0002'.*known: 0001, 0004"):
            open_dataset(NAME, training.parent, {"sequences": ["0002"]})

    def test_a_number_that_yaml_may_have_read_as_an_octal_one_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"sequences.*quote the names"):
            validate(KittiTrackingConfig, {"sequences": [10]}, "dataset")

    def test_testing_has_no_labels_and_that_is_not_told(self, training: Path) -> None:
        testing = training.with_name("testing")
        shutil.copytree(training, testing)
        shutil.rmtree(testing / "label_02")
        dataset = open_dataset(NAME, training.parent, {"split": "testing"})
        assert dataset.splits() == ("training", "testing")
        assert dataset.frame(0).boxes is None
        assert not any("labels" in note for note in dataset.notes())

    def test_the_root_may_be_the_folder_training(self, root: Path) -> None:
        assert open_dataset(NAME, root / "training").name(0) == "0001/000000"


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("calib/0001.txt", "R_rect ", "R_rec ", r"calib/0001\.txt has no 'R_rect' of 3 x 3 numbers"),
        ("calib/0001.txt", "Tr_velo_cam", "Tr", r"calib/0001\.txt has no 'Tr_velo_cam'"),
        ("label_02/0001.txt", "0 0 Car", "0 0 Tank", r"label_02/0001\.txt, line 1 labels an unknown class 'Tank'"),
        ("label_02/0001.txt", "0 0 Car", "a 0 Car", r"line 1 does not begin with the numbers of a frame and a track"),
        ("label_02/0001.txt", "0 1 Ped", "0 0 Ped", r"line 2 labels track 0 a second time in frame 0"),
        ("label_02/0001.txt", " 50.00 50.00 ", " ", r"line 1 is no label of 15 values"),
        ("oxts/0001.txt", "49", "99", r"oxts/0001\.txt, line 1, is no oxts packet"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(training: Path, file: str, old: str, new: str, complaint: str) -> None:
    path = training / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=complaint):
        open_dataset(NAME, training.parent).frame(0)


def test_an_oxts_file_that_ends_early_is_named(training: Path) -> None:
    file = training / "oxts" / "0001.txt"
    file.write_text("\n".join(file.read_text().splitlines()[:2]))
    with pytest.raises(DataError, match=r"oxts/0001\.txt has no line of frame 2"):
        open_dataset(NAME, training.parent).frame(1)


def test_names_in_the_object_benchmarks_manner_are_read_too(root: Path, training: Path) -> None:
    """And people who sit are called "Person" here."""
    calib, labels = training / "calib" / "0001.txt", training / "label_02" / "0001.txt"
    text = calib.read_text().replace("R_rect", "R0_rect:").replace("Tr_velo_cam", "Tr_velo_to_cam:")
    calib.write_text(text.replace("Tr_imu_velo", "Tr_imu_to_velo:"))
    labels.write_text(labels.read_text().replace("Pedestrian", "Person"))
    frame, same = open_dataset(NAME, training.parent).frame(1), open_dataset(NAME, root).frame(1)
    np.testing.assert_allclose(frame.cameras[0].lidar_to_camera, same.cameras[0].lidar_to_camera)
    np.testing.assert_allclose(frame.pose, same.pose)  # type: ignore[arg-type]
    assert frame.boxes is not None
    assert "Person_sitting" in {frame.boxes.classes[kind] for kind in frame.boxes.label}


def test_it_reads_what_the_object_benchmark_reads(real_data: Path, tmp_path: Path) -> None:
    """A real scene of the object benchmark, laid out as a sequence of one frame, gives the same frame."""
    scene, folder = real_data / "kitti_object" / "training", tmp_path / "training"
    for place in ("velodyne/0000", "image_02/0000", "calib", "label_02"):
        (folder / place).mkdir(parents=True)
    (folder / "velodyne/0000/000000.bin").symlink_to((scene / "velodyne/000008.bin").resolve())
    (folder / "image_02/0000/000000.png").symlink_to((scene / "image_2/000008.png").resolve())
    names = {"R0_rect:": "R_rect", "Tr_velo_to_cam:": "Tr_velo_cam", "Tr_imu_to_velo:": "Tr_imu_velo"}
    text = (scene / "calib/000008.txt").read_text()
    for old, new in names.items():
        text = text.replace(old, new)
    (folder / "calib/0000.txt").write_text(text)
    lines = (scene / "label_2/000008.txt").read_text().splitlines()
    (folder / "label_02/0000.txt").write_text("".join(f"0 {place} {line}\n" for place, line in enumerate(lines)))
    frame = open_dataset(NAME, tmp_path).frame(0)
    objects = open_dataset("kitti_object", real_data / "kitti_object")
    same = next(one for one in objects if one.name == "000008")
    np.testing.assert_array_equal(frame.points, same.points)
    np.testing.assert_allclose(frame.cameras[0].lidar_to_camera, same.cameras[0].lidar_to_camera)
    assert frame.boxes is not None
    assert same.boxes is not None
    assert len(frame.boxes) > 3
    np.testing.assert_array_equal(box_corners(frame.boxes), box_corners(same.boxes))
    assert isinstance(open_dataset(NAME, tmp_path), KittiTracking)


def test_boxes_lie_where_the_world_has_them(root: Path) -> None:
    for number, frame in zip((0, 2), open_dataset(NAME, root), strict=True):
        assert frame.boxes is not None
        for place, (_, pose, size) in enumerate(_kitti_example.labelled_boxes(number * STEP)):
            np.testing.assert_allclose(frame.boxes.centre[place], pose[:3, 3], atol=1e-4)
            np.testing.assert_allclose(frame.boxes.size[place], size, atol=1e-5)
            yaw = frame.boxes.yaw[place]
            np.testing.assert_allclose((np.cos(yaw), np.sin(yaw)), pose[:2, 0], atol=0.01)
