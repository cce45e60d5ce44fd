"""Pairs counted one by one, and a case small enough for paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.objectives.balance import least_similar
from xmodal_core.units.false_negatives import false_negatives
from xmodal_core.units.labels import UnitLabels

CASE = UnitLabels(np.array([0, 0, 0, 1, 1, -1, -1]), np.array([4, 4, 4, 4, 4, 7, -1]))
"""Three units on one car, two on another, one on a wall, one on nothing labelled."""


def test_a_case_on_paper() -> None:
    # 7 * 6 pairs; on one object 3 * 2 + 2 * 1; of one class 5 * 4.
    assert false_negatives(CASE) == (8 / 42, 20 / 42, 42)


def test_only_the_negatives_of_each_unit_count() -> None:
    negatives = np.zeros((7, 7), bool)
    negatives[0, [1, 3, 5]] = True  # the own car, the other car, the wall
    negatives[3, [5]] = True
    negatives[6, [5, 0]] = True
    assert false_negatives(CASE, negatives) == (1 / 6, 2 / 6, 6)


def test_balance_by_perfect_features_leaves_no_false_negative() -> None:
    # Units on one car look the same, and less like all else.
    similarity = torch.tensor((CASE.cls[:, None] == CASE.cls[None]).astype(np.float32))
    negatives = least_similar(similarity, 2).numpy()
    assert false_negatives(CASE, negatives)[:2] == (0.0, 0.0)


def naive(labels: UnitLabels, negatives: np.ndarray) -> tuple[float, float, int]:
    thing = cls = pairs = 0
    for i, j in np.argwhere(negatives):
        pairs += 1
        thing += bool(labels.object[i] == labels.object[j] >= 0)
        cls += bool(labels.cls[i] == labels.cls[j] >= 0)
    return (thing / pairs, cls / pairs, pairs) if pairs else (np.nan, np.nan, 0)


@given(st.integers(0, 2**32 - 1), st.integers(0, 14), st.sampled_from(["all", "some"]))
def test_against_counting_pairs(seed: int, units: int, which: str) -> None:
    rng = np.random.default_rng(seed)
    labels = UnitLabels(rng.integers(-1, 3, units), rng.integers(-1, 2, units))
    others = ~np.eye(units, dtype=bool)
    some = others & (rng.random((units, units)) < 0.4)
    found = false_negatives(labels, None if which == "all" else some)
    assert found == pytest.approx(naive(labels, others if which == "all" else some), nan_ok=True)
    if which == "all":
        assert false_negatives(labels, others) == pytest.approx(found, nan_ok=True)


def test_nothing_is_told_without_labels() -> None:
    none = np.full(4, -1)
    assert np.isnan(false_negatives(UnitLabels(none, none, False, False))[:2]).all()
    assert false_negatives(UnitLabels(none, none)) == (0.0, 0.0, 12)
    by_class = false_negatives(UnitLabels(none, np.zeros(4, np.int64), False, True))
    assert np.isnan(by_class.object)
    assert by_class.cls == 1.0
