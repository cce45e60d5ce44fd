"""The matching of greatest total weight, kept up to date while predictions join one by one.

Predictions join from the highest score down, so the state after each one is the best matching of all predictions that
a score cut-off lets through: one pass gives what a Hungarian algorithm would find anew at every cut-off. When a
prediction joins a best matching, the new best one differs from it by a single path that begins at that prediction and
takes turns between new and old pairs (Berge 1957; the Hungarian algorithm itself adds its rows like this), and such a
path never leaves the few boxes that overlap.
"""

from __future__ import annotations

import numpy as np

from xmodal_core.compiled import compiled
from xmodal_core.types import Doubles, Ints


@compiled
def matched_sums(
    order: Ints, first: Ints, truth: Ints, weight: Ints, truths: int, values: Doubles, bins: Ints, count: int
) -> Doubles:
    """What the matched pairs sum up to for each group of predictions that have joined.

    Args:
        order: (A,) predictions in the order in which they join.
        first: (A+1,) where each prediction's pairs begin in the following.
        truth: (P,) the labelled box of each pair.
        weight: (P,) positive.
        truths: how many labelled boxes there are.
        values: (P,V) what a pair adds to each sum while it is matched.
        bins: (A,) each prediction's bin, falling along ``order``.
        count: how many bins there are.

    Returns:
        (count, V): row k holds the sums of the matching of all predictions with a bin of at least k.
    """
    sums = np.zeros((count, values.shape[1]))
    holder = np.full(truths, -1)  # the pair that each labelled box is matched in
    held = np.full(len(order), -1)  # the pair that each prediction is matched in
    gain = np.zeros(truths, dtype=np.int64)  # of the best path that ends in taking a labelled box; 0: not reached
    through = np.full(truths, -1)  # the pair by which that path takes it
    released = np.zeros(len(order), dtype=np.int64)  # the gain of the path so far, once a prediction is set free
    owner = np.empty(len(truth), dtype=np.int64)
    for prediction in range(len(order)):
        for pair in range(first[prediction], first[prediction + 1]):
            owner[pair] = prediction
    for joining in order:
        released[joining] = 0
        waiting = [joining]  # first come, first served: each path is looked at a bounded number of times
        served = 0
        reached = [joining for _ in range(0)]
        while served < len(waiting):
            prediction = waiting[served]
            served += 1
            for pair in range(first[prediction], first[prediction + 1]):
                box = truth[pair]
                better = released[prediction] + weight[pair]
                if pair == held[prediction] or better <= gain[box]:
                    continue
                if through[box] < 0:
                    reached.append(box)
                gain[box] = better
                through[box] = pair
                if holder[box] >= 0:
                    free = owner[holder[box]]
                    released[free] = better - weight[holder[box]]
                    waiting.append(free)
        best, end = 0, -1
        for box in reached:
            total = gain[box] - (weight[holder[box]] if holder[box] >= 0 else 0)
            if total > best:
                best, end = total, box
        if end >= 0:
            k = bins[joining]
            if holder[end] >= 0:  # its prediction is left without a pair
                sums[k] -= values[holder[end]]
                held[owner[holder[end]]] = -1
            box = end
            while True:
                pair = through[box]
                prediction = owner[pair]
                before = held[prediction]
                sums[k] += values[pair]
                holder[box] = pair
                held[prediction] = pair
                if before < 0:
                    break
                sums[k] -= values[before]
                box = truth[before]
        for box in reached:
            gain[box] = 0
            through[box] = -1
    for k in range(count - 2, -1, -1):
        sums[k] += sums[k + 1]
    return sums
