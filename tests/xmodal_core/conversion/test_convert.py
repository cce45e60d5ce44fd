"""Converting: what is read back equals the source, and what is stopped goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xmodal_core import plugins
from xmodal_core.conversion.convert import convert
from xmodal_core.datasets import Dataset, open_dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.pictures import undistort
from xmodal_core.types import Frame

Root = Callable[[str], Path]
NAMES = [name for name in plugins.names(plugins.DATASET) if name != "sample"]


def source(name: str, root: Path) -> Dataset:
    return open_dataset(name, root)


def turned(frame: Frame) -> np.ndarray:
    """(3,3) from the frame's LiDAR axes to nuScenes': forward becomes y."""
    forward = np.array([*frame.sensor.forward, 0.0])
    up = np.array([0.0, 0.0, 1.0])
    return np.stack([np.cross(forward, up), forward, up])


def same_boxes(back: Frame, frame: Frame, turn: np.ndarray, atol: float) -> None:
    if frame.boxes is None or back.boxes is None:
        assert frame.boxes is None or not len(frame.boxes)
        return
    order = np.lexsort(np.round(frame.boxes.centre @ turn.T, 2).T)
    again = np.lexsort(np.round(back.boxes.centre, 2).T)
    np.testing.assert_allclose(back.boxes.centre[again], (frame.boxes.centre @ turn.T)[order], atol=atol)
    np.testing.assert_allclose(back.boxes.size[again], frame.boxes.size[order], atol=atol)
    angle = np.arctan2(turn[1, 0], turn[0, 0])
    off = back.boxes.yaw[again] - frame.boxes.yaw[order] - angle
    assert np.abs(np.angle(np.exp(1j * off))).max(initial=0) < max(atol, 1e-6)


def same_projection(back: Frame, frame: Frame, turn: np.ndarray, *, lens: bool) -> None:
    """Every camera of ``back`` is one of ``frame``'s; nuScenes has other names for them, and six at most."""
    full = np.eye(4)
    full[:3, :3] = turn
    assert len(back.cameras) == (len(frame.cameras) if lens else min(6, len(frame.cameras)))
    for other in back.cameras:
        camera = min(frame.cameras, key=lambda one: np.abs(other.lidar_to_camera @ full - one.lidar_to_camera).max())
        np.testing.assert_allclose(other.lidar_to_camera @ full, camera.lidar_to_camera, atol=2e-6)
        assert (other.width, other.height) == (camera.width, camera.height)
        np.testing.assert_array_equal(other.intrinsics, camera.intrinsics)
        assert other.lens == camera.lens if lens else other.lens.is_pinhole


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_gives_back_all_of_the_source(name: str, example_root: Root, tmp_path: Path) -> None:
    dataset = source(name, example_root(name))
    done = convert(dataset, "folder", tmp_path / "out", range(len(dataset)))
    assert (done.frames, done.skipped) == (len(dataset), [])
    again = open_dataset("folder", tmp_path / "out")
    assert again.sensor == dataset.sensor
    assert len(again) == len(dataset)
    for frame, back in zip(dataset, again, strict=True):
        assert (back.name, back.scene, back.timestamp) == (frame.name, frame.scene, frame.timestamp)
        np.testing.assert_array_equal(back.points, frame.points)
        assert list(back.channels) == list(frame.channels)
        for channel, values in frame.channels.items():
            np.testing.assert_array_equal(back.channels[channel], values)
        assert (back.pose is None) == (frame.pose is None)
        if frame.pose is not None:
            np.testing.assert_array_equal(back.pose, frame.pose)
        assert [camera.name for camera in back.cameras] == [camera.name for camera in frame.cameras]
        same_projection(back, frame, np.eye(3), lens=True)
        for one, other in zip(frame.cameras, back.cameras, strict=True):
            np.testing.assert_array_equal(one.image(), other.image())
        if frame.boxes is not None and len(frame.boxes):
            same_boxes(back, frame, np.eye(3), 0.0)
            assert back.boxes is not None
            names = [frame.boxes.classes[label] for label in frame.boxes.label]
            assert [back.boxes.classes[label] for label in back.boxes.label] == names
            np.testing.assert_array_equal(back.boxes.velocity, frame.boxes.velocity)
            np.testing.assert_array_equal(back.boxes.track, frame.boxes.track)
            if frame.boxes.points is not None:
                np.testing.assert_array_equal(back.boxes.points, frame.boxes.points)
        if frame.semantic is not None:
            assert back.semantic is not None
            assert back.semantic.classes == frame.semantic.classes
            np.testing.assert_array_equal(back.semantic.label, frame.semantic.label)


@pytest.mark.parametrize("name", NAMES)
def test_nuscenes_gives_back_the_source_in_its_own_terms(name: str, example_root: Root, tmp_path: Path) -> None:
    dataset = source(name, example_root(name))
    convert(dataset, "nuscenes", tmp_path / "out", range(len(dataset)))
    again = open_dataset("nuscenes", tmp_path / "out")
    assert len(again) == len(dataset)
    by_scene = sorted(range(len(dataset)), key=lambda index: (dataset.scene(index), index))
    for index, back in zip(by_scene, again, strict=True):
        frame = dataset.frame(index)
        turn = turned(frame)
        assert back.scene == frame.scene
        np.testing.assert_allclose(back.points, frame.points @ turn.T, atol=1e-5)
        if "intensity" in frame.channels:
            level = frame.channels["intensity"] / frame.sensor.intensity_max
            np.testing.assert_allclose(back.channels["intensity"] / 255, level, atol=1e-6)
        if frame.pose is not None:
            assert back.pose is not None
            full = np.eye(4)
            full[:3, :3] = turn
            np.testing.assert_allclose(back.pose @ full, frame.pose, atol=2e-6)
        same_projection(back, frame, turn, lens=False)
        same_boxes(back, frame, turn, 2e-4)
        ahead = back.cameras[0].project(np.array([[0.0, 40.0, 0.0]], dtype=np.float32)) if back.cameras else None
        assert ahead is None or ahead.inside[0]


def test_nuscenes_keeps_its_own_names_labels_and_pictures(example_root: Root, tmp_path: Path) -> None:
    dataset = source("nuscenes", example_root("nuscenes"))
    done = convert(dataset, "nuscenes", tmp_path / "out", range(2))
    assert done.notes == {}
    for frame, back in zip(dataset, open_dataset("nuscenes", tmp_path / "out"), strict=True):
        assert back.name == frame.name
        assert frame.boxes is not None
        assert back.boxes is not None
        names = [[boxes.classes[label] for label in boxes.label] for boxes in (frame.boxes, back.boxes)]
        assert sorted(names[0]) == sorted(names[1])
        np.testing.assert_array_equal(back.channels["ring"], frame.channels["ring"])
        assert frame.semantic is not None
        assert back.semantic is not None
        np.testing.assert_array_equal(back.semantic.label, frame.semantic.label)
        for one, other in zip(frame.cameras, back.cameras, strict=True):
            np.testing.assert_array_equal(one.image(), other.image())


def test_what_the_format_cannot_hold_is_told(example_root: Root, tmp_path: Path) -> None:
    notes = convert(source("folder", example_root("folder")), "nuscenes", tmp_path / "out", range(2)).notes
    assert notes["the ring of each point is not known: written as 0"] == 2
    assert notes["pictures were undistorted"] == 2
    assert any("points of class 'wall' are written as noise" in note for note in notes)


@pytest.mark.parametrize("to", ["nuscenes", "folder"])
def test_classes_are_renamed(to: str, example_root: Root, tmp_path: Path) -> None:
    dataset = source("kitti_object", example_root("kitti_object"))
    names = {"Car": "car", "Truck": "car", "Pedestrian": "pedestrian"}
    done = convert(dataset, to, tmp_path / "out", range(2), rename=names)
    assert not any("boxes of class" in note for note in done.notes)
    back, frame = open_dataset(to, tmp_path / "out").frame(0).boxes, dataset.frame(0).boxes
    assert back is not None
    assert frame is not None
    found = sorted(back.classes[label] for label in back.label)
    assert found == sorted(names[frame.classes[label]] for label in frame.label)


def test_labels_of_points_are_renamed_to_those_of_nuscenes(example_root: Root, tmp_path: Path) -> None:
    dataset = source("folder", example_root("folder"))
    names = {"ground": "driveable_surface", "wall": "manmade", "object": "vehicle.car"}
    convert(dataset, "nuscenes", tmp_path / "out", range(2), rename=names)
    back, frame = open_dataset("nuscenes", tmp_path / "out").frame(1).semantic, dataset.frame(1).semantic
    assert back is not None
    assert frame is not None
    words = {"ignore": "ignore", "ground": "driveable_surface", "wall": "manmade", "object": "car"}
    lookup = np.array([back.classes.index(words[name]) for name in frame.classes])
    np.testing.assert_array_equal(back.label, lookup[frame.label])


def test_undistorted_pictures_show_points_where_a_pinhole_does(example_root: Root, tmp_path: Path) -> None:
    """The marker, whose pixel is known in the distorted picture, is found where the pinhole projects it."""
    frame = source("folder", example_root("folder")).frame(1)
    camera = frame.cameras[0]
    marker = frame.points[frame.channels["intensity"] == 1]
    straight = undistort(camera.image(), camera.intrinsics, camera.lens).astype(int)
    seen = camera.lidar_to_camera[:3, :3] @ marker[0] + camera.lidar_to_camera[:3, 3]
    u, v, _ = camera.intrinsics @ (seen / seen[2])
    row, column = np.nonzero(np.abs(straight - (255, 0, 255)).sum(axis=2) < 150)
    np.testing.assert_allclose((column.mean(), row.mean()), (u, v), atol=0.75)


class TestSittings:
    """What stops a conversion, and how it goes on."""

    def test_it_goes_on_to_the_same_files(self, example_root: Root, tmp_path: Path) -> None:
        dataset = source("nuscenes", example_root("nuscenes"))
        asked = iter([False, True])
        stopped = convert(dataset, "nuscenes", tmp_path / "out", range(2), stop=lambda: next(asked))
        assert (stopped.interrupted, stopped.frames) == (True, 1)
        assert not (tmp_path / "out").exists()
        done = convert(dataset, "nuscenes", tmp_path / "out", range(2))
        assert (done.frames, done.before) == (2, 1)
        convert(dataset, "nuscenes", tmp_path / "once", range(2))
        files = [
            {file.relative_to(root): file.read_bytes() for file in root.rglob("*") if file.is_file()}
            for root in (tmp_path / "out", tmp_path / "once")
        ]
        assert files[0] == files[1]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["once", "out"]

    def test_another_conversion_to_the_same_folder_is_refused(self, example_root: Root, tmp_path: Path) -> None:
        dataset = source("nuscenes", example_root("nuscenes"))
        asked = iter([False, True])
        convert(dataset, "folder", tmp_path / "out", range(2), stop=lambda: next(asked))
        with pytest.raises(InputError, match="begun with another: to"):
            convert(dataset, "nuscenes", tmp_path / "out", range(2))
        convert(dataset, "folder", tmp_path / "out", range(2))
        with pytest.raises(InputError, match="is there already"):
            convert(dataset, "folder", tmp_path / "out", range(2))

    def test_a_damaged_frame_ends_it_or_is_counted(self, example_copy: Root, tmp_path: Path) -> None:
        root = example_copy("kitti_object")
        sweep = root / "training" / "velodyne" / "000007.bin"
        whole = sweep.read_bytes()
        sweep.write_bytes(whole[:-3])
        dataset = source("kitti_object", root)
        with pytest.raises(DataError, match=r"000007\.bin is cut short.*--skip-bad"):
            convert(dataset, "folder", tmp_path / "out", range(2))
        assert not (tmp_path / "out").exists()
        done = convert(dataset, "folder", tmp_path / "less", range(2), skip_bad=True)
        assert (done.frames, [number for number, _ in done.skipped]) == (1, [1])
        assert len(open_dataset("folder", tmp_path / "less")) == 1
        sweep.write_bytes(whole)
        done = convert(dataset, "folder", tmp_path / "out", range(2))
        assert (done.frames, done.before) == (2, 1)

    def test_nothing_but_damage_is_no_data_set(self, example_copy: Root, tmp_path: Path) -> None:
        root = example_copy("kitti_object")
        for sweep in (root / "training" / "velodyne").iterdir():
            sweep.write_bytes(b"1")
        with pytest.raises(DataError, match=r"000000\.bin"):
            convert(source("kitti_object", root), "folder", tmp_path / "out", range(2), skip_bad=True)

    def test_several_sweeps_in_one_are_refused(self, example_root: Root, tmp_path: Path) -> None:
        dataset = open_dataset("nuscenes", example_root("nuscenes"), {"n_sweeps": 2})
        with pytest.raises(InputError, match="of several sweeps"):
            convert(dataset, "nuscenes", tmp_path / "out", range(2))


def test_the_command_converts_and_tells(example_root: Root, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from xmodal_cli.app import app, run

    root = str(example_root("kitti_raw"))
    words = ["data", "convert", "--root", root, "--to", "nuscenes", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.strip().splitlines()[-1])
    assert (told["frames"], told["skipped"]) == (2, [])
    assert run(["data", "check", "--root", str(tmp_path / "out")]) == 0
    assert run(words) == 2
    assert run([*words, "--rename", "Cat=car"]) == 2
    assert run([*words[:-3], "kitti", "--out", str(tmp_path / "x")]) == 2
