"""Lovász-softmax: a loss that is the mean Jaccard index itself, made continuous.

Berman, Triki and Blaschko, "The Lovász-Softmax loss", CVPR 2018, equations 9 and 11 with algorithm 1, over the classes
that are present, as segmentation networks of point clouds are trained.
"""

from __future__ import annotations

import torch
from torch import Tensor


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """A scalar between 0 and 1: the mean over present classes of the Lovász extension of the Jaccard loss.

    Args:
        probabilities: (N,C), rows sum to 1.
        labels: (N,) int64, 0 to C-1, nothing to be ignored among them.

    Returns:
        0 with a graph where there is no point.

    >>> lovasz_softmax(torch.eye(3)[[0, 2]], torch.tensor([0, 2]))
    tensor(0.)
    """
    if not len(labels):
        return probabilities.sum() * 0.0
    present = torch.bincount(labels).nonzero()[:, 0]
    truth = (labels[:, None] == present).to(probabilities.dtype)
    errors, order = (truth - probabilities[:, present]).abs().sort(dim=0, descending=True)
    losses: Tensor = (errors * jaccard_steps(truth.gather(0, order))).sum(dim=0)
    return losses.mean()


def jaccard_steps(hits: Tensor) -> Tensor:
    """(N,C) by how much each point raises the Jaccard loss of a class when it is got wrong after all above it.

    Args:
        hits: (N,C), 1 where a point is of the class, points in the order of falling error.
    """
    total, wrong = hits.sum(dim=0), hits.cumsum(dim=0)
    intersection = total - wrong
    union = total + (1 - hits).cumsum(dim=0)
    loss = 1 - intersection / union
    return torch.diff(loss, dim=0, prepend=torch.zeros_like(loss[:1]))
