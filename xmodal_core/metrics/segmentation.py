"""Plain mean IoU of points, of any classes.

For data whose benchmark is not among the protocols, or has none. It is no benchmark's figure and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import field_validator

from xmodal_core.config import Settings, setting
from xmodal_core.datasets._files import read_bytes
from xmodal_core.errors import DataError, InputError
from xmodal_core.metrics._confusion import Confusion, require_numbers
from xmodal_core.metrics.base import Result, SegmentationProtocol, write_whole
from xmodal_core.types import Ints

ENDING = ".bin"


class PlainSegmentationConfig(Settings):
    """Options of ``segmentation``."""

    classes: tuple[str, ...] = setting(
        ("background", "car", "pedestrian", "cyclist"),
        "which classes count, in the order of their numbers from 1; one without labels stays out of the mean",
    )

    @field_validator("classes")
    @classmethod
    def _few(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not 1 <= len(value) < 255:
            raise ValueError("1 to 254 classes, so that each has a number of one byte")
        return value


class PlainSegmentation(SegmentationProtocol):
    """Mean over classes of intersection over union; a class without a labelled point has none."""

    Config: ClassVar[type[Settings]] = PlainSegmentationConfig
    rules: ClassVar[str] = "plain mean IoU of points, no official benchmark"
    least: ClassVar[int] = 1
    config: PlainSegmentationConfig

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        self.classes = ("ignore", *self.config.classes)  # type: ignore[misc]  # others' are fixed, these are chosen

    def score(self, counts: Confusion, split: str) -> Result:
        """See ``SegmentationProtocol``."""
        labelled = counts.matrix.sum(axis=1)[1:]
        ious = np.where(labelled > 0, counts.ious()[1:], np.nan)
        right = float(np.diagonal(counts.matrix).sum() / labelled.sum())
        return Result(
            protocol=self.name,
            rules=self.rules,
            split=split,
            frames=counts.frames,
            evaluated=int(labelled.sum()),
            of="points",
            measures={"mIoU": float(np.nanmean(ious)), "accuracy": right},
            parts={name: {"IoU": float(iou)} for name, iou in zip(self.config.classes, ious, strict=True)},
        )

    def write_submission(self, frames: Iterable[tuple[str, Ints]], out: Path, split: str) -> None:
        """See ``SegmentationProtocol``: ``SPLIT/FRAME.bin``, one uint8 a point."""
        for name, predicted in frames:
            if name.count("/") > 1 or ".." in name:
                raise InputError(f"frame '{name}' is no name of a file", "frames are named FRAME or DRIVE/FRAME")
            require_numbers(name, predicted, 1, len(self.classes))
            write_whole(out / split / f"{name}{ENDING}", predicted.astype(np.uint8).tobytes())

    def read_submission(self, path: Path, split: str) -> Iterator[tuple[str, Ints]]:
        """See ``SegmentationProtocol``; frames come in the order of their names."""
        folder = path / split
        files = sorted(folder.rglob(f"*{ENDING}"))
        if not files:
            raise DataError(f"{folder} holds no *{ENDING}", "name the folder that has the split's in it")
        for file in files:
            predicted = np.frombuffer(read_bytes(file), dtype=np.uint8).astype(np.int64)
            if not len(predicted) or not 1 <= predicted.min() <= predicted.max() < len(self.classes):
                raise DataError(f"{file} holds no classes of 1 to {len(self.classes) - 1}", "write it anew")
            yield str(file.relative_to(folder))[: -len(ENDING)], predicted
