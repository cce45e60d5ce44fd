"""On real streets, units that look like a car are cars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from xmodal_core.datasets import open_dataset
from xmodal_core.geometry import points_in_box
from xmodal_core.images import load_teacher, unit_image_features
from xmodal_core.objectives.balance import cosine_similarity, least_similar
from xmodal_core.types import Bools, Frame, Units
from xmodal_core.units import UnitsConfig, discover


def vehicles(frame: Frame, units: Units) -> Bools:
    """(U,) which units stand in a labelled car, van, truck or tram."""
    assert frame.boxes is not None
    inside = np.zeros(len(frame), dtype=np.bool_)
    for number, label in enumerate(frame.boxes.label):
        if frame.boxes.classes[label] in ("Car", "Van", "Truck", "Tram"):
            inside |= points_in_box(frame.points, frame.boxes, number, margin=0.1)
    result = np.zeros(units.count, dtype=np.bool_)
    result[units.unit[inside[units.seeds] & ~units.ground[units.seeds]]] = True
    return result


def test_cars_look_like_cars_and_are_not_each_others_negatives(real_data: Path) -> None:
    teacher = load_teacher("efficientnet_lite0")
    dataset = open_dataset("kitti_object", real_data / "kitti_object")
    nearest, kept, of_all = [], [], []
    for index in (0, 4, 8, 10):
        frame = dataset.frame(index)
        units = discover(frame, UnitsConfig())
        cars = vehicles(frame, units)
        if cars.sum() < 5:
            continue
        similarity = cosine_similarity(torch.from_numpy(unit_image_features(frame, units, teacher)))
        similarity.fill_diagonal_(-2)
        closest = similarity[cars].topk(4, dim=1).indices.numpy()
        nearest.append(cars[closest].mean())
        kept.append(least_similar(similarity, 0.5).numpy()[np.ix_(cars, cars)].sum(1).mean() / (cars.sum() - 1))
        of_all.append(cars.mean())
    assert len(nearest) >= 2
    assert np.mean(nearest) > 6 * np.mean(of_all)
    assert np.mean(kept) < 0.15  # by chance it would be half
