"""Which units are negatives, against a loop over units; and the viewers' picture of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from viz.similarity import compare
from xmodal_core.objectives.balance import cosine_similarity, count_of, least_similar


def naive(similarity: Tensor, wanted: float, literal: bool) -> list[list[bool]]:
    """S_i = {j : s_ij < s_iL, j != i} (or <=), written out."""
    rows = []
    for i in range(len(similarity)):
        others = sorted(float(similarity[i, j]) for j in range(len(similarity)) if j != i)
        count = min(max(round(wanted * len(others)) if wanted < 1 else int(wanted), 1), len(others))
        last = others[count - 1]
        chosen = []
        for j in range(len(similarity)):
            value = float(similarity[i, j])
            chosen.append(j != i and (value < last if literal else value <= last))
        rows.append(chosen)
    return rows


# Few different values, so that equal similarities are common.
SIMILARITIES = st.integers(2, 9).flatmap(
    lambda n: st.lists(st.integers(-3, 3), min_size=n * n, max_size=n * n).map(
        lambda values: torch.tensor(values, dtype=torch.float32).reshape(n, n) / 3
    )
)
WANTED = st.one_of(st.floats(0, 0.99), st.integers(0, 12).map(float))


@settings(max_examples=150, deadline=None)
@given(similarity=SIMILARITIES, wanted=WANTED, literal=st.booleans())
def test_it_is_the_formula_written_out(similarity: Tensor, wanted: float, literal: bool) -> None:
    assert least_similar(similarity, wanted, literal=literal).tolist() == naive(similarity, wanted, literal)


@settings(max_examples=50, deadline=None)
@given(similarity=SIMILARITIES, wanted=WANTED, literal=st.booleans(), seed=st.integers(0, 99))
def test_the_order_of_units_does_not_matter(similarity: Tensor, wanted: float, literal: bool, seed: int) -> None:
    order = torch.randperm(len(similarity), generator=torch.Generator().manual_seed(seed))
    permuted = least_similar(similarity[order][:, order], wanted, literal=literal)
    assert torch.equal(permuted, least_similar(similarity, wanted, literal=literal)[order][:, order])


def test_without_ties_there_are_l_negatives_and_literally_one_less() -> None:
    similarity = cosine_similarity(torch.randn(40, 8, generator=torch.Generator().manual_seed(0)))
    assert least_similar(similarity, 7).sum(1).tolist() == [7] * 40
    assert least_similar(similarity, 7, literal=True).sum(1).tolist() == [6] * 40
    assert least_similar(similarity, 0.25).sum(1).tolist() == [10] * 40
    assert least_similar(similarity, 1000).sum(1).tolist() == [39] * 40


def test_the_least_similar_ones_are_chosen_not_the_most() -> None:
    towards = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.0]])
    chosen = least_similar(cosine_similarity(towards), 2)
    assert chosen[0].tolist() == [False, False, True, True]
    assert chosen[3].tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("wanted", "others", "count"),
    [(0.5, 10, 5), (0.0, 10, 1), (0.01, 10, 1), (0.99, 10, 10), (1, 10, 1), (3, 10, 3), (30, 10, 10), (0.5, 1, 1)],
)
def test_l_is_a_number_or_a_share(wanted: float, others: int, count: int) -> None:
    assert count_of(wanted, others) == count


@pytest.mark.parametrize("units", [0, 1])
def test_a_unit_alone_has_no_negatives(units: int) -> None:
    assert not least_similar(torch.ones(units, units), 0.5).any()


def test_cosines_are_those_of_numpy_and_zero_rows_have_none() -> None:
    features = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    features[2] = 0
    found = cosine_similarity(features.half()).numpy()
    assert found.dtype == np.float32
    rows = features.half().float().numpy()
    for i in range(6):
        for j in range(6):
            length = np.linalg.norm(rows[i]) * np.linalg.norm(rows[j])
            wanted = rows[i] @ rows[j] / length if length else 0.0
            assert found[i, j] == pytest.approx(wanted, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), wanted=WANTED, literal=st.booleans())
def test_a_viewer_shows_the_same_negatives(seed: int, wanted: float, literal: bool) -> None:
    features = np.random.default_rng(seed).standard_normal((12, 6)).astype(np.float32)
    chosen = least_similar(cosine_similarity(torch.from_numpy(features)), wanted, literal=literal).numpy()
    for unit in (0, 5, 11):
        np.testing.assert_array_equal(compare(features, unit, wanted, literal=literal).negatives, chosen[unit])
