"""nuScenes lidarseg: mean IoU of sixteen classes of points.

Rules: nuscenes-devkit, eval/lidarseg/{evaluate,utils,validate_submission}.py. Points whose label does not count are
left out; every other point has to have a class; a class that neither occurs nor is predicted is left out of the mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from xmodal_core.config import Settings
from xmodal_core.datasets._files import read_bytes
from xmodal_core.datasets._nuscenes_classes import SEGMENTATION
from xmodal_core.errors import DataError, InputError
from xmodal_core.metrics._confusion import Confusion, require_numbers
from xmodal_core.metrics._nuscenes import SubmissionMeta
from xmodal_core.metrics.base import Result, SegmentationProtocol, write_whole
from xmodal_core.types import Ints

if TYPE_CHECKING:
    from xmodal_core.datasets.base import Dataset

ENDING = "_lidarseg.bin"


class NuScenesLidarseg(SegmentationProtocol):
    """Scores points as the nuScenes lidarseg benchmark does."""

    Config: ClassVar[type[Settings]] = SubmissionMeta
    rules: ClassVar[str] = "lidarseg, 16 classes"
    classes: ClassVar[tuple[str, ...]] = SEGMENTATION
    naming: ClassVar[str] = "{:032x}"
    least: ClassVar[int] = 1

    def submission_name(self, dataset: Dataset, index: int) -> str:
        """Of nuScenes the token of the sweep's sample_data, by which lidarseg names its files."""
        from xmodal_core.datasets.nuscenes import NuScenes

        return dataset.lidar_token(index) if isinstance(dataset, NuScenes) else dataset.name(index)

    def score(self, counts: Confusion, split: str) -> Result:
        """See ``SegmentationProtocol``."""
        ious = counts.ious()[1:]
        share = counts.matrix.sum(axis=1)[1:] / counts.matrix.sum()
        return Result(
            protocol=self.name,
            rules=self.rules,
            split=split,
            frames=counts.frames,
            evaluated=int(counts.matrix.sum()),
            of="points",
            measures={"mIoU": float(np.nanmean(ious)), "fwIoU": float(np.nansum(share * ious))},
            parts={name: {"IoU": float(iou)} for name, iou in zip(SEGMENTATION[1:], ious, strict=True)},
        )

    def write_submission(self, frames: Iterable[tuple[str, Ints]], out: Path, split: str) -> None:
        """See ``SegmentationProtocol``: ``lidarseg/SPLIT/TOKEN_lidarseg.bin``, one uint8 a point, and at last
        ``SPLIT/submission.json``."""
        for name, predicted in frames:
            if "/" in name:
                raise InputError(f"frame '{name}' is no sweep of nuScenes", "frames are named by sample_data tokens")
            require_numbers(name, predicted, 1, len(SEGMENTATION))
            write_whole(_folder(out, split) / f"{name}{ENDING}", predicted.astype(np.uint8).tobytes())
        meta = json.dumps({"meta": self.config.model_dump()}, indent=2)
        write_whole(out / split / "submission.json", meta.encode())

    def read_submission(self, path: Path, split: str) -> Iterator[tuple[str, Ints]]:
        """See ``SegmentationProtocol``; frames come in the order of their names."""
        files = sorted(_folder(path, split).glob(f"*{ENDING}"))
        if not files:
            raise DataError(f"{_folder(path, split)} holds no *{ENDING}", "name the folder that has lidarseg/ in it")
        for file in files:
            predicted = np.frombuffer(read_bytes(file), dtype=np.uint8).astype(np.int64)
            if not 1 <= predicted.min() <= predicted.max() < len(SEGMENTATION):
                raise DataError(f"{file} holds a class outside 1 to {len(SEGMENTATION) - 1}", "write it anew")
            yield file.name[: -len(ENDING)], predicted


def _folder(out: Path, split: str) -> Path:
    return out / "lidarseg" / split
