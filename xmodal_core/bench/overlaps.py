"""The part of ``xmodal bench metrics`` on protocols that match by overlap: Waymo's and ONCE's, beside Waymo's tool."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xmodal_core.bench.metrics import Bench
from xmodal_core.bench.timing import OURS, Row, measured, with_ratios
from xmodal_core.bench.traffic import ONCE, WAYMO, traffic
from xmodal_core.errors import InputError, RunError
from xmodal_core.metrics.base import Detections, Result, Truth
from xmodal_core.metrics.once_detection import OnceDetection
from xmodal_core.metrics.waymo_detection import WaymoDetection

TOOL = "waymo-open-dataset"
AGREE = 1e-6


def bench_overlaps(
    frames: int = 1000,
    boxes: int = 100,
    *,
    repeat: int = 3,
    python: Path | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Bench:
    """Time scoring ``frames`` frames of ``boxes`` labels, on average, with a third more predictions.

    Args:
        frames, boxes: how many.
        repeat: how often ours is called; the median counts. The official tool is called once.
        python: an interpreter that has waymo-open-dataset; None: ours alone.
        on_step: told what is done before it is.

    Raises:
        InputError: ``python`` is no interpreter that has the tool.
        RunError: the tool failed.
    """
    if python is not None:
        _require_tool(python)
    on_step("Waymo boxes")
    predictions, truth = traffic(WAYMO, frames=frames, boxes=boxes, seed=0)
    scored, milliseconds = measured(lambda: WaymoDetection().evaluate(predictions, truth, "made up"), repeat)
    rows = [Row("score Waymo boxes", OURS, milliseconds)]
    notes = [_counted("Waymo", predictions, scored)]
    if python is None:
        notes.append(f"{TOOL} runs in an environment of its own: name its interpreter with --waymo-python")
    else:
        on_step(f"{TOOL} (minutes)")
        official = _run_tool(python, predictions, truth)
        rows.append(Row("score Waymo boxes", TOOL, official["milliseconds"], _agree(official["figures"], scored)))
    on_step("ONCE boxes")
    predictions, truth = traffic(ONCE, frames=frames, boxes=boxes, seed=0)
    scored, milliseconds = measured(lambda: OnceDetection().evaluate(predictions, truth, "made up"), repeat)
    rows.append(Row("score ONCE boxes", OURS, milliseconds))
    return Bench(with_ratios(rows), [*notes, _counted("ONCE", predictions, scored)])


def _counted(name: str, predictions: Mapping[str, Detections], scored: Result) -> str:
    found = sum(map(len, predictions.values()))
    return f"{name}: {scored.frames:,} frames with {found:,} predicted and {scored.evaluated:,} counted labelled boxes"


def _require_tool(python: Path) -> None:
    try:
        command = [str(python), "-c", "import waymo_open_dataset.metrics.ops.py_metrics_ops"]
        done = subprocess.run(command, capture_output=True)
    except OSError as error:
        raise InputError(f"cannot run {python}: {error.strerror}", "name a Python interpreter") from None
    if done.returncode:
        raise InputError(f"{python} has no {TOOL}", "install it there: pip install waymo-open-dataset-tf-2-12-0")


def _run_tool(python: Path, predictions: Mapping[str, Detections], truth: Mapping[str, Truth]) -> dict[str, Any]:
    """Its figures by part, and its milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("predictions.bin", "truth.bin", "official.json")]
        WaymoDetection().write_submission(predictions, files[0])
        WaymoDetection().write_truth(truth, files[1])
        script = Path(__file__).with_name("_waymo_tool.py")
        done = subprocess.run([str(python), str(script), *map(str, files)], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise RunError(f"{TOOL} failed: {last}", "leave out --waymo-python to time ours alone")
        found: dict[str, Any] = json.loads(files[2].read_text(encoding="utf-8"))
    return found


def _agree(official: Mapping[str, Mapping[str, float]], ours: Result) -> bool:
    return all(
        abs(value - ours.parts[part][name]) < AGREE
        for part, figures in official.items()
        for name, value in figures.items()
        if part in ours.parts or value  # ours has no part for signs where there are none
    )
