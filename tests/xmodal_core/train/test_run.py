"""Run folders: never overwritten, whole or absent, one process at a time; what they are known by later."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess

import pytest

from xmodal_core.errors import InputError, RunError
from xmodal_core.train import run
from xmodal_core.train.checkpoint import Progress
from xmodal_core.train.metrics import MetricsLog, mean_of, read_metrics, summarise


def test_a_new_run_has_its_settings_and_facts(tmp_path, experiment):
    made = experiment()
    run.create_run(tmp_path / "a" / "b", made, {"threads": 1})
    assert sorted(file.name for file in (tmp_path / "a" / "b").iterdir()) == ["run.json", "settings.yaml"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert run.read_run(tmp_path / "a" / "b") == made
    assert run.read_facts(tmp_path / "a" / "b") == {"threads": 1}


def test_a_folder_that_is_there_is_left_alone(tmp_path, experiment):
    (tmp_path / "run").mkdir()
    run.create_run(tmp_path / "run", experiment(), {})  # an empty one may be filled
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    with pytest.raises(InputError, match="never overwritten") as caught:
        run.create_run(tmp_path / "run", experiment(), {"other": 1})
    assert "--resume" in caught.value.hint
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="never overwritten"):
        run.create_run(tmp_path / "file", experiment(), {})
    with pytest.raises(InputError, match="cannot make"):
        run.create_run(tmp_path / "file" / "run", experiment(), {})


def test_names_of_new_runs_are_telling_and_free(tmp_path, experiment):
    first = run.new_folder(experiment(), tmp_path)
    assert first.name.startswith("kitti_raw_units_minkunet_")
    first.mkdir()
    assert not run.new_folder(experiment(), tmp_path).exists()


def test_what_cannot_be_resumed_is_refused(tmp_path, experiment):
    folder = tmp_path / "run"
    run.create_run(folder, experiment(), {})
    assert run.find_run(folder) == folder
    assert run.find_run(folder / "checkpoint.pt") == folder
    (folder / "backbone.safetensors").write_bytes(b"")
    for path in (folder, folder / "backbone.safetensors"):
        with pytest.raises(InputError, match="a network for use") as caught:
            run.find_run(path)
        assert "no run can go on from it" in caught.value.message
    (folder / "checkpoint.pt").write_bytes(b"")
    assert run.find_run(folder) == folder
    with pytest.raises(InputError, match="there is no run"):
        run.find_run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is no run"):
        run.find_run(tmp_path)


def _hold(folder, ready, release):
    with run.locked(folder):
        ready.set()
        release.wait(30)


def test_two_processes_do_not_train_one_run(tmp_path):
    context = multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, release))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(RunError, match=f"being trained by process {holder.pid} on"), run.locked(tmp_path):
        pass
    os.kill(holder.pid, signal.SIGKILL)  # a process that was killed holds nothing
    holder.join()
    with run.locked(tmp_path):
        pass
    with run.locked(tmp_path):
        pass


def test_what_a_run_is_known_by(monkeypatch):
    facts = json.loads(json.dumps(run.facts_of_machine(3)))
    assert facts["seed"] == 3
    assert {"python", "torch", "numpy", "lightning-fabric"} <= set(facts["versions"])

    def no_git(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", no_git)
    assert run.git_revision() is None


def test_what_changed_since_a_run_began_is_told(monkeypatch):
    facts = run.facts_of_machine(0)
    assert run.differences(facts) == ()
    facts["versions"]["torch"] = "1.0"
    facts["git_revision"] = "a" * 40
    monkeypatch.setattr(run, "git_revision", lambda: "b" * 40 + "+changes")
    torch_line, code_line = run.differences(facts)
    assert torch_line.startswith("torch 1.0 then, ")
    assert code_line == f"code {'a' * 10} then, {'b' * 10}+changes now"


def test_metrics_forget_what_came_after_the_checkpoint(tmp_path):
    log = MetricsLog(tmp_path, 0)
    for step in range(1, 6):
        log.write({"step": step, "epoch": 1, "loss": 1.0 / step, "frames": 2})
    log.sync()
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 6, "lo')  # killed while writing
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3, 4, 5]
    log = MetricsLog(tmp_path, 3)
    log.write({"step": 4, "epoch": 1, "loss": 9.0, "frames": 2})
    log.close()
    assert [(line["step"], line["loss"]) for line in read_metrics(tmp_path)][2:] == [(3, 1 / 3), (4, 9.0)]


def test_tensorboard_has_the_same_curves(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = MetricsLog(tmp_path, 0)
    for step in (1, 2, 3):
        log.write({"step": step, "epoch": 1, "loss": step / 2, "frames": 1, "skipped_frames": [["a", "b"]]})
    log.close()
    log = MetricsLog(tmp_path, 1)  # resumed after step 1
    log.write({"step": 2, "epoch": 1, "loss": 7.0, "frames": 1})
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.5), (2, 7.0)]


def test_the_summary_takes_means_over_epochs_weighted_by_frames(tmp_path):
    lines = [
        {"step": 1, "epoch": 1, "loss": 4.0, "frames": 3, "alignment": 0.1},
        {"step": 2, "epoch": 1, "loss": 2.0, "frames": 1, "alignment": 0.3},
        {"step": 3, "epoch": 2, "frames": 0},
        {"step": 4, "epoch": 2, "loss": 1.0, "frames": 2, "alignment": 0.5},
    ]
    summary = summarise(tmp_path, Progress(4, 6, 2, 3.0, 2_500_000_000), lines)
    assert summary.as_json() == {
        "run": str(tmp_path),
        "steps": 4,
        "frames": 6,
        "skipped": 2,
        "loss_first": 3.5,
        "loss_last": 1.0,
        "contrastive_accuracy": None,
        "alignment": 0.5,
        "seconds": 3.0,
        "frames_per_second": 2.0,
        "peak_memory_gb": 2.5,
    }
    assert mean_of([], "loss") is None
