"""What the engine trains: the one interface through which the loop knows pre-training and fine-tuning."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from xmodal_core.datasets import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.methods.base import Outcome
from xmodal_core.points.base import PointNetwork
from xmodal_core.train.checkpoint import Progress
from xmodal_core.train.config import Experiment
from xmodal_core.train.examples import Failure, Skip
from xmodal_core.train.initial import Beginning
from xmodal_core.train.metrics import Summary
from xmodal_core.train.plan import Plan
from xmodal_core.types import Ints

Judge = Callable[[torch.device, Callable[[], bool]], dict[str, Any]]
"""Says of a module on a device, as it is now: ``metrics``, figures by name, the one that ranks first, and under which
rules; the module is in eval mode meanwhile. Raises InterruptedError where the second argument, which is asked now and
then, says that it should stop."""


class Trainable(Protocol):
    """A method or a task: a module around the network that it trains."""

    network: PointNetwork

    def __call__(self, batch: Any) -> Outcome: ...

    def trained_state(self) -> dict[str, Tensor]:
        """All that training changes."""

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``trained_state`` gave."""


class AnyLoaded(Protocol):
    """One batch as a DataLoader gives it: None where no frame of it could be used."""

    @property
    def batch(self) -> Any:
        """To be trained on: has ``names`` of frames, and goes to a device with ``to``."""

    @property
    def skipped(self) -> tuple[Skip, ...]:
        """What was left out."""

    @property
    def failure(self) -> Failure | None:
        """What ends the run."""


class Work(ABC):
    """A run's data and module, and what its verb does otherwise than the other one.

    Args:
        experiment: what is trained, on what, how.
        dataset: where the frames that are trained on come from.
        module: what is trained.
        indices: (F,) the frames of ``dataset`` that take part.
        beginning: what the network began with; None: random weights, or those of a checkpoint to come.
    """

    if_none_is_usable: ClassVar[str]
    """What to do where an epoch had no frame that could be trained on."""

    experiment: Experiment
    dataset: Dataset
    module: Any
    indices: Ints
    beginning: Beginning | None

    def plan(self) -> Plan:
        """The order of frames through the run.

        Raises:
            InputError: the data set has no frame.
        """
        train = self.experiment.train
        if not len(self.indices):
            raise InputError(f"there is no frame in {self.dataset.root}", "choose another split with --split")
        return Plan(len(self.indices), train.batch_size, train.devices, train.accumulate, train.epochs, train.seed)

    def fingerprint(self) -> str:
        """The same for the same frames in the same order."""
        names = (self.dataset.name(int(index)) for index in self.indices)
        return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]

    def facts(self) -> dict[str, Any]:
        """What ``run.json`` says of the data and the weights to begin with."""
        begun = {} if self.beginning is None else {"init": self.beginning.as_json()}
        return {"frames": len(self.indices), "fingerprint": self.fingerprint(), "classes": self._classes(), **begun}

    def _classes(self) -> dict[str, list[str]]:
        try:
            return self.dataset.label_classes()
        except DataError:  # whether a damaged frame ends the run is another's decision
            return {}

    def folder_made(self, folder: Path) -> None:  # noqa: B027 (nothing more by default)
        """Write what else a new run's folder should have."""

    def get_ready(self, fabric: Fabric, folder: Path) -> None:  # noqa: B027
        """Do what comes before the first step of a sitting."""

    def prepared(self, batch: Any) -> Any:
        """``batch``, which is on the device of training, as the module takes it."""
        return batch

    @abstractmethod
    def examples(self) -> Any:
        """The examples by ``Key``, to be loaded in other processes."""

    @abstractmethod
    def gather(self) -> Callable[[Sequence[Any]], AnyLoaded]:
        """Makes a batch of examples."""

    def head(self) -> Iterable[nn.Parameter]:
        """What learns at a rate of its own."""
        return ()

    def head_rate(self) -> float:
        """By how much it learns faster than all else."""
        return 1.0

    def save_more(self, folder: Path, card: Mapping[str, Any]) -> None:  # noqa: B027
        """Write further files with each checkpoint; ``card`` is that of the backbone."""

    def judge_after(self, epoch: int) -> Judge | None:
        """Who judges the module when ``epoch`` (from 1) is over; None: nobody."""
        return None

    def save_best(self, folder: Path, card: Mapping[str, Any]) -> None:  # noqa: B027
        """Keep the module as it is now: it was judged better than ever before."""

    def details(self) -> Iterator[tuple[str, str]]:
        """What a person should know before the first step beside the usual: a title and words, line by line."""
        if self.beginning is not None:
            yield "init", self.beginning.line()
            yield from (("note", f"unlike pre-training, {words}") for words in self.beginning.mismatches)

    @abstractmethod
    def summarise(
        self, folder: Path, progress: Progress, lines: Sequence[Mapping[str, Any]], judged: Sequence[Mapping[str, Any]]
    ) -> Summary:
        """What the run came to, from the lines of its steps and of its evaluations."""
