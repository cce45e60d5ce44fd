"""Which points make up a unit, and what a unit or a cluster is in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from xmodal_core.types import Doubles, Floats, Frame, Ints, Units

REASONS = {
    "kept": "kept",
    "too_few_points": "too few points",
    "too_small": "too small",
    "too_large": "too large",
    "too_elongated": "too elongated",
    "too_flat": "too flat",
}


def unit_of_points(units: Units) -> Ints:
    """The unit of each point, (N,) int64, or -1.

    All points of an instance belong to the unit it became; any other point to the unit that gives it most weight.
    (The pooling matrix may share a point among units; a picture has to choose.)
    """
    pooling = units.pooling
    owner = np.full(len(units.ground), -1, dtype=np.int64)
    lightest_first = np.argsort(pooling.weight, kind="stable")
    owner[pooling.column[lightest_first]] = pooling.row[lightest_first]
    inside = units.instance >= 0
    became = unit_of_instances(units)
    owner[inside] = became[units.instance[inside]]
    return owner


def unit_of_instances(units: Units) -> Ints:
    """The unit that each kept instance became, (I,) int64, or -1 where no seed fell into it (no camera sees it)."""
    became = np.full(int(units.instance.max(initial=-1)) + 1, -1, dtype=np.int64)
    at = units.instance[units.seeds]
    became[at[at >= 0]] = units.unit[at >= 0]
    return became


def cluster_of_instances(units: Units) -> Ints:
    """The raw cluster that each kept instance is, (I,) int64."""
    of = np.full(int(units.instance.max(initial=-1)) + 1, -1, dtype=np.int64)
    inside = units.instance >= 0
    of[units.instance[inside]] = units.clusters[inside]
    return of


def centres(points: Floats, groups: Ints, count: int) -> Doubles:
    """The middle of the bounds of each group, (count,3); zero where a group has no point."""
    low, high = bounds(points, groups, count)
    return (low + high) / 2


def bounds(points: Floats, groups: Ints, count: int) -> tuple[Doubles, Doubles]:
    """The lowest and highest corner of each group, two (count,3); zero where a group has no point."""
    numbers = np.arange(count)
    low, high = np.zeros((count, 3)), np.zeros((count, 3))
    filled = np.bincount(groups[groups >= 0], minlength=count) > 0
    for axis in range(3):
        low[filled, axis] = ndimage.minimum(points[:, axis], groups, numbers[filled])
        high[filled, axis] = ndimage.maximum(points[:, axis], groups, numbers[filled])
    return low, high


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
    for number, size in enumerate(_sizes(frame, owner, units.count)):
        kind = "instance" if merged[number] else "neighbours"
        plural = "seed" if seeds[number] == 1 else "seeds"
        lines.append(f"unit {number} · {kind}, {seeds[number]} {plural} · {size}")
    return tuple(lines)


def _sizes(frame: Frame, groups: Ints, count: int) -> Sequence[str]:
    low, high = bounds(frame.points, groups, count)
    extent, middle = high - low, (high + low) / 2
    number = np.bincount(groups[groups >= 0], minlength=count)
    distance = np.hypot(middle[:, 0], middle[:, 1])
    return [
        f"{n:,} {'point' if n == 1 else 'points'} · {x:.1f} × {y:.1f} × {z:.1f} m · {d:.0f} m away"
        for n, (x, y, z), d in zip(number.tolist(), extent.tolist(), distance.tolist(), strict=True)
    ]


def telling_unit(units: Units) -> int:
    """The unit to compare with all others where nobody named one: the instance most often seen, -1 without units."""
    if units.count == 0:
        return -1
    seen = np.bincount(unit_of_points(units)[units.pixels.point] + 1, minlength=units.count + 1)[1:]
    return int(np.argmax(seen + (len(units.pixels) + 1) * units.merged))
