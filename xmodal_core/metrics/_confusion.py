"""How often each class was taken for each other: what all IoU of points comes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from xmodal_core.errors import InputError
from xmodal_core.metrics.base import LabelledPoints
from xmodal_core.types import Doubles, Ints


@dataclass(frozen=True)
class Confusion:
    """``matrix`` (C,C) int64 counts of points by true class (row) and predicted class (column), over ``frames``
    frames."""

    matrix: Ints
    frames: int

    def ious(self) -> Doubles:
        """(C,) intersection over union of each class, NaN where there is neither a label nor a prediction of it."""
        shared = np.diagonal(self.matrix).astype(np.float64)
        union = self.matrix.sum(axis=0) + self.matrix.sum(axis=1) - shared
        ious = np.divide(shared, union, out=np.full(len(shared), np.nan), where=union > 0)
        return np.asarray(ious, dtype=np.float64)


def confusion(frames: Iterable[LabelledPoints], classes: int, least: int = 0) -> Confusion:
    """Count ``frames`` one by one; points whose true class is 0 are left out.

    Args:
        frames: each with ``predicted`` numbers from ``least`` to ``classes`` - 1 and ``true`` ones from 0 on.
        classes: how many there are, with the one that does not count.
        least: 1 where predicting class 0 is against the rules.

    Raises:
        InputError: a number is out of bounds, a frame comes twice or has another number of predictions than labels,
            or there is no labelled point at all.
    """
    tally = Tally(classes, least)
    for frame in frames:
        tally.add(frame)
    return tally.counts()


class Tally:
    """A ``Confusion`` in the making; see ``confusion``."""

    def __init__(self, classes: int, least: int = 0) -> None:
        self._matrix = np.zeros((classes, classes), dtype=np.int64)
        self._least = least
        self._seen: set[str] = set()

    def add(self, frame: LabelledPoints) -> None:
        """Count the points of ``frame``.

        Raises:
            InputError: a number is out of bounds, the frame came before, or it has another number of predictions than
                labels.
        """
        classes = len(self._matrix)
        if frame.name in self._seen:
            raise InputError(f"frame '{frame.name}' comes twice", "give each frame once")
        if frame.predicted.shape != frame.true.shape:
            raise InputError(
                f"frame '{frame.name}' has {len(frame.predicted)} predictions for {len(frame.true)} labelled points",
                "predict every point of the sweep, in its order",
            )
        require_numbers(frame.name, frame.predicted, self._least, classes)
        require_numbers(frame.name, frame.true, 0, classes)
        self._seen.add(frame.name)
        pairs = frame.true * classes + frame.predicted
        self._matrix += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        self._matrix[0] = 0

    @property
    def any_labelled(self) -> bool:
        """Whether there was a labelled point so far."""
        return bool(self._matrix.any())

    def counts(self) -> Confusion:
        """What was counted so far.

        Raises:
            InputError: there was no labelled point.
        """
        if not self.any_labelled:
            raise InputError(f"{len(self._seen)} frames have no labelled point", "choose a split that has labels")
        return Confusion(self._matrix, len(self._seen))


def require_numbers(name: str, numbers: Ints, least: int, end: int) -> None:
    """All class ``numbers`` of frame ``name`` lie in ``least`` … ``end`` - 1.

    Raises:
        InputError: they do not.
    """
    if len(numbers) and not least <= numbers.min() <= numbers.max() < end:
        wrong = numbers[(numbers < least) | (numbers >= end)][0]
        raise InputError(f"frame '{name}' has a point of class {wrong}", f"the benchmark takes {least} to {end - 1}")
