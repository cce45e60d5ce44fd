"""What other settings change: which points were ground, in a unit, or grouped otherwise before."""

from __future__ import annotations

import numpy as np

from viz import palette
from viz.scene import Emphasis, PointLayer, Stage
from viz.stages import QUIET_GROUND, Material
from xmodal_core.types import Bools, Doubles, Ints, Units
from xmodal_core.units.members import unit_of_points

SAME = 0.5
"""Two units are the same one from this share of common points in all points of either on."""

ONLY_BEFORE, ONLY_NOW, REGROUPED = "#e8752c", "#4b9cf5", "#ff78b4"
GROUND_BEFORE, GROUND_NOW = "#ffe08a", "#a86a2a"


def changes(material: Material, before: Units) -> tuple[Stage, list[PointLayer]]:
    """The units of ``material`` beside those found ``before`` in the same frame."""
    units, now, then = material.units, material.owner, unit_of_points(before)
    likeness = best_likeness(now, then, units.count)
    ground_before, ground_now = before.ground & ~units.ground, units.ground & ~before.ground
    moved = ground_before | ground_now
    only_before, only_now = (then >= 0) & (now < 0) & ~moved, (now >= 0) & (then < 0) & ~moved
    both = (then >= 0) & (now >= 0) & ~moved
    regrouped = both & (np.append(likeness, 0.0)[now] < SAME)
    rest = ~(moved | only_before | only_now | regrouped)
    entries: tuple[tuple[str, str, Bools, str, Emphasis], ...] = (
        ("changes.ground", "ground in both", rest & units.ground, QUIET_GROUND, "quiet"),
        ("changes.rest", "as before", rest & ~units.ground, palette.QUIET, "quiet"),
        ("changes.ground_before", "ground only in A", ground_before, GROUND_BEFORE, "strong"),
        ("changes.ground_now", "ground only in B", ground_now, GROUND_NOW, "strong"),
        ("changes.only_before", "in a unit only in A", only_before, ONLY_BEFORE, "strong"),
        ("changes.only_now", "in a unit only in B", only_now, ONLY_NOW, "strong"),
        ("changes.regrouped", "in another unit", regrouped, REGROUPED, "strong"),
    )
    layers = [material.layer(name, title, of, colour, emphasis) for name, title, of, colour, emphasis in entries]
    tint = np.zeros((units.count, 4), dtype=np.uint8)
    tint[:] = (*palette.rgb(palette.QUIET), 40)
    tint[likeness < SAME] = (*palette.rgb(REGROUPED), 150)
    tint[likeness == 0] = (*palette.rgb(ONLY_NOW), 150)
    kept = int((likeness >= SAME).sum())
    caption = (
        f"{before.count:,} units in A, {units.count:,} in B; {kept:,} are the same",
        f"{int(regrouped.sum()):,} points regrouped, {int(only_before.sum()):,} lost, {int(only_now.sum()):,} won",
    )
    names = tuple(layer.name for layer in layers)
    words = "What changed from the pinned settings A to B."
    return Stage("changes", "Changes", words, caption, names, "unit", tint), layers


def best_likeness(now: Ints, then: Ints, count: int) -> Doubles:
    """(count,) for each unit of ``now`` its best intersection over union with a unit of ``then``.

    Args:
        now, then: (N,) the unit of each point, or -1.
        count: how many units ``now`` numbers.
    """
    best = np.zeros(count)
    both = (now >= 0) & (then >= 0)
    if not both.any():
        return best
    size_now = np.bincount(now[now >= 0], minlength=count)
    size_then = np.bincount(then[then >= 0])
    key, common = np.unique(now[both] * len(size_then) + then[both], return_counts=True)
    mine, other = np.divmod(key, len(size_then))
    np.maximum.at(best, mine, common / (size_now[mine] + size_then[other] - common))
    return best
