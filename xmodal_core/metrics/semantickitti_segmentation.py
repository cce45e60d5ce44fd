"""SemanticKITTI: mean IoU of nineteen classes of points, single scan.

Rules: semantic-kitti-api, evaluate_semantics.py and auxiliary/np_ioueval.py. Points whose label does not count are left
out; a labelled point that is predicted as class 0 is missed; a class that does not occur at all counts as 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from xmodal_core.datasets._files import FETCH_AGAIN, read_bytes
from xmodal_core.datasets._semantic_kitti_classes import FILE_LABEL, SEGMENTATION, class_of_label
from xmodal_core.errors import DataError, InputError
from xmodal_core.metrics._confusion import Confusion, require_numbers
from xmodal_core.metrics.base import Result, SegmentationProtocol, write_whole
from xmodal_core.types import Ints


class SemanticKittiSegmentation(SegmentationProtocol):
    """Scores points as SemanticKITTI's single-scan benchmark does. Frames are named ``08/000123``."""

    rules: ClassVar[str] = "single scan, 19 classes"
    classes: ClassVar[tuple[str, ...]] = SEGMENTATION
    naming: ClassVar[str] = "08/{:06d}"

    def score(self, counts: Confusion, split: str) -> Result:
        """See ``SegmentationProtocol``."""
        ious = np.nan_to_num(counts.ious()[1:], nan=0.0)
        predicted = counts.matrix[:, 1:].sum()
        right = np.diagonal(counts.matrix).sum()
        return Result(
            protocol=self.name,
            rules=self.rules,
            split=split,
            frames=counts.frames,
            evaluated=int(counts.matrix.sum()),
            of="points",
            measures={"mIoU": float(ious.mean()), "accuracy": float(right / predicted) if predicted else 0.0},
            parts={name: {"IoU": float(iou)} for name, iou in zip(SEGMENTATION[1:], ious, strict=True)},
        )

    def write_submission(self, frames: Iterable[tuple[str, Ints]], out: Path, split: str) -> None:
        """See ``SegmentationProtocol``: ``sequences/08/predictions/000123.label``, one uint32 a point, in the data
        set's own numbers."""
        numbers = np.array(FILE_LABEL, dtype="<u4")
        for name, predicted in frames:
            if not re.fullmatch(r"\d\d/\d{6}", name):
                raise InputError(f"frame '{name}' is no scan of SemanticKITTI", "frames are named like 08/000123")
            require_numbers(name, predicted, 0, len(SEGMENTATION))
            sequence, _, scan = name.partition("/")
            write_whole(_folder(out, sequence) / f"{scan}.label", numbers[predicted].tobytes())

    def read_submission(self, path: Path, split: str) -> Iterator[tuple[str, Ints]]:
        """See ``SegmentationProtocol``; every sequence of the folder, whatever ``split``, in the order of names."""
        files = sorted(path.glob("sequences/*/predictions/*.label"))
        if not files:
            raise DataError(
                f"{path} holds no sequences/*/predictions/*.label", "name the folder that has sequences/ in it"
            )
        lookup = class_of_label()
        for file in files:
            content = read_bytes(file)
            if len(content) % 4:
                raise DataError(f"{file} is cut short: {len(content)} bytes are no whole number of uint32", FETCH_AGAIN)
            predicted = lookup[np.frombuffer(content, dtype="<u4") & 0xFFFF]
            if (predicted < 0).any():
                raise DataError(f"{file} holds a label that SemanticKITTI does not have", "write it anew")
            yield f"{file.parents[1].name}/{file.stem}", predicted


def _folder(out: Path, sequence: str) -> Path:
    return out / "sequences" / sequence / "predictions"
