"""KITTI raw drives: calibration, tracklets and times against the files read by hand; every fault named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from xmodal_core.datasets import Dataset, _kitti_example, open_dataset
from xmodal_core.datasets._kitti_example import DATE, DRIVE, PERIOD, STEP
from xmodal_core.errors import DataError, InputError
from xmodal_core.types import Frame

NAME = "kitti_raw"


def row(file: Path, name: str) -> np.ndarray:
    """The numbers of a calibration file's line, as text search finds them."""
    found = re.search(rf"^{name}:(.*)$", file.read_text(), re.MULTILINE)
    assert found
    return np.array(found[1].split(), dtype=np.float64)


def by_hand(date: Path, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N,2) and depth (N,) as the development kit's readme writes it: P_rect_02 R_rect_00 Tr_velo_to_cam X."""
    velodyne = np.eye(4)
    velodyne[:3, :3] = row(date / "calib_velo_to_cam.txt", "R").reshape(3, 3)
    velodyne[:3, 3] = row(date / "calib_velo_to_cam.txt", "T")
    rectify = np.eye(4)
    rectify[:3, :3] = row(date / "calib_cam_to_cam.txt", "R_rect_00").reshape(3, 3)
    projection = row(date / "calib_cam_to_cam.txt", "P_rect_02").reshape(3, 4)
    whole = np.column_stack([points.astype(np.float64), np.ones(len(points))])
    u, v, w = projection @ rectify @ velodyne @ whole.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([u / w, v / w], axis=1), w


def assert_projects_by_hand(frame: Frame, date: Path) -> None:
    (camera,) = frame.cameras
    seen = camera.project(frame.points)
    uv, depth = by_hand(date, frame.points)
    np.testing.assert_allclose(seen.depth, depth, atol=1e-4)
    np.testing.assert_allclose(seen.uv[seen.inside], uv[seen.inside], atol=5e-3)
    edge = np.minimum(uv, (camera.width, camera.height) - uv).min(axis=1)
    np.testing.assert_array_equal(
        seen.inside[np.abs(edge - 1) > 0.01], ((depth > 1) & (edge > 1))[abs(edge - 1) > 0.01]
    )
    assert seen.inside.sum() > 500


class TestProjection:
    def test_equals_the_readmes_formula(self, root: Path) -> None:
        for frame in open_dataset("kitti_raw", root):
            assert_projects_by_hand(frame, root / DATE)

    def test_equals_it_on_a_real_drive(self, real: Dataset) -> None:
        frame = real.frame(20)
        assert_projects_by_hand(frame, real.root / DATE)
        assert frame.cameras[0].image().shape == (375, 1242, 3)

    def test_a_camera_may_be_written_as_a_number(self, copy: Path) -> None:
        """``--set dataset.cameras=[3]`` and ``[03]`` are numbers to YAML."""
        calibration = copy / DATE / "calib_cam_to_cam.txt"
        text = calibration.read_text()
        shifted = re.sub(r"P_rect_02: (\S+) (\S+) (\S+) \S+", r"P_rect_03: \1 \2 \3 -340.0", text)
        calibration.write_text(text + shifted.replace("S_rect_02", "S_rect_03"))
        frame = open_dataset("kitti_raw", copy, {"cameras": [2, "03"]}).frame(0)
        assert [camera.name for camera in frame.cameras] == ["image_02", "image_03"]
        ahead = np.array([[10.0, 0.0, 0.0]], np.float32)
        left, right = (camera.project(ahead).uv[0, 0] for camera in frame.cameras)
        assert left - right == pytest.approx((14.95 + 340) / 10, rel=0.05)


class TestTracklets:
    def test_boxes_lie_where_the_things_are_in_the_full_drives_frame(self, root: Path) -> None:
        frame = open_dataset("kitti_raw", root).frame(1)
        assert frame.boxes is not None
        time = STEP * PERIOD  # frame 4 of the drive, the second that is there
        truth = list(_kitti_example.labelled_boxes(time))
        assert [frame.boxes.classes[label] for label in frame.boxes.label] == [kind for kind, _, _ in truth]
        for number, (_, pose, size) in enumerate(truth):
            np.testing.assert_allclose(frame.boxes.centre[number], pose[:3, 3], atol=1e-5)
            np.testing.assert_allclose(frame.boxes.size[number], size, atol=1e-6)
            yaw = frame.boxes.yaw[number]
            np.testing.assert_allclose((np.cos(yaw), np.sin(yaw)), pose[:2, 0], atol=1e-6)
        assert np.isnan(frame.boxes.velocity).all()

    def test_a_tracklet_begins_with_its_first_frame(self, root: Path) -> None:
        dataset = open_dataset("kitti_raw", root)
        first, second = dataset.frame(0).boxes, dataset.frame(1).boxes
        assert first is not None
        assert second is not None
        assert first.track.tolist() == [0, 2, 3]  # the pedestrian is labelled from the drive's frame 1 on
        assert second.track.tolist() == [0, 1, 2, 3]

    def test_a_tracklet_ends_with_its_poses(self, drive: Path) -> None:
        file = drive / "tracklet_labels.xml"
        tree = ElementTree.fromstring(file.read_text())
        poses = tree.findall("tracklets/item")[0].find("poses")
        assert poses is not None
        for pose in poses.findall("item")[STEP:]:
            poses.remove(pose)
        file.write_bytes(ElementTree.tostring(tree))
        boxes = [frame.boxes for frame in open_dataset("kitti_raw", drive)]
        assert [found.track.tolist() for found in boxes if found is not None] == [[0, 2, 3], [1, 2, 3]]

    def test_a_drive_without_tracklets_has_no_boxes(self, drive: Path) -> None:
        (drive / "tracklet_labels.xml").unlink()
        assert open_dataset("kitti_raw", drive).frame(0).boxes is None

    def test_a_sitting_persons_name_is_that_of_the_object_benchmark(self, drive: Path) -> None:
        file = drive / "tracklet_labels.xml"
        file.write_text(file.read_text().replace("Pedestrian", "Person (sitting)"))
        boxes = open_dataset("kitti_raw", drive).frame(1).boxes
        assert boxes is not None
        assert boxes.classes[boxes.label[1]] == "Person_sitting"

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ("</tracklets>", "", "is damaged: mismatched tag"),
            ('encoding="UTF-8"', 'encoding="UUF-8"', "is damaged: unknown encoding"),
            ("<objectType>Car", "<objectType>Tank", "unknown class 'Tank'.*known: Car, Van"),
            ("<h>1.6</h>", "", "is damaged: an item has no <h>"),
            ("<h>1.6</h>", "<h>high</h>", "is damaged"),
            ("<h>1.6</h>", "<h>-1.6</h>", "is damaged: a box of size"),
            ("<first_frame>0</first_frame>", "<first_frame>inf</first_frame>", "is damaged: <first_frame> is inf"),
            ("<rx>0</rx><ry>0</ry><rz>", "<rx>0</rx><ry>0</ry><rz>nan", "is damaged"),
        ],
    )
    def test_damaged_ones_are_named(self, drive: Path, old: str, new: str, complaint: str) -> None:
        file = drive / "tracklet_labels.xml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(DataError, match=rf"tracklet_labels\.xml.*{complaint}"):
            open_dataset("kitti_raw", drive).frame(0)

    def test_a_real_drives_boxes_are_those_of_the_file_at_the_drives_frame_numbers(self, real: Dataset) -> None:
        folder = real.root / DATE / "2011_09_26_drive_0005_sync"
        items = ElementTree.parse(folder / "tracklet_labels.xml").getroot().findall("tracklets/item")
        total = 0
        for index in (0, 7, 38):
            frame = real.frame(index)
            number = int(frame.name.split("/")[1])
            assert number == 4 * index
            assert frame.boxes is not None
            for place, track in enumerate(frame.boxes.track.tolist()):
                pose = items[track].findall("poses/item")[number - int(items[track].findtext("first_frame", ""))]
                bottom = [float(pose.findtext(axis, "")) for axis in ("tx", "ty", "tz")]
                height = float(items[track].findtext("h", ""))
                np.testing.assert_allclose(frame.boxes.centre[place], np.add(bottom, (0, 0, height / 2)), atol=1e-5)
                assert frame.boxes.classes[frame.boxes.label[place]] == items[track].findtext("objectType")
            total += len(frame.boxes)
        assert total >= 9

    def test_a_real_drives_boxes_sit_on_their_points(
        self, real: Dataset, shares_inside: Callable[[Dataset], list[float]]
    ) -> None:
        shares = shares_inside(real)
        assert len(shares) > 150
        assert np.median(shares) > 0.95
        assert np.percentile(shares, 10) > 0.75


class TestTimes:
    def test_they_are_those_of_the_full_drives_list(self, root: Path) -> None:
        dataset = open_dataset("kitti_raw", root)
        assert dataset.frame(1).timestamp - dataset.frame(0).timestamp == pytest.approx(STEP * PERIOD, abs=1e-6)
        since_1970 = np.datetime64("2011-09-26T13:02:25").astype("datetime64[s]").astype(float)
        assert dataset.frame(0).timestamp == pytest.approx(since_1970, abs=1e-6)

    def test_without_a_list_they_follow_the_frame_numbers(self, drive: Path) -> None:
        (drive / "velodyne_points" / "timestamps.txt").unlink()
        assert [frame.timestamp for frame in open_dataset("kitti_raw", drive)] == pytest.approx([0.0, STEP * PERIOD])

    def test_an_empty_line_stands_for_a_sweep_that_was_not_recorded(self, drive: Path) -> None:
        file = drive / "velodyne_points" / "timestamps.txt"
        lines = file.read_text().splitlines()
        lines[1] = ""
        file.write_text("\n".join(lines) + "\n")
        assert open_dataset("kitti_raw", drive).frame(1).timestamp > 1e9
        file.write_text("\n".join(["", *lines[1:]]) + "\n")
        with pytest.raises(DataError, match=r"timestamps\.txt has no time of frame 0"):
            open_dataset("kitti_raw", drive).frame(0)

    def test_a_list_that_ends_early_is_named(self, drive: Path) -> None:
        file = drive / "velodyne_points" / "timestamps.txt"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:STEP]))
        with pytest.raises(DataError, match=rf"timestamps\.txt has no time of frame {STEP}"):
            open_dataset("kitti_raw", drive).frame(1)

    @pytest.mark.parametrize("line", ["yesterday", "2011-09-26 25:00:00", "2011-09-26 13:02:25+02:00"])
    def test_what_is_no_date_is_named(self, drive: Path, line: str) -> None:
        file = drive / "velodyne_points" / "timestamps.txt"
        file.write_text(f"{line}\n" + file.read_text())
        with pytest.raises(DataError, match=r"timestamps\.txt is no list of dates and times"):
            open_dataset("kitti_raw", drive).frame(0)


class TestFolders:
    def test_frames_are_those_whose_sweep_is_there(self, drive: Path) -> None:
        dataset = open_dataset("kitti_raw", drive)
        assert [dataset.name(index) for index in range(2)] == [f"{DRIVE}/0000000000", f"{DRIVE}/0000000004"]
        (drive / "velodyne_points" / "data" / f"{0:010d}.bin").unlink()
        (frame,) = open_dataset("kitti_raw", drive)
        assert frame.name == f"{DRIVE}/0000000004"
        assert frame.boxes is not None
        assert len(frame.boxes) == 4

    def test_a_real_folder_with_missing_frames(self, real: Dataset) -> None:
        assert len(real) == 39
        assert real.name(1) == "2011_09_26_drive_0005_sync/0000000004"
        assert real.frame(38).timestamp - real.frame(0).timestamp == pytest.approx(152 * 0.1036, abs=0.1)

    @pytest.mark.parametrize("place", [(), (DATE,), (DATE, DRIVE)])
    def test_the_root_may_be_the_dates_or_the_drives_own_folder(self, root: Path, place: tuple[str, ...]) -> None:
        dataset = open_dataset("kitti_raw", root.joinpath(*place))
        assert dataset.root == root
        assert len(dataset.frame(1)) > 1000

    def test_drives_are_chosen_by_name(self, copy: Path) -> None:
        import shutil

        other = DRIVE.replace("0001", "0002")
        shutil.copytree(copy / DATE / DRIVE, copy / DATE / other)
        assert len(open_dataset("kitti_raw", copy)) == 4
        dataset = open_dataset("kitti_raw", copy, {"drives": [other]})
        assert {dataset.scene(index) for index in range(len(dataset))} == {other}
        assert len(open_dataset("kitti_raw", copy / DATE / other)) == 2
        with pytest.raises(InputError, match=rf"no drive 'mine'.*there are: {DRIVE}, {other}"):
            open_dataset("kitti_raw", copy, {"drives": ["mine"]})

    def test_a_drive_without_sweeps_is_named(self, drive: Path) -> None:
        for file in (drive / "velodyne_points" / "data").iterdir():
            file.unlink()
        with pytest.raises(DataError, match=rf"{DRIVE}/velodyne_points/data holds no sweep"):
            open_dataset("kitti_raw", drive)


class TestCalibration:
    @pytest.mark.parametrize("name", ["calib_cam_to_cam.txt", "calib_velo_to_cam.txt", "calib_imu_to_velo.txt"])
    def test_a_missing_file_is_named(self, copy: Path, name: str) -> None:
        (copy / DATE / name).unlink()
        with pytest.raises(DataError, match=rf"{name} is missing"):
            open_dataset("kitti_raw", copy).frame(0)

    @pytest.mark.parametrize(
        ("file", "name", "numbers", "complaint"),
        [
            ("calib_cam_to_cam.txt", "P_rect_02", "1 2 3", "no 'P_rect_02' of 3 x 4 numbers"),
            ("calib_cam_to_cam.txt", "P_rect_02", "0 " * 12, "'P_rect_02'.* no projection"),
            ("calib_cam_to_cam.txt", "P_rect_02", "nan " * 12, "no 'P_rect_02' of 3 x 4 numbers"),
            ("calib_cam_to_cam.txt", "S_rect_02", "1242", "no 'S_rect_02' of 2 numbers"),
            ("calib_cam_to_cam.txt", "R_rect_00", "1 0 0 0 1 0 0 0.1 1", "'R_rect_00'.* no rotation"),
            ("calib_velo_to_cam.txt", "R", "1 0 0 0 1 0 0 0 -1", "'R'.* no rotation"),
            ("calib_velo_to_cam.txt", "T", "here", "no 'T' of 3 numbers"),
            ("calib_imu_to_velo.txt", "R", "0 0 0 0 0 0 0 0 0", "'R'.* no rotation"),
        ],
    )
    def test_a_damaged_entry_is_named_with_its_file(
        self, copy: Path, file: str, name: str, numbers: str, complaint: str
    ) -> None:
        path = copy / DATE / file
        path.write_text(re.sub(rf"^{name}:.*$", f"{name}: {numbers}", path.read_text(), flags=re.MULTILINE))
        with pytest.raises(DataError, match=complaint) as caught:
            open_dataset("kitti_raw", copy).frame(0)
        assert str(path) in caught.value.message
