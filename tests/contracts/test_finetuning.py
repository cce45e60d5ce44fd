"""xmodal finetune and evaluate on every reader's example, for every task that its labels allow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xmodal_cli.app import run
from xmodal_core import plugins

SMALL = {
    "segmentation": ("network.voxel_size=0.8",),
    "detection": (
        "network.pillar_size=1.6",
        "network.features=[8,8,8]",
        "network.up_features=[8,8,8]",
        "task.features=8",
        "task.nms_before=200",
    ),
}
"""What makes a task's own network small; another task has to be named here."""

WITHOUT = {("detection", "semantic_kitti"): "no labelled boxes"}
"""What a data set has no labels for, and what is said of it."""


@pytest.mark.parametrize("data", plugins.names(plugins.DATASET))
@pytest.mark.parametrize("task", plugins.names(plugins.TASK))
def test_a_run_is_made_and_its_model_scores_what_the_run_said(
    task: str, data: str, example_root: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["finetune", "--dataset", data, "--root", str(example_root(data)), "--task", task, "--device", "cpu"]
    command += ["--frames", "1", "--epochs", "1", "--evaluate-on", "labelled", "--out", str(out), "--json"]
    for setting in (*SMALL[task], "train.threads=1"):
        command += ["--set", setting]
    code = run(command)
    said = capsys.readouterr()
    if (task, data) in WITHOUT:
        assert code != 0
        assert WITHOUT[task, data] in said.err
        return
    assert code == 0, said.err
    made = _last_line(said.out)
    assert (made["task"], made["labelled_frames"], made["seed"]) == (task, 1, 0)
    assert run(["evaluate", str(out), "--device", "cpu", "--json"]) == 0
    judged = _last_line(capsys.readouterr().out)
    for name in ("run", "task", "protocol", "split", "fraction", "labelled_frames", "metrics", "metrics_first_epoch"):
        assert judged[name] == made[name], name
    assert list(made["metrics"])
    assert made["metrics"] == made["metrics_first_epoch"]
    assert judged["parts"]


def _last_line(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found
