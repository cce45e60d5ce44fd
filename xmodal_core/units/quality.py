"""How good units are, where a frame has labels: instances against boxes, units and ground against classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xmodal_core.types import Bools, Doubles, Floats, Frame, Ints, Semantic
from xmodal_core.units.labels import FrameLabels


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


def instance_recall(
    frame: Frame, instance: Ints, *, min_points: int = 20, threshold: float = 0.5, labels: FrameLabels | None = None
) -> Recall:
    """How many labelled objects are found as one instance.

    A box's points are all returns inside it, the ground under a car included, so that even a perfect instance stays
    somewhat below an IoU of 1.

    Args:
        frame: with boxes; without, nothing is judged.
        instance: (N,) instance of each point or -1: ``units.instance``, or ``units.clusters`` for before the filters.
        min_points: boxes with fewer returns are left out.
        threshold: from which IoU on a box counts as found.
        labels: those of ``frame``, where they are at hand.
    """
    return recall_of(overlaps(labels or FrameLabels.of(frame), instance), min_points=min_points, threshold=threshold)


class Overlaps(NamedTuple):
    """The points that boxes and segments have in common, one entry for each pair that has any.

    Args:
        box, segment: (K,) int64, sorted by box, then segment.
        common: (K,) int64 points in both.
        inside: (B,) int64 points in each box.
        size: (S,) int64 points of each segment.
    """

    box: Ints
    segment: Ints
    common: Ints
    inside: Ints
    size: Ints


def overlaps(labels: FrameLabels, segment: Ints) -> Overlaps:
    """Boxes against segments; ``segment`` (N,) numbers that of each point, -1 for none."""
    size = np.bincount(segment[segment >= 0])
    inside = np.bincount(labels.box, minlength=labels.boxes)
    at = segment[labels.point]
    hit = at >= 0
    key, common = np.unique(labels.box[hit] * len(size) + at[hit], return_counts=True)
    segments = max(len(size), 1)
    return Overlaps(key // segments, key % segments, common, inside, size)


def recall_of(found: Overlaps, *, min_points: int = 20, threshold: float = 0.5) -> Recall:
    """See ``instance_recall``."""
    either = found.inside[found.box] + found.size[found.segment] - found.common
    best = np.zeros(len(found.inside))
    np.maximum.at(best, found.box, found.common / either)
    judged = np.flatnonzero(found.inside >= min_points)
    iou = best[judged]
    matched, mean = (float((iou >= threshold).mean()), float(iou.mean())) if len(iou) else (np.nan, np.nan)
    return Recall(judged, iou, matched, mean)


class Segmentation(NamedTuple):
    """Shares of ``boxes`` judged ones; NaN where there is none.

    Args:
        over: boxes that fall apart.
        under: boxes that stick to other things.
        boxes: how many were judged.
    """

    over: float
    under: float
    boxes: int


def segmentation_errors(found: Overlaps, *, min_points: int = 20, threshold: float = 0.5) -> Segmentation:
    """Over- and under-segmentation after Held, Guillory, Rebsamen, Thrun and Savarese (RSS 2016).

    Each box is paired with the segment that has most of its points. It is over-segmented where that segment has less
    than ``threshold`` of the box's points, so also where no segment has any (ground removal took it, or a filter
    rejected its cluster: its seeds then are units one by one); it is under-segmented where less than ``threshold`` of
    that segment's points are in the box. A box can be both.

    Args:
        found: boxes against segments, see ``overlaps``.
        min_points: boxes with fewer returns are left out.
        threshold: the share below which a box counts.
    """
    judged = np.flatnonzero(found.inside >= max(min_points, 1))
    if not len(judged):
        return Segmentation(np.nan, np.nan, 0)
    of_box, of_segment = np.zeros(len(found.inside)), np.ones(len(found.inside))
    fewest_first = np.lexsort((-found.segment, found.common))
    box, segment, common = (values[fewest_first] for values in (found.box, found.segment, found.common))
    of_box[box] = common / found.inside[box]
    of_segment[box] = common / found.size[segment]
    over, under = (share[judged] < threshold for share in (of_box, of_segment))
    return Segmentation(float(over.mean()), float(under.mean()), len(judged))


def purity(labels: FrameLabels, unit: Ints) -> float:
    """How far units keep to one label: the share of their points that have their unit's main label.

    With per-point labels a point's label is its class, and points that these ignore do not count. With boxes alone it
    is the box it lies in, or background, and only units that touch a box count: of the others nothing is known. (So
    two cars in one unit are pure by class, not by box.) NaN where no point counts.

    Args:
        labels: of the frame.
        unit: (N,) unit of each point or -1; see ``members.unit_of_points``.
    """
    if labels.cls is not None:
        counted, label = (unit >= 0) & (labels.cls >= 0), labels.cls
    else:
        touched = np.zeros(int(unit.max(initial=-1)) + 1, dtype=np.bool_)
        touched[unit[(unit >= 0) & (labels.object >= 0)]] = True
        counted, label = (unit >= 0) & np.append(touched, False)[unit], labels.object
    kinds = int(label.max(initial=-1)) + 2
    key, points = np.unique(unit[counted] * kinds + label[counted] + 1, return_counts=True)
    main = np.zeros(int(unit.max(initial=-1)) + 1, dtype=np.int64)
    np.maximum.at(main, key // kinds, points)
    return _share(int(main.sum()), int(points.sum()))


def coverage(unit: Ints, wanted: Bools) -> float:
    """The share of the points in ``wanted`` (N,) bool that lie in a unit, by ``unit`` (N,), -1 in none; NaN without
    any."""
    return _share(int((unit[wanted] >= 0).sum()), int(wanted.sum()))


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
        "lane_marker",
        "other_ground",
        "walkable",
    ]
)
"""Classes that lie flat, by the last part of their name (nuScenes lidarseg, its 16 merged classes, SemanticKITTI,
Waymo)."""


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
