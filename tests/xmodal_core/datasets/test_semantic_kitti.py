"""SemanticKITTI: labels, projection and poses against the files read by hand, splits, what may be absent, every fault
named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xmodal_core.datasets import Dataset, _example, open_dataset
from xmodal_core.datasets._kitti_example import LIDAR_TO_EGO
from xmodal_core.datasets._semantic_kitti_example import STEP, raw_labels
from xmodal_core.errors import DataError, InputError

NAME = "semantic_kitti"

# semantic-kitti-api, config/semantic-kitti.yaml: learning_map as it stands there.
LEARNING_MAP = {
    0: 0, 1: 0, 10: 1, 11: 2, 13: 5, 15: 3, 16: 5, 18: 4, 20: 5, 30: 6, 31: 7, 32: 8, 40: 9, 44: 10, 48: 11, 49: 12,
    50: 13, 51: 14, 52: 0, 60: 9, 70: 15, 71: 16, 72: 17, 80: 18, 81: 19, 99: 0, 252: 1, 253: 7, 254: 6, 255: 8, 256: 5,
    257: 5, 258: 4, 259: 5,
}  # fmt: skip


@pytest.fixture
def sequence(copy: Path) -> Path:
    return copy / "sequences" / "00"


def calibration(folder: Path) -> dict[str, np.ndarray]:
    lines = [line.split(":") for line in (folder / "calib.txt").read_text().splitlines()]
    return {name: np.array(numbers.split(), dtype=np.float64).reshape(3, 4) for name, numbers in lines}


class TestLabels:
    def test_each_number_of_the_benchmark_has_its_class(self, copy: Path, sequence: Path) -> None:
        """Every raw id once, with an instance in the upper half, which does not matter."""
        file = sequence / "labels" / "000000.label"
        raw = np.resize(np.array(list(LEARNING_MAP), dtype=np.uint32), file.stat().st_size // 4)
        (raw | np.uint32(7 << 16)).tofile(file)
        semantic = open_dataset(NAME, copy).frame(0).semantic
        assert semantic is not None
        assert semantic.label.tolist() == [LEARNING_MAP[value] for value in raw.tolist()]
        assert len(semantic.classes) == 20
        names = {semantic.classes[LEARNING_MAP[raw]] for raw in (10, 252)}, semantic.classes[LEARNING_MAP[49]]
        assert names == ({"car"}, "other-ground")

    def test_points_have_the_class_of_what_they_hit(self, root: Path) -> None:
        frame = open_dataset(NAME, root).frame(1)
        _, hit, _ = _example.sweep(
            _example.vehicle_pose(STEP) @ LIDAR_TO_EGO, np.radians(np.linspace(-24.8, 2.0, 64)), 180, STEP
        )
        assert frame.semantic is not None
        wanted = [LEARNING_MAP[raw] for raw in raw_labels(hit).tolist()]
        assert frame.semantic.label.tolist() == [*wanted, 0]
        assert {"car", "person", "truck", "road", "building"} <= {frame.semantic.classes[k] for k in wanted}

    def test_objects_are_told_apart_within_their_class(self, copy: Path, sequence: Path) -> None:
        """As the panoptic benchmark does: things only, by class and number together, what moves with what stands."""
        file = sequence / "labels" / "000000.label"
        raw = np.zeros(file.stat().st_size // 4, dtype=np.uint32)
        pairs = ((10, 1), (10, 1), (252, 1), (30, 1), (10, 2), (10, 0), (40, 1), (50, 3), (1, 4), (99, 5))
        raw[: len(pairs)] = [kind | number << 16 for kind, number in pairs]
        raw.tofile(file)
        semantic = open_dataset(NAME, copy).frame(0).semantic
        assert semantic is not None
        assert semantic.instance is not None
        found = semantic.instance.tolist()
        assert found[0] == found[1] == found[2] >= 0
        assert len({found[0], found[3], found[4]}) == 3
        assert set(found[5:]) == {-1}

    def test_an_object_keeps_its_number_through_the_sequence(self, root: Path) -> None:
        numbers = []
        for frame in open_dataset(NAME, root):
            assert frame.semantic is not None
            assert frame.semantic.instance is not None
            cars = frame.semantic.label == frame.semantic.classes.index("car")
            numbers.append(set(frame.semantic.instance[cars].tolist()))
        assert numbers[0] == numbers[1]
        assert len(numbers[0]) == 2

    def test_a_sequence_without_labels_has_none_and_says_so(self, copy: Path, sequence: Path) -> None:
        shutil.rmtree(sequence / "labels")
        dataset = open_dataset(NAME, copy)
        assert dataset.frame(0).semantic is None
        assert dataset.notes() == ("sequence 00: no labels",)

    @pytest.mark.parametrize(
        ("damage", "complaint"),
        [
            (lambda whole: whole[:-4], r"000000\.label holds 46080 bytes, not 4 for each of 11521 points"),
            (lambda whole: whole[:-1], r"000000\.label holds 46083 bytes, not 4 for each"),
            (lambda whole: b"", r"000000\.label is empty"),
            (lambda whole: b"\x05\x00\x00\x00" + whole[4:], r"holds label 5, which SemanticKITTI does not have"),
        ],
    )
    def test_damaged_ones_are_named(
        self, copy: Path, sequence: Path, damage: Callable[[bytes], bytes], complaint: str
    ) -> None:
        file = sequence / "labels" / "000000.label"
        file.write_bytes(damage(file.read_bytes()))
        with pytest.raises(DataError, match=complaint):
            open_dataset(NAME, copy).frame(0)

    def test_a_missing_one_among_others_is_named(self, copy: Path, sequence: Path) -> None:
        (sequence / "labels" / "000001.label").unlink()
        with pytest.raises(DataError, match=r"labels/000001\.label is missing"):
            open_dataset(NAME, copy).frame(1)


class TestGeometry:
    def test_points_project_by_the_odometrys_formula_with_the_whole_of_p2(self, root: Path) -> None:
        values = calibration(root / "sequences" / "00")
        assert (values["P2"][:, 3] != 0).all()
        for frame in open_dataset(NAME, root):
            (camera,) = frame.cameras
            seen = camera.project(frame.points)
            whole = np.column_stack([frame.points.astype(np.float64), np.ones(len(frame))])
            u, v, w = values["P2"] @ np.vstack([values["Tr"], (0, 0, 0, 1)]) @ whole.T
            assert seen.inside.sum() > 500
            np.testing.assert_allclose(seen.depth, w, atol=1e-4)
            np.testing.assert_allclose(seen.uv[seen.inside], np.stack([u / w, v / w], axis=1)[seen.inside], atol=5e-3)

    def test_poses_are_brought_to_the_lidar(self, root: Path) -> None:
        start, after = (_example.vehicle_pose(time) @ LIDAR_TO_EGO for time in (0.0, STEP))
        frames = list(open_dataset(NAME, root))
        assert all(frame.pose is not None for frame in frames)
        np.testing.assert_allclose(frames[0].pose, np.eye(4), atol=1e-9)  # type: ignore[arg-type]
        np.testing.assert_allclose(frames[1].pose, np.linalg.inv(start) @ after, atol=1e-9)  # type: ignore[arg-type]

    def test_times_are_those_of_the_list_or_follow_the_numbers(self, copy: Path, sequence: Path) -> None:
        assert [frame.timestamp for frame in open_dataset(NAME, copy)] == pytest.approx([0.0, STEP])
        (sequence / "times.txt").unlink()
        assert [frame.timestamp for frame in open_dataset(NAME, copy)] == pytest.approx([0.0, 0.1])


class TestWhatMayBeAbsent:
    def test_without_calibration_there_is_neither_camera_nor_pose_and_it_says_so(
        self, copy: Path, sequence: Path
    ) -> None:
        (sequence / "calib.txt").unlink()
        dataset = open_dataset(NAME, copy)
        frame = dataset.frame(1)
        assert (frame.cameras, frame.pose) == ((), None)
        assert frame.semantic is not None
        assert dataset.notes() == ("sequence 00: no cameras and no poses, without calib.txt",)

    def test_without_pictures_there_is_no_camera_and_it_says_so(self, copy: Path, sequence: Path) -> None:
        shutil.rmtree(sequence / "image_2")
        (sequence / "poses.txt").unlink()
        shutil.copytree(sequence, copy / "sequences" / "01")
        dataset = open_dataset(NAME, copy)
        assert dataset.frame(0).cameras == ()
        assert dataset.frame(0).pose is None
        assert dataset.notes() == (
            "sequences 00, 01: no pictures in image_2",
            "sequences 00, 01: no poses, without poses.txt",
        )

    def test_a_whole_sequence_lacks_nothing(self, root: Path) -> None:
        assert open_dataset(NAME, root).notes() == ()

    def test_a_real_scan_without_pictures(self, real_data: Path) -> None:
        dataset = open_dataset(NAME, real_data / "semantickitti")
        (frame,) = dataset
        assert frame.name == "00/000000"
        assert frame.cameras == ()
        assert frame.semantic is not None
        raw = np.fromfile(dataset.root / "sequences/00/labels/000000.label", dtype=np.uint32) & 0xFFFF
        assert frame.semantic.label.tolist() == [LEARNING_MAP[value] for value in raw.tolist()]
        # Road lies at the height that the sensor's stands above the ground.
        road = frame.points[frame.semantic.label == frame.semantic.classes.index("road")]
        near = road[np.hypot(road[:, 0], road[:, 1]) < 10]
        assert -1.9 < np.median(near[:, 2]) < -1.6


def test_it_reads_what_the_raw_drive_reads(real: Dataset, tmp_path: Path) -> None:
    """Two real sweeps, laid out as a sequence of the odometry, give the same points, pixels, pictures and motion."""
    drive = real.root / "2011_09_26" / "2011_09_26_drive_0005_sync"
    calib = {
        name: np.array(numbers.split(), dtype=np.float64)
        for file in ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt")
        for name, _, numbers in (line.partition(":") for line in (drive.parent / file).read_text().splitlines())
        if name in ("R", "T", "R_rect_00", "P_rect_02")
    }
    tr = np.vstack([np.column_stack([calib["R"].reshape(3, 3), calib["T"]]), (0, 0, 0, 1)])
    tr[:3] = calib["R_rect_00"].reshape(3, 3) @ tr[:3]
    folder = tmp_path / "sequences" / "00"
    frames = [real.frame(0), real.frame(5)]
    poses = []
    for number, frame in enumerate(frames):
        stem = frame.name.split("/")[1]
        for place, source in (
            (f"velodyne/{number:06d}.bin", "velodyne_points"),
            (f"image_2/{number:06d}.png", "image_02"),
        ):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).symlink_to((drive / source / "data" / stem).with_suffix(Path(place).suffix).resolve())
        assert frames[0].pose is not None
        assert frame.pose is not None
        poses.append(tr @ np.linalg.inv(frames[0].pose) @ frame.pose @ np.linalg.inv(tr))
    rows = {"P2": calib["P_rect_02"], "Tr": tr[:3].ravel()}
    (folder / "calib.txt").write_text(
        "".join(f"{name}: {' '.join(map(repr, row.tolist()))}\n" for name, row in rows.items())
    )
    (folder / "poses.txt").write_text("".join(" ".join(map(repr, pose[:3].ravel().tolist())) + "\n" for pose in poses))
    for frame, same in zip(open_dataset(NAME, tmp_path), frames, strict=True):
        np.testing.assert_array_equal(frame.points, same.points)
        found, wanted = (one.cameras[0].project(one.points) for one in (frame, same))
        assert (found.inside == wanted.inside).mean() > 0.9999
        both = found.inside & wanted.inside
        assert both.sum() > 10_000
        np.testing.assert_allclose(found.uv[both], wanted.uv[both], atol=0.01)
        np.testing.assert_array_equal(frame.cameras[0].image(), same.cameras[0].image())
        motion = np.linalg.inv(frames[0].pose) @ same.pose  # type: ignore[arg-type, operator]
        np.testing.assert_allclose(frame.pose, motion, atol=1e-6)  # type: ignore[arg-type]


class TestSplits:
    def test_they_are_the_official_sequences(self, copy: Path) -> None:
        for number in range(22):
            folder = copy / "sequences" / f"{number:02d}" / "velodyne"
            if number:
                folder.mkdir(parents=True)
                (folder / "000005.bin").write_bytes(b"\0" * 16)
        of = {
            split: {open_dataset(NAME, copy, {"split": split}).scene(index) for index in range(20) if index < size}
            for split, size in (("train", 11), ("valid", 1), ("val", 1), ("trainval", 12), ("test", 11), ("all", 23))
        }
        assert of["train"] == {"00", "01", "02", "03", "04", "05", "06", "07", "09", "10"}
        assert of["valid"] == of["val"] == {"08"}
        assert of["trainval"] == of["train"] | of["valid"]
        assert of["test"] == {f"{number:02d}" for number in range(11, 22)}
        assert len(open_dataset(NAME, copy, {"split": "all"})) == 23

    def test_one_without_sequences_says_what_is_there(self, root: Path) -> None:
        dataset = open_dataset(NAME, root)
        assert dataset.splits() == ("all", "train", "trainval")
        with pytest.raises(DataError, match=r"no sequence of split 'valid'.*there are: 00; choose"):
            open_dataset(NAME, root, {"split": "valid"})

    def test_sequences_are_chosen_by_name(self, copy: Path, sequence: Path) -> None:
        shutil.copytree(sequence, copy / "sequences" / "05")
        dataset = open_dataset(NAME, copy, {"sequences": [5]})  # as YAML reads 05
        assert [dataset.name(index) for index in range(len(dataset))] == ["05/000000", "05/000001"]
        with pytest.raises(InputError, match=r"no sequence '08' in split 'train'.*known: 00, 05"):
            open_dataset(NAME, copy, {"sequences": ["08"]})

    @pytest.mark.parametrize("place", ["sequences", "sequences/00"])
    def test_the_root_may_be_deeper(self, root: Path, place: str) -> None:
        dataset = open_dataset(NAME, root / place)
        assert dataset.root == root.resolve()
        assert dataset.name(1) == "00/000001"


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("calib.txt", "Tr:", "Tx:", r"calib\.txt has no 'Tr' of 3 x 4 numbers"),
        ("calib.txt", "P2:", "P2: 1", r"calib\.txt has no 'P2' of 3 x 4 numbers"),
        ("poses.txt", "e+00", "f+00", r"poses\.txt is no table of 12 numbers a line"),
        ("poses.txt", "1.000000000000e+00", "nan", r"poses\.txt is no table of 12 numbers a line"),
        ("poses.txt", "1.000000000000e+00", "2.000000000000e+00", r"poses\.txt, line 1,.* is no rotation"),
        ("times.txt", "0.000000e+00", "zero", r"times\.txt is no table of 1 number a line"),
    ],
)
def test_a_damaged_text_file_is_named(
    copy: Path, sequence: Path, file: str, old: str, new: str, complaint: str
) -> None:
    path = sequence / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=complaint):
        open_dataset(NAME, copy).frame(0)


@pytest.mark.parametrize("file", ["poses.txt", "times.txt"])
def test_a_list_that_ends_early_is_named(copy: Path, sequence: Path, file: str) -> None:
    path = sequence / file
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match=rf"{file} has no line of scan 1"):
        open_dataset(NAME, copy).frame(1)
