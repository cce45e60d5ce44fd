"""What a finished run says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from xmodal_cli.watch import report
from xmodal_core.train.finetune_work import FinetuneSummary


def summary(**changes: Any) -> FinetuneSummary:
    facts: dict[str, Any] = {
        "run": "runs/fine",
        "steps": 4,
        "frames": 4,
        "skipped": 0,
        "seconds": 2.0,
        "frames_per_second": 2.0,
        "peak_memory_gb": 1.0,
        "loss_first": None,
        "loss_last": None,
        "task": "segmentation",
        "protocol": "nuscenes_lidarseg",
        "split": "val",
        "rule": "slidr, 1 %",
        "fraction": 0.01,
        "labelled_frames": 1,
        "seed": 0,
        "metrics": {"mIoU": 0.3},
        "metrics_first_epoch": {"mIoU": 0.1},
        "metrics_best": {"mIoU": 0.4},
        "best_epoch": 7,
    }
    return FinetuneSummary(**{**facts, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "mIoU 0.1000 after the first epoch, 0.3000 after the last, 0.4000 at best, after epoch 7"),
        ({"metrics_best": {"mIoU": 0.3}}, "mIoU 0.1000 after the first epoch, 0.3000 after the last"),
        ({"metrics": {"mIoU": 0.1}, "metrics_best": {"mIoU": 0.1}}, "mIoU 0.1000 after the first epoch and the last"),
        ({"metrics_first_epoch": {}, "metrics_best": {"mIoU": 0.3}}, "mIoU 0.3000 after the last epoch"),
        ({"metrics": {"mIoU": None}, "metrics_best": {"mIoU": 0.1}},
         "mIoU 0.1000 after the first epoch, undefined after the last"),
    ],
)  # fmt: skip
def test_what_the_judge_said_stands_in_one_line_each_figure_once(changes: dict[str, Any], words: str) -> None:
    lines = list(report(summary(**changes)))
    assert words in lines
    assert lines[lines.index(words) + 1] == "by nuscenes_lidarseg on val; 1 labelled frame (slidr, 1 %)"


def test_a_run_that_nobody_judged_says_nothing_of_figures() -> None:
    lines = report(summary(metrics={}, metrics_first_epoch={}, metrics_best={}, best_epoch=0))
    assert not any("mIoU" in line or "labelled" in line for line in lines)
