"""InfoNCE with chosen negatives, against a loop over units in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from xmodal_core.objectives.info_nce import info_nce


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def naive(first: Tensor, second: Tensor, negatives: Tensor, tau: float, symmetric: bool) -> tuple[float, float, float]:
    """Loss, accuracy and alignment, written out."""
    a = [unit(row) for row in first.double().numpy()]
    b = [unit(row) for row in second.double().numpy()]
    directions = [(a, b), (b, a)] if symmetric else [(a, b)]
    losses, hits = [], []
    for anchors, others in directions:
        terms, found = [], []
        for i in range(len(anchors)):
            chosen = [j for j in range(len(others)) if negatives[i, j]]
            if not chosen:
                continue
            positive = float(anchors[i] @ others[i]) / tau
            rest = [float(anchors[i] @ others[j]) / tau for j in chosen]
            terms.append(-math.log(1 / (1 + sum(math.exp(value - positive) for value in rest))))
            found.append(positive > max(rest))
        losses.append(sum(terms) / len(terms) if terms else 0.0)
        hits.append(sum(found) / len(found) if found else 1.0)
    alignment = sum(float(x @ y) for x, y in zip(a, b, strict=True)) / len(a)
    return sum(losses) / len(losses), sum(hits) / len(hits), alignment


def draw(seed: int, units: int, width: int, share: float) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, units, width, generator=generator)
    negatives = torch.rand(units, units, generator=generator) < share
    return first, second, negatives & ~torch.eye(units, dtype=torch.bool)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    units=st.integers(1, 12),
    width=st.integers(1, 7),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    tau=st.sampled_from([0.04, 0.07, 0.5, 1.0]),
    symmetric=st.booleans(),
)
def test_it_is_the_formula_written_out(
    seed: int, units: int, width: int, share: float, tau: float, symmetric: bool
) -> None:
    first, second, negatives = draw(seed, units, width, share)
    found = info_nce(first, second, negatives, tau, symmetric=symmetric)
    loss, accuracy, alignment = naive(first, second, negatives, tau, symmetric)
    assert float(found.loss) == pytest.approx(loss, rel=1e-4, abs=1e-5)
    assert float(found.alignment) == pytest.approx(alignment, abs=1e-5)
    if width > 1:  # of numbers, most cosines are 1 or -1 and many tie
        assert float(found.accuracy) == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.15, 0.6, 1.0])
@pytest.mark.parametrize("symmetric", [True, False])
def test_its_gradient_is_that_of_finite_differences(
    monkeypatch: pytest.MonkeyPatch, share: float, symmetric: bool
) -> None:
    # The objective computes in float32, too coarse for differences: here float() leaves doubles alone.
    monkeypatch.setattr(Tensor, "float", lambda self: self)
    first, second, negatives = draw(3, 6, 4, share)
    values = (first.double().requires_grad_(), second.double().requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: info_nce(a, b, negatives, 0.2, symmetric=symmetric).loss, values)


@pytest.mark.parametrize("tau", [0.005, 0.07])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_it_is_finite_at_extremes(tau: float, scale: float) -> None:
    first, second, negatives = draw(0, 9, 5, 0.5)
    first[3] = 0  # a unit of which nothing is seen
    second[4] = -first[4]  # the worst positive there is
    negatives[5] = False  # a unit without negatives
    first, second = (first * scale).requires_grad_(), (second * scale).requires_grad_()
    found = info_nce(first, second, negatives, tau)
    found.loss.backward()
    assert torch.isfinite(found.loss)
    assert float(found.loss.detach()) > 0
    for view in (first, second):
        assert view.grad is not None
        assert torch.isfinite(view.grad).all()


def test_a_unit_without_negatives_says_nothing() -> None:
    first, second, negatives = draw(1, 8, 5, 0.6)
    negatives[:, 2] = False  # nor is it a negative of others
    with_it = info_nce(first, second, negatives & (torch.arange(8) != 2)[:, None])
    others = torch.arange(8) != 2
    without = info_nce(first[others], second[others], negatives[others][:, others])
    assert float(with_it.loss) == pytest.approx(float(without.loss), rel=1e-6)
    assert float(with_it.accuracy) == pytest.approx(float(without.accuracy), rel=1e-6)


def test_where_no_unit_has_any_the_loss_is_zero_and_can_still_be_differentiated() -> None:
    first, second, negatives = draw(1, 5, 4, 0.0)
    found = info_nce(first.requires_grad_(), second, negatives)
    found.loss.backward()
    assert float(found.loss.detach()) == 0
    assert float(found.accuracy) == 1
    assert first.grad is not None
    assert not first.grad.any()


def test_other_units_play_no_part() -> None:
    """Masked units have weight 0, not the exp(0) = 1 that a product with the mask would leave."""
    first, second, negatives = draw(2, 7, 5, 0.5)
    for i in range(7):
        changed = second.clone()
        masked = ~negatives[i]
        masked[i] = False
        changed[masked] = torch.randn(int(masked.sum()), 5, generator=torch.Generator().manual_seed(9))
        only = torch.zeros_like(negatives)
        only[i] = negatives[i]
        before = info_nce(first, second, only, symmetric=False).loss
        after = info_nce(first, changed, only, symmetric=False).loss
        assert float(before) == pytest.approx(float(after), rel=1e-6)


def test_perfect_pairs_are_told_apart_and_random_ones_are_not() -> None:
    views = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    negatives = ~torch.eye(64, dtype=torch.bool)
    perfect = info_nce(views, 3 * views, negatives)
    assert float(perfect.accuracy) == 1
    assert float(perfect.alignment) == pytest.approx(1)
    assert float(perfect.loss) < 0.01
    random = info_nce(views, torch.randn(64, 32, generator=torch.Generator().manual_seed(1)), negatives)
    assert float(random.accuracy) < 0.1
    assert abs(float(random.alignment)) < 0.1
    assert float(random.loss) > math.log(64) * 0.8


def test_half_precision_is_taken_and_computed_in_full() -> None:
    first, second, negatives = draw(4, 9, 6, 0.7)
    half = info_nce(first.bfloat16(), second.bfloat16(), negatives)
    full = info_nce(first.bfloat16().float(), second.bfloat16().float(), negatives)
    assert half.loss.dtype == torch.float32
    assert torch.equal(half.loss, full.loss)
