from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from viz.similarity import Similarity, compact, compare, unit_length


def naive_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.dot(a.astype(float), b.astype(float))) / lengths if lengths else 0.0


def some_features(units: int, width: int, seed: int, repeated: bool = False) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(units, width)).astype(np.float32)
    if repeated:  # units that look exactly alike, and one that no image says anything of
        features = features[rng.integers(0, max(1, units // 3), units)]
        features[rng.integers(units)] = 0
    return features


@settings(max_examples=60, deadline=None)
@given(
    units=st.integers(1, 40),
    wanted=st.one_of(st.floats(0.01, 0.99), st.integers(1, 50)),
    literal=st.booleans(),
    repeated=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_negatives_are_those_of_a_loop_over_units(
    units: int, wanted: float, literal: bool, repeated: bool, seed: int
) -> None:
    features = some_features(units, 12, seed, repeated)
    unit = seed % units
    found = compare(features, unit, wanted, literal=literal)
    for other in range(units):
        assert found.cosine[other] == pytest.approx(naive_cosine(features[unit], features[other]), abs=1e-5)
    assert not found.negatives[unit]
    others = [other for other in range(units) if other != unit]
    if not others:
        assert found.keep == 0
        return
    least = min(max(round(wanted * len(others)) if wanted < 1 else int(wanted), 1), len(others))
    edge = sorted(float(found.cosine[other]) for other in others)[least - 1]
    for other in others:
        wanted_negative = found.cosine[other] < edge if literal else found.cosine[other] <= edge
        assert found.negatives[other] == wanted_negative
    assert found.keep < least if literal else found.keep >= least
    assert found.least == least


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("wanted", [0.1, 0.5, 0.9, 1, 7, 1000])
def test_it_agrees_with_the_objective_that_trains(wanted: float, literal: bool) -> None:
    """The picture shows the negatives of the loss."""
    torch = pytest.importorskip("torch")
    from xmodal_core.objectives.balance import cosine_similarity, least_similar

    features = some_features(37, 16, 5)
    similarity = cosine_similarity(torch.from_numpy(features))
    trained = least_similar(similarity, wanted, literal=literal).numpy()
    for unit in range(len(features)):
        found = compare(features, unit, wanted, literal=literal)
        np.testing.assert_allclose(found.cosine, similarity[unit].numpy(), atol=1e-5)
        np.testing.assert_array_equal(found.negatives, trained[unit])


@settings(max_examples=40, deadline=None)
@given(
    units=st.integers(1, 60),
    width=st.integers(1, 40),
    tolerance=st.sampled_from([0.3, 0.05, 0.01]),
    seed=st.integers(0, 10**6),
)
def test_compact_vectors_keep_every_cosine_within_the_tolerance(
    units: int, width: int, tolerance: float, seed: int
) -> None:
    features = some_features(units, width, seed) * np.geomspace(1, 0.01, width).astype(np.float32)
    short = compact(features, tolerance)
    assert short.shape[1] <= min(width, units, 96) or short.shape[1] == 1
    directions = unit_length(features).astype(float)
    error = np.abs(short.astype(float) @ short.T - directions @ directions.T)
    assert error.max() <= tolerance + 1e-5


def test_compact_vectors_are_never_longer_than_asked() -> None:
    assert compact(some_features(300, 200, 0), tolerance=1e-6, most=20).shape == (300, 20)
    assert compact(np.zeros((0, 8), dtype=np.float32)).shape == (0, 0)
    assert not compact(np.zeros((3, 8), dtype=np.float32)).any()


def test_a_unit_that_is_not_there_is_refused() -> None:
    cosine = np.zeros(3, dtype=np.float32)
    with pytest.raises(ValueError, match="unit 3"):
        Similarity(3, cosine, np.zeros(3, dtype=np.bool_))
