"""InfoNCE between two views of the same units, with only chosen units as negatives (IROS 2024 paper, equation 3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Contrast(NamedTuple):
    """``loss``, a scalar with its graph, and what is worth watching, detached scalars: ``accuracy``, the share of units
    whose positive beats all their negatives, and ``alignment``, the mean cosine of positives."""

    loss: Tensor
    accuracy: Tensor
    alignment: Tensor


def info_nce(
    first: Tensor, second: Tensor, negatives: Tensor, temperature: float = 0.07, *, symmetric: bool = True
) -> Contrast:
    """How well row i of ``first`` finds row i of ``second`` among its negatives there, and the other way round.

    Each unit's term is -log(exp(p) / (exp(p) + sum over its negatives of exp(n))), p and n being cosines over the
    ``temperature``. The loss is the mean over units and over both directions. A unit without negatives says nothing:
    it is left out of loss and accuracy; where no unit has any, the loss is 0 and the accuracy 1.

    Args:
        first, second: (U,D), of any length; computed in float32.
        negatives: (U,U) bool, row i the negatives of unit i, in both directions; i itself is not among them.
        temperature: above 0.
        symmetric: both directions; else only from ``first`` to ``second``.
    """
    first, second = F.normalize(first.float(), dim=1), F.normalize(second.float(), dim=1)
    logits = first @ second.T / temperature
    terms = [_direction(logits, negatives)]
    if symmetric:
        terms.append(_direction(logits.T, negatives))
    loss = torch.stack([loss for loss, _ in terms]).mean()
    accuracy = torch.stack([accuracy for _, accuracy in terms]).mean()
    return Contrast(loss, accuracy, (first * second).sum(1).mean().detach())


def _direction(logits: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and accuracy of finding the diagonal of ``logits`` in each row."""
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    kept = logits.masked_fill(~(negatives | own), -torch.inf)
    terms = kept.logsumexp(dim=1) - logits.diagonal()
    best = kept.detach().masked_fill(own, -torch.inf).amax(dim=1)
    found = logits.detach().diagonal() > best
    counted = negatives.any(dim=1)
    share = counted / counted.sum().clamp(min=1)
    return (terms * share).sum(), torch.where(counted.any(), (found * share).sum(), 1.0)
