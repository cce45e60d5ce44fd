"""What a run measures: one line a step in ``metrics.jsonl``, the same for TensorBoard, and what it comes to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xmodal_core.errors import DataError
from xmodal_core.train.checkpoint import Progress
from xmodal_core.train.run import write_text

FILE_NAME = "metrics.jsonl"
EVALUATIONS = "evaluations.jsonl"
TENSORBOARD = "tensorboard"


class MetricsLog:
    """The logs of a run that goes on after ``step`` steps: a line a step, a line an evaluation, TensorBoard's.

    Lines of later steps, which a stopped run had written after its last checkpoint, are forgotten: they come again.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.file = folder / FILE_NAME
        self._folder = folder
        for file in (FILE_NAME, EVALUATIONS):
            kept = [line for line in read_metrics(folder, file) if line["step"] <= step]
            if kept or file == FILE_NAME:
                write_text(folder / file, "".join(json.dumps(line) + "\n" for line in kept))
        self._stream = self.file.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / TENSORBOARD), purge_step=step + 1 if step else None)

    def write(self, line: Mapping[str, Any]) -> None:
        """Append ``line``, which has its ``step``; its other numbers become TensorBoard's curves."""
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()
        for name, value in line.items():
            if isinstance(value, (int, float)) and name != "step":
                self._board.add_scalar(name, value, line["step"])

    def write_evaluation(self, line: Mapping[str, Any]) -> None:
        """Append ``line``, what a judge said after its ``step``, on the disk at once; its ``metrics`` become curves."""
        with (self._folder / EVALUATIONS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        for name, value in line["metrics"].items():
            if value is not None:
                self._board.add_scalar(f"{line['protocol']}/{name}", value, line["step"])

    def sync(self) -> None:
        """Have all lines on the disk: before the checkpoint that counts on them."""
        os.fsync(self._stream.fileno())
        self._board.flush()

    def close(self) -> None:
        """Nothing is written any more."""
        self._stream.close()
        self._board.close()


def read_metrics(folder: Path, file: str = FILE_NAME) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl`` or another such ``file``, none where it is not there; a last line cut off by a
    crash is left out.

    Raises:
        DataError: another line is damaged.
    """
    try:
        lines = (folder / file).read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return []
    try:
        return [json.loads(line) for line in lines]
    except json.JSONDecodeError as error:
        raise DataError(f"{folder / file} is damaged: {error}", "remove the broken lines") from None


@dataclass(frozen=True)
class Summary:
    """What a finished run came to. ``loss_first`` is the mean over the first epoch, ``loss_last`` over the last one.

    Args:
        run: its folder.
        steps: done.
        frames, skipped: frames trained on and skipped, each as often as it was.
        seconds: spent, over all sittings.
        frames_per_second: ``frames`` over ``seconds``.
        peak_memory_gb: the most memory taken, of the GPU or, on a CPU, of the training process.
    """

    run: str
    steps: int
    frames: int
    skipped: int
    loss_first: float | None
    loss_last: float | None
    seconds: float
    frames_per_second: float
    peak_memory_gb: float

    def as_json(self) -> dict[str, Any]:
        """Its fields, numbers rounded to what is worth reading."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class PretrainSummary(Summary):
    """Of pre-training; ``contrastive_accuracy`` and ``alignment`` are means over the last epoch, None where the method
    has no such measure."""

    contrastive_accuracy: float | None
    alignment: float | None


def facts_of_steps(folder: Path, progress: Progress, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What ``Summary`` has of any run, from its progress and its metrics' ``lines``."""
    first, last = _of_epoch(lines, min), _of_epoch(lines, max)
    return {
        "run": str(folder),
        "steps": progress.step,
        "frames": progress.frames,
        "skipped": progress.skipped,
        "loss_first": mean_of(first, "loss"),
        "loss_last": mean_of(last, "loss"),
        "seconds": progress.seconds,
        "frames_per_second": progress.frames / progress.seconds if progress.seconds else 0.0,
        "peak_memory_gb": progress.peak_memory / 1e9,
    }


def summarise(folder: Path, progress: Progress, lines: Sequence[Mapping[str, Any]]) -> PretrainSummary:
    """The summary of a run of pre-training from its progress and its metrics' ``lines``."""
    last = _of_epoch(lines, max)
    return PretrainSummary(
        **facts_of_steps(folder, progress, lines),
        contrastive_accuracy=mean_of(last, "contrastive_accuracy"),
        alignment=mean_of(last, "alignment"),
    )


def _of_epoch(lines: Sequence[Mapping[str, Any]], which: Callable[[Sequence[int]], int]) -> list[Mapping[str, Any]]:
    epochs = [line["epoch"] for line in lines] or [0]
    return [line for line in lines if line["epoch"] == which(epochs)]


def mean_of(lines: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """The mean of ``name`` over the lines that have it, each weighing as many frames as its step had."""
    values = [(line[name], line["frames"]) for line in lines if line.get(name) is not None and line["frames"]]
    return sum(value * frames for value, frames in values) / sum(frames for _, frames in values) if values else None
