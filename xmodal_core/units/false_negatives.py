"""False negatives: units that the loss pushes apart although they lie on one object, or on things of one class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core.types import Bools, Ints
from xmodal_core.units.labels import UnitLabels


class FalseNegatives(NamedTuple):
    """How many negative pairs should be none.

    Args:
        object: share of the pairs whose two units lie on one object; NaN without pairs or without boxes.
        cls: share whose two units have one class; NaN without pairs or without classes.
        pairs: how many ordered pairs there are, a unit and one of its negatives.
    """

    object: float
    cls: float
    pairs: int


def false_negatives(labels: UnitLabels, negatives: Bools | None = None) -> FalseNegatives:
    """The share of negative pairs whose two units lie on the same thing.

    All pairs count: one with an unlabelled unit is taken for a true negative, so that where labels leave much out the
    shares are lower bounds.

    Args:
        labels: of U units.
        negatives: (U,U), row i marks the negatives of unit i, never i itself; None: all others.
    """
    units = len(labels.object)
    pairs = units * (units - 1) if negatives is None else int(negatives.sum())
    thing, cls = (_alike(label, negatives) for label in (labels.object, labels.cls))
    return FalseNegatives(
        thing / pairs if pairs and labels.has_objects else float("nan"),
        cls / pairs if pairs and labels.has_classes else float("nan"),
        pairs,
    )


def _alike(label: Ints, negatives: Bools | None) -> int:
    """How many negative pairs have one label, which is not -1."""
    known = np.flatnonzero(label >= 0)
    if negatives is None:
        size = np.bincount(label[known])
        return int((size * (size - 1)).sum())
    same = label[known, None] == label[None, known]
    return int((negatives[np.ix_(known, known)] & same).sum())
