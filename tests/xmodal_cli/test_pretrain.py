"""``xmodal pretrain`` as a person runs it: the header, the last line, and what ends a run from outside."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from xmodal_cli.app import app, main, run
from xmodal_cli.commands import pretrain
from xmodal_cli.watch import clock, in_words
from xmodal_core.datasets import kitti_raw
from xmodal_core.errors import InputError
from xmodal_core.train import loop
from xmodal_core.train.backbone import load_backbone
from xmodal_core.train.checkpoint import load_checkpoint
from xmodal_core.train.metrics import read_metrics

KEYS = [
    "run",
    "steps",
    "frames",
    "skipped",
    "loss_first",
    "loss_last",
    "seconds",
    "frames_per_second",
    "peak_memory_gb",
    "contrastive_accuracy",
    "alignment",
]
SMALL = (
    "units.seeds.count=64",
    "teacher.image_width=128",
    "train.threads=1",
    "network.voxel_size=0.5",
    "method.hidden=32",
    "method.projection=16",
)


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    root = kitti_raw.example(tmp_path_factory.mktemp("drive") / "root", frames=4)
    next(root.rglob("tracklet_labels.xml")).unlink()  # labels are not needed, and that they are not there is said
    return root


def _arguments(drive: Path, out: Path, *more: str) -> list[str]:
    settings = [word for text in SMALL for word in ("--set", text)]
    data = ["--dataset", "kitti_raw", "--root", str(drive), "--device", "cpu"]
    return ["pretrain", *data, "--batch-size", "2", "--epochs", "3", "--out", str(out), *settings, *more]


def _start(arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from xmodal_cli.app import main; main()", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _wait_for_step(run: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Until the run has written the line of ``step``."""
    for _ in range(2400):
        if len(read_metrics(run)) >= step:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.025)
    pytest.fail("the run did not get that far within a minute")


def _lines(run: Path) -> list[dict[str, object]]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in read_metrics(run)]


@pytest.fixture(scope="module")
def finished(drive, tmp_path_factory):
    """A run that was never stopped: its folder, and what it printed on both streams."""
    run = tmp_path_factory.mktemp("finished") / "run"
    process = _start(_arguments(drive, run, "--json"))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return run, out, err


def test_it_ends_with_one_line_of_json(finished):
    run, out, _ = finished
    (line,) = out.splitlines()
    summary = json.loads(line)
    assert list(summary) == KEYS
    assert (summary["run"], summary["steps"], summary["frames"], summary["skipped"]) == (str(run), 6, 12, 0)
    assert summary["loss_last"] < summary["loss_first"]
    assert 0 < summary["peak_memory_gb"] < 6
    assert summary == json.loads((run / "summary.json").read_text())


def test_it_says_what_runs_on_what(finished):
    run, _, err = finished
    for words in (
        "method units, network minkunet (tiny, ",
        "teacher efficientnet_lite0",
        "4 frames of kitti_raw",
        "no boxes, without tracklet_labels.xml",
        "cpu, 1 thread, 32 bits",
        "2 per device x 1 device x 1 accumulation = 2 frames effective",
        "3 epochs x 2 steps = 6 steps",
        "epoch 3 of 3: loss",
        str(run),
    ):
        assert words in err
    assert "Warning" not in err


def test_killed_then_stopped_it_comes_to_the_same_weights(drive, finished, tmp_path):
    """kill -9 after a checkpoint and some steps, then Ctrl-C in the resumed run, then on to the end."""
    whole, run = finished[0], tmp_path / "run"
    killed = _start(_arguments(drive, run))
    _wait_for_step(run, 3, killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait(30)
    before = load_checkpoint(run / "checkpoint.pt").progress.step
    assert before >= 2

    said = tmp_path / "said.txt"
    stopped = multiprocessing.get_context("fork").Process(target=_main, args=(["--resume", str(run)], said))
    stopped.start()
    _wait_for_new_line(run, stopped)
    os.kill(stopped.pid, signal.SIGINT)
    stopped.join(60)
    assert f"resumed after step {before}" in said.read_text()
    if stopped.exitcode == 130:  # else it had been faster than we
        assert "everything is saved" in said.read_text()
        assert f"xmodal pretrain --resume {run}" in said.read_text()

    done = CliRunner().invoke(app, ["pretrain", "--resume", str(run), "--json"])
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)["steps"] == 6
    found, expected = (load_checkpoint(folder / "checkpoint.pt") for folder in (run, whole))
    torch.testing.assert_close(dict(found.method), dict(expected.method), rtol=0, atol=0)
    torch.testing.assert_close(dict(found.optimizer), dict(expected.optimizer), rtol=0, atol=0)
    networks = [dict(load_backbone(folder).tensors) for folder in (run, whole)]
    torch.testing.assert_close(*networks, rtol=0, atol=0)
    assert _lines(run) == _lines(whole)


def _main(arguments: list[str], said: Path) -> None:
    """The command in a process of its own, without loading everything again; what it says goes to a file."""
    sys.argv = ["xmodal", "pretrain", *arguments]
    with said.open("w", buffering=1) as sys.stderr:
        main()


def _wait_for_new_line(run: Path, process: BaseProcess) -> None:
    """Until a resumed run has begun: it holds the run, and has written a line since."""
    begun = (run / "metrics.jsonl").stat().st_mtime_ns
    for _ in range(2400):
        if not process.is_alive() or (run / "metrics.jsonl").stat().st_mtime_ns > begun:
            return
        time.sleep(0.025)
    pytest.fail("the run did not go on within a minute")


def test_what_is_there_is_never_overwritten(drive, finished):
    run = finished[0]
    before = {file: file.read_bytes() for file in run.iterdir() if file.is_file()}
    done = CliRunner().invoke(app, _arguments(drive, run))
    assert isinstance(done.exception, InputError)
    assert "never overwritten" in done.exception.message
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--epochs", "5"], "cannot be given with --epochs"),
        (["--network", "pillars"], "cannot be given with --network"),
        (["--set", "train.adam.lr=1"], "cannot be given with --set train.adam.lr=1"),
        (["--out", "elsewhere"], "cannot be given with --out"),
        (["--cameras", "02"], "cannot be given with --cameras"),
        (["--perturb-calibration", "1"], "cannot be given with --perturb-calibration"),
    ],
)
def test_a_resumed_run_keeps_its_settings(more, complaint, finished):
    done = CliRunner().invoke(app, ["pretrain", "--resume", str(finished[0]), *more])
    assert isinstance(done.exception, InputError)
    assert complaint in done.exception.message


def test_a_network_for_use_is_not_resumed(finished):
    done = CliRunner().invoke(app, ["pretrain", "--resume", str(finished[0] / "backbone.safetensors")])
    assert isinstance(done.exception, InputError)
    assert "a network for use, without optimiser and position" in done.exception.message


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--network", "nonet"], "unknown network 'nonet'"),
        (["--set", "train.epoch=3"], "there is no setting 'train.epoch'"),
        (["--precision", "16-mixed"], "needs a GPU"),
        (["--precision", "8"], "train.precision"),
        (["--split", "val"], "unknown split 'val'"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_bad_input_is_named_and_nothing_is_made(more, complaint, drive, tmp_path):
    done = CliRunner().invoke(app, _arguments(drive, tmp_path / "run", *more))
    assert isinstance(done.exception, InputError)
    assert complaint in done.exception.message
    assert not list(tmp_path.iterdir())


def test_the_settings_of_a_run_make_it_again(drive, finished, tmp_path):
    arguments = ["pretrain", "--config", str(finished[0] / "settings.yaml"), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.exception
    assert _lines(tmp_path / "run") == _lines(finished[0])


def test_help_comes_without_torch():
    code = (
        "import sys\nfrom xmodal_cli.app import app\n"
        "try:\n    app(['pretrain', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'lightning_fabric' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for option in ("--dataset", "--resume", "--precision", "--json"):
        assert option in done.stdout


def test_words():
    assert [clock(seconds) for seconds in (0, 59.6, 61, 3599, 3661)] == ["0:00", "1:00", "1:01", "59:59", "1:01:01"]
    assert in_words({"loss": 1.5, "alignment": 0.25}) == "loss 1.500, alignment 0.250"
    assert in_words({"frames": 0}) == "no frame could be used"


def test_without_a_data_set_it_takes_the_sample_drive(example_root, tmp_path, monkeypatch):
    monkeypatch.setattr("xmodal_cli.drive.ensure_sample_drive", lambda: example_root("sample"))
    monkeypatch.chdir(tmp_path)
    settings = [word for text in SMALL for word in ("--set", text)]
    done = CliRunner().invoke(app, ["pretrain", "--epochs", "1", "--frames", "1", "--json", *settings])
    assert done.exit_code == 0, done.exception
    summary = json.loads(done.stdout)
    assert summary["frames"] == 1
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("sample_units_minkunet_")
    assert summary["run"] == f"runs/{run.name}"


def test_the_data_set_is_found_and_bad_frames_are_skipped_on_demand(example_root, monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "pretrain", lambda experiment, out, **options: seen.append(experiment))
    monkeypatch.setattr(pretrain, "_prepare_teacher", lambda experiment: None)
    monkeypatch.setenv("XMODAL_ROOT_KITTI_OBJECT", str(example_root("kitti_object")))
    assert run(["pretrain", "--root", str(example_root("folder")), "--skip-bad", "--device", "cpu"]) == 0
    assert run(["pretrain", "--dataset", "kitti_object", "--device", "cpu"]) == 0
    assert [experiment.dataset.name for experiment in seen] == ["folder", "kitti_object"]
    assert [experiment.root for experiment in seen] == [example_root("folder"), example_root("kitti_object")]
    assert [experiment.train.damaged for experiment in seen] == ["skip", "stop"]
