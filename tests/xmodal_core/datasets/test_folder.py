"""A folder of one's own sensor: what its calibration.yaml can say, and every mistake in it named with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from xmodal_core.datasets import open_dataset
from xmodal_core.datasets._folder_example import INTRINSICS, LIDAR_TO_CAMERA
from xmodal_core.errors import DataError, InputError

NAME = "folder"


def write(root: Path, **changes: object) -> None:
    """Change keys of calibration.yaml, given as ``a__b``; None removes one."""
    file = root / "calibration.yaml"
    tree = yaml.safe_load(file.read_text())
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        group = tree
        for parent in parents:
            group = group[parent]
        if value is None:
            del group[leaf]
        else:
            group[leaf] = value
    file.write_text(yaml.safe_dump(tree, sort_keys=False))


def test_the_yaml_says_what_the_sensor_is_and_where_cameras_are(root: Path) -> None:
    dataset = open_dataset(NAME, root)
    frame = dataset.frame(1)
    assert (dataset.sensor.name, dataset.sensor.beams, dataset.sensor.height) == ("spinner", 48, 1.9)
    assert (frame.name, frame.scene, frame.timestamp) == ("000001", "yard", 1_600_000_000.5)
    assert [camera.name for camera in frame.cameras] == ["front", "rear"]
    for camera in frame.cameras:
        np.testing.assert_allclose(camera.lidar_to_camera, LIDAR_TO_CAMERA[camera.name])
        np.testing.assert_array_equal(camera.intrinsics, INTRINSICS)
    assert frame.cameras[0].lens.p2 == -0.0005
    assert frame.cameras[1].lens.is_pinhole
    assert frame.semantic is not None
    assert frame.semantic.classes == ("ignore", "object", "ground", "wall")
    assert dataset.splits() == ("all", "val")
    assert open_dataset(NAME, root, {"split": "val"}).name(0) == "000001"
    assert [camera.name for camera in open_dataset(NAME, root, {"cameras": ["rear"]}).frame(0).cameras] == ["rear"]


def test_boxes_have_tracks_and_velocities(root: Path) -> None:
    boxes = open_dataset(NAME, root).frame(1).boxes
    assert boxes is not None
    assert boxes.classes[boxes.label[0]] == "vehicle.car"
    assert boxes.track.tolist() == [0, 1, 2, 3, 4]
    assert np.hypot(*boxes.velocity[0]) == pytest.approx(np.hypot(3.0, 0.75), rel=1e-5)


def test_a_line_of_a_frame_weighs_more_than_the_yaml(copy: Path) -> None:
    file = copy / "frames.jsonl"
    first, second = (json.loads(line) for line in file.read_text().splitlines())
    moved = LIDAR_TO_CAMERA["front"].copy()
    moved[0, 3] += 1
    first |= {"name": "drive/1", "cameras": {"rear": None, "front": {"lidar_to_camera": moved.tolist()}}}
    second["cameras"] = {"front": {"intrinsics": [300, 301, 150, 90]}}
    file.write_text(json.dumps(first) + "\n\n" + json.dumps(second) + "\n")
    dataset = open_dataset(NAME, copy)
    assert dataset.name(0) == dataset.frame(0).name == "drive/1"
    (front,) = dataset.frame(0).cameras
    np.testing.assert_allclose(front.lidar_to_camera, moved)
    np.testing.assert_array_equal(front.intrinsics, INTRINSICS)
    assert dataset.frame(1).cameras[0].intrinsics[1, 1] == 301


def test_all_but_sensor_and_sweeps_can_be_left_out(copy: Path) -> None:
    (copy / "calibration.yaml").write_text("sensor: {beams: 48, intensity_max: 1}")
    (copy / "frames.jsonl").unlink()
    frame = open_dataset(NAME, copy).frame(0)
    assert (frame.cameras, frame.boxes, frame.semantic, frame.pose) == ((), None, None, None)
    assert frame.scene == copy.name
    assert frame.sensor.forward == (1.0, 0.0)


def test_columns_without_intensity_and_with_a_ring(copy: Path) -> None:
    write(copy, columns=["x", "y", "z", "ring"])
    dataset = open_dataset(NAME, copy)
    assert dataset.channels == ("ring",)
    assert tuple(dataset.frame(0).channels) == ("ring",)


def test_a_frame_without_labels_has_none_and_label_files_are_semantic_kittis(copy: Path) -> None:
    raw = np.load(copy / "semantic" / "000000.npy")
    (copy / "semantic" / "000000.npy").unlink()
    (copy / "boxes" / "000000.json").unlink()
    frame = open_dataset(NAME, copy).frame(0)
    assert frame.boxes is None
    assert frame.semantic is None
    (copy / "semantic" / "000000.label").write_bytes((raw.astype("<u4") | (7 << 16)).astype("<u4").tobytes())
    semantic = open_dataset(NAME, copy).frame(0).semantic
    assert semantic is not None
    np.testing.assert_array_equal(semantic.label, np.searchsorted([0, 10, 40, 50], raw))


WRONG = [
    ({"sensor__beam": 3}, r"no setting 'sensor\.beam' .*yaml\).*did you mean 'sensor\.beams'"),
    ({"sensor__beams": None}, r"'sensor\.beams' is missing .*yaml\).*number of beams"),
    ({"sensor__forward": [0, 0]}, r"'sensor\.forward' cannot be \[0, 0\].*direction"),
    ({"columns": ["x", "y", "intensity"]}, "'columns' cannot be .*x, y and z among them"),
    ({"cameras__front__intrinsics": [1, 2]}, r"'cameras\.front\.intrinsics' cannot be \[1, 2\].*fx, fy, cx, cy"),
    ({"cameras__front__intrinsic": [1, 2]}, r"no setting 'cameras\.front\.intrinsic'.*did you mean"),
    ({"cameras__rear__lidar_to_camera": [[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0]]}, "3 x 3 part is no rotation"),
    ({"cameras__rear__lidar_to_camera": {"rotation": [1, 0, 0, 0]}}, "both 'rotation' and 'translation'"),
    ({"cameras__front__distortion": [1, 2, 3, 4, 5, 6, 7, 8]}, "k1, k2, p1, p2"),
    ({"cameras__front__distortion": {"k4": 1}}, r"'cameras\.front\.distortion'.*undistort first"),
    ({"cameras__front__images": "pictures"}, r"pictures is missing.*'front'.*cameras\.front\.images"),
    ({"points": "sweeps"}, "sweeps is missing: the sweeps"),
    ({"frames": "times.jsonl"}, r"times\.jsonl is missing"),
    ({"boxes__classes": ["vehicle.car"]}, r"000000\.json labels an unknown class.*vehicle\.car"),
    ({"semantic__classes": ["ignore"]}, r"000000\.npy holds class 10, which has no name .*add '10: NAME'"),
]


@pytest.mark.parametrize(("changes", "words"), WRONG, ids=[next(iter(changes)) for changes, _ in WRONG])
def test_a_wrong_key_is_named_with_its_file_and_what_to_do(copy: Path, changes: dict, words: str) -> None:
    write(copy, **changes)
    with pytest.raises(InputError, match=words) as caught:
        list(open_dataset(NAME, copy))
    assert caught.value.hint


LINES = [
    ('{"frame": "000007"}', "line 3, names frame '000007', which has no sweep"),
    ('{"frame": "000001"}', "line 3, names frame '000001' a second time"),
    ('{"name": "x"}', "line 3, names no frame"),
    ("{", r"line 3, is no JSON"),
]


@pytest.mark.parametrize(("line", "words"), LINES)
def test_a_wrong_line_is_named(copy: Path, line: str, words: str) -> None:
    with (copy / "frames.jsonl").open("a") as file:
        file.write(line)
    with pytest.raises(DataError, match=words):
        open_dataset(NAME, copy)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"timestmp": 1}, r"no setting 'timestmp' .*jsonl, line 1\).*'timestamp'"),
        ({"pose": [1]}, r"'pose' cannot be .*jsonl, line 1\).*4 x 4"),
        ({"cameras": {"moon": None}}, r"jsonl, line 1, names an unknown camera 'moon'"),
    ],
)
def test_a_wrong_key_of_a_line_is_named_with_its_number(copy: Path, more: dict, words: str) -> None:
    (copy / "frames.jsonl").write_text(json.dumps({"frame": "000001", **more}))
    with pytest.raises(DataError, match=words):
        open_dataset(NAME, copy).frame(1)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"name": "animal"}, r"boxes\.0\.centre' is missing"),
        ([], "boxes"),
        ({"clas": "x"}, r"no setting 'boxes\.0\.clas'"),
    ],
)
def test_a_wrong_box_is_damage_of_its_frame(copy: Path, row: object, words: str) -> None:
    (copy / "boxes" / "000000.json").write_text(json.dumps([row]))
    with pytest.raises(DataError, match=words) as caught:
        open_dataset(NAME, copy).frame(0)
    assert "000000.json" in caught.value.message


def test_two_sweeps_of_one_frame_and_a_list_of_missing_frames_are_refused(copy: Path) -> None:
    (copy / "splits" / "val.txt").write_text("000001 000009")
    with pytest.raises(DataError, match=r"val\.txt names frame '000009'"):
        open_dataset(NAME, copy, {"split": "val"})
    (copy / "points" / "000000.ply").touch()
    with pytest.raises(DataError, match=r"000000\.ply and 000000\.bin are both the sweep of '000000'"):
        open_dataset(NAME, copy)
