"""Which boxes are left: the sure ones on the map, without those that surer ones of their group take away."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from xmodal_core.metrics import Detections
from xmodal_core.points.base import BevGrid
from xmodal_core.tasks._centers import Found
from xmodal_core.tasks._detection_config import DetectionConfig, grouped
from xmodal_core.tasks._suppression import predicted

CLASSES = ("car", "truck", "person")
GRID = BevGrid(low=(-100.0, -100.0), cell=0.5, nx=400, ny=400, width=4)
Said = tuple[str, float, float]
"""A box four metres long: its class, where it is ahead, its score."""


def found_of(boxes: tuple[Said, ...], names: list[str]) -> Found:
    """Those of ``boxes`` that are of the group ``names``, surest first as decoding gives them, in two frames alike."""
    own = sorted((box for box in boxes if box[0] in names), key=lambda box: -box[2])
    rows = torch.tensor([[x, 0.0, 0.0, 4.0, 2.0, 2.0, 0.0] for _, x, _ in own]).view(-1, 7)
    label = torch.tensor([names.index(name) for name, _, _ in own], dtype=torch.int64)
    score = torch.tensor([score for _, _, score in own])
    return Found(*(column.expand(2, *column.shape) for column in (score, label, rows)), velocity=None)


def both_frames(*boxes: Said, **settings: Any) -> list[Detections]:
    config = DetectionConfig(groups=(("car", "truck"),), **settings)
    groups = grouped(CLASSES, config)
    found = [found_of(boxes, [CLASSES[number] for number in group.numbers]) for group in groups]
    return predicted(found, groups, CLASSES, GRID, config)


def places(*boxes: Said, **settings: Any) -> list[tuple[str, float]]:
    first, second = both_frames(*boxes, **settings)
    np.testing.assert_array_equal(first.centre, second.centre)
    assert (np.diff(first.score) <= 0).all()
    return [(CLASSES[number], float(x)) for number, x in zip(first.label, first.centre[:, 0], strict=True)]


def test_within_groups_by_overlap_or_distance_or_not_at_all() -> None:
    boxes = (("car", 0.0, 0.95), ("truck", 1.0, 0.88), ("car", 3.5, 0.73), ("person", 0.0, 0.62))
    assert places(*boxes) == [("car", 0.0), ("car", 3.5), ("person", 0.0)]
    assert len(places(*boxes, nms_overlap=0.9)) == 4
    assert len(places(*boxes, nms="none")) == 4
    assert places(*boxes, nms="circle", nms_radius=(4.0,)) == [("car", 0.0), ("person", 0.0)]
    assert len(places(*boxes, nms_within="class")) == 4
    assert places(*boxes, nms_within="class", nms="circle", nms_radius=(4.0,)) == [
        ("car", 0.0), ("truck", 1.0), ("person", 0.0)
    ]  # fmt: skip
    assert places(*boxes, nms="none", nms_after=1) == [("car", 0.0), ("person", 0.0)]


def test_what_is_unsure_is_not_predicted() -> None:
    boxes = (("car", 0.0, 0.5), ("car", 10.0, 0.05))
    assert places(*boxes) == [("car", 0.0)]
    assert len(places(*boxes, score=0.01)) == 2
    assert places(*boxes, score=0.6) == []


def test_what_lies_off_the_map_is_not_predicted() -> None:
    boxes = (("car", 95.0, 0.5), ("car", 105.0, 0.5), ("car", 115.0, 0.5))
    assert places(*boxes) == [("car", 95.0), ("car", 105.0)]
    assert places(*boxes, margin=0.0) == [("car", 95.0)]
    assert len(places(*boxes, margin=20.0)) == 3


def test_a_box_that_is_none_is_not_predicted() -> None:
    groups = grouped(CLASSES, DetectionConfig())
    rows = torch.tensor([[[0.0, 0, 0, 4, 2, 2, 0], [9.0, 0, 0, 0, 2, 2, 0], [20.0, 0, float("inf"), 4, 2, 2, 0]]])
    found = Found(torch.full((1, 3), 0.5), torch.zeros(1, 3, dtype=torch.int64), rows, torch.zeros(1, 3, 2))
    (left,) = predicted([found], groups, CLASSES, GRID, DetectionConfig())
    assert left.centre[:, 0].tolist() == [0.0]
    assert left.velocity is not None
    assert left.velocity.tolist() == [[0.0, 0.0]]
