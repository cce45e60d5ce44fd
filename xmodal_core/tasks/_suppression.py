"""Which of the boxes that a detector's maps stand for it predicts.

Those that are sure enough, on the map or near it, and not taken away by a surer one of their group: one that they
overlap or whose centre is near (CenterPoint, det3d/models/bbox_heads/center_head.py, ``post_processing``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xmodal_core.geometry_boxes import keep_apart, keep_distant
from xmodal_core.metrics import Detections
from xmodal_core.points.base import BevGrid
from xmodal_core.tasks._centers import Found
from xmodal_core.tasks._detection_config import DetectionConfig, Group
from xmodal_core.types import Bools, Doubles, Ints


def predicted(
    found: Sequence[Found], groups: Sequence[Group], classes: tuple[str, ...], grid: BevGrid, config: DetectionConfig
) -> list[Detections]:
    """What is predicted of each frame, surest first: of all ``groups``, whose boxes ``found`` has in the same order.

    Args:
        found: one a group, in the CPU's memory, of the same frames.
        groups: numbers into ``classes``.
        classes: all that are told apart.
        grid: where the map lies.
        config: what is sure enough, and what takes a box away.
    """
    pairs = list(zip(found, groups, strict=True))
    return [
        _joined([_left(one, frame, group, classes, grid, config) for one, group in pairs])
        for frame in range(len(found[0].score))
    ]


def _left(
    found: Found, frame: int, group: Group, classes: tuple[str, ...], grid: BevGrid, config: DetectionConfig
) -> Detections:
    """The boxes of one group and frame that are left."""
    score = found.score[frame].double().numpy()
    box = found.box[frame].double().numpy()
    label = np.array(group.numbers, dtype=np.int64)[found.label[frame].numpy()]
    velocity = None if found.velocity is None else found.velocity[frame].double().numpy()
    good = np.flatnonzero((score > 0) & (score >= config.score) & _on_the_map(box, grid, config.margin))
    kept = good[_apart(box[good], label[good], group, config)]
    return Detections(
        centre=box[kept, :3],
        size=box[kept, 3:6],
        yaw=box[kept, 6],
        label=label[kept],
        classes=classes,
        velocity=None if velocity is None else velocity[kept],
        score=score[kept],
    )


def _on_the_map(box: Doubles, grid: BevGrid, margin: float) -> Bools:
    near: Bools = grid.holds(box, margin)
    return near & np.isfinite(box).all(axis=1) & (box[:, 3:6] > 0).all(axis=1)


def _apart(box: Doubles, label: Ints, group: Group, config: DetectionConfig) -> Ints:
    """The rows of ``box`` (M,7), surest first, that no surer one takes away."""
    if config.nms_within == "class" and len(group.numbers) > 1:
        alone = [Group((number,), group.radius) for number in group.numbers]
        rows = [np.flatnonzero(label == one.numbers[0]) for one in alone]
        left = [these[_apart(box[these], label[these], one, config)] for these, one in zip(rows, alone, strict=True)]
        return np.sort(np.concatenate(left))[: config.nms_after]
    if config.nms == "none":
        return np.arange(min(len(box), config.nms_after))
    if config.nms == "circle":
        return keep_distant(box, group.radius, config.nms_after)
    return keep_apart(box, config.nms_overlap, config.nms_after)


def _joined(parts: Sequence[Detections]) -> Detections:
    """All of ``parts``, which have the same classes, by falling score."""
    score = np.concatenate([part.score for part in parts])
    order = np.argsort(-score, kind="stable")

    def column(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    velocity = None if parts[0].velocity is None else column("velocity")
    return Detections(
        centre=column("centre"),
        size=column("size"),
        yaw=column("yaw"),
        label=column("label"),
        classes=parts[0].classes,
        velocity=velocity,
        score=score[order],
    )
