"""Fine-tuning as the engine's work: labelled frames, a task on a network that was pre-trained or not, a judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from xmodal_core import plugins
from xmodal_core.datasets import Dataset, open_dataset
from xmodal_core.errors import InputError
from xmodal_core.points import load_network
from xmodal_core.tasks import Task, load_task
from xmodal_core.train import run
from xmodal_core.train.backbone import save_backbone
from xmodal_core.train.checkpoint import Progress
from xmodal_core.train.devices import on_first
from xmodal_core.train.evaluation import Judging
from xmodal_core.train.finetune_config import AUTO, LABELLED, REST, Finetuning
from xmodal_core.train.initial import begin
from xmodal_core.train.label_rules import Labelled, labelled_frames
from xmodal_core.train.labelled import FramesAlone, GatherLabelled, LabelledExamples, Subset
from xmodal_core.train.metrics import Summary, facts_of_steps
from xmodal_core.train.model import BEST, FILE_NAME
from xmodal_core.train.parts import choose_workers
from xmodal_core.train.plan import evenly_spread
from xmodal_core.train.sitting import rank
from xmodal_core.train.work import AnyLoaded, Judge, Work
from xmodal_core.types import Ints

LIST = "labelled.txt"
"""In a run's folder, the names of the labelled frames, one a line."""

PAIRS = (("train", "val"), ("train", "valid"), ("training", "validation"), ("mini_train", "mini_val"))
"""What data sets call the split to train on and that to be judged on."""


class Frames(NamedTuple):
    """What a run is trained and judged on.

    Args:
        labelled: the data set of the labelled frames alone.
        rule: how they were chosen, in words.
        split: that they are of.
        judged: where the frames to be judged on are from.
        judged_indices: which of it.
        judged_split: what they are called.
    """

    labelled: Subset
    rule: str
    split: str
    judged: Dataset
    judged_indices: Ints
    judged_split: str


def find_frames(experiment: Finetuning) -> Frames:
    """The frames that ``experiment`` says.

    Raises:
        InputError, DataError: the data set cannot be opened, a split is unknown, no frame is labelled, or none is left
            to be judged on.
    """
    dataset = open_split(experiment, experiment.labels.split)
    split = _training_split(experiment, dataset)
    if split != _split_of(dataset):
        dataset = open_split(experiment, split)
    chosen = labelled_frames(dataset, experiment.labels)
    labelled = Subset(dataset, chosen.indices)
    judged, indices, called = _judged_on(experiment, dataset, split, chosen)
    indices = indices[evenly_spread(len(indices), experiment.evaluate.frames)]
    if not len(indices):
        of = "" if split == AUTO else f" of split '{split}'"
        raise InputError(
            f"no frame is left to be judged on: all{of} ({len(dataset):,}) are labelled for training",
            "label fewer, name another split with --evaluate-on SPLIT, or be judged on these: --evaluate-on labelled",
        )
    return Frames(labelled, chosen.rule, split, judged, indices, called)


def open_split(experiment: Finetuning, split: str) -> Dataset:
    """The data set of ``experiment`` with ``split`` in place of its own; "auto": its own."""
    data = experiment.dataset
    options = data.options.model_dump() | ({} if split == AUTO else {"split": split})
    return open_dataset(data.name, experiment.root, options, experiment.rig)


def _split_of(dataset: Dataset) -> str:
    return str(getattr(dataset.config, "split", "all"))


def _training_split(experiment: Finetuning, dataset: Dataset) -> str:
    """The split that is open, or where nobody chose it and there are one to train on and one to be judged on, the
    first of these."""
    opened, known = _split_of(dataset), dataset.splits()
    usual = type(dataset.config).model_fields["split"].default if hasattr(dataset.config, "split") else opened
    chosen = experiment.labels.split != AUTO or opened != usual
    if chosen or any(opened == train and test in known for train, test in PAIRS):
        return opened
    return next((train for train, test in PAIRS if train in known and test in known), opened)


def _judged_on(experiment: Finetuning, dataset: Dataset, split: str, chosen: Labelled) -> tuple[Dataset, Ints, str]:
    """The data set, the frames of it, and what they are called."""
    wanted = experiment.evaluate.split
    if wanted == AUTO:
        wanted = next((test for train, test in PAIRS if split == train and test in dataset.splits()), REST)
    if wanted == LABELLED:
        return dataset, chosen.indices, f"{split} ({LABELLED})"
    every = evenly_spread(len(dataset), None)
    if wanted in (REST, split):
        rest = every[~torch.isin(torch.from_numpy(every), torch.from_numpy(chosen.indices)).numpy()]
        return (dataset, rest, f"{split} ({REST})") if wanted == REST else (dataset, every, split)
    other = open_split(experiment, wanted)
    return other, evenly_spread(len(other), None), wanted


def _round_and_round(frames: int, least: int | None) -> Ints:
    """(max(frames, least),) what an epoch takes: every frame, and again from the first one until they are enough."""
    return np.resize(np.arange(frames), max(frames, least or 0))


def make_task(experiment: Finetuning, classes: Sequence[str]) -> Task:
    """The task that ``experiment`` names with a fresh head on a fresh network."""
    network = load_network(experiment.network.name, experiment.network.options.model_dump())
    task = load_task(experiment.task.name, network, classes, experiment.task.options.model_dump())
    if experiment.train.freeze:
        task.freeze()
    return task


@dataclass(frozen=True)
class FinetuneSummary(Summary):
    """What a finished run of fine-tuning came to.

    Args:
        task, protocol: what was learnt, and who judged it.
        split: on which frames.
        rule: how the labelled frames were chosen, in words.
        fraction: the share of the split that is labelled; None where their number or a list was given.
        labelled_frames: how many they are.
        seed: of the run.
        metrics: as last judged, the figure that ranks first.
        metrics_first_epoch: as judged after the first epoch; empty where nobody did.
        metrics_best: of the evaluation that ranked highest, whose model is ``best.safetensors``.
        best_epoch: which that was.
    """

    task: str
    protocol: str
    split: str
    rule: str
    fraction: float | None
    labelled_frames: int
    seed: int
    metrics: Mapping[str, float | None]
    metrics_first_epoch: Mapping[str, float | None]
    metrics_best: Mapping[str, float | None]
    best_epoch: int


class FinetuneWork(Work):
    """See ``Work``.

    Args:
        experiment: what is trained, on what, how.
        told_apart: the classes, where the run has begun before; None: those of the labelled frames.
        fresh: the run begins, so the network takes the weights that it is to begin with.
    """

    if_none_is_usable: ClassVar[str] = (
        "see the labels: xmodal data info; choose others with --split or --label-protocol"
    )

    experiment: Finetuning
    module: Task

    def __init__(self, experiment: Finetuning, told_apart: Sequence[str] | None = None, *, fresh: bool) -> None:
        self.experiment = experiment
        self.frames = find_frames(experiment)
        self.dataset = self.frames.labelled
        self.indices = _round_and_round(len(self.dataset), experiment.train.epoch_frames)
        kind = plugins.load(plugins.TASK, experiment.task.name)
        self.module = make_task(experiment, told_apart or kind.classes_of(self.dataset, experiment.task.options))
        self.beginning = begin(self.module.network, experiment.init, self.frames.judged) if fresh else None
        self._protocol = self.module.protocol(self.frames.judged)
        self._store: Any = None

    def facts(self) -> dict[str, Any]:
        """See ``Work``."""
        return {**super().facts(), "told_apart": list(self.module.classes)}

    def folder_made(self, folder: Path) -> None:
        """See ``Work``: the list of labelled frames."""
        names = [self.dataset.name(index) for index in range(len(self.dataset))]
        run.write_text(folder / LIST, "".join(f"{name}\n" for name in names))

    def get_ready(self, fabric: Fabric, folder: Path) -> None:
        """See ``Work``: what the task enriches frames with, from the labelled ones alone."""
        task = self.module
        frames = FramesAlone(self.dataset)
        self._store = on_first(
            fabric, lambda: task.prepare(frames, task.network.config.channels, task.classes, task.config, folder)
        )

    def examples(self) -> Any:
        """See ``Work``."""
        train = self.experiment.train
        return LabelledExamples(
            dataset=self.dataset,
            indices=self.indices,
            task=type(self.module),
            config=self.experiment.task.options,
            classes=self.module.classes,
            store=self._store,
            augment=self.experiment.augment,
            channels=self.module.network.config.channels,
            epochs=train.epochs,
            skip_damaged=train.damaged == "skip",
            seed=train.seed,
        )

    def gather(self) -> Callable[[Sequence[Any]], AnyLoaded]:
        """See ``Work``."""
        return GatherLabelled(type(self.module))

    def head(self) -> Iterable[nn.Parameter]:
        """See ``Work``."""
        return self.module.head_parameters()

    def head_rate(self) -> float:
        """See ``Work``."""
        return self.experiment.train.head_rate

    def _model_card(self, card: Mapping[str, Any]) -> dict[str, Any]:
        task = self.experiment.task
        return {
            **card,
            "task": task.name,
            "task_settings": task.options.model_dump(mode="json"),
            "told_apart": list(self.module.classes),
            "labels": self._labels(),
        }

    def _labels(self) -> dict[str, Any]:
        labels = self.experiment.labels
        by_rule = labels.frames is None and labels.file is None
        return {
            "split": self.frames.split,
            "rule": self.frames.rule,
            "fraction": labels.fraction if by_rule else None,
            "labelled_frames": len(self.dataset),
            "seed": self.experiment.train.seed,
        }

    def save_more(self, folder: Path, card: Mapping[str, Any]) -> None:
        """See ``Work``: the model."""
        save_backbone(folder / FILE_NAME, self.module.state_dict(), self._model_card(card))

    def save_best(self, folder: Path, card: Mapping[str, Any]) -> None:
        """See ``Work``."""
        save_backbone(folder / BEST, self.module.state_dict(), self._model_card(card))

    def judge_after(self, epoch: int) -> Judge | None:
        """See ``Work``: after the first epoch, every so many, and the last."""
        every, last = self.experiment.evaluate.every, self.experiment.train.epochs
        due = epoch == last or (every > 0 and (epoch == 1 or epoch % every == 0))
        return self._judge if due else None

    def _judge(self, device: torch.device, stop: Callable[[], bool]) -> dict[str, Any]:
        train = self.experiment.train
        judging = Judging(
            dataset=self.frames.judged,
            indices=self.frames.judged_indices,
            split=self.frames.judged_split,
            device=device,
            batch_size=train.batch_size,
            workers=choose_workers(train.workers, device, train.devices),
            skip_damaged=train.damaged == "skip",
            stop=stop,
        )
        return judging.judge(self.module, self._protocol).as_json()

    def details(self) -> Iterator[tuple[str, str]]:
        """See ``Work``."""
        frames, module = self.frames, self.module
        yield from super().details()
        share = f"{len(self.dataset):,} labelled of split {frames.split} ({frames.rule}), {len(module.classes)} classes"
        yield "labels", f"{share}; which: {LIST}"
        count = len(frames.judged_indices)
        yield (
            "judge",
            f"{self._protocol.name} on {count:,} frame{'' if count == 1 else 's'} of {frames.judged_split}, after "
            + (
                f"epoch 1 and every {self.experiment.evaluate.every}"
                if self.experiment.evaluate.every
                else "the last epoch"
            ),
        )

    def summarise(
        self, folder: Path, progress: Progress, lines: Sequence[Mapping[str, Any]], judged: Sequence[Mapping[str, Any]]
    ) -> FinetuneSummary:
        """See ``Work``."""
        best = max(judged, key=rank, default={})
        labels = self._labels()
        return FinetuneSummary(
            **facts_of_steps(folder, progress, lines),
            task=self.experiment.task.name,
            protocol=self._protocol.name,
            split=self.frames.judged_split,
            rule=labels["rule"],
            fraction=labels["fraction"],
            labelled_frames=labels["labelled_frames"],
            seed=labels["seed"],
            metrics=judged[-1]["metrics"] if judged else {},
            metrics_first_epoch=next((line["metrics"] for line in judged if line["epoch"] == 1), {}),
            metrics_best=best.get("metrics", {}),
            best_epoch=best.get("epoch", 0),
        )
