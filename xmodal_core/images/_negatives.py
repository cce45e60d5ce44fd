"""Which units of a frame stay negatives of one another, by what a teacher sees of them."""

from __future__ import annotations

import torch

from xmodal_core.images._units import Standardise, unit_image_features
from xmodal_core.images.base import Teacher
from xmodal_core.objectives.balance import cosine_similarity, least_similar
from xmodal_core.types import Bools, Floats, Frame, Units


def unit_negatives(
    frame: Frame,
    units: Units,
    teacher: Teacher,
    negatives: float = 0.5,
    *,
    literal: bool = False,
    standardise: Standardise = "frame",
) -> Bools:
    """(U,U) bool: row i marks the negatives of unit i, the least similar units by ``teacher``'s own features.

    In training the paper's formula compares features behind the projection head, which is random at the start and
    learns; this is what balance does without one.

    Args:
        frame, units: whose units.
        teacher: looks at the frame's pictures.
        negatives, literal: L and the reading of it; see ``objectives.balance.least_similar``.
        standardise: see ``unit_features``.

    Raises:
        DataError: a picture of ``frame`` is missing or damaged.
    """
    return negatives_by(unit_image_features(frame, units, teacher, standardise), negatives, literal=literal)


def negatives_by(features: Floats, negatives: float = 0.5, *, literal: bool = False) -> Bools:
    """(U,U) bool: the negatives of each unit by its ``features`` (U,D); else as ``unit_negatives``."""
    similarity = cosine_similarity(torch.from_numpy(features))
    kept: Bools = least_similar(similarity, negatives, literal=literal).numpy()
    return kept
