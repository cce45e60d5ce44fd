"""The benchmark of scoring: what it reports, not how fast."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from xmodal_cli.commands.bench import app
from xmodal_core.bench import metrics as bench
from xmodal_core.bench.timing import OURS
from xmodal_core.errors import InputError, RunError
from xmodal_core.metrics.nuscenes_detection import NuScenesDetection

STEPS = ["read results", "score boxes", "score points"]


@pytest.fixture
def without_devkit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)


def pretended(**changes: float) -> dict[str, Any]:
    """What the official tool would say of the case that the benchmark makes."""
    case = bench.make_case(4, 10)
    boxes = bench._figures(NuScenesDetection().evaluate(case.predictions, case.truth, ""))
    return {
        "milliseconds": {"read results": 2.0, "score boxes": 30.0, "score points": 4.0},
        "boxes": boxes | changes,
        "points": {"mIoU": 0.0},
    }


@pytest.mark.usefixtures("without_devkit")
def test_without_the_official_tool_ours_is_timed_alone_and_a_note_says_so() -> None:
    rows, notes = bench.bench_metrics(4, 10, repeat=1)
    assert [(row.step, row.name, row.ratio_to_ours) for row in rows] == [(step, OURS, 1.0) for step in STEPS]
    assert "4 frames with 40 predicted and 40 counted labelled boxes" in notes[0]
    assert "nuscenes-devkit is not installed" in notes[-1]


def test_beside_the_official_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(bench, "_interpreter", lambda python: "python")
    monkeypatch.setattr(bench, "_run_devkit", lambda interpreter, case, folder: pretended())
    rows, _ = bench.bench_metrics(4, 10, repeat=1, on_step=told.append)
    assert [row.name for row in rows] == [OURS, bench.DEVKIT] * 3
    assert [row.same_result for row in rows if row.name == bench.DEVKIT] == [None, True, False]
    assert told[-1].startswith("nuscenes-devkit")


def test_a_figure_that_differs_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_interpreter", lambda python: "python")
    found = pretended()["boxes"]["car AP"]
    monkeypatch.setattr(bench, "_run_devkit", lambda *arguments: pretended(**{"car AP": found + 2e-6}))
    rows, _ = bench.bench_metrics(4, 10, repeat=1)
    assert next(row.same_result for row in rows if (row.step, row.name) == ("score boxes", bench.DEVKIT)) is False


def test_an_interpreter_that_cannot_do_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot run .*nowhere"):
        bench.bench_metrics(1, 1, repeat=1, python=tmp_path / "nowhere")
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    with pytest.raises(InputError, match="has no nuscenes-devkit"):
        bench.bench_metrics(1, 1, repeat=1, python=bare)


def test_a_devkit_that_fails_is_told_of(tmp_path: Path) -> None:
    fails = tmp_path / "python"
    fails.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "no room" >&2\nexit 3\n')
    fails.chmod(0o755)
    with pytest.raises(RunError, match="nuscenes-devkit failed: no room"):
        bench.bench_metrics(1, 1, repeat=1, python=fails)


def test_the_script_for_the_devkit_needs_nothing_of_this_package() -> None:
    source = Path(bench.__file__).with_name("_devkit.py").read_text()
    assert "xmodal" not in source


@pytest.mark.usefixtures("without_devkit")
def test_the_command() -> None:
    words = ["metrics", "--frames", "3", "--boxes", "5", "--repeat", "1"]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    for step in STEPS:
        assert step in done.output
    done = CliRunner().invoke(app, [*words, "--json"])
    assert {row["step"] for row in json.loads(done.stdout)} == {*STEPS, "score Waymo boxes", "score ONCE boxes"}
    done = CliRunner().invoke(app, [*words, "--python", f"{sys.executable}-none"])
    assert isinstance(done.exception, InputError)
