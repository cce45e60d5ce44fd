"""``xmodal units stats`` as a person runs it: the numbers are those of the engine, and nothing done is lost."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from xmodal_cli.app import app
from xmodal_cli.survey_tables import count, share
from xmodal_core.datasets import open_dataset
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.images import load_teacher, unit_negatives
from xmodal_core.types import Frame
from xmodal_core.units.config import SeedsConfig, UnitsConfig
from xmodal_core.units.discovery import discover
from xmodal_core.units.statistics import average, measure

Root = Callable[[str], Path]
Stats = Callable[..., Result]
SMALL = ("--set", "units.seeds.count=64", "--set", "teacher.image_width=128", "--set", "teacher.weights=random")
CONFIG = UnitsConfig(seeds=SeedsConfig(count=64))


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)


@pytest.fixture
def stats(example_root: Root) -> Stats:
    def run(*words: str, dataset: str = "kitti_object", root: Path | None = None) -> Result:
        where = ("--dataset", dataset, "--root", str(root or example_root(dataset)))
        return CliRunner().invoke(app, ["units", "stats", *where, *SMALL, *words])

    return run


def last_line(done: Result, code: int = 0) -> dict[str, Any]:
    assert done.exit_code == code, done.output
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("dataset", ["kitti_object", "nuscenes"])
def test_the_means_are_those_of_the_frames(dataset: str, stats: Stats, example_root: Root) -> None:
    told = last_line(stats("--no-teacher", "--json", dataset=dataset))
    frames = list(open_dataset(dataset, example_root(dataset)))
    expected = average([measure(frame, discover(frame, CONFIG), CONFIG) for frame in frames]).as_json()
    assert {name: told[name] for name in expected if name != "milliseconds"} == {
        name: value for name, value in expected.items() if name != "milliseconds"
    }
    assert told["frames"] == 2
    assert set(told["milliseconds"]) == set(expected["milliseconds"])
    assert ("ground_precision" in told["quality"]) == (frames[0].semantic is not None)
    assert [way["name"] for way in told["false_negative_pairs"]] == ["seeds", "instances"]


def test_the_similarity_balance_is_the_methods(stats: Stats, example_root: Root) -> None:
    options = ("--set", "method.negatives=0.2", "--set", "method.literal=true")
    told = last_line(stats("--frame", "1", "--json", *options, dataset="nuscenes"))
    frame = open_dataset("nuscenes", example_root("nuscenes")).frame(1)
    units = discover(frame, CONFIG)
    teacher = load_teacher("efficientnet_lite0", {"image_width": 128, "weights": "random"})
    negatives = unit_negatives(frame, units, teacher, 0.2, literal=True)
    quality = measure(frame, units, CONFIG, negatives=negatives).quality
    assert quality is not None
    assert told["quality"]["false_negative_class"] == pytest.approx(quality.false_negative_class, rel=1e-3)
    balance = told["false_negative_pairs"][-1]
    assert balance["name"] == "balance"
    assert balance["false_negative_class"] == told["quality"]["false_negative_class"]
    each = balance["negatives_class"] / balance["false_negative_class"]
    assert each == pytest.approx(negatives.sum(axis=1).mean(), rel=1e-3)


def test_tables_for_a_person(stats: Stats) -> None:
    done = stats("--no-teacher", "--perturb-calibration", "2")
    assert done.exit_code == 0, done.output
    for words in ("units of 2 frames", "mean of frames", "least", "rejected: too few points", "seen by image_2"):
        assert words in done.stdout
    for words in ("instance recall", "under-segmentation", "pixels moved by miscalibration", "all steps"):
        assert words in done.stdout
    assert "false negative pairs" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    alone = stats("--no-teacher", "--frame", "0")
    assert "units of one frame" in alone.stdout
    assert "least" not in alone.stdout


def test_peers_stand_beside_ours(stats: Stats) -> None:
    told = last_line(stats("--no-teacher", "--peers", "--frame", "0", "--json"))
    rows = {way["name"]: way for way in told["false_negative_pairs"]}
    assert list(rows) == ["seeds", "instances", "points", "segments", "superpixels"]
    assert "SLidR" in rows["superpixels"]["title"]
    assert "instance_recall" not in rows["points"]
    assert rows["superpixels"]["units"] > 1


def test_reports(stats: Stats, tmp_path: Path, example_root: Root) -> None:
    told = last_line(stats("--no-teacher", "--out", "new/folder/r.json", "--json"))
    assert told["file"] == "new/folder/r.json"
    report = json.loads((tmp_path / "new/folder/r.json").read_text())
    timed = {"file", "milliseconds", "false_negative_pairs"}
    assert {name: report[name] for name in told if name not in timed} == {
        name: value for name, value in told.items() if name not in timed
    }
    assert [row["frame"] for row in report["per_frame"]] == [0, 1]
    assert np.mean([row["units"] for row in report["per_frame"]]) == told["units"]
    assert report["settings"]["seeds"]["count"] == 64

    assert stats("--no-teacher", "--out", "r.csv").exit_code == 0
    with open("r.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["units"]) for row in rows] == [row["units"] for row in report["per_frame"]]
    assert [row["name"] for row in rows] == ["000000", "000007"]

    done = stats("--no-teacher", "--out", "r.html", "--frame", "1:2")
    assert done.exit_code == 0, done.output
    assert done.stdout.rstrip().endswith("r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    root = example_root("kitti_object")
    assert f"xmodal units show --dataset kitti_object --root {root} --set units.seeds.count=64" in page
    assert '["units.seeds.count","64","2048"]' in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "r.csv", "r.html"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--out", "r.png"), "r.png"),
        (("--teacher", "resnet50", "--no-teacher"), "contradict"),
        (("--frame", "7:9"), "7:9"),
        (("--frame", "x"), "'x'"),
        (("--set", "units.seeds.cuont=3"), "cuont"),
        (("--teacher", "nobody", "--frame", "0"), "nobody"),
        (("--set", "method.negativs=1"), "negativs"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(stats: Stats, words: tuple[str, ...], says: str) -> None:
    done = stats(*words)
    assert isinstance(done.exception, InputError), done.output
    assert says in done.exception.message
    assert done.exception.hint
    assert "\n" not in done.exception.message


def test_a_report_that_could_not_be_written_is_refused_before_anything_is_measured(
    stats: Stats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xmodal_cli.drive.open_from_options", lambda *_, **__: pytest.fail("a data set was opened"))
    (tmp_path / "file").write_text("x")
    for out in ("file/r.html", "r.txt"):
        done = stats("--out", out)
        assert isinstance(done.exception, InputError), done.output


def test_without_a_teacher_the_rest_is_measured_and_a_note_says_why(
    stats: Stats, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str, options: object) -> None:
        raise RunError("its weights cannot be downloaded", "connect once")

    monkeypatch.setattr("xmodal_cli.surveying.load_on_device", missing)
    told = last_line(stats("--json"))
    assert told["frames"] == 2
    assert told["notes"] == ["no similarity balance: its weights cannot be downloaded"]
    assert [way["name"] for way in told["false_negative_pairs"]] == ["seeds", "instances"]
    monkeypatch.setattr("xmodal_core.units.peers.load", lambda name: missing(name, None))
    without = last_line(stats("--no-teacher", "--peers", "--json"))
    assert [way["name"] for way in without["false_negative_pairs"]] == ["seeds", "instances"]
    assert "superpixels left out: its weights cannot be downloaded" in without["notes"]
    named = stats("--teacher", "efficientnet_lite0")
    assert isinstance(named.exception, InputError)
    assert "cannot be downloaded" in named.exception.message


def test_a_damaged_frame_is_left_out_and_told(stats: Stats, example_copy: Callable[[str], Path]) -> None:
    root = example_copy("kitti_object")
    (root / "training/velodyne/000000.bin").write_bytes(b"123")
    told = last_line(stats("--no-teacher", "--json", root=root))
    assert told["frames"] == 1
    assert "000000.bin" in told["notes"][0]
    only = stats("--no-teacher", "--frame", "0", root=root)
    assert isinstance(only.exception, DataError)


def test_asked_to_stop_it_reports_what_is_done(stats: Stats, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Dataset.frame

    def frame(self: Dataset, index: int) -> Frame:
        os.kill(os.getpid(), signal.SIGINT)
        return read(self, index)

    monkeypatch.setattr(Dataset, "frame", frame)
    told = last_line(stats("--no-teacher", "--json"), 130)
    assert told["frames"] == 1
    assert "1 of 2 frames" in told["notes"][0]


def test_numbers_as_they_are_read() -> None:
    assert [count(value) for value in (0.0, 12.0, 12.34, 99.96, 1234.6)] == ["0", "12", "12.3", "100.0", "1,235"]
    shares = {0.0: "0 %", 1.0: "100.0 %", 0.0999: "9.99 %", 0.1: "10.0 %", 0.05: "5 %", 9.0916e-5: "0.00909 %"}
    assert {value: share(value) for value in shares} == shares
    assert share(1e-7) == "< 0.0001 %"


def test_a_damaged_frame_ends_it_on_demand(example_copy: Root) -> None:
    from xmodal_cli.app import run

    root = example_copy("kitti_object")
    (root / "training" / "velodyne" / "000007.bin").write_bytes(b"123")
    words = ["units", "stats", "--root", str(root), "--no-teacher"]
    assert run(words) == 0
    assert run([*words, "--no-skip-bad"]) == 2
