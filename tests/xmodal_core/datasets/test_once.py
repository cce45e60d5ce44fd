"""ONCE: projection through the lens, boxes and poses against the JSON read by hand, splits, what may be absent, every
fault named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xmodal_core.config import validate
from xmodal_core.datasets import _example, open_dataset
from xmodal_core.datasets._once_example import DIRECTIONS, LIDAR_TO_EGO, PERIOD, START
from xmodal_core.datasets.once import OFFICIAL, OnceConfig
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry import box_corners, points_in_box
from xmodal_core.types import Lens

NAME = "once"
Tree = dict[str, Any]
Change = Callable[[Tree], object]


def tree(root: Path, sequence: str = "000076") -> Tree:
    content: Tree = json.loads((root / "data" / sequence / f"{sequence}.json").read_text())
    return content


@pytest.fixture
def change(copy: Path) -> Callable[[Change], Path]:
    """Changes the JSON of the labelled sequence of a copy and gives its root."""

    def changed(how: Change) -> Path:
        content = tree(copy)
        how(content)
        (copy / "data" / "000076" / "000076.json").write_text(json.dumps(content))
        return copy

    return changed


class TestCameras:
    def test_points_project_through_the_distortion(self, root: Path) -> None:
        """OpenCV's model written out for one point at a time."""
        calib = tree(root)["calib"]
        frame = open_dataset(NAME, root).frame(1)
        assert [camera.name for camera in frame.cameras] == list(DIRECTIONS)
        for camera in frame.cameras:
            seen = camera.project(frame.points)
            of = calib[camera.name]
            matrix = np.linalg.inv(np.array(of["cam_to_velo"]))
            k1, k2, p1, p2, k3 = of["distortion"]
            inside = np.flatnonzero(seen.inside)[::23]
            assert len(inside) > 20
            for point in inside:
                x, y, z = (matrix @ np.append(frame.points[point].astype(np.float64), 1.0))[:3]
                a, b = x / z, y / z
                r2 = a**2 + b**2
                scale = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
                a, b = (
                    a * scale + 2 * p1 * a * b + p2 * (r2 + 2 * a**2),
                    b * scale + p1 * (r2 + 2 * b**2) + 2 * p2 * a * b,
                )
                (fx, _, cx), (_, fy, cy), _ = of["cam_intrinsic"]
                np.testing.assert_allclose(seen.uv[point], (fx * a + cx, fy * b + cy), atol=2e-3)
                assert z == pytest.approx(seen.depth[point], abs=1e-4)

    def test_the_lens_matters_in_the_pictures(self, root: Path) -> None:
        """The marker is found in the picture where the lens shows it, pixels away from where a pinhole would."""
        frame = open_dataset(NAME, root).frame(0)
        marker = frame.points[frame.channels["intensity"] == 255]
        camera = frame.cameras[0]
        v, u = np.nonzero(np.abs(camera.image().astype(int) - _example.MARKER).sum(axis=2) < 150)
        found = np.array([u.mean(), v.mean()])
        np.testing.assert_allclose(camera.project(marker).uv[0], found, atol=0.75)
        assert np.linalg.norm(replace(camera, lens=Lens()).project(marker).uv[0] - found) > 4

    def test_each_looks_where_its_name_says(self, root: Path) -> None:
        """Forward is -y and left is +x in ONCE's LiDAR frame."""
        frame = open_dataset(NAME, root).frame(0)
        for camera in frame.cameras:
            turn = np.radians(DIRECTIONS[camera.name])
            ahead = np.array([[np.sin(turn), -np.cos(turn), 0.0]], dtype=np.float32) * 30
            seen = camera.project(ahead)
            assert seen.inside[0]
            assert abs(seen.uv[0, 0] - camera.width / 2) < camera.width / 6

    def test_those_without_pictures_are_left_out_and_told(self, copy: Path) -> None:
        shutil.rmtree(copy / "data" / "000076" / "cam03")
        shutil.rmtree(copy / "data" / "000076" / "cam09")
        dataset = open_dataset(NAME, copy)
        assert [camera.name for camera in dataset.frame(0).cameras] == ["cam01", "cam05", "cam06", "cam07", "cam08"]
        assert dataset.notes() == ("no pictures of cam03, cam09 in 1 sequence: 000076",)

    def test_they_come_in_the_order_that_is_asked_for(self, root: Path) -> None:
        frame = open_dataset(NAME, root, {"cameras": ["cam09", "cam01"]}).frame(0)
        assert [camera.name for camera in frame.cameras] == ["cam09", "cam01"]

    @pytest.mark.parametrize(
        ("numbers", "lens"),
        [
            ([0.1, 0.2, 0.3, 0.4], (0.1, 0.2, 0.3, 0.4, 0.0)),
            ([[0.1, 0.2, 0.3, 0.4, 0.5]], (0.1, 0.2, 0.3, 0.4, 0.5)),
            ([0.1, 0.2, 0.3, 0.4, 0.5, 0, 0], (0.1, 0.2, 0.3, 0.4, 0.5)),
        ],
    )
    def test_a_distortion_of_any_usual_length(
        self, change: Callable[[Change], Path], numbers: list[Any], lens: tuple[float, ...]
    ) -> None:
        root = change(lambda content: content["calib"]["cam01"].update(distortion=numbers))
        found = open_dataset(NAME, root).frame(0).cameras[0].lens
        assert (found.k1, found.k2, found.p1, found.p2, found.k3) == lens


class TestLabels:
    def test_boxes_are_those_of_the_file(self, root: Path) -> None:
        for row, frame in enumerate(open_dataset(NAME, root)):
            annos = tree(root)["frames"][row]["annos"]
            assert frame.boxes is not None
            assert [frame.boxes.classes[kind] for kind in frame.boxes.label] == annos["names"]
            for corners, (x, y, z, length, width, height, theta) in zip(
                box_corners(frame.boxes), annos["boxes_3d"], strict=True
            ):
                turn = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
                wanted = [
                    (*(np.array([x, y]) + turn @ (a * length / 2, b * width / 2)), z + c * height / 2)
                    for c in (-1, 1)
                    for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))
                ]
                np.testing.assert_allclose(corners, wanted, atol=1e-4)

    def test_the_truck_ahead_faces_away(self, root: Path) -> None:
        """It heads forward, so along -y, and it is longest that way."""
        frame = open_dataset(NAME, root).frame(0)
        assert frame.boxes is not None
        truck = int(np.flatnonzero(frame.boxes.label == frame.boxes.classes.index("Truck"))[0])
        assert frame.boxes.centre[truck, 1] < -15
        assert frame.boxes.yaw[truck] == pytest.approx(-np.pi / 2, abs=0.2)
        assert points_in_box(frame.points, frame.boxes, truck, margin=0.05).sum() > 10

    def test_angles_beyond_a_turn_are_brought_back(self, change: Callable[[Change], Path]) -> None:
        def turn(content: Tree) -> None:
            for box in content["frames"][0]["annos"]["boxes_3d"]:
                box[6] += 4 * np.pi

        before = [box[6] for box in tree(change(lambda _: None))["frames"][0]["annos"]["boxes_3d"]]
        boxes = open_dataset(NAME, change(turn)).frame(0).boxes
        assert boxes is not None
        np.testing.assert_allclose(boxes.yaw, before, atol=1e-5)

    def test_a_frame_without_annotation_is_not_one_without_boxes(self, change: Callable[[Change], Path]) -> None:
        def without(content: Tree) -> None:
            del content["frames"][0]["annos"]
            content["frames"][1]["annos"] = {"names": [], "boxes_3d": [], "boxes_2d": {}}

        root = change(without)
        dataset = open_dataset(NAME, root)
        boxes = dataset.frame(1).boxes
        assert dataset.frame(0).boxes is None
        assert boxes is not None
        assert len(boxes) == 0
        assert dataset.notes() == ("1 frame without annotation, in 000076",)
        (only,) = open_dataset(NAME, root, {"annotated_only": True})
        assert only.name == dataset.name(1)

    def test_counts_of_points_are_taken_where_the_file_has_them(self, change: Callable[[Change], Path]) -> None:
        root = change(lambda content: content["frames"][0]["annos"].update(num_points_in_gt=[9, 8, 7, 0]))
        first, second = (frame.boxes for frame in open_dataset(NAME, root))
        assert first is not None
        assert first.points is not None
        assert first.points.tolist() == [9, 8, 7, 0]
        assert second is not None
        assert second.points is None

    def test_the_web_pages_spelling_is_read_too(self, change: Callable[[Change], Path]) -> None:
        def rename(content: Tree) -> None:
            annos = content["frames"][0]["annos"]
            annos["name"] = annos.pop("names")

        boxes = open_dataset(NAME, change(rename)).frame(0).boxes
        assert boxes is not None
        assert len(boxes) == 4


class TestPoses:
    def test_they_are_relative_to_the_first_frame(self, root: Path) -> None:
        start, after = (_example.vehicle_pose(time) @ LIDAR_TO_EGO for time in (0.0, PERIOD * 1e-3))
        first, second = (frame.pose for frame in open_dataset(NAME, root))
        np.testing.assert_allclose(first, np.eye(4), atol=1e-9)  # type: ignore[arg-type]
        np.testing.assert_allclose(second, np.linalg.inv(start) @ after, atol=1e-9)  # type: ignore[arg-type]

    @pytest.mark.parametrize("pose", [[0.0] * 7, [0, 0, 0, 0, 5, 5, 5], [float("nan")] * 7, None])
    def test_one_that_cannot_be_used_is_none(self, change: Callable[[Change], Path], pose: list[float] | None) -> None:
        root = change(lambda content: content["frames"][1].update(pose=pose))
        dataset = open_dataset(NAME, root)
        assert dataset.frame(0).pose is not None
        assert dataset.frame(1).pose is None
        assert dataset.notes() == ("1 frame without a usable pose, in 000076",)


class TestFrames:
    def test_names_and_times_are_milliseconds(self, root: Path) -> None:
        dataset = open_dataset(NAME, root)
        assert dataset.name(1) == f"000076/{START + PERIOD}"
        assert dataset.frame(1).timestamp == pytest.approx((START + PERIOD) * 1e-3, abs=1e-6)

    def test_they_come_in_the_order_of_time(self, root: Path, change: Callable[[Change], Path]) -> None:
        dataset = open_dataset(NAME, change(lambda content: content["frames"].reverse()))
        for frame, same in zip(dataset, open_dataset(NAME, root), strict=True):
            assert frame.name == same.name
            assert frame.boxes is not None
            assert same.boxes is not None
            np.testing.assert_array_equal(frame.boxes.centre, same.boxes.centre)
            np.testing.assert_array_equal(frame.pose, same.pose)  # type: ignore[arg-type]

    def test_a_missing_sweep_is_named_or_left_out_as_is_asked(self, copy: Path) -> None:
        (copy / "data" / "000076" / "lidar_roof" / f"{START}.bin").unlink()
        dataset = open_dataset(NAME, copy, {"skip_missing": False})
        assert len(dataset) == 2
        with pytest.raises(DataError, match=rf"lidar_roof/{START}\.bin is missing.*skip_missing=true"):
            dataset.frame(0)
        dataset = open_dataset(NAME, copy)
        assert [frame.name for frame in dataset] == [f"000076/{START + PERIOD}"]
        assert dataset.notes() == ("1 frame without a sweep, left out, in 000076",)
        shutil.rmtree(copy / "data" / "000076" / "lidar_roof")
        with pytest.raises(DataError, match=r"no frame to read in split 'train'"):
            open_dataset(NAME, copy)

    @pytest.mark.parametrize("place", ["data", "data/000190"])
    def test_the_root_may_be_deeper(self, root: Path, place: str) -> None:
        assert open_dataset(NAME, root / place).name(0) == f"000076/{START}"


class TestSplits:
    def test_a_raw_one_has_frames_without_annotation(self, root: Path) -> None:
        dataset = open_dataset(NAME, root, {"split": "raw_small"})
        (frame,) = dataset
        assert frame.scene == "000190"
        assert (frame.boxes, frame.pose) == (None, None)
        assert [camera.name for camera in frame.cameras] == ["cam01"]
        assert dataset.notes() == (
            "no pictures of cam03, cam05, cam06, cam07, cam08, cam09 in 1 sequence: 000190",
            "1 frame without a usable pose, in 000190",
        )

    def test_all_takes_every_sequence(self, root: Path) -> None:
        dataset = open_dataset(NAME, root, {"split": "all"})
        assert [dataset.scene(index) for index in range(3)] == ["000076", "000076", "000190"]
        assert dataset.splits() == ("all", "train", "raw_small")
        assert len(open_dataset(NAME, root, {"split": "all", "sequences": ["000190"]})) == 1
        with pytest.raises(InputError, match=r"no sequence '000077' in split 'all'.*000076"):
            open_dataset(NAME, root, {"split": "all", "sequences": ["000077"]})

    def test_without_lists_the_labelled_ones_are_known(self, copy: Path) -> None:
        shutil.rmtree(copy / "ImageSets")
        shutil.copytree(copy / "data" / "000190", copy / "data" / "000027")
        (copy / "data" / "000027" / "000190.json").rename(copy / "data" / "000027" / "000027.json")
        assert len(open_dataset(NAME, copy)) == 2
        dataset = open_dataset(NAME, copy, {"split": "val"})
        assert dataset.scene(0) == "000027"
        assert dataset.notes()[0] == "3 sequences of the split not in the folder: 000028, 000112, 000201"
        with pytest.raises(DataError, match=r"raw_small\.txt is missing.*split=all"):
            open_dataset(NAME, copy, {"split": "raw_small"})
        assert [len(OFFICIAL[split]) for split in ("train", "val", "test")] == [6, 4, 10]
        assert len({name for names in OFFICIAL.values() for name in names}) == 20

    @pytest.mark.parametrize("file", ["val.txt", "val_set.txt", "val_split.txt"])
    def test_lists_may_be_called_as_the_devkit_does(self, copy: Path, file: str) -> None:
        (copy / "ImageSets" / file).write_text("000190\n000076")
        dataset = open_dataset(NAME, copy, {"split": "val"})
        assert [dataset.scene(index) for index in range(3)] == ["000190", "000076", "000076"]

    def test_one_without_sequences_says_what_is_there(self, root: Path, copy: Path) -> None:
        with pytest.raises(DataError, match=r"no sequence of split 'test'.*there: all, train, raw_small"):
            open_dataset(NAME, root, {"split": "test"})
        (copy / "ImageSets" / "val.txt").write_text("../train\n")
        with pytest.raises(DataError, match=r"val\.txt names '\.\./train', which is no sequence"):
            open_dataset(NAME, copy, {"split": "val"})

    def test_a_number_that_yaml_may_have_read_as_an_octal_one_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"sequences.*quote the names"):
            validate(OnceConfig, {"sequences": [23]}, "dataset")


def first(content: Tree) -> Tree:
    frame: Tree = content["frames"][0]
    return frame


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        (lambda t: t.pop("frames"), r"000076\.json has no list 'frames'"),
        (lambda t: t["calib"].pop("cam05"), r"000076\.json has no calibration of 'cam05'.*cameras="),
        (lambda t: t["calib"]["cam05"].pop("cam_to_velo"), r"'cam05' in .*has no 'cam_to_velo' of 4 x 4 numbers"),
        (lambda t: t["calib"]["cam05"]["cam_to_velo"].pop(), r"'cam05' in .*has no 'cam_to_velo' of 4 x 4 numbers"),
        (lambda t: t["calib"]["cam05"]["cam_to_velo"][0].__setitem__(0, 9), r"'cam_to_velo' that is no rigid motion"),
        (lambda t: t["calib"]["cam05"]["cam_intrinsic"][0].__setitem__(0, 0), r"'cam_intrinsic' that is no camera's"),
        (lambda t: t["calib"]["cam05"].update(distortion=[0.1] * 3), r"'distortion' other than k1, k2, p1, p2, k3"),
        (lambda t: t["calib"]["cam05"].update(distortion=[0.1] * 8), r"'distortion' other than k1, k2, p1, p2, k3"),
        (lambda t: first(t).pop("frame_id"), r"frame 0 of .*000076\.json is named 'None', not by its milliseconds"),
        (lambda t: first(t).update(frame_id="../1"), r"frame 0 of .* is named '\.\./1'"),
        (lambda t: first(t).update(frame_id=str(START + PERIOD)), rf"has frame {START + PERIOD} twice"),
        (lambda t: first(t).update(pose=[1, 2]), r"frame 0 of .*has no 'pose' of 7 numbers"),
        (lambda t: first(t)["annos"].pop("names"), r"frame 0 of .*has no list 'names'"),
        (lambda t: first(t)["annos"]["names"].pop(), r"frame 0 of .*has 4 boxes for 3 names"),
        (lambda t: first(t)["annos"]["names"].__setitem__(0, "Tank"), r"unknown class 'Tank'.*known: Car, Truck"),
        (lambda t: first(t)["annos"]["boxes_3d"][1].pop(), r"frame 0 of .*has no 'boxes_3d' of any x 7 numbers"),
        (lambda t: first(t)["annos"]["boxes_3d"][1].__setitem__(3, 0), r"a box without length, width or height"),
        (lambda t: first(t)["annos"]["boxes_3d"][1].__setitem__(0, float("nan")), r"has no 'boxes_3d' of any x 7"),
    ],
)
def test_a_fault_in_the_json_is_named_with_its_place(
    change: Callable[[Change], Path], how: Change, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint) as caught:
        open_dataset(NAME, change(how))
    assert "000076.json" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 100_000, '{"frames": [1]}', '{"frames": [null]}'])
def test_a_file_that_is_no_such_json_is_named(copy: Path, content: str) -> None:
    (copy / "data" / "000076" / "000076.json").write_text(content)
    with pytest.raises(DataError, match=r"000076\.json"):
        open_dataset(NAME, copy)


def test_a_missing_json_is_named(copy: Path) -> None:
    (copy / "data" / "000076" / "000076.json").unlink()
    with pytest.raises(DataError, match=r"000076/000076\.json is missing"):
        open_dataset(NAME, copy)
