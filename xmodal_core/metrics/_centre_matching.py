"""Matching by the distance between centres along the ground, and nuScenes' average precision.

Rules: nuscenes-devkit, eval/detection/{algo,data_classes}.py.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from xmodal_core.types import Bools, Doubles, Ints

MATCH_DISTANCES = (0.5, 1.0, 2.0, 4.0)
"""Metres between centres, along the ground, below which a prediction may match a label."""
MIN_RECALL, MIN_PRECISION = 0.1, 0.1
RECALLS = np.linspace(0.0, 1.0, 101)
FIRST = round(100 * MIN_RECALL) + 1
"""The first of ``RECALLS`` that counts."""


class Centred(Protocol):
    """Boxes of all frames: ``frame`` (B,) sorted, ``label`` (B,), ``centre`` (B,3)."""

    @property
    def frame(self) -> Ints: ...
    @property
    def label(self) -> Ints: ...
    @property
    def centre(self) -> Doubles: ...


class Pairs(NamedTuple):
    """Candidates: prediction ``found`` and label ``label`` (P,) of one class and frame, ``away`` (P,) metres apart."""

    found: Ints
    label: Ints
    away: Doubles


def near_pairs(found: Centred, labels: Centred, most: float) -> Pairs:
    """All pairs of one frame and class less than ``most`` metres apart along the ground."""
    frames = int(max(found.frame.max(initial=0), labels.frame.max(initial=0))) + 1
    first = np.searchsorted(found.frame, np.arange(frames + 1))
    second = np.searchsorted(labels.frame, np.arange(frames + 1))
    rows: list[Pairs] = []
    for frame in range(frames):
        a, b = slice(first[frame], first[frame + 1]), slice(second[frame], second[frame + 1])
        apart = found.centre[a, None, :2] - labels.centre[None, b, :2]
        away = np.sqrt(apart[..., 0] ** 2 + apart[..., 1] ** 2)
        near = (away < most) & (found.label[a, None] == labels.label[None, b])
        i, j = np.nonzero(near)
        rows.append(Pairs(i + a.start, j + b.start, away[i, j]))
    return Pairs(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def turns(score: Doubles) -> tuple[Ints, Ints]:
    """(F,) the predictions by falling score, of equal ones the last first, and (F,) the turn of each."""
    order = np.argsort(score, kind="stable")[::-1]
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return order, rank


def match_in_turn(found: Ints, label: Ints, away: Doubles, rank: Ints, labels: int) -> Ints:
    """Predictions choose in turn, each the nearest label that is still free (of equally near ones the first).

    All whose choice no earlier one can still take choose at once, so that a few rounds do for any number of them.

    Args:
        found, label, away: (P,) the pairs allowed and their distances.
        rank: (F,) the turn of each prediction, all different.
        labels: how many labels there are.

    Returns:
        (F,) int64 the label of each prediction, -1 for none.
    """
    match = np.full(len(rank), -1, dtype=np.int64)
    order = np.lexsort((label, away, rank[found]))
    found, label = found[order], label[order]
    while len(found):
        best = np.ones(len(found), dtype=bool)
        best[1:] = found[1:] != found[:-1]
        # Pairs are sorted by turn: the first of a label is that of the earliest prediction which may still take it.
        earliest = np.full(labels, len(found), dtype=np.int64)
        np.minimum.at(earliest, label, np.arange(len(found)))
        settled = np.flatnonzero(best & (found[earliest[label]] == found))
        match[found[settled]] = label[settled]
        taken = np.zeros(labels, dtype=bool)
        taken[label[settled]] = True
        left = (match[found] < 0) & ~taken[label]
        found, label = found[left], label[left]
    return match


def average_precision(hit: Bools, positives: int) -> float:
    """The mean precision above ``MIN_PRECISION`` over the recalls above ``MIN_RECALL``, from 0 to 1, of predictions by
    falling score that ``hit`` (F,) one of ``positives`` labels or none."""
    if not positives or not hit.any():
        return 0.0
    true = np.cumsum(hit)
    precision = np.interp(RECALLS, true / positives, true / np.arange(1, len(hit) + 1), right=0.0)
    return float(np.mean(np.maximum(precision[FIRST:] - MIN_PRECISION, 0.0)) / (1.0 - MIN_PRECISION))
