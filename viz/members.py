"""Where units and clusters are, and what each is in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmodal_core.compiled import compiled
from xmodal_core.geometry import points_in_box
from xmodal_core.types import Doubles, Floats, Frame, Ints, Units
from xmodal_core.units.members import unit_of_points

REASONS = {
    "kept": "kept",
    "too_few_points": "too few points",
    "too_small": "too small",
    "too_large": "too large",
    "too_elongated": "too elongated",
    "too_flat": "too flat",
}


def centres(points: Floats, groups: Ints, count: int) -> Doubles:
    """The middle of the bounds of each group, (count,3); zero where a group has no point."""
    low, high = bounds(points, groups, count)
    return (low + high) / 2


def first_points(groups: Ints, count: int) -> Ints:
    """(count,) the lowest point of each group of (N,) ``groups``; N where a group has no point."""
    first = np.full(count, len(groups), dtype=np.int64)
    inside = np.flatnonzero(groups >= 0)[::-1]
    first[groups[inside]] = inside  # of several the last, which is the lowest
    return first


def bounds(points: Floats, groups: Ints, count: int) -> tuple[Doubles, Doubles]:
    """The lowest and highest corner of each group, two (count,3); zero where a group has no point."""
    if groups.max(initial=-1) >= count:
        raise ValueError(f"there is a group {groups.max()} among {count}")
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    _widen(low, high, points, groups)
    empty = low[:, 0] > high[:, 0]
    low[empty], high[empty] = 0.0, 0.0
    return low, high


@compiled
def _widen(low: Doubles, high: Doubles, points: Floats, groups: Ints) -> None:
    for point in range(len(points)):
        group = groups[point]
        if group >= 0:
            for axis in range(3):
                low[group, axis] = min(low[group, axis], points[point, axis])
                high[group, axis] = max(high[group, axis], points[point, axis])


def cluster_words(frame: Frame, units: Units) -> tuple[str, ...]:
    """A line for each raw cluster: what it is, how large, and why it was rejected."""
    sizes = _sizes(frame, units.clusters, len(units.reasons))
    return tuple(
        f"cluster {number} · {'kept' if reason == 'kept' else 'rejected: ' + REASONS[reason]} · {size}"
        for number, (reason, size) in enumerate(zip(units.reasons, sizes, strict=True))
    )


def unit_words(frame: Frame, units: Units, owner: Ints) -> tuple[str, ...]:
    """A line for each unit: instance or neighbours, its seeds, and how large it is."""
    seeds = np.bincount(units.unit, minlength=units.count)
    merged = units.merged
    lines = []
    described = zip(_sizes(frame, owner, units.count), labels(frame, owner, units.count), strict=True)
    for number, (size, label) in enumerate(described):
        kind = "instance" if merged[number] else "seed with neighbours"
        of = f" of {seeds[number]} {'seed' if seeds[number] == 1 else 'seeds'}" if merged[number] else ""
        lines.append(f"unit {number} · {kind}{of} · {size}" + (f" · labelled {label}" if label else ""))
    return tuple(lines)


def labels(frame: Frame, groups: Ints, count: int) -> tuple[str, ...]:
    """What the data's labels call each group: the class of most of its points, by boxes or else by point; or ""."""
    if frame.boxes is not None and len(frame.boxes):
        classes, label = frame.boxes.classes, _label_by_boxes(frame)
    elif frame.semantic is not None:
        classes, label = frame.semantic.classes, np.where(frame.semantic.label > 0, frame.semantic.label, -1)
    else:
        return ("",) * count
    inside = groups >= 0
    # One column more for points without a label: where they are most, the group has none.
    votes = np.zeros((count, len(classes) + 1), dtype=np.int64)
    np.add.at(votes, (groups[inside], label[inside]), 1)
    winners = np.where(votes.any(axis=1), votes.argmax(axis=1), len(classes))
    return tuple((*classes, "")[winner] for winner in winners)


def _label_by_boxes(frame: Frame) -> Ints:
    """(N,) the class of the box around each point, -1 outside all."""
    label = np.full(len(frame), -1, dtype=np.int64)
    assert frame.boxes is not None
    for number in range(len(frame.boxes)):
        label[points_in_box(frame.points, frame.boxes, number, margin=0.1)] = frame.boxes.label[number]
    return label


def _sizes(frame: Frame, groups: Ints, count: int) -> Sequence[str]:
    low, high = bounds(frame.points, groups, count)
    extent, middle = high - low, (high + low) / 2
    number = np.bincount(groups[groups >= 0], minlength=count)
    distance = np.hypot(middle[:, 0], middle[:, 1])
    return [
        f"{n:,} {'point' if n == 1 else 'points'} · {x:.1f} × {y:.1f} × {z:.1f} m · {d:.0f} m away"
        for n, (x, y, z), d in zip(number.tolist(), extent.tolist(), distance.tolist(), strict=True)
    ]


def telling_unit(frame: Frame, units: Units) -> int:
    """The unit to compare with all others where nobody named one; -1 without units.

    The one most often seen among the instances of a vehicle's size; else among all instances, or all units.
    """
    if units.count == 0:
        return -1
    owner = unit_of_points(units)
    low, high = bounds(frame.points, owner, units.count)
    long, wide, tall = (high - low)[:, :2].max(axis=1), (high - low)[:, :2].min(axis=1), (high - low)[:, 2]
    like_a_vehicle = units.merged & (long > 1.5) & (long < 7.0) & (wide > 0.8) & (tall > 0.7) & (tall < 3.2)
    seen = np.bincount(owner[units.pixels.point] + 1, minlength=units.count + 1)[1:]
    return int(np.argmax(seen + (len(units.pixels) + 1) * (units.merged.astype(np.int64) + like_a_vehicle)))
