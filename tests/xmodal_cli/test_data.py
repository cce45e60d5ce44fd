"""``xmodal data``: info, check and example."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from viz.projection import LEAST_WIDTH
from xmodal_cli.app import app, run
from xmodal_core import plugins
from xmodal_core.datasets import open_dataset
from xmodal_core.geometry import pixels

Root = Callable[[str], Path]
NAMES = plugins.names(plugins.DATASET)


def told(*words: str, code: int = 0) -> dict:
    result = CliRunner().invoke(app, ["data", *words, "--json"])
    assert result.exit_code == code, (result.output, result.exception)
    return json.loads(result.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wrong_with_the_example_of_any_reader(name: str, example_root: Root, tmp_path: Path) -> None:
    root, picture = example_root(name), tmp_path / "points.png"
    answer = told("check", "--root", str(root), "--dataset", name, "--out", str(picture))
    assert answer["ok"]
    assert answer["wrong"] == []
    assert answer["frames_read"] == answer["frames"] == 2
    assert Image.open(picture).size[0] >= LEAST_WIDTH


@pytest.mark.parametrize("name", NAMES)
def test_info_counts_what_the_reader_gives(name: str, example_root: Root) -> None:
    answer = told("info", "--dataset", name, "--root", str(example_root(name)))
    frames = list(open_dataset(name, example_root(name)))
    assert answer["frames"] == answer["frames_read"] == 2
    assert answer["split"] in answer["splits"] or answer["split"] == "auto"
    assert answer["points"]["mean"] == pytest.approx(np.mean([len(frame) for frame in frames]), rel=1e-5)
    distance = np.concatenate([np.linalg.norm(frame.points, axis=1) for frame in frames])
    assert answer["distance"]["mean"] == pytest.approx(distance.mean(), rel=1e-4)
    boxes = [frame.boxes.classes[label] for frame in frames for label in frame.boxes.label] if frames[0].boxes else []
    assert answer["boxes"] == {kind: boxes.count(kind) for kind in answer["boxes"]}
    assert sum(answer["boxes"].values()) == len(boxes)
    for place, camera in enumerate(frames[0].cameras):
        seen = [pixels(frame.cameras, frame.points, frame.pixels).camera == place for frame in frames]
        shares = [here.sum() / len(frame) for here, frame in zip(seen, frames, strict=True)]
        assert answer["cameras"][camera.name]["share_of_points"]["mean"] == pytest.approx(np.mean(shares), rel=1e-5)


def test_both_are_shown_to_people(example_root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(example_root("folder"))
    assert run(["data", "info", "--root", root]) == 0
    assert run(["data", "check", "--root", root]) == 0
    shown = capsys.readouterr().out
    for words in ("2 in 1 scenes", "spinner, 48 beams", "vehicle.car", "✓ *.*  4 files", "nothing is wrong"):
        assert words in shown


def test_missing_and_damaged_files_are_named_and_the_exit_code_is_2(
    example_copy: Root, capsys: pytest.CaptureFixture[str]
) -> None:
    root = example_copy("kitti_object")
    (root / "training" / "velodyne" / "000000.bin").write_bytes(b"123")
    (root / "training" / "image_2" / "000007.png").write_bytes(b"")
    answer = told("check", "--root", str(root), code=2)
    assert answer["frames_read"] == 0
    assert [one["frame"] for one in answer["damaged"]] == [0]
    answer = told("check", "--root", str(root), "--skip-bad", code=2)
    assert [one["frame"] for one in answer["damaged"]] == [0, 1]
    assert any("000007.png" in words for words in answer["wrong"])
    assert run(["data", "check", "--root", str(root)]) == 2
    shown = capsys.readouterr().out.replace("\n", "")
    assert "000000.bin is cut short" in shown
    assert "1 were not looked at: --skip-bad goes on" in shown


def test_a_folder_that_cannot_be_opened_shows_what_is_missing(
    example_copy: Root, capsys: pytest.CaptureFixture[str]
) -> None:
    root = example_copy("nuscenes")
    (root / "v1.0-mini" / "ego_pose.json").unlink()
    for file in (root / "samples" / "LIDAR_TOP").iterdir():
        file.unlink()
    assert run(["data", "check", "--dataset", "nuscenes", "--root", str(root)]) == 2
    shown = capsys.readouterr()
    assert "✗ *.pcd.bin  not there" in shown.out
    assert "ego_pose.json is missing" in shown.err


def test_a_camera_whose_transform_is_the_wrong_way_round_is_found(example_copy: Root) -> None:
    root = example_copy("folder")
    tree = yaml.safe_load((root / "calibration.yaml").read_text())
    matrix = np.array(tree["cameras"]["front"]["lidar_to_camera"])
    tree["cameras"]["front"]["lidar_to_camera"] = np.linalg.inv(matrix).tolist()
    tree["sensor"]["intensity_max"] = 0.5
    (root / "calibration.yaml").write_text(yaml.safe_dump(tree))
    camera, intensity = told("check", "--root", str(root), code=2)["wrong"]
    assert "camera front" in camera
    assert "is its transform camera to LiDAR?" in camera
    assert "intensity reaches 1, the data set states 0.5" in intensity


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_written_and_read(name: str, tmp_path: Path) -> None:
    if name == "sample":
        pytest.skip("takes seconds to make; 'data sample' has its own tests")
    out = tmp_path / "new" / "example"
    assert told("example", name, "--out", str(out), "--frames", "1")["root"] == str(out)
    assert len(open_dataset(name, out)) == 1
    assert list(out.parent.iterdir()) == [out]
    assert run(["data", "example", name, "--out", str(out)]) == 2


def test_a_picture_that_cannot_be_written_is_complained_of_first(example_root: Root, tmp_path: Path) -> None:
    root = str(example_root("folder"))
    for wrong in (tmp_path / "a.pdf", tmp_path / "nowhere" / "a.png", tmp_path):
        assert run(["data", "check", "--root", root, "--out", str(wrong)]) == 2


def test_returns_that_are_left_out_are_counted(
    example_copy: Root, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = example_copy("kitti_object")
    sweep = sorted(root.rglob("velodyne/*.bin"))[0]
    values = np.fromfile(sweep, dtype="<f4")
    values[[0, 9]] = np.nan
    values.tofile(sweep)
    source = ["--dataset", "kitti_object", "--root", str(root)]
    assert told("info", *source)["left_out"] == 2
    for words in (
        ["data", "info"],
        ["units", "stats", "--no-teacher"],
        ["units", "show", "--stage", "ground", "--out", str(tmp_path / "ground.png")],
    ):
        assert run([*words, *source]) == 0
        assert "2 returns are left out" in capsys.readouterr().err
