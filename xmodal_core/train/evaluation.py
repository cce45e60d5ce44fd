"""Predictions of a fine-tuned model over the frames of a data set, one batch after the other, and what a protocol says
of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from xmodal_core.datasets import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.metrics import DetectionProtocol, Protocol, Result
from xmodal_core.tasks.base import Judged, LabelledExample, Task, collate
from xmodal_core.train.examples import Failure, Skip
from xmodal_core.train.labelled import FramesToPredict, Unjudged
from xmodal_core.train.parts import leave_interrupts_to_the_main_process, opened
from xmodal_core.types import Frame, Ints


@dataclass(frozen=True)
class Judging:
    """Predicts and judges.

    Args:
        dataset, indices: the frames.
        split: what they are called.
        device: where the model is.
        batch_size: frames a batch.
        workers: processes that read frames.
        skip_damaged: damaged frames are left out; else they raise.
        tell: called after each batch with frames done and frames in all.
        stop: asked before each batch.
    """

    dataset: Dataset
    indices: Ints
    split: str
    device: torch.device
    batch_size: int = 1
    workers: int = 0
    skip_damaged: bool = False
    tell: Callable[[int, int], None] = lambda done, total: None
    stop: Callable[[], bool] = lambda: False

    def judge(self, task: Task, protocol: Protocol) -> Result:
        """What ``protocol`` says of ``task``.

        Raises:
            DataError: a frame has no labels, or is damaged.
            InterruptedError: ``stop`` said so.
        """
        return task.judge(protocol, self.dataset, self.predictions(task), self.split)

    def submit(self, task: Task, protocol: Protocol, out: Path) -> None:
        """Write the submission file or folder ``out`` of ``protocol``; see ``Task.submit``.

        Raises:
            InputError: boxes are asked for in the LiDAR's own coordinates, which the frames are not in.
        """
        in_sensor = isinstance(protocol, DetectionProtocol) and protocol.coordinates != "world"
        if in_sensor and self.dataset.rig.common_frame:
            raise InputError(
                f"'{protocol.name}' takes boxes in the LiDAR's own coordinates, but the model was trained with "
                "rig.common_frame",
                "write the submission of a model that was trained without",
            )
        task.submit(protocol, self.dataset, self.predictions(task), out, self.split)

    def predictions(self, task: Task) -> Iterator[Judged]:
        """Each frame with what ``task`` predicts of it, in their order."""
        training, done = task.training, 0
        task.eval()
        try:
            with opened(self._loader(task)) as batches:
                for results in batches:
                    if self.stop():
                        raise InterruptedError
                    read = [result for result in results if isinstance(result, Unjudged)]
                    for result in results:
                        if isinstance(result, Failure):
                            raise DataError(result.message, result.hint)
                    yield from self._predict(task, read)
                    done += len(results)
                    self.tell(done, len(self.indices))
        finally:
            task.train(training)

    def _predict(self, task: Task, read: Sequence[Unjudged]) -> Iterator[Judged]:
        if read:
            predicted = predict(task, [one.example for one in read], self.device)
            yield from (one.judged(prediction) for one, prediction in zip(read, predicted, strict=True))

    def _loader(self, task: Task) -> DataLoader[list[Unjudged | Skip | Failure]]:
        frames: Any = FramesToPredict(self.dataset, self.indices, task.network.config.channels, self.skip_damaged)
        return DataLoader(
            frames,
            batch_size=self.batch_size,
            num_workers=self.workers,
            collate_fn=list,
            worker_init_fn=leave_interrupts_to_the_main_process,
        )


@torch.no_grad()
def predict(task: Task, examples: Sequence[LabelledExample], device: torch.device) -> list[Any]:
    """One prediction for each of ``examples`` by ``task`` in eval mode, which lies on ``device``."""
    return task.predict(collate(examples, type(task)).to(device))


def predict_frame(task: Task, frame: Frame, device: torch.device) -> Any:
    """What ``task`` predicts of ``frame``; see ``Task.predict``."""
    from xmodal_core.train.batch import stack_channels

    example = LabelledExample(frame.name, frame.points, stack_channels(frame, task.network.config.channels))
    return predict(task.eval(), [example], device)[0]
