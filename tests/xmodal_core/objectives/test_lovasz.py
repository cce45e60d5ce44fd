"""Lovász-softmax against the definition: the Lovász extension of the Jaccard loss, a sum over all orders of errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.objectives.lovasz import lovasz_softmax


def jaccard_loss(wrong: set[int], truth: set[int]) -> float:
    """1 - IoU of a class when just the points ``wrong`` are got wrong (equation 6 of the paper)."""
    predicted = truth ^ wrong
    union = truth | predicted
    return 1 - len(truth & predicted) / len(union) if union else 0.0


def naive(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Equation 9: errors in falling order, each times what its point adds to the set function."""
    losses = []
    for number in np.unique(labels):
        truth = set(np.flatnonzero(labels == number).tolist())
        errors = np.abs((labels == number) - probabilities[:, number])
        wrong: set[int] = set()
        loss = 0.0
        for point in np.argsort(-errors, kind="stable").tolist():
            before = jaccard_loss(wrong, truth)
            wrong.add(point)
            loss += errors[point] * (jaccard_loss(wrong, truth) - before)
        losses.append(loss)
    return float(np.mean(losses))


@given(points=st.integers(1, 30), classes=st.integers(2, 5), seed=st.integers(0, 10_000))
def test_it_is_the_extension_by_its_definition(points: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), points)
    labels = random.integers(0, classes, points)
    found = float(lovasz_softmax(torch.from_numpy(probabilities), torch.from_numpy(labels)))
    assert found == pytest.approx(naive(probabilities, labels), abs=1e-9)
    assert 0 <= found <= 1


def test_at_its_corners_it_is_the_jaccard_loss() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1])
    predicted = torch.tensor([0, 1, 1, 1, 0])
    sure = torch.nn.functional.one_hot(predicted, 3).double()
    ious = [1 / 3, 2 / 4]  # of classes 0 and 1; class 2 is not there and does not count
    assert float(lovasz_softmax(sure, labels)) == pytest.approx(1 - np.mean(ious))


def test_its_gradient_is_that_of_small_steps() -> None:
    torch.manual_seed(0)
    logits = torch.randn(12, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 4, (12,))
    assert torch.autograd.gradcheck(lambda values: lovasz_softmax(values.softmax(dim=1), labels), (logits,))


def test_without_points_it_is_nothing_but_has_a_graph() -> None:
    probabilities = torch.zeros(0, 3, requires_grad=True)
    loss = lovasz_softmax(probabilities, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert float(loss.detach()) == 0.0
