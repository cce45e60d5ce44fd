"""``xmodal units tune`` as a person starts and ends it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml
from typer.testing import CliRunner

from xmodal_cli.app import app
from xmodal_core.errors import InputError

Root = Callable[[str], Path]


def test_it_prints_where_it_is_answers_there_and_ends_when_it_is_told_to(
    example_root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 5000 10.0.0.2 22")
    command = ["units", "tune", "--dataset", "kitti_object", "--root", str(example_root("kitti_object"))]
    run = subprocess.Popen(
        [sys.executable, "-c", "from xmodal_cli.app import main; main()", *command, "--port", "0", "--no-teacher"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert run.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\d+", run.stdout.readline())
        assert address is not None
        port = address[0].rsplit(":")[-1]
        assert f"-L {port}:127.0.0.1:{port}" in run.stdout.readline()
        with urlopen(address[0], timeout=30) as answer:
            assert b"kitti_object" in answer.read()
    finally:
        run.send_signal(signal.SIGINT)
        _, complaints = run.communicate(timeout=30)
    assert run.returncode == 0  # that is how it is ended
    assert "Traceback" not in complaints
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--frame", "99"], "no frame 99"),
        (["--set", "units.seeds.count=0"], "units.seeds.count"),
        (["--cameras", "CAM_NOWHERE"], "CAM_NOWHERE"),
        (["--teacher", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_served(
    words: Sequence[str], complaint: str, example_root: Root
) -> None:
    root = str(example_root("kitti_object"))
    told = CliRunner().invoke(app, ["units", "tune", "--dataset", "kitti_object", "--root", root, *words])
    assert isinstance(told.exception, InputError)
    assert complaint in told.exception.message


def test_the_command_that_is_offered_opens_the_same_data_set(
    example_root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = {}
    monkeypatch.setattr("viz.tuner.serve", lambda source, start, **more: served.update(source=source, start=start))
    experiment = tmp_path / "experiment.yaml"
    dataset = {"name": "kitti_object", "root": str(example_root("kitti_object"))}
    experiment.write_text(yaml.safe_dump({"dataset": dataset, "units": {"seeds": {"count": 64}}}))
    words = ["units", "tune", "--config", str(experiment), "--no-teacher", "--set", "units.seeds.count=32"]
    told = CliRunner().invoke(app, words, catch_exceptions=False)
    assert told.exit_code == 0
    assert served["start"].seeds.count == 32
    assert served["source"].options == f"--dataset kitti_object --root {dataset['root']}"
    assert len(served["source"]) == 2
