"""xmodal show-predictions, of a run of either task that has hardly learnt anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xmodal_cli.app import run

SMALL = ("network.range=[0,-12,-3,24,12,1]", "network.pillar_size=0.5", "train.threads=1", "augment.flip_x=0")
BOXES = ("task.features=8", "task.score=0.0", "task.nms_after=20")


@pytest.fixture(scope="module", params=["detection", "segmentation"])
def trained(
    request: pytest.FixtureRequest, example_root: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    task: str = request.param
    out = tmp_path_factory.mktemp(task) / "run"
    command = ["finetune", "--dataset", "kitti_object", "--root", str(example_root("kitti_object")), "--task", task]
    command += ["--network", "pillars", "--frames", "1", "--epochs", "1", "--evaluate-on", "labelled"]
    command += ["--device", "cpu", "--out", str(out)]
    for setting in (*SMALL, *(BOXES if task == "detection" else ())):
        command += ["--set", setting]
    assert run(command) == 0
    return task, out


def test_it_draws_the_frame_and_says_what_is_right(
    trained: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, model = trained
    file = tmp_path / "k.png"
    assert run(["show-predictions", str(model), "--score", "0", "--device", "cpu", "--out", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["task"], told["frame"], told["file"]) == (task, 0, str(file))
    assert file.stat().st_size > 10_000
    if task == "detection":
        assert int(told["predicted"]) > 0
        assert int(told["right"]) <= int(told["labelled"])
    else:
        assert 0 <= float(told["right"].rstrip("%")) <= 100


def test_in_words(trained: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task, model = trained
    file = tmp_path / "k.html"
    command = ["show-predictions", str(model / "model.safetensors"), "--frame", "1", "--device", "cpu"]
    assert run([*command, "--out", str(file)]) == 0
    said = capsys.readouterr().out
    assert said.rstrip().endswith(str(file)) or str(file) in said.replace("\n", "")
    assert (" missed" in said) == (task == "detection")


def test_what_cannot_be_is_said_before_anything_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show-predictions", str(tmp_path), "--out", str(tmp_path / "k.docx")]) == 2
    assert "no viewer can write k.docx" in capsys.readouterr().err
    assert run(["show-predictions", str(tmp_path), "--out", str(tmp_path / "k.png")]) == 2
    assert "model.safetensors" in capsys.readouterr().err
