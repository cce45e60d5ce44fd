"""A training run as a person watches it: a header, a bar with time left, a line an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from xmodal_cli.console import err
from xmodal_core.train.config import Pretraining
from xmodal_core.train.finetune_config import Finetuning
from xmodal_core.train.finetune_work import FinetuneSummary
from xmodal_core.train.metrics import PretrainSummary, Summary
from xmodal_core.train.report import Header, Listener

_DOING = {"pretrain": "pre-training", "finetune": "fine-tuning"}
LOG_SECONDS = 60.0
"""How often a line appears where standard error is no terminal."""


class Watcher(Listener):
    """Prints to standard error: a bar on a terminal, else a line now and then.

    ``summary`` is what the run came to; None before, and in all processes but the first.
    """

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps, {task.fields[left]} left"),
            TextColumn("{task.fields[measures]}"),
            console=err,
            disable=not err.is_terminal,
        )
        self._header: Header
        self._task = TaskID(0)
        self._began = self._said = 0.0
        self._first = 0
        self.summary: Summary | None = None

    def begins(self, header: Header) -> None:
        self._header, self._first = header, header.step
        self._began = self._said = monotonic()
        for title, words in describe(header):
            err.print(f"[bold]{title:<9}[/]{_plain(words)}", highlight=False, soft_wrap=True)
        self._task = self._bar.add_task(
            _DOING[header.experiment.verb],
            total=header.plan.steps,
            completed=header.step,
            left="a while",
            measures="reading frames",
        )
        self._bar.start()

    def judged(self, line: Mapping[str, Any]) -> None:
        figures = ", ".join(f"{name} {_figure(value)}" for name, value in list(line["metrics"].items())[:3])
        self._say(f"after epoch {line['epoch']}, {line['protocol']}, split {line['split']}: {figures}")

    def step(self, line: Mapping[str, Any]) -> None:
        if line["step"] == self._header.step + 1:  # the first step also warms up: compiled code is loaded
            self._began, self._first = monotonic(), line["step"]
        left, measures = self._left(line["step"]), in_words(line)
        self._bar.update(self._task, completed=line["step"], left=left, measures=measures)
        if not err.is_terminal and monotonic() - self._said > LOG_SECONDS:
            self._say(f"step {line['step']} of {self._header.plan.steps}: {measures}; {left} left")

    def epoch(self, epoch: int, means: Mapping[str, float]) -> None:
        left = self._left(epoch * self._header.plan.steps_per_epoch)
        self._say(f"epoch {epoch} of {self._header.plan.epochs}: {in_words(means)}; {left} left")

    def finishes(self, summary: Summary) -> None:
        self.summary = summary

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _say(self, words: str) -> None:
        self._said = monotonic()
        self._bar.console.print(_plain(words), highlight=False, soft_wrap=True)

    def _left(self, step: int) -> str:
        done = step - self._first
        if done <= 0:
            return "a while"
        return clock((monotonic() - self._began) / done * (self._header.plan.steps - step))


def describe(header: Header) -> Iterator[tuple[str, str]]:
    """What runs, on what, line by line: a title and words."""
    experiment, plan, train = header.experiment, header.plan, header.experiment.train
    preset = getattr(experiment.network.options, "preset", "")
    size = f"{preset}, " if preset else ""
    network = (
        f"network {experiment.network.name} ({size}{header.parameters:,} parameters, "
        f"{header.head_parameters:,} more in heads)"
    )
    if isinstance(experiment, Pretraining):
        model = getattr(experiment.teacher.options, "model", "")
        teacher = f"{experiment.teacher.name}:{model}" if model else experiment.teacher.name
        yield "what", f"method {experiment.method.name}, {network}, teacher {teacher}"
    elif isinstance(experiment, Finetuning):
        frozen = ", which stays as it is" if experiment.train.freeze else ""
        yield "what", f"task {experiment.task.name}, {network}{frozen}"
    where = f" in {experiment.root}" if experiment.root else ""
    yield "data", f"{_some(plan.frames, 'frame')} of {experiment.dataset.name}{where}"
    yield from (("note", note) for note in header.notes)
    yield from header.details
    workers = f", {header.workers} more process{'es' if header.workers > 1 else ''} reading" if header.workers else ""
    yield "machine", f"{header.device}, {header.precision} bits{workers}"
    yield (
        "batch",
        f"{plan.batch_size} per device x {_some(plan.devices, 'device')} x {plan.accumulate} accumulation = "
        f"{_some(plan.effective, 'frame')} effective",
    )
    rate = train.adam.lr if train.optimizer == "adam" else train.sgd.lr
    epochs, steps = _some(plan.epochs, "epoch"), _some(plan.steps_per_epoch, "step")
    length = f"{epochs} x {steps} = {_some(plan.steps, 'step')}"
    yield "length", f"{length}, {train.optimizer}, learning rate up to {rate:g}"
    yield "run", f"{header.run}" + (f", resumed after step {header.step}" if header.step else "")
    if header.differences:
        yield "note", f"other versions than when the run began, so weights may differ: {'; '.join(header.differences)}"


def _some(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("s" if number != 1 else "")


def in_words(line: Mapping[str, Any]) -> str:
    """The measures of a step or an epoch that a person follows."""
    names = {"loss": "loss {:.3f}", "contrastive_accuracy": "accuracy {:.3f}", "alignment": "alignment {:.3f}"}
    found = [words.format(line[name]) for name, words in names.items() if line.get(name) is not None]
    return ", ".join(found) or "no frame could be used"


def report(summary: Summary) -> Iterator[str]:
    """What a finished run came to, line by line."""
    skipped = f", {summary.skipped} skipped (which and why: metrics.jsonl)" if summary.skipped else ""
    yield (
        f"{_some(summary.steps, 'step')}, {_some(summary.frames, 'frame')}{skipped} in {clock(summary.seconds)} "
        f"({summary.frames_per_second:.2f} frames a second), {summary.peak_memory_gb:.1f} GB at most"
    )
    if summary.loss_first is not None and summary.loss_last is not None:
        words = f"loss {summary.loss_first:.3f} in the first epoch, {summary.loss_last:.3f} in the last"
        if isinstance(summary, PretrainSummary) and summary.contrastive_accuracy is not None:
            words += f"; contrastive accuracy {summary.contrastive_accuracy:.3f} in the last"
        yield words
    yield f"run: {summary.run}"
    if isinstance(summary, FinetuneSummary):
        yield from _scores(summary)
        yield f"to see more: xmodal evaluate {summary.run}"
        yield f"and a frame: xmodal show-predictions {summary.run}"
    else:
        yield f"to use it: xmodal export-ckpt {summary.run} --format torch"


def _scores(summary: FinetuneSummary) -> Iterator[str]:
    """What the judge said, first, at last and at best as far as they differ, and by which rules."""
    first, last, best = summary.metrics_first_epoch, summary.metrics, summary.metrics_best
    same = bool(first) and first == last
    said = [("after the first epoch" + " and the last" * same, first)] if first else []
    said += [("after the last" if first else "after the last epoch", last)] if last and not same else []
    said += [(f"at best, after epoch {summary.best_epoch}", best)] if best and best not in (first, last) else []
    if said:
        name = next(iter(said[0][1]))
        yield f"{name} " + ", ".join(f"{_figure(metrics[name])} {when}" for when, metrics in said)
        labelled = _some(summary.labelled_frames, "labelled frame")
        yield f"by {summary.protocol} on {summary.split}; {labelled} ({summary.rule})"


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def clock(seconds: float) -> str:
    """``seconds`` as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
