"""The books of a run while a process trains it: progress, measures, checkpoints, and the reasons to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from xmodal_core.errors import DataError, RunError
from xmodal_core.train import run
from xmodal_core.train.backbone import FILE_NAME as BACKBONE
from xmodal_core.train.backbone import save_backbone
from xmodal_core.train.checkpoint import FILE_NAME as CHECKPOINT
from xmodal_core.train.checkpoint import Checkpoint, Progress, load_checkpoint, save_checkpoint
from xmodal_core.train.devices import News, complete
from xmodal_core.train.memory import is_out_of_memory, out_of_memory, peak_memory
from xmodal_core.train.metrics import EVALUATIONS, MetricsLog, Summary, mean_of, read_metrics
from xmodal_core.train.plan import Plan
from xmodal_core.train.report import Listener
from xmodal_core.train.work import Judge, Work


def rank(judged: Mapping[str, Any]) -> float:
    """The figure that ranks of what a judge said; below all where it is not defined."""
    value = next(iter(judged["metrics"].values()), None)
    return float("-inf") if value is None else float(value)


class RunInterruptedError(RunError):
    """The run was asked to stop; everything is saved."""

    exit_code = 130


@dataclass
class Sitting:
    """One process at work on a run; only the first of several (``leads``) writes.

    Args:
        folder: the run's.
        work, plan: what is done; its module's state is kept, not wrapped by Fabric.
        optimizer: whose state is kept, as well.
        scaler: the gradient scaler of 16-bit training.
        device: whose memory is watched.
        leads: whether this process writes.
        listener: told of steps, epochs and checkpoints.
        progress: how far the run is.
    """

    folder: Path
    work: Work
    plan: Plan
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None
    device: torch.device
    leads: bool
    listener: Listener
    progress: Progress = field(default_factory=Progress)

    _log: MetricsLog | None = field(default=None, init=False)
    _saved_step: int = field(default=0, init=False)
    _saved_at: float = field(default=0.0, init=False)
    _marked_at: float = field(default=0.0, init=False)
    _epoch: list[dict[str, Any]] = field(default_factory=list, init=False)
    _frames_now: tuple[str, ...] = field(default=(), init=False)
    _judged: list[dict[str, Any]] = field(default_factory=list, init=False)

    def take_up(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        file = self.folder / CHECKPOINT
        if file.exists():
            found = load_checkpoint(file)
            self.work.module.load_trained_state(found.method)
            self.optimizer.load_state_dict(dict(found.optimizer))
            if self.scaler is not None:
                self.scaler.load_state_dict(dict(found.scaler))
            self.progress = found.progress
        self._saved_step = self.progress.step
        done = [line for line in read_metrics(self.folder) if line["step"] <= self.progress.step]
        self._epoch = [line for line in done if line["epoch"] == self.plan.epoch(self.progress.step) + 1]
        self._judged = [line for line in read_metrics(self.folder, EVALUATIONS) if line["step"] <= self.progress.step]

    @property
    def go_on(self) -> str:
        """What is typed to go on with the run."""
        return f"xmodal {self.work.experiment.verb} --resume {self.folder}"

    @contextmanager
    def open_books(self, stop: Callable[[], bool]) -> Iterator[None]:
        """Logs are open meanwhile, and what goes wrong is told in the words of the run; ``stop`` says whether somebody
        asked to."""
        if self.leads:
            self._log = MetricsLog(self.folder, self.progress.step)
        self._saved_at = self._marked_at = perf_counter()
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if (explained := self._explained(error, stop())) is not None:
                raise explained from error
            raise
        finally:
            if self._log is not None:
                self._log.close()

    def hear(self, news: Sequence[News]) -> None:
        """Stop before the next step where one device has a reason to.

        Raises:
            DataError: a frame's data is damaged, or does not fit the network.
            RunInterruptedError: somebody asked to stop.
        """
        self._frames_now = tuple(name for number in complete(news) for one in news for name in one.names[number])
        failure = next((one.failure for one in news if one.failure is not None), None)
        if failure is None and not any(one.stop for one in news):
            return
        if self.progress.step > self._saved_step:
            self.save()
        if failure is not None:
            raise DataError(
                f"{failure.message}; stopped before step {self.progress.step + 1}, everything is saved",
                f"{failure.hint}; then go on with: {self.go_on}",
            )
        raise self._interrupted("everything is saved")

    def _interrupted(self, saved: str) -> RunInterruptedError:
        return RunInterruptedError(
            f"stopped after step {self.progress.step} of {self.plan.steps}; {saved}",
            f"go on with: {self.go_on}",
        )

    def refuse_nan(self, measures: Mapping[str, float]) -> None:
        """Stop before a step that would spoil the weights.

        Raises:
            RunError: the loss is not finite; or the gradient is not, unless a scaler is to find its range.
        """
        loss, norm = measures["loss"], measures["gradient_norm"]
        if isfinite(loss) and (isfinite(norm) or self._scales()):
            return
        what = f"gradient became {norm}" if isfinite(loss) else f"loss became {loss}"
        kept = f"the last good checkpoint ({self._saved_step} steps) stays in {self.folder}"
        raise RunError(
            f"the {what} {self._where()}",
            f"{kept if self._saved_step else 'there is no checkpoint yet'}; try a lower learning rate: "
            f"--set train.{self.work.experiment.train.optimizer}.lr=…, or --set train.clip=1",
        )

    def _scales(self) -> bool:
        return self.scaler is not None and self.scaler.is_enabled()

    def record(self, measures: Mapping[str, float], news: Sequence[News]) -> None:
        """Write down the step that was just done; ``measures`` are empty where it had no frame."""
        now, step, frames = perf_counter(), self.progress.step, len(self._frames_now)
        skipped = [list(skip) for one in news for skip in one.skipped]
        self.progress = Progress(
            step=step + 1,
            frames=self.progress.frames + frames,
            skipped=self.progress.skipped + len(skipped),
            seconds=self.progress.seconds + now - self._marked_at,
            peak_memory=max(self.progress.peak_memory, peak_memory(self.device)),
        )
        self._marked_at = now
        line = {
            "step": step + 1,
            "epoch": self.plan.epoch(step) + 1,
            # A scaler may find a gradient infinite and leave its step out; JSON has no word for that but null.
            **{name: value if isfinite(value) else None for name, value in measures.items()},
            "lr": self.optimizer.param_groups[0]["lr"],
            "frames": frames,
            "skipped": len(skipped),
            "seconds": round(self.progress.seconds, 3),
        }
        if skipped:
            line["skipped_frames"] = skipped
        self._epoch.append(line)
        if self._log is not None:
            self._log.write(line)
        self.listener.step(line)
        if self.plan.ends_epoch(step):
            self._end_epoch()
        if self.plan.ends_epoch(step) or now - self._saved_at >= 60 * self.work.experiment.train.checkpoint_minutes:
            self.save()

    def _end_epoch(self) -> None:
        lines, self._epoch = self._epoch, []
        if not any(line["frames"] for line in lines):
            reasons = [reason for line in lines for _, reason in line.get("skipped_frames", ())]
            usual = max(set(reasons), key=reasons.count) if reasons else "unknown"
            raise RunError(
                f"none of the {self.plan.frames} frames can be trained on; most often: {usual}",
                self.work.if_none_is_usable,
            )
        names = [name for name, value in lines[-1].items() if isinstance(value, float)]
        means = {name: mean for name in names if (mean := mean_of(lines, name)) is not None}
        self.listener.epoch(lines[-1]["epoch"], means)

    def save(self) -> None:
        """Write both checkpoints as of now; the one for use first, so that a run that can be resumed has it.

        Raises:
            RunError: the disk is full or cannot be written.
        """
        try:
            if self._log is not None:
                self._log.sync()
                card = self._card()
                save_backbone(self.folder / BACKBONE, self.work.module.network.state_dict(), card)
                self.work.save_more(self.folder, card)
                save_checkpoint(self.folder / CHECKPOINT, self._checkpoint())
        except (OSError, RuntimeError) as error:
            raise RunError(
                f"cannot write a checkpoint to {self.folder}: {error}",
                f"make room, then go on from step {self._saved_step}: {self.go_on}",
            ) from error
        self._saved_step, self._saved_at = self.progress.step, perf_counter()
        self.listener.saved(self.progress.step)

    def _checkpoint(self) -> Checkpoint:
        scaler = self.scaler.state_dict() if self.scaler is not None else {}
        return Checkpoint(self.progress, self.work.module.trained_state(), self.optimizer.state_dict(), scaler)

    def _card(self) -> dict[str, Any]:
        experiment = self.work.experiment
        network, dataset = experiment.network, experiment.dataset
        return {
            "network": network.name,
            "network_settings": network.options.model_dump(mode="json"),
            "dataset": dataset.name,
            "classes": run.read_facts(self.folder).get("classes", {}),
            "settings": without_folders(replace(experiment, root=None).tree()),
            "versions": run.versions(),
            "metrics": {**self._summarise().as_json(), "run": self.folder.name},
            "intensity_max": self.work.dataset.sensor.intensity_max,
        }

    def due(self) -> bool:
        """Whether the module is to be judged as it is now: an epoch just ended, and nobody has yet."""
        return self._judge() is not None

    def _judge(self) -> Judge | None:
        step = self.progress.step
        if not step or not self.plan.ends_epoch(step - 1) or any(line["step"] == step for line in self._judged):
            return None
        return self.work.judge_after(self.plan.epoch(step - 1) + 1)

    def judge(self, stop: Callable[[], bool]) -> None:
        """Have the module judged and write down what was said; keep it if it was never better.

        Raises:
            DataError: a frame is damaged or has no labels.
            RunInterruptedError: ``stop`` said so.
        """
        began, step, judge = perf_counter(), self.progress.step, self._judge()
        assert judge is not None  # it is due
        try:
            said = judge(self.device, stop)
        except InterruptedError:
            raise self._interrupted("everything is saved, it is judged when it goes on") from None
        self._marked_at += perf_counter() - began  # the run's time is that of training
        line = {"step": step, "epoch": self.plan.epoch(step - 1) + 1, **said, "seconds": perf_counter() - began}
        before = self._judged
        self._judged = [*before, line]
        if self._log is not None:
            if rank(line) > max((rank(one) for one in before), default=float("-inf")):
                self.work.save_best(self.folder, self._card())
            self._log.write_evaluation(line)
            self.work.save_more(self.folder, self._card())  # its card says how it was judged
        self.listener.judged(line)

    def summary(self) -> Summary:
        """What the finished run came to; also written into its folder."""
        summary = self._summarise()
        run.write_json(self.folder / run.SUMMARY, summary.as_json())
        self.listener.finishes(summary)
        return summary

    def _summarise(self) -> Summary:
        return self.work.summarise(self.folder, self.progress, read_metrics(self.folder), self._judged)

    def _where(self) -> str:
        names = ", ".join(self._frames_now[:4]) + (" …" if len(self._frames_now) > 4 else "")
        step = self.progress.step
        return f"at step {step + 1} (epoch {self.plan.epoch(step) + 1}), frames {names or 'unknown'}"

    def _explained(self, error: Exception, asked_to_stop: bool) -> RunError | None:
        if is_out_of_memory(error):
            return out_of_memory(self._where(), self.work.experiment)
        if "DataLoader worker" in str(error):
            if asked_to_stop:  # the request reached the processes that read frames as well
                return self._interrupted(f"step {self._saved_step} is saved")
            return RunError(
                f"a process that reads frames died {self._where()}: {str(error).splitlines()[0]}",
                f"often no memory, or too little in /dev/shm; go on without such processes: {self.go_on} --workers 0",
            )
        return None


def without_folders(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with the names alone of files and folders: what they are for is made to be given away, and where its
    maker keeps things is nobody's business."""
    return {
        name: without_folders(value)
        if isinstance(value, Mapping)
        else Path(value).name
        if isinstance(value, str) and Path(value).is_absolute()
        else value
        for name, value in settings.items()
    }
