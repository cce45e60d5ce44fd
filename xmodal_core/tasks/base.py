"""What a task is: labelled frames in, a loss or predictions out, and the protocol that judges them.

The way of a frame in training, all but the last two steps in the processes that read frames, by class methods that
need no network::

    label     what the task learns of the frame, in its own coordinates
    enrich    optional: more than the frame has, e.g. objects of other labelled frames, put in among its points
    move      the same random motion for points and labels
    collate   the labels of a batch as tensors
    forward   the loss

In evaluation ``predict`` gives one prediction a frame, in the frame's own points and metres, and ``judge`` hands pairs
of a frame and its prediction to a protocol of ``metrics``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from xmodal_core.config import Settings
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import InputError
from xmodal_core.methods.base import Outcome
from xmodal_core.metrics import Protocol, Result
from xmodal_core.points.base import PointFeatures, PointNetwork
from xmodal_core.train.augment import Motion
from xmodal_core.types import Floats, Frame

__all__ = ["Judged", "LabelledBatch", "LabelledExample", "Outcome", "Task", "collate"]


@dataclass(frozen=True)
class LabelledExample:
    """One frame ready to be put into a batch.

    Args:
        name: the frame's name.
        points: (N,3) float32 metres.
        channels: (N,C) float32, the values of the network's ``channels``.
        labels: whatever the task's ``label`` made of the frame; None where it is only predicted on.
    """

    name: str
    points: Floats
    channels: Floats
    labels: Any = None


@dataclass(frozen=True)
class LabelledBatch:
    """Examples one after the other.

    Args:
        names: of the B frames.
        points: (N,3) float32 metres, all frames one after the other.
        channels: (N,C) float32.
        offsets: (B+1,) int64, frame b has rows offsets[b]:offsets[b+1] of ``points``.
        labels: what the task's ``collate`` made of theirs: a tensor, or a list, a dict or a NamedTuple of tensors; None
            where there are no labels.
    """

    names: tuple[str, ...]
    points: Tensor
    channels: Tensor
    offsets: Tensor
    labels: Any = None

    def to(self, device: torch.device | str) -> LabelledBatch:
        """The same batch on ``device``."""
        # Only copies to a GPU are waited for by what uses them; one from a GPU could be read before it is there.
        wait = torch.device(device).type != "cuda"
        return self._each(lambda tensor: tensor.to(device, non_blocking=not wait))

    def pin_memory(self) -> LabelledBatch:
        """The same batch in memory that a GPU copies from while the CPU goes on."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Any) -> LabelledBatch:
        return replace(
            self,
            points=change(self.points),
            channels=change(self.channels),
            offsets=change(self.offsets),
            labels=apply_to_collection(self.labels, Tensor, change),
        )


def collate(examples: Sequence[LabelledExample], task: type[Task]) -> LabelledBatch:
    """The batch of ``examples`` (at least one), whose networks' channels are the same."""
    sizes = [len(example.points) for example in examples]
    labelled = all(example.labels is not None for example in examples)
    return LabelledBatch(
        names=tuple(example.name for example in examples),
        points=torch.from_numpy(np.concatenate([example.points for example in examples])),
        channels=torch.from_numpy(np.concatenate([example.channels for example in examples])),
        offsets=torch.from_numpy(np.cumsum([0, *sizes], dtype=np.int64)),
        labels=task.collate([example.labels for example in examples]) if labelled else None,
    )


class Judged(NamedTuple):
    """A frame, its ``number`` in the data set, and what was predicted of it. The frame has its points, labels and pose;
    its cameras are left out."""

    number: int
    frame: Frame
    prediction: Any


class Task(nn.Module, ABC):
    """A head on a LiDAR network and all that goes with it.

    A plugin gives ``Config`` (its options), makes its head's submodules in ``__init__`` under other names than
    ``network``, which is the trunk, and refuses there a network that it cannot work with.

    Args:
        config: the plugin's own settings.
        network: the LiDAR network, pre-trained or fresh.
        classes: what ``classes_of`` said when the run began; the head's outputs are in this order.
    """

    Config: ClassVar[type[Settings]]

    def __init__(self, config: Settings, network: PointNetwork, classes: tuple[str, ...]) -> None:
        super().__init__()
        if not classes:
            raise InputError("there is no class to learn", "choose data that has labels for this task")
        self.config = config
        self.network = network
        self.classes = classes
        self._frozen = False

    @classmethod
    def defaults(cls, dataset: str, *, pretrained: bool) -> Mapping[str, Mapping[str, Any]]:
        """Settings of other sections (``augment``, ``train``, ``dataset``, ``network``) that this task has on
        ``dataset`` where nobody chose; ``pretrained``: the run begins with weights that have learnt something."""
        return {}

    @classmethod
    @abstractmethod
    def classes_of(cls, dataset: Dataset, config: Any) -> tuple[str, ...]:
        """The names of what is told apart on ``dataset``, without "ignore".

        Raises:
            DataError: it has no labels that this task could learn from.
        """

    @classmethod
    @abstractmethod
    def label(cls, frame: Frame, classes: tuple[str, ...], config: Any) -> Any:
        """What is learnt of ``frame``: NumPy alone, made to be pickled; None where the frame has no labels."""

    @classmethod
    def prepare(
        cls, frames: Iterable[Frame], channels: tuple[str, ...], classes: tuple[str, ...], config: Any, folder: Path
    ) -> Any:
        """What ``enrich`` takes objects from, made once before the first step of a run from the ``frames`` that are
        labelled for it and from no other; None for a task that does not enrich.

        Args:
            frames: read one by one, and only if they are asked for; with cameras left out.
            channels: those of the network, in the order in which examples have them.
            classes, config: see ``label``.
            folder: the run's, where files may be kept; a resumed run finds them there.

        Returns:
            Something that can be pickled to other processes.
        """
        return None

    @classmethod
    def enrich(
        cls,
        example: LabelledExample,
        store: Any,
        classes: tuple[str, ...],
        config: Any,
        random: np.random.Generator,
        epochs_left: int,
    ) -> LabelledExample:
        """``example``, before it is moved, with more in it than its frame had; ``epochs_left`` is 1 in the run's last
        epoch."""
        return example

    @classmethod
    def move(cls, labels: Any, motion: Motion) -> Any:
        """``labels`` of a frame whose points are moved by ``motion``; as they are where they belong to points."""
        return labels

    @classmethod
    @abstractmethod
    def collate(cls, labels: Sequence[Any]) -> Any:
        """The labels of a batch's frames as tensors; see ``LabelledBatch.labels``."""

    @abstractmethod
    def forward(self, batch: LabelledBatch) -> Outcome:
        """The loss of a labelled ``batch`` and what is worth watching."""

    @abstractmethod
    def predict(self, batch: LabelledBatch) -> list[Any]:
        """One prediction a frame of ``batch``, as NumPy, for the frame's own points, in its metres; in eval mode, and
        without a graph."""

    @abstractmethod
    def protocol(self, dataset: Dataset) -> Protocol:
        """Who judges on ``dataset``: its official protocol, else a plain one."""

    @abstractmethod
    def judge(self, protocol: Protocol, dataset: Dataset, judged: Iterable[Judged], split: str) -> Result:
        """What ``protocol`` says of ``judged``, each labelled frame of ``dataset`` with its prediction; they are made
        while they are asked for, so none should be kept that need not be."""

    @abstractmethod
    def submit(self, protocol: Protocol, dataset: Dataset, judged: Iterable[Judged], out: Path, split: str) -> None:
        """Write the official submission ``out`` of all frames of ``dataset``, labelled or not.

        Raises:
            InputError: the protocol has no submission file, or its benchmark would refuse these predictions.
            RunError: it cannot be written.
        """

    def freeze(self) -> None:
        """Let the head alone learn (a linear probe where it is linear): the trunk's weights stay, and so do the
        statistics of its batch norms."""
        self._frozen = True
        self.network.requires_grad_(False)
        self.network.eval()

    def train(self, mode: bool = True) -> Task:
        """As of any module; a frozen trunk stays in eval mode."""
        super().train(mode)
        if self._frozen:
            self.network.eval()
        return self

    def trunk(self, batch: LabelledBatch) -> PointFeatures:
        """What the network makes of ``batch``; without a graph where it is frozen."""
        with self._learning():
            features: PointFeatures = self.network(batch.points, batch.channels, batch.offsets)
        return features

    def bev(self, batch: LabelledBatch) -> Tensor:
        """(B,C,ny,nx) the same of a network with a bird's-eye map, the map alone."""
        with self._learning():
            return self.network.to_bev(batch.points, batch.channels, batch.offsets)

    def _learning(self) -> torch.set_grad_enabled:
        """Within it, a graph is kept for the network's weights, unless they are frozen."""
        return torch.set_grad_enabled(torch.is_grad_enabled() and not self._frozen)

    def trained_state(self) -> dict[str, Tensor]:
        """All tensors, trunk and head."""
        return self.state_dict()

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``trained_state`` gave.

        Raises:
            RuntimeError: a tensor is missing, unknown, or of another shape.
        """
        self.load_state_dict(dict(state))

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """What is trained beside the trunk."""
        return (value for name, value in self.named_parameters() if not name.startswith("network."))
