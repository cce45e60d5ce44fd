"""From a labelled frame's number to what goes into a batch of fine-tuning: read, label, enrich, move.

A run sees its labelled frames alone: what it trains on is a ``Subset``, which has no others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from torch.utils import data

from xmodal_core.config import Settings
from xmodal_core.datasets.base import Dataset
from xmodal_core.tasks.base import Judged, LabelledBatch, LabelledExample, Task, collate
from xmodal_core.train.augment import motion
from xmodal_core.train.batch import stack_channels
from xmodal_core.train.config import AugmentConfig
from xmodal_core.train.examples import Failure, Skip, guarded
from xmodal_core.train.plan import Key
from xmodal_core.types import Boxes, Frame, Ints, Sensor


class Subset(Dataset):
    """The frames ``indices`` of a data set as one of their own: nothing else of it can be read."""

    def __init__(self, whole: Dataset, indices: Ints) -> None:
        super().__init__(whole.root, whole.config)
        self._whole = whole
        self.indices = indices

    @property
    def sensor(self) -> Sensor:  # type: ignore[override]
        """Of the whole."""
        return self._whole.sensor

    @property
    def channels(self) -> tuple[str, ...]:  # type: ignore[override]
        """Of the whole."""
        return self._whole.channels

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        """See ``Dataset``."""
        return self._whole.name(int(self.indices[index]))

    def scene(self, index: int) -> str:
        """See ``Dataset``."""
        return self._whole.scene(int(self.indices[index]))

    def boxes(self, index: int) -> Boxes | None:
        """See ``Dataset``."""
        self._require_in_range(index)
        return self._whole.boxes(int(self.indices[index]))

    def _read(self, index: int) -> Frame:
        return self._whole.frame(int(self.indices[index]))


def without_cameras(frame: Frame) -> Frame:
    """``frame`` as labels and networks need it: light enough to be handed from process to process."""
    return replace(frame, cameras=(), pixels=None)


@dataclass(frozen=True)
class FramesAlone:
    """The frames of ``dataset``, read one by one while they are asked for, without their cameras."""

    dataset: Dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[Frame]:
        return (without_cameras(frame) for frame in self.dataset)


@dataclass(frozen=True)
class LabelledExamples(data.Dataset[LabelledExample | Skip | Failure]):
    """The examples of a fine-tuning run, by ``Key``.

    Args:
        dataset: the labelled frames.
        indices: (F,) the frames of it that an epoch takes; a key's frame is a place in here.
        task, config, classes: the kind of task, its options, what it tells apart.
        store: what the task's ``prepare`` gave.
        augment: how points and labels are moved.
        channels: the per-point channels that the network takes.
        epochs: of the run.
        skip_damaged: frames with a missing or damaged file are skipped; else they end the run.
        seed: of the run.
    """

    dataset: Dataset
    indices: Ints
    task: type[Task]
    config: Settings
    classes: tuple[str, ...]
    store: Any
    augment: AugmentConfig
    channels: tuple[str, ...]
    epochs: int
    skip_damaged: bool
    seed: int

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: Key) -> LabelledExample | Skip | Failure:
        index = int(self.indices[key.frame])
        random = np.random.default_rng([self.seed, key.epoch, key.frame])
        epochs_left = self.epochs - key.epoch
        return guarded(
            lambda: self._example(self.dataset.frame(index), random, epochs_left),
            self.dataset.name(index),
            self.skip_damaged,
        )

    def _example(self, frame: Frame, random: np.random.Generator, epochs_left: int) -> LabelledExample | Skip:
        labels = self.task.label(frame, self.classes, self.config)
        if labels is None:
            return Skip(frame.name, "not labelled")
        example = LabelledExample(frame.name, frame.points, stack_channels(frame, self.channels), labels)
        example = self.task.enrich(example, self.store, self.classes, self.config, random, epochs_left)
        move = motion(self.augment, random)
        return replace(example, points=move.points(example.points), labels=self.task.move(example.labels, move))


class LoadedLabels(NamedTuple):
    """One batch as a DataLoader gives it: None where no frame of it could be used."""

    batch: LabelledBatch | None
    skipped: tuple[Skip, ...]
    failure: Failure | None


@dataclass(frozen=True)
class GatherLabelled:
    """Puts what became of the frames of one batch of ``task`` together."""

    task: type[Task]

    def __call__(self, results: Sequence[LabelledExample | Skip | Failure]) -> LoadedLabels:
        examples = [result for result in results if isinstance(result, LabelledExample)]
        return LoadedLabels(
            batch=collate(examples, self.task) if examples else None,
            skipped=tuple(result for result in results if isinstance(result, Skip)),
            failure=next((result for result in results if isinstance(result, Failure)), None),
        )


class Unjudged(NamedTuple):
    """A frame to be predicted on: its example as the network takes it, and all that judges its prediction."""

    number: int
    frame: Frame
    example: LabelledExample

    def judged(self, prediction: Any) -> Judged:
        """With what was predicted."""
        return Judged(self.number, self.frame, prediction)


@dataclass(frozen=True)
class FramesToPredict(data.Dataset[Unjudged | Skip | Failure]):
    """The frames ``indices`` of ``dataset`` as they are, with the network's ``channels``."""

    dataset: Dataset
    indices: Ints
    channels: tuple[str, ...]
    skip_damaged: bool

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> Unjudged | Skip | Failure:
        index = int(self.indices[place])
        return guarded(lambda: self._read(index), self.dataset.name(index), self.skip_damaged)

    def _read(self, index: int) -> Unjudged:
        frame = without_cameras(self.dataset.frame(index))
        example = LabelledExample(frame.name, frame.points, stack_channels(frame, self.channels))
        return Unjudged(index, frame, example)
