"""The similarity of one unit to all others: cosines of image features, and which units stay negatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmodal_core.types import Bools, Doubles, Floats


@dataclass(frozen=True)
class Similarity:
    """One unit against all others.

    Args:
        unit: the chosen unit.
        cosine: (U,) float32 similarity of each unit to it.
        negatives: (U,) bool, the least similar units, which stay negatives; never the unit itself.
        features: (U,D) float32 image features, where any other unit is to be choosable too.
        least: L, how many least similar units of any unit stay negatives; 0: as many as ``negatives`` has.
        literal: the paper's reading, without the L-th; see ``compare``.
    """

    unit: int
    cosine: Floats
    negatives: Bools
    features: Floats | None = None
    least: int = 0
    literal: bool = False

    def __post_init__(self) -> None:
        if not self.cosine.shape == self.negatives.shape or not 0 <= self.unit < len(self.cosine):
            raise ValueError(f"unit {self.unit} of {self.cosine.shape} cosines, {self.negatives.shape} negatives")

    @property
    def keep(self) -> int:
        """How many units stay negatives."""
        return int(np.count_nonzero(self.negatives))


def compare(features: Floats, unit: int, negatives: float, *, literal: bool = False) -> Similarity:
    """Unit number ``unit`` against all others, as ``xmodal_core.objectives.balance`` compares them in training.

    Args:
        features: (U,D) image features of the units.
        unit: the chosen one.
        negatives: L, how many least similar units stay negatives; below 1 a share of the others. At least one does.
        literal: the paper's formula, which leaves out the L-th. Otherwise the L-th is a negative too, and so is every
            unit as similar as it.
    """
    directions = unit_length(features)
    cosine = np.clip(directions @ directions[unit], -1, 1).astype(np.float32)
    others = len(features) - 1
    if others < 1:
        return Similarity(unit, cosine, np.zeros(len(cosine), dtype=np.bool_), features, 0, literal)
    least = min(max(round(negatives * others) if negatives < 1 else int(negatives), 1), others)
    alone = np.where(np.arange(len(cosine)) == unit, np.inf, cosine)
    edge = np.partition(alone, least - 1)[least - 1]
    return Similarity(unit, cosine, (alone < edge) if literal else (alone <= edge), features, least, literal)


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
    coordinates = _principal_coordinates(directions)
    # The error of a cosine is at most the product of what is cut from its two rows.
    rest = np.sqrt(np.cumsum(coordinates[:, ::-1] ** 2, axis=1)[:, ::-1])
    worst = np.r_[rest.max(axis=0), 0.0] ** 2
    length = int(np.argmax(worst <= tolerance))
    return np.ascontiguousarray(coordinates[:, : max(1, min(length, most))], dtype=np.float32)


def _principal_coordinates(vectors: Doubles) -> Doubles:
    """``vectors`` (U,D) turned onto their principal axes, the longest first, (U, the smaller of U and D).

    By the eigenvectors of whichever product of the vectors with themselves is smaller: many times faster than their
    singular values.
    """
    if len(vectors) >= vectors.shape[1]:
        _, axes = np.linalg.eigh(vectors.T @ vectors)
        turned: Doubles = vectors @ axes[:, ::-1]
        return turned
    weight, basis = np.linalg.eigh(vectors @ vectors.T)
    scaled: Doubles = (basis * np.sqrt(np.maximum(weight, 0.0)))[:, ::-1]
    return scaled
