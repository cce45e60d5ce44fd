"""How good units are, where a frame has labels: instances against boxes, ground against classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core import geometry
from xmodal_core.types import Bools, Doubles, Floats, Frame, Ints, Semantic


class Recall(NamedTuple):
    """Boxes against instances.

    Args:
        box: (K,) the boxes that were judged, by their number in the frame.
        iou: (K,) for each the best instance's points in common with the box over points in either.
        matched: share of them with an IoU of at least the threshold; NaN without boxes.
        mean_iou: mean of ``iou``; NaN without boxes.
    """

    box: Ints
    iou: Doubles
    matched: float
    mean_iou: float


def instance_recall(frame: Frame, instance: Ints, *, min_points: int = 20, threshold: float = 0.5) -> Recall:
    """How many labelled objects are found as one instance.

    A box's points are all returns inside it, the ground under a car included, so that even a perfect instance stays
    somewhat below an IoU of 1.

    Args:
        frame: with boxes; without, nothing is judged.
        instance: (N,) instance of each point or -1: ``units.instance``, or ``units.clusters`` for before the filters.
        min_points: boxes with fewer returns are left out.
        threshold: from which IoU on a box counts as found.
    """
    sizes = np.bincount(instance[instance >= 0])
    numbers, overlaps = [], []
    for number in range(len(frame.boxes) if frame.boxes is not None else 0):
        assert frame.boxes is not None
        inside = geometry.points_in_box(frame.points, frame.boxes, number)
        if inside.sum() >= min_points:
            numbers.append(number)
            overlaps.append(_best_iou(inside, instance, sizes))
    iou = np.array(overlaps, dtype=np.float64)
    matched, mean = (float((iou >= threshold).mean()), float(iou.mean())) if len(iou) else (np.nan, np.nan)
    return Recall(np.array(numbers, dtype=np.int64), iou, matched, mean)


def _best_iou(inside: Bools, instance: Ints, sizes: Ints) -> float:
    within = instance[inside]
    common = np.bincount(within[within >= 0], minlength=len(sizes))
    return float((common / (sizes + inside.sum() - common)).max(initial=0.0))


class GroundQuality(NamedTuple):
    """``precision`` and ``recall`` of the ground, over ``points`` labelled returns in range; NaN where undefined."""

    precision: float
    recall: float
    points: int


GROUND_CLASSES = frozenset(
    [
        "road",
        "parking",
        "sidewalk",
        "other-ground",
        "terrain",
        "lane-marking",
        "driveable_surface",
        "driveable_flat",
        "other_flat",
        "ground",
    ]
)
"""Classes that lie flat, by the last part of their name (nuScenes lidarseg, its 16 merged classes, SemanticKITTI)."""


def is_ground_class(name: str) -> bool:
    """Whether a class of a data set is ground; nuScenes gathers its own under ``flat.``"""
    return name.startswith("flat.") or name.rsplit(".", 1)[-1].replace(" ", "_") in GROUND_CLASSES


def ground_quality(points: Floats, semantic: Semantic, ground: Bools, nearest: float, farthest: float) -> GroundQuality:
    """Precision and recall of ``ground`` (N,) bool among labelled returns ``nearest`` to ``farthest`` metres away."""
    flat = np.array([is_ground_class(name) for name in semantic.classes], dtype=np.bool_)
    distance = np.hypot(points[:, 0], points[:, 1])
    judged = (semantic.label > 0) & (distance >= nearest) & (distance < farthest)
    truth, found = flat[semantic.label[judged]], ground[judged]
    both = int((truth & found).sum())
    return GroundQuality(_share(both, int(found.sum())), _share(both, int(truth.sum())), int(judged.sum()))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
