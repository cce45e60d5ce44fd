"""Whole runs of the stand-ins: that they learn, what they leave, how they end, and that resuming is exact."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch

from xmodal_core.datasets import open_dataset
from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.train import devices, loop, run, sitting
from xmodal_core.train.backbone import load_backbone
from xmodal_core.train.checkpoint import load_checkpoint
from xmodal_core.train.metrics import read_metrics
from xmodal_core.train.report import Listener
from xmodal_core.train.sitting import RunInterruptedError


class Heard(Listener):
    def __init__(self) -> None:
        self.headers, self.lines, self.epochs, self.saves = [], [], [], []

    def begins(self, header):
        self.headers.append(header)

    def step(self, line):
        self.lines.append(line)

    def epoch(self, epoch, means):
        self.epochs.append((epoch, means))

    def saved(self, step):
        self.saves.append(step)


class StopAfter:
    """Asks to stop once so many steps are done."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def _content(folder):
    """Everything a run came to but its times."""
    found = load_checkpoint(folder / "checkpoint.pt")
    lines = [{name: value for name, value in line.items() if name != "seconds"} for line in read_metrics(folder)]
    return found, lines


def _assert_same(folder, other):
    (found, lines), (other_found, other_lines) = _content(folder), _content(other)
    torch.testing.assert_close(dict(found.method), dict(other_found.method), rtol=0, atol=0)
    torch.testing.assert_close(dict(found.optimizer), dict(other_found.optimizer), rtol=0, atol=0)
    assert lines == other_lines
    assert found.scaler == other_found.scaler
    assert (found.progress.step, found.progress.frames, found.progress.skipped) == (
        other_found.progress.step,
        other_found.progress.frames,
        other_found.progress.skipped,
    )
    backbones = [load_backbone(each).tensors for each in (folder, other)]
    torch.testing.assert_close(dict(backbones[0]), dict(backbones[1]), rtol=0, atol=0)


def test_it_learns_and_leaves_a_run(experiment, tmp_path, build):
    made, heard = experiment(train__epochs=8), Heard()
    summary = loop.pretrain(made, tmp_path / "run", build=build, listener=heard)
    assert summary.steps == 8 * 3
    assert summary.frames == 8 * 5
    assert summary.loss_last < summary.loss_first
    names = {file.name for file in (tmp_path / "run").iterdir()}
    assert {"settings.yaml", "run.json", "metrics.jsonl", "checkpoint.pt", "backbone.safetensors"} <= names
    assert not [name for name in names if name.endswith(".partial")]
    lines = read_metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == list(range(1, 25))
    assert [line["epoch"] for line in lines] == [1 + step // 3 for step in range(24)]
    assert {"loss", "contrastive_accuracy", "alignment", "lr", "gradient_norm", "seconds"} <= set(lines[0])
    assert heard.lines == lines
    assert [epoch for epoch, _ in heard.epochs] == list(range(1, 9))
    assert heard.epochs[-1][1]["loss"] == pytest.approx(summary.loss_last)
    assert heard.saves[-1] == 24
    (header,) = heard.headers
    assert header.parameters == sum(p.numel() for p in build(made).method.network.parameters())
    assert run.read_run(tmp_path / "run") == made


def test_the_slim_file_is_the_network_with_its_card(experiment, tmp_path, build):
    loop.pretrain(experiment(train__epochs=1), tmp_path / "run", build=build)
    slim = load_backbone(tmp_path / "run")
    full = load_checkpoint(tmp_path / "run" / "checkpoint.pt").method
    assert set(slim.tensors) == {name.removeprefix("network.") for name in full if name.startswith("network.")}
    for name, tensor in slim.tensors.items():
        assert torch.equal(tensor, full[f"network.{name}"])
    assert {"schema", "network", "network_settings", "dataset", "settings", "versions", "metrics"} <= set(slim.card)
    assert slim.card["classes"]["boxes"] == build(experiment()).dataset.label_classes()["boxes"]
    assert "Car" in slim.card["classes"]["boxes"]
    assert str(tmp_path) not in json.dumps(slim.card), "the file is given away, its maker's folders are not"
    assert slim.card["settings"]["train"]["epochs"] == 1
    told = sitting.without_folders({"cache": {"folder": str(tmp_path / "kept"), "max_gb": 1.0}, "name": "a/b"})
    assert told == {"cache": {"folder": "kept", "max_gb": 1.0}, "name": "a/b"}
    assert slim.card["metrics"]["steps"] == 3
    assert not [name for name in full if name.startswith("teacher.")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, build):
    """Runs that were never stopped, each trained once."""
    folder = tmp_path_factory.mktemp("whole")
    made = {}

    def train(name, experiment):
        if name not in made:
            made[name] = folder / name
            loop.pretrain(experiment, made[name], build=build)
        return made[name]

    return train


VARIANTS = {
    "adam": {},
    "sgd": {"train__optimizer": "sgd", "train__sgd__lr": 0.05},
    "accumulate": {"train__accumulate": 2, "train__batch_size": 1},
}


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_asked_to_stop_and_resumed_is_the_same(variant, steps, experiment, whole, tmp_path, build):
    made = experiment(**VARIANTS[variant])
    with pytest.raises(RunInterruptedError, match=f"stopped after step {steps} of"):
        loop.pretrain(made, tmp_path / "run", build=build, stop=StopAfter(steps))
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt").progress.step == steps
    assert not (tmp_path / "run" / "summary.json").exists()
    summary = loop.resume(tmp_path / "run", build=build)
    _assert_same(tmp_path / "run", whole(variant, made))
    assert summary.steps == 6


def test_the_scaler_of_16_bits_goes_on_too(experiment, tmp_path, build, monkeypatch):
    """Its scale starts too high, falls, and must not start again."""
    monkeypatch.setattr(devices, "make_precision", lambda train, accelerator: devices.Autocast("16-mixed", accelerator))
    made = experiment(train__epochs=4)
    loop.pretrain(made, tmp_path / "whole", build=build)
    with pytest.raises(RunInterruptedError):
        loop.pretrain(made, tmp_path / "run", build=build, stop=StopAfter(7))
    scale = load_checkpoint(tmp_path / "run" / "checkpoint.pt").scaler["scale"]
    assert scale < devices.Autocast("16-mixed", "cpu").scaler.get_scale()
    loop.resume(tmp_path / "run", build=build)
    _assert_same(tmp_path / "run", tmp_path / "whole")
    assert "Infinity" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert read_metrics(tmp_path / "run")[0]["gradient_norm"] is None


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize(("last", "kept"), [(1, 0), (2, 0), (4, 3), (5, 3)])
def test_killed_anywhere_and_resumed_is_the_same(last, kept, experiment, whole, tmp_path, build):
    """The run dies in the step after ``last``; what came after the checkpoint of ``kept`` steps is done again."""
    made = experiment()
    done = 0

    def die(loss, batch):
        nonlocal done
        done += 1
        if done > last:
            raise Killed
        return loss

    with pytest.raises(Killed):
        loop.pretrain(made, tmp_path / "run", build=partial(build, meddle=die))
    assert len(read_metrics(tmp_path / "run")) == last
    heard = Heard()
    loop.resume(tmp_path / "run", build=build, listener=heard)
    assert heard.headers[0].step == kept
    _assert_same(tmp_path / "run", whole("adam", made))


def test_a_checkpoint_within_an_epoch_is_taken_up_there(experiment, whole, tmp_path, build):
    made, heard = experiment(train__checkpoint_minutes=0), Heard()
    with pytest.raises(RunInterruptedError):
        loop.pretrain(made, tmp_path / "run", build=build, stop=StopAfter(4), listener=heard)
    assert heard.saves == [1, 2, 3, 4]
    loop.resume(tmp_path / "run", build=build)
    _assert_same(tmp_path / "run", whole("adam", experiment()))


def test_worker_processes_make_no_difference(experiment, whole, tmp_path, build):
    made = experiment(train__workers=2)
    loop.pretrain(made, tmp_path / "run", build=build)
    _assert_same(tmp_path / "run", whole("adam", experiment()))


def test_seeds_make_a_difference_and_runs_are_repeatable(experiment, whole, tmp_path, build):
    loop.pretrain(experiment(), tmp_path / "again", build=build)
    _assert_same(tmp_path / "again", whole("adam", experiment()))
    loop.pretrain(experiment(train__seed=1), tmp_path / "other", build=build)
    assert read_metrics(tmp_path / "other")[0]["loss"] != read_metrics(tmp_path / "again")[0]["loss"]


def test_accumulation_gives_the_gradient_of_the_whole(experiment, tmp_path, build):
    """Without norms over the batch, two batches of one frame are the mean of what each gives."""
    kept = {}

    def keep(name):
        def meddle(loss, batch):
            kept.setdefault(name, []).append((batch.names, loss.item()))
            return loss

        return partial(build, meddle=meddle)

    loop.pretrain(
        experiment(train__accumulate=2, train__batch_size=1, train__epochs=1), tmp_path / "two", build=keep("two")
    )
    lines = read_metrics(tmp_path / "two")
    assert [line["frames"] for line in lines] == [2, 2, 1]
    losses = [loss for _, loss in kept["two"]]
    assert lines[0]["loss"] == pytest.approx(sum(losses[:2]) / 2)
    assert lines[2]["loss"] == pytest.approx(losses[4])


def test_a_finished_run_is_resumed_to_its_summary(experiment, tmp_path, build):
    summary = loop.pretrain(experiment(train__epochs=1), tmp_path / "run", build=build)
    before = _content(tmp_path / "run")[1]
    (tmp_path / "run" / "summary.json").unlink()
    assert loop.resume(tmp_path / "run", build=build) == summary
    assert _content(tmp_path / "run")[1] == before
    assert (tmp_path / "run" / "summary.json").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run(value, experiment, tmp_path, build):
    names = []

    def spoil(loss, batch):
        names.append(batch.names)
        return loss * value if len(names) == 5 else loss

    with pytest.raises(RunError) as caught:
        loop.pretrain(experiment(), tmp_path / "run", build=partial(build, meddle=spoil))
    assert f"the loss became {value} at step 5 (epoch 2)" in caught.value.message
    assert all(name in caught.value.message for name in names[4])
    assert "the last good checkpoint (3 steps) stays" in caught.value.hint
    found = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert found.progress.step == 3
    assert all(torch.isfinite(tensor).all() for tensor in found.method.values())
    assert len(read_metrics(tmp_path / "run")) == 4


def test_a_gradient_that_is_no_number_stops_the_run_too(experiment, tmp_path, build):
    class Spoil(torch.autograd.Function):
        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * float("nan")

    with pytest.raises(RunError, match="the gradient became nan at step 1") as caught:
        loop.pretrain(
            experiment(), tmp_path / "run", build=partial(build, meddle=lambda loss, batch: Spoil.apply(loss))
        )
    assert "there is no checkpoint yet" in caught.value.hint
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_no_memory_names_three_knobs(error, experiment, tmp_path, build):
    def fail(loss, batch):
        raise error

    with pytest.raises(RunError) as caught:
        loop.pretrain(experiment(), tmp_path / "run", build=partial(build, meddle=fail))
    assert "out of memory at step 1" in caught.value.message
    for knob in ("--batch-size (now 2", "teacher.image_width=… (now 800)", "network.preset=… (now tiny)"):
        assert knob in caught.value.hint


def test_other_errors_stay_what_they_are(experiment, tmp_path, build):
    def fail(loss, batch):
        raise RuntimeError("a mistake in the code")

    with pytest.raises(RuntimeError, match="a mistake in the code"):
        loop.pretrain(experiment(), tmp_path / "run", build=partial(build, meddle=fail))


def test_a_full_disk_keeps_the_last_checkpoint(experiment, tmp_path, monkeypatch, build):
    def full(file, state):
        if state.progress.step > 3:
            raise OSError(28, "No space left on device")
        save(file, state)

    save = sitting.save_checkpoint
    monkeypatch.setattr(sitting, "save_checkpoint", full)
    with pytest.raises(RunError, match="No space left on device") as caught:
        loop.pretrain(experiment(), tmp_path / "run", build=build)
    assert "go on from step 3" in caught.value.hint
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt").progress.step == 3


def test_frames_of_no_use_are_counted_and_named(experiment, tmp_path, build):
    usable = ("0000000000", "0000000012")

    def few(made):
        parts = build(made)
        frame = parts.dataset.frame

        def some_without_cameras(index):
            found = frame(index)
            return found if found.name.endswith(usable) else replace(found, cameras=())

        parts.dataset.frame = some_without_cameras
        return parts

    summary = loop.pretrain(experiment(train__batch_size=1), tmp_path / "run", build=few)
    assert (summary.frames, summary.skipped, summary.steps) == (4, 6, 10)
    lines = read_metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == list(range(1, 11))
    for line in lines:
        assert line["frames"] + line["skipped"] == 1
        assert ("loss" in line) == bool(line["frames"])
        assert line.get("skipped_frames", []) == [] or line["skipped_frames"][0][1] == "no camera"
    with pytest.raises(RunInterruptedError):
        loop.pretrain(experiment(train__batch_size=1), tmp_path / "stopped", build=few, stop=StopAfter(7))
    loop.resume(tmp_path / "stopped", build=few)
    _assert_same(tmp_path / "stopped", tmp_path / "run")


def test_nothing_but_frames_of_no_use_ends_the_run(experiment, tmp_path, build):
    with pytest.raises(RunError, match="none of the 5 frames can be trained on; most often: fewer than 4000 units"):
        loop.pretrain(experiment(train__min_units=4000), tmp_path / "run", build=build)


def test_a_damaged_frame_ends_the_run_by_name_and_mended_it_goes_on(experiment, drive, whole, tmp_path, build):
    root = shutil.copytree(drive, tmp_path / "damaged")
    (picture,) = root.rglob("image_02/data/0000000004.png")
    content = picture.read_bytes()
    picture.write_bytes(b"")
    made = replace(experiment(train__workers=1), root=root)
    with pytest.raises(DataError, match=r"0000000004\.png.*stopped before step (\d), everything is saved") as caught:
        loop.pretrain(made, tmp_path / "run", build=build)
    assert "--skip-bad" in caught.value.hint
    assert f"--resume {tmp_path / 'run'}" in caught.value.hint
    picture.write_bytes(content)
    loop.resume(tmp_path / "run", build=build)
    _assert_same(tmp_path / "run", whole("adam", experiment()))


def test_a_damaged_frame_is_left_out_on_demand(experiment, drive, tmp_path, build):
    root = shutil.copytree(drive, tmp_path / "damaged")
    (sweep,) = root.rglob("velodyne_points/data/0000000008.bin")
    sweep.write_bytes(b"123")
    made = replace(experiment(train__damaged="skip", train__epochs=1), root=root)
    assert loop.pretrain(made, tmp_path / "run", build=build).skipped == 1
    (skipped,) = [line["skipped_frames"] for line in read_metrics(tmp_path / "run") if line["skipped"]]
    assert "0000000008.bin" in skipped[0][1]
    with pytest.raises(RunInterruptedError):
        loop.pretrain(made, tmp_path / "stopped", build=build, stop=StopAfter(1))
    loop.resume(tmp_path / "stopped", build=build)
    _assert_same(tmp_path / "stopped", tmp_path / "run")


def test_other_data_than_before_is_refused(experiment, drive, tmp_path, build):
    with pytest.raises(RunInterruptedError):
        loop.pretrain(experiment(), tmp_path / "run", build=build, stop=StopAfter(1))
    root = shutil.copytree(drive, tmp_path / "moved")
    (sweep,) = root.rglob("velodyne_points/data/0000000004.bin")
    kept = sweep.read_bytes()
    sweep.unlink()
    with pytest.raises(InputError, match=r"other frames.*4 now, 5 then"):
        loop.resume(tmp_path / "run", root=root, build=build)
    sweep.write_bytes(kept)
    with pytest.raises(InputError, match="device"):
        loop.resume(tmp_path / "run", root=root, device="abacus", build=build)
    loop.resume(tmp_path / "run", root=root, build=build)  # moved, but the same


def test_a_run_at_work_is_not_resumed(experiment, tmp_path, build):
    tried = []

    def meanwhile(loss, batch):
        if not tried:
            with pytest.raises(RunError, match="is being trained by process") as caught:
                loop.resume(tmp_path / "run", build=build)
            tried.append(caught.value)
        return loss

    loop.pretrain(experiment(train__epochs=1), tmp_path / "run", build=partial(build, meddle=meanwhile))
    assert tried


def test_without_a_frame_there_is_nothing_to_train_on(experiment, tmp_path, build):
    class Empty(type(open_dataset("kitti_raw", experiment().root))):
        def __len__(self):
            return 0

    def empty(made):
        parts = build(made)
        return parts._replace(dataset=Empty(made.root, made.dataset.options))

    with pytest.raises(InputError, match="there is no frame in"):
        loop.pretrain(experiment(), tmp_path / "run", build=empty)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"train__precision": "16-mixed"}, "needs a GPU"),
        ({"train__precision": "bf16-mixed"}, "needs a GPU"),
    ],
)
def test_what_the_machine_cannot_is_said_before_anything_is_made(settings, complaint, experiment, tmp_path, build):
    with pytest.raises(InputError, match=complaint):
        loop.pretrain(experiment(**settings), tmp_path / "run", build=build)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_said_before_anything_is_made(experiment, tmp_path, build):
    with pytest.raises(InputError, match="there is no GPU") as caught:
        loop.pretrain(experiment(train__device="cuda"), tmp_path / "run", build=build)
    assert "--device cpu" in caught.value.hint


def test_no_process_is_left_over_after_an_error(experiment, tmp_path, build):
    """Not even while somebody holds the error: what reads frames would keep Python from exiting."""

    def fail(loss, batch):
        raise RunError("an error", "")

    with pytest.raises(RunError) as held:
        loop.pretrain(experiment(train__workers=2), tmp_path / "run", build=partial(build, meddle=fail))
    assert not multiprocessing.active_children()
    assert held.value.message == "an error"
