"""Jobs by a small command in place of xmodal: run once, gone on with, failed, tried again, several at once."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from xmodal_core.errors import InputError, RunError
from xmodal_core.study.grid import FINETUNE, PRETRAIN, Job
from xmodal_core.study.jobs import LOCK, RESULT, SETTINGS, Here, Listener, Place, Runner
from xmodal_core.study.slurm import Slurm

COMMAND = """
import json, sys, time, signal, yaml
from pathlib import Path
words = sys.argv[1:]
resume = "--resume" in words
run = Path(words[words.index("--resume" if resume else "--out") + 1])
settings = yaml.safe_load((run.parent / "settings.yaml").read_text())
run.mkdir(exist_ok=True)
(run / "settings.yaml").touch()
(run / "run.json").write_text(json.dumps({"git_revision": "abc"}))
told = settings["train"]
source = settings.get("init", {}).get("source")
if source and not (Path(source) / "run.json").exists():
    sys.exit("begun too early")
if told.get("breaks") and not (run / "mended").exists():
    (run / "mended").touch()
    print("error: it broke")
    sys.exit(1)
if told.get("waits") and not resume:
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    print("waiting", flush=True)
    time.sleep(60)
with (run.parent.parent / "order.txt").open("a") as order:
    order.write(words[0] + "\\n")
print("some words")
print(json.dumps({"resumed": resume, "seed": told["seed"]}))
"""


@pytest.fixture
def launcher(tmp_path) -> Here:
    script = tmp_path / "command.py"
    script.write_text(COMMAND)
    return Here((sys.executable, str(script)))


class Heard(Listener):
    def __init__(self) -> None:
        self.words: list[str] = []

    def begins(self, waiting, done, failed):
        self.words.append(f"{waiting} {done} {failed}")

    def ended(self, job, state, why, left):
        self.words.append(f"{job.verb} {state} {why}".strip())


def jobs(**train: object) -> list[Job]:
    first = Job(PRETRAIN, {"train": {"seed": 0, **train}})
    return [first, *(Job(FINETUNE, {"train": {"seed": seed}}, first) for seed in (1, 2))]


def runner(folder: Path, wanted: list[Job], launcher: Here, **more: object) -> Runner:
    return Runner(folder, wanted, launcher, poll=0.02, **more)


def test_what_is_needed_runs_first_and_what_is_done_runs_no_more(launcher, tmp_path):
    folder, wanted, heard = tmp_path / "jobs", jobs(), Heard()
    states = runner(folder, wanted, launcher, at_once=2, listener=heard).run()
    assert set(states.values()) == {"done"}
    assert heard.words == ["3 0 0", "pretrain done", "finetune done", "finetune done"]
    result = Place(folder, wanted[2]).result()
    assert (result["result"], result["git_revision"]) == ({"resumed": False, "seed": 2}, "abc")
    again = Heard()
    runner(folder, wanted, launcher, listener=again).run()
    assert again.words == ["0 3 0"]
    assert (folder / "order.txt").read_text().split() == [PRETRAIN, FINETUNE, FINETUNE]


def test_what_failed_is_marked_and_tried_again_when_asked_to(launcher, tmp_path):
    folder, wanted = tmp_path / "jobs", jobs(breaks=True)
    states = runner(folder, wanted, launcher).run()
    assert list(states.values()) == ["failed", "waiting", "waiting"]
    assert Place(folder, wanted[0]).why() == "error: it broke"
    assert list(runner(folder, wanted, launcher).run().values()) == ["failed", "waiting", "waiting"]
    heard = Heard()
    assert set(runner(folder, wanted, launcher, retry=True, listener=heard).run().values()) == {"done"}
    assert heard.words[0] == "3 0 1"
    assert Place(folder, wanted[0]).result()["result"]["resumed"]  # it went on where it was


def test_a_study_that_is_stopped_lets_jobs_save_and_goes_on_with_them(launcher, tmp_path):
    folder, wanted = tmp_path / "jobs", jobs(waits=True)
    log = Place(folder, wanted[0]).path / "log.txt"
    heard = Heard()
    stopped = runner(
        folder, wanted, launcher, listener=heard, stop=lambda: log.exists() and "waiting" in log.read_text()
    )
    with pytest.raises(RunError, match="stopped"):
        stopped.run()
    assert heard.words[1:] == ["pretrain waiting unknown"]
    assert Place(folder, wanted[0]).state() == "waiting"
    assert set(runner(folder, wanted, launcher).run().values()) == {"done"}
    assert Place(folder, wanted[0]).result()["result"]["resumed"]


def test_a_job_that_another_process_is_at_is_waited_for_not_run_twice(launcher, tmp_path):
    folder, wanted = tmp_path / "jobs", jobs()
    place = Place(folder, wanted[0])
    place.path.mkdir(parents=True)
    lock = FileLock(place.path / LOCK, thread_local=False)
    lock.acquire()
    assert place.state() == "running"

    def finish() -> None:
        place.prepare()
        (place.path / "run").mkdir()
        (place.path / "run" / "run.json").write_text("{}")
        (place.path / RESULT).write_text(json.dumps({"result": {"by": "another"}}))
        lock.release()

    threading.Timer(0.3, finish).start()
    assert set(runner(folder, wanted, launcher).run().values()) == {"done"}
    assert place.result()["result"] == {"by": "another"}
    assert (folder / "order.txt").read_text().split() == [FINETUNE, FINETUNE]


def test_fine_tuning_begins_with_the_network_of_its_pre_training(tmp_path):
    first, second, _ = jobs()
    place = Place(tmp_path, second)
    words = place.prepare()
    assert words == ["finetune", "--config", str(place.path / SETTINGS), "--out", str(place.path / "run"), "--json"]
    source = str((tmp_path / first.name / "run").absolute())
    assert f"source: {source}" in (place.path / SETTINGS).read_text()


def test_without_submitit_it_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match="not installed") as caught:
        Slurm(tmp_path)
    assert caught.value.hint == "pip install submitit"


def test_submitit_runs_jobs_as_well(launcher, tmp_path):
    pytest.importorskip("submitit")
    slurm = Slurm(tmp_path, {}, cluster="local", command=launcher.command)
    assert set(runner(tmp_path / "jobs", jobs(), slurm).run().values()) == {"done"}
