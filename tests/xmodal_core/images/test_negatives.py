"""Negatives by a teacher: as its features and the balance have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from xmodal_core.datasets import open_dataset
from xmodal_core.images import load_teacher, unit_image_features, unit_negatives
from xmodal_core.units import UnitsConfig, discover


def test_the_least_similar_half_of_the_others(example_root: Callable[[str], Path]) -> None:
    frame = open_dataset("kitti_object", example_root("kitti_object")).frame(0)
    units = discover(frame, UnitsConfig.model_validate({"seeds": {"count": 64}}))
    teacher = load_teacher("resnet50", {"weights": "random", "image_width": 64})
    found = unit_negatives(frame, units, teacher, 0.5)
    seen = unit_image_features(frame, units, teacher)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    wanted = round(0.5 * (units.count - 1))
    for unit in range(units.count):
        cosine = np.delete(seen @ seen[unit], unit)
        others = np.delete(found[unit], unit)
        assert not found[unit, unit]
        assert wanted <= others.sum() <= wanted + 4  # more where units look the same
        assert cosine[others].max() <= cosine[~others].min() + 1e-5
    literal = unit_negatives(frame, units, teacher, 0.5, literal=True)
    assert not (literal & ~found).any()
    assert (literal.sum(axis=1) < wanted).all()
