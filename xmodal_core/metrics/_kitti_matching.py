"""KITTI's way of matching boxes and of measuring precision at some recalls, which ONCE has too.

Labels choose among predictions, in the labels' order: first by score, to find the cut-offs that recalls lie at; then
anew at each cut-off, by overlap. What is ignored may be matched, and neither gains nor costs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xmodal_core.compiled import compiled
from xmodal_core.geometry_boxes import Overlaps
from xmodal_core.types import Doubles, Ints

OTHER, COUNTS, IGNORED = -1, 0, 1
"""What a box is to a part: of another class, one that counts, or one that may match but neither gains nor costs."""


def average_precision(
    pairs: Overlaps,
    wanted: Ints,
    offered: Ints,
    score: Doubles,
    cuts_of: Callable[[Doubles, int], Doubles],
    recalls: int,
) -> float:
    """The mean over the recalls 1/``recalls``, …, 1 of the best precision at that recall or above.

    Args:
        pairs: labels (``a``) and predictions (``b``) that overlap enough to match.
        wanted: (A,) what each label is to the part.
        offered: (B,) what each prediction is.
        score: (B,).
        cuts_of: the least score at each recall 0, 1/``recalls``, … that falling scores of matches reach, and so many
            labels.
        recalls: how many.
    """
    near = pairs.where((wanted[pairs.a] != OTHER) & (offered[pairs.b] != OTHER))
    first = np.searchsorted(near.a, np.arange(len(wanted) + 1))
    scores: Doubles = _scores_of_matches(first, near.b, wanted, offered, score)
    cuts = cuts_of(np.sort(scores)[::-1], int((wanted == COUNTS).sum()))
    passing = np.sort(score[offered == COUNTS])
    counts: Ints = _counts(first, near.b, near.iou, wanted, offered, score, cuts)
    true, used = counts.T
    wrong = len(passing) - np.searchsorted(passing, cuts) - used
    precision = np.zeros(recalls + 1)
    precision[: len(cuts)] = np.maximum.accumulate((true / np.maximum(true + wrong, 1))[::-1])[::-1]
    return float(np.mean(precision[1:]))


@compiled
def _scores_of_matches(first: Ints, other: Ints, wanted: Ints, offered: Ints, score: Doubles) -> Doubles:
    """Labels choose in turn, each the free prediction of the highest score: the scores of the matches that count."""
    taken = np.zeros(len(offered), dtype=np.bool_)
    scores = np.empty(len(wanted))
    count = 0
    for label in range(len(wanted)):
        best = -1
        for pair in range(first[label], first[label + 1]):
            prediction = other[pair]
            if not taken[prediction] and (best < 0 or score[prediction] > score[best]):
                best = prediction
        if best < 0:
            continue
        taken[best] = True
        if wanted[label] == COUNTS and offered[best] == COUNTS:
            scores[count] = score[best]
            count += 1
    return scores[:count]


@compiled
def _counts(first: Ints, other: Ints, iou: Doubles, wanted: Ints, offered: Ints, score: Doubles, cuts: Doubles) -> Ints:
    """Labels choose in turn at each cut-off, each the free prediction that overlaps most, one that is ignored only
    where there is no other: (cut-offs, 2) how many matches count, and how many predictions that count are taken."""
    counts = np.zeros((len(cuts), 2), dtype=np.int64)
    taken = np.full(len(offered), -1)
    for cut in range(len(cuts)):
        for label in range(len(wanted)):
            best = -1
            for pair in range(first[label], first[label + 1]):
                prediction = other[pair]
                if taken[prediction] == cut or score[prediction] < cuts[cut]:
                    continue
                if best < 0 or offered[other[best]] == IGNORED:
                    better = best < 0 or offered[prediction] == COUNTS
                else:
                    better = offered[prediction] == COUNTS and iou[pair] > iou[best]
                if better:
                    best = pair
            if best < 0:
                continue
            taken[other[best]] = cut
            if offered[other[best]] == COUNTS:
                counts[cut, 1] += 1
                counts[cut, 0] += wanted[label] == COUNTS
    return counts
