"""The similarity of one unit to all others: cosines of image features, and which units stay negatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmodal_core.types import Bools, Floats


@dataclass(frozen=True)
class Similarity:
    """One unit against all others.

    Args:
        unit: the chosen unit.
        cosine: (U,) float32 similarity of each unit to it.
        negatives: (U,) bool, the least similar units, which stay negatives; never the unit itself.
        features: (U,D) float32 image features, where any other unit is to be choosable too.
    """

    unit: int
    cosine: Floats
    negatives: Bools
    features: Floats | None = None

    def __post_init__(self) -> None:
        if not self.cosine.shape == self.negatives.shape or not 0 <= self.unit < len(self.cosine):
            raise ValueError(f"unit {self.unit} of {self.cosine.shape} cosines, {self.negatives.shape} negatives")

    @property
    def keep(self) -> int:
        """L, how many units stay negatives."""
        return int(np.count_nonzero(self.negatives))


def compare(features: Floats, unit: int, keep: int | float) -> Similarity:
    """Unit number ``unit`` against all others.

    Args:
        features: (U,D) image features of the units.
        unit: the chosen one.
        keep: L, how many least similar units stay negatives; a fraction below 1 is a share of the others.
    """
    others = len(features) - 1
    count = min(others, round(keep * others) if isinstance(keep, float) and keep < 1 else int(keep))
    directions = unit_length(features)
    cosine = np.clip(directions @ directions[unit], -1, 1).astype(np.float32)
    order = np.argsort(np.where(np.arange(len(cosine)) == unit, np.inf, cosine), kind="stable")
    negatives = np.zeros(len(cosine), dtype=np.bool_)
    negatives[order[:count]] = True
    return Similarity(unit, cosine, negatives, features)


def unit_length(features: Floats) -> Floats:
    """``features`` (U,D) with rows of length 1; a zero row stays zero."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, 1e-12), dtype=np.float32)


def compact(features: Floats, tolerance: float = 0.01, most: int = 96) -> Floats:
    """Short vectors whose inner products are the cosines of ``features``, each within ``tolerance`` if ``most`` allows.

    The matrix of cosines, cut to the fewest of its eigenvectors that do it (Eckart and Young: none of that rank is
    nearer to it).

    Args:
        features: (U,D).
        tolerance: the largest error of any cosine.
        most: the longest vector.

    Returns:
        (U,d) float32, d at most ``most``.
    """
    directions = unit_length(features).astype(np.float64)
    if not len(directions):
        return np.zeros((0, 0), dtype=np.float32)
    basis, weight, _ = np.linalg.svd(directions, full_matrices=False)
    coordinates = basis * weight
    # The error of a cosine is at most the product of what is cut from its two rows.
    rest = np.sqrt(np.cumsum(coordinates[:, ::-1] ** 2, axis=1)[:, ::-1])
    worst = np.r_[rest.max(axis=0), 0.0] ** 2
    length = int(np.argmax(worst <= tolerance))
    return np.ascontiguousarray(coordinates[:, : max(1, min(length, most))], dtype=np.float32)
