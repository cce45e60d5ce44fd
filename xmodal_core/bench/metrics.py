"""``xmodal bench metrics``: the scoring of predictions, beside the official tools where they are installed.

Labels and predictions are made up: as many as asked for, of all classes, some right and some wrong.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xmodal_core.bench.timing import OURS, Row, measured, with_ratios
from xmodal_core.datasets._nuscenes_classes import DETECTION, SEGMENTATION
from xmodal_core.errors import InputError, RunError
from xmodal_core.metrics.base import Detections, LabelledPoints, Result, Truth
from xmodal_core.metrics.nuscenes_detection import CLASS_RANGE, NuScenesDetection
from xmodal_core.metrics.nuscenes_lidarseg import NuScenesLidarseg
from xmodal_core.types import Doubles, Ints

DEVKIT = "nuscenes-devkit"
AGREE = 1e-6
SHARES = (0.40, 0.08, 0.02, 0.03, 0.02, 0.20, 0.02, 0.02, 0.09, 0.12)
"""Of the classes, roughly as in the data set."""
SWEEP = 34_688
"""Points of a nuScenes sweep."""


class Bench(NamedTuple):
    """What ``bench_metrics`` gives: the table, and what a reader of it should know, one line each."""

    rows: list[Row]
    notes: list[str]


@dataclass(frozen=True)
class Case:
    """What is scored: boxes by frame, and labels of points."""

    truth: Mapping[str, Truth]
    predictions: Mapping[str, Detections]
    points: list[LabelledPoints]


def bench_metrics(
    frames: int = 1000,
    boxes: int = 100,
    *,
    repeat: int = 3,
    python: Path | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Bench:
    """Time scoring ``frames`` frames of ``boxes`` labels and as many predictions each, and a tenth as many sweeps.

    Args:
        frames, boxes: how many.
        repeat: how often ours is called; the median counts. The official tool is called once.
        python: an interpreter that has nuscenes-devkit; None: this one, where it has.
        on_step: told what is done before it is.

    Raises:
        InputError: ``python`` has no devkit.
        RunError: the devkit failed.
    """
    on_step("making predictions")
    case = make_case(frames, boxes)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        on_step("ours")
        results = Path(folder) / "results.json"
        protocol = NuScenesDetection()
        protocol.write_submission(case.predictions, results)
        _, reading = measured(lambda: protocol.read_submission(results), repeat)
        scored, scoring = measured(lambda: protocol.evaluate(case.predictions, case.truth, "made up"), repeat)
        segmented, counting = measured(lambda: NuScenesLidarseg().evaluate(case.points, "made up"), repeat)
        ours = {"read results": reading, "score boxes": scoring, "score points": counting}
        interpreter = _interpreter(python)
        official: dict[str, Any] = {}
        if interpreter is not None:
            on_step(f"{DEVKIT} (minutes)")
            official = _run_devkit(interpreter, case, Path(folder))
    same = {
        "read results": None,
        "score boxes": _agree(official.get("boxes", {}), _figures(scored)),
        "score points": _agree(official.get("points", {}), {"mIoU": segmented.measures["mIoU"]}),
    }
    for step, milliseconds in ours.items():
        rows.append(Row(step, OURS, milliseconds))
        if official:
            rows.append(Row(step, DEVKIT, official["milliseconds"][step], same[step]))
    return Bench(with_ratios(rows), _notes(case, scored, official))


def _notes(case: Case, scored: Result, official: Mapping[str, Any]) -> list[str]:
    found = sum(map(len, case.predictions.values()))
    notes = [
        f"{len(case.truth):,} frames with {found:,} predicted and {scored.evaluated:,} counted labelled boxes; "
        f"{len(case.points):,} sweeps of {SWEEP:,} points",
    ]
    if official:
        notes.append(f"{DEVKIT} starts from boxes that it need not filter any more; ours filters within its time")
        notes.append("the same result: every figure of every class to 1e-6")
    else:
        notes.append(f"{DEVKIT} is not installed here: name an interpreter that has it with --python")
    return notes


# ---- What is scored


def make_case(frames: int, boxes: int, seed: int = 0) -> Case:
    """Labels, and predictions of which most are near one."""
    rng = np.random.default_rng(seed)
    truth, predictions = {}, {}
    for number in range(frames):
        name = f"frame{number:06d}"
        labels = _labels(rng, boxes)
        truth[name] = labels
        predictions[name] = _predictions(rng, labels)
    points = [_points(rng, number) for number in range(max(frames // 10, 1))]
    return Case(truth, predictions, points)


def _labels(rng: np.random.Generator, count: int) -> Truth:
    label = rng.choice(len(DETECTION), count, p=SHARES).astype(np.int64)
    reach = np.array([CLASS_RANGE[name] for name in DETECTION])[label]
    away, angle = reach * np.sqrt(rng.uniform(0.0, 0.98, count)), rng.uniform(-np.pi, np.pi, count)
    return Truth(
        centre=np.column_stack([away * np.cos(angle), away * np.sin(angle), rng.uniform(0, 2, count)]),
        size=rng.uniform(0.5, 5.0, (count, 3)),
        yaw=rng.uniform(-np.pi, np.pi, count),
        label=label,
        classes=DETECTION,
        velocity=rng.normal(0, 3, (count, 2)),
        attribute=rng.choice(["", "vehicle.moving", "vehicle.parked"], count),
        points=rng.integers(1, 100, count),
    )


def _predictions(rng: np.random.Generator, labels: Truth) -> Detections:
    count = len(labels)
    error = np.abs(rng.normal(0, 1.0, count))
    centre = labels.centre + rng.normal(0, 1.0, (count, 3)) * error[:, None]
    return Detections(
        centre=centre * 0.98,
        size=labels.size * np.exp(rng.normal(0, 0.2, (count, 3))),
        yaw=labels.yaw + rng.normal(0, 0.3, count),
        label=np.where(rng.random(count) < 0.9, labels.label, rng.integers(0, len(DETECTION), count)),
        classes=DETECTION,
        velocity=rng.normal(0, 3, (count, 2)),
        attribute=rng.choice(["", "vehicle.moving", "vehicle.parked"], count),
        score=np.clip(rng.beta(3, 2, count) - 0.2 * error, 0.001, 1.0),
    )


def _points(rng: np.random.Generator, number: int) -> LabelledPoints:
    true = rng.integers(0, len(SEGMENTATION), SWEEP)
    guess = rng.integers(1, len(SEGMENTATION), SWEEP)
    return LabelledPoints(f"sweep{number}", np.where((rng.random(SWEEP) < 0.7) & (true > 0), true, guess), true)


# ---- The official tool, in an interpreter that has it


def _interpreter(python: Path | None) -> str | None:
    if python is None:
        return sys.executable if importlib.util.find_spec("nuscenes") else None
    try:
        done = subprocess.run([str(python), "-c", "import nuscenes.eval.detection.evaluate"], capture_output=True)
    except OSError as error:
        raise InputError(f"cannot run {python}: {error.strerror}", "name a Python interpreter") from None
    if done.returncode:
        raise InputError(f"{python} has no {DEVKIT}", f"install it there: pip install --no-deps {DEVKIT}")
    return str(python)


def _run_devkit(interpreter: str, case: Case, folder: Path) -> dict[str, Any]:
    """Its times and figures."""
    for name, rows in (("labels", _counted_rows(case.truth)), ("predictions", _counted_rows(case.predictions))):
        (folder / f"{name}.json").write_text(json.dumps({"meta": {}, "results": dict(rows)}), encoding="utf-8")
    points: dict[str, Ints] = {}
    for number, frame in enumerate(case.points):
        points |= {f"predicted{number}": frame.predicted, f"true{number}": frame.true}
    np.savez(folder / "points.npz", **points)  # type: ignore[arg-type]
    script = Path(__file__).with_name("_devkit.py")
    done = subprocess.run([interpreter, str(script), str(folder)], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RunError(f"{DEVKIT} failed: {last}", "leave out --python to time ours alone")
    found: dict[str, Any] = json.loads((folder / "official.json").read_text(encoding="utf-8"))
    return found


def _counted_rows(frames: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Boxes in range as the tool's own rows, so that it has nothing left to filter."""
    for name, boxes in frames.items():
        reach = np.array([CLASS_RANGE[kind] for kind in DETECTION])[boxes.label]
        kept = np.flatnonzero(np.sqrt((boxes.centre[:, :2] ** 2).sum(axis=1)) < reach)
        score = boxes.score if isinstance(boxes, Detections) else np.full(len(boxes), -1.0)
        yield name, [_row(name, boxes, score, row) for row in kept.tolist()]


def _row(name: str, boxes: Any, score: Doubles, row: int) -> dict[str, Any]:
    return {
        "sample_token": name,
        "translation": boxes.centre[row].tolist(),
        "size": boxes.size[row, [1, 0, 2]].tolist(),
        "rotation": [float(np.cos(boxes.yaw[row] / 2)), 0.0, 0.0, float(np.sin(boxes.yaw[row] / 2))],
        "velocity": boxes.velocity[row].tolist(),
        "detection_name": DETECTION[boxes.label[row]],
        "detection_score": float(score[row]),
        "attribute_name": str(boxes.attribute[row]),
    }


def _figures(result: Result) -> dict[str, float]:
    """All figures by one name each; those that are not defined are left out."""
    figures = dict(result.measures)
    for part, values in result.parts.items():
        figures |= {f"{part} {name}": value for name, value in values.items()}
    return {name: value for name, value in figures.items() if not np.isnan(value)}


def _agree(official: Mapping[str, float], ours: Mapping[str, float]) -> bool | None:
    if not official:
        return None
    return official.keys() == ours.keys() and all(abs(official[name] - ours[name]) < AGREE for name in ours)
