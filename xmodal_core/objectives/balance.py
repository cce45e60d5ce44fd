"""Which units stay negatives: the L least similar ones (IROS 2024 paper, similarity-balanced sampling).

Units that look alike, such as two cars, are not pushed apart: only the least similar units of a frame are negatives.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cosine_similarity(features: Tensor) -> Tensor:
    """(U,U) float32 cosines between the rows of ``features`` (U,D); a zero row has cosine 0 with all."""
    directions = F.normalize(features.float(), dim=1)
    return directions @ directions.T


def count_of(negatives: float, others: int) -> int:
    """L: ``negatives`` itself, or, below 1, that share of the ``others``; at least one, at most all of them."""
    wanted = round(negatives * others) if negatives < 1 else int(negatives)
    return min(max(wanted, 1), others)


def least_similar(similarity: Tensor, negatives: float, *, literal: bool = False) -> Tensor:
    """(U,U) bool: row i marks the units that are negatives of unit i, never i itself.

    Args:
        similarity: (U,U).
        negatives: L, a number of units, or below 1 a share of a unit's others.
        literal: the paper's S_i = {j : s_ij < s_iL, j != i}, s_iL the L-th smallest similarity, which leaves L - 1
            units. Otherwise the L-th is a negative too (<=), so that L units are. Equal similarities at the L-th place
            are all in, or literally all out: the order of units never matters.
    """
    others = len(similarity) - 1
    if others < 1:
        return torch.zeros_like(similarity, dtype=torch.bool)
    own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    alone = similarity.masked_fill(own, torch.inf)
    # Unlike kthvalue, topk has a deterministic form on every device.
    least = alone.topk(count_of(negatives, others), dim=1, largest=False, sorted=False).values
    last = least.amax(dim=1, keepdim=True)
    return (alone < last) if literal else (alone <= last)
