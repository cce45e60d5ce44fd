"""The stages of the method as layers: what each shows, in which colours, and what it says about itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from viz import members, palette
from viz.palette import Codes, Ramp
from viz.scene import Emphasis, LineLayer, PointLayer, Stage
from viz.similarity import Similarity
from xmodal_core.geometry import box_corners
from xmodal_core.types import Bools, Doubles, Floats, Frame, Ints, Units
from xmodal_core.units.members import cluster_of_instances, unit_of_instances

Value = TypeVar("Value", bound=np.generic)

QUIET_GROUND = "#7d6d5a"
"""The ground where it is not what a stage is about."""

GREYS = {
    "too_few_points": "#9aa3b2",
    "too_small": "#79a59b",
    "too_large": "#a48cba",
    "too_elongated": "#b39a6d",
    "too_flat": "#7f9cc4",
}
"""Rejected clusters by reason: greys with a hint of a colour."""


@dataclass(frozen=True)
class Material:
    """What the stages are made of.

    Args:
        frame, units: what is shown.
        rows: (M,) the points of the frame that are drawn.
        owner: (N,) the unit of each point, or -1.
        cluster_colour, unit_colour: (C,) and (U,) rows of ``palette.UNITS``; an instance and its unit share one.
    """

    frame: Frame
    units: Units
    rows: Ints
    owner: Ints
    cluster_colour: Codes
    unit_colour: Codes

    def layer(self, name: str, title: str, of: Bools, colour: str, emphasis: Emphasis = "plain") -> PointLayer:
        """The drawn points among ``of`` (N,) bool, in one colour."""
        rows = np.flatnonzero(of[self.rows])
        return PointLayer(name, title, rows, np.zeros(len(rows), np.uint8), palette.table(colour), emphasis)

    def coloured(self, name: str, title: str, of: Bools, code: Codes, emphasis: Emphasis = "plain") -> PointLayer:
        """The drawn points among ``of`` (N,) bool, each in its own unit colour; ``code`` is (N,)."""
        rows = np.flatnonzero(of[self.rows])
        return PointLayer(name, title, rows, code[self.rows[rows]], palette.UNITS, emphasis)


def gather(frame: Frame, units: Units, rows: Ints, owner: Ints) -> Material:
    """Everything the stages share; neighbouring clusters and units get different colours.

    A cluster or unit wishes for a colour by its first point, so that it keeps it under other settings.
    """
    clusters = len(units.reasons)
    cluster_colour = np.zeros(clusters, dtype=np.uint8)
    kept = np.array([reason == "kept" for reason in units.reasons], dtype=np.bool_)
    middle = members.centres(frame.points, units.clusters, clusters)
    unit_middle = members.centres(frame.points, owner, units.count)
    became = unit_of_instances(units)
    single = ~units.merged
    # Kept clusters and the units outside them are told apart together: they lie side by side in the last stages.
    first = np.concatenate(
        [members.first_points(units.clusters, clusters)[kept], members.first_points(owner, units.count)[single]]
    )
    codes = palette.tell_apart(np.concatenate([middle[kept], unit_middle[single]]), first)
    cluster_colour[kept] = codes[: int(kept.sum())]
    unit_colour = np.zeros(units.count, dtype=np.uint8)
    unit_colour[single] = codes[int(kept.sum()) :]
    cluster = cluster_of_instances(units)
    unit_colour[became[became >= 0]] = cluster_colour[cluster[became >= 0]]
    return Material(frame, units, rows, owner, cluster_colour, unit_colour)


def sweep(material: Material) -> tuple[Stage, list[PointLayer]]:
    """The input: every point by its height above the ground."""
    frame, units = material.frame, material.units
    height = frame.points[material.rows, 2] + np.float32(units.sensor_height)
    ramp = Ramp(palette.spread(palette.HEIGHT), -0.5, 5.0, "height above the ground, m")
    everything = np.arange(len(material.rows), dtype=np.int64)
    layer = PointLayer("sweep", "height", everything, ramp.codes(height), ramp.colours, "plain", ramp)
    seen = float(units.visible.mean()) if len(frame) else 0.0
    stage = Stage(
        "sweep",
        "Sweep",
        "The sweep as the sensor gives it, by height above the ground.",
        (f"{len(frame):,} points, {seen:.0%} seen by a camera", f"sensor {units.sensor_height:.2f} m above the ground"),
        ("sweep",),
    )
    return stage, [layer]


def ground(material: Material) -> tuple[Stage, list[PointLayer]]:
    """Step 1: ground, objects, and what takes no part."""
    units = material.units
    out = ~units.ground & (units.clusters < 0)
    objects = units.clusters >= 0
    layers = [
        material.layer("ground", "ground", units.ground, palette.GROUND),
        material.layer("objects", "not ground", objects, palette.OBJECTS),
        material.layer("outside", "left out: the vehicle itself, or too far", out, palette.QUIET, "quiet"),
    ]
    counts = f"{_share(units.ground)} ground, {_share(objects)} not ground"
    caption = (counts, f"{int(out.sum()):,} points left out: the vehicle itself, or too far")
    words = "Ground by line fits in sectors; what stands on it remains."
    return Stage("ground", "Ground", words, caption, tuple(layer.name for layer in layers)), layers


def seeds(material: Material) -> tuple[Stage, list[PointLayer]]:
    """Steps 2 and 3: the seeds and the points averaged around each."""
    units = material.units
    pooled = np.zeros(len(units.ground), dtype=np.bool_)
    pooled[units.pooling.column] = True
    chosen = np.zeros_like(pooled)
    chosen[units.seeds] = True
    rest = ~pooled & ~units.ground
    layers = [
        material.layer("seeds.ground", "ground", units.ground, QUIET_GROUND, "quiet"),
        material.layer("seeds.rest", "in no seed's context", rest, palette.QUIET, "quiet"),
        material.coloured("context", "context of a seed", pooled & ~chosen, _nearest_seed(material)),
        material.layer("seeds", "seed", chosen, palette.SEED, "marker"),
    ]
    size = float(np.mean(np.bincount(units.pooling.row))) if units.count else 0.0
    candidates = int(np.count_nonzero(units.visible & (units.clusters >= 0)))
    caption = (
        f"{len(units.seeds):,} seeds among {candidates:,} points that are not ground and in a camera",
        f"{int(pooled.sum()):,} points in their contexts, {size:.0f} a unit on average",
    )
    words = "Farthest points, height ignored, and the points each averages."
    return Stage("seeds", "Seeds", words, caption, tuple(layer.name for layer in layers)), layers


def _nearest_seed(material: Material) -> Codes:
    """(N,) a colour for each point by the seed nearest to it, neighbouring seeds told apart."""
    units, points = material.units, material.frame.points
    code = np.zeros(len(points), dtype=np.uint8)
    if len(units.seeds):
        at = points[units.seeds]
        column = np.unique(units.pooling.column)
        _, nearest = cKDTree(at).query(points[column])
        code[column] = palette.tell_apart(at)[nearest]
    return code


def instances(material: Material) -> tuple[Stage, list[PointLayer]]:
    """Step 4: raw clusters, kept ones coloured, rejected ones grey with the reason."""
    units = material.units
    reasons = np.array([*units.reasons, ""])
    reason_of = reasons[units.clusters]
    kept = reason_of == "kept"
    counts = Counter(units.reasons)
    layers = [
        material.layer("instances.ground", "ground", units.ground, QUIET_GROUND, "quiet"),
        material.coloured("kept", f"kept: {counts['kept']:,}", kept, _of(material.cluster_colour, units.clusters)),
    ]
    out = (units.clusters < 0) & ~units.ground
    layers.insert(0, material.layer("instances.outside", "left out", out, palette.QUIET, "quiet"))
    rejected = sorted((reason for reason in counts if reason != "kept"), key=lambda reason: -counts[reason])
    for reason in rejected:
        title = f"{members.REASONS[reason]}: {counts[reason]:,}"
        layers.append(material.layer(reason, title, reason_of == reason, GREYS[reason], "quiet"))
    tint = np.zeros((len(units.reasons), 4), dtype=np.uint8)
    tint[:, :3] = palette.UNITS[material.cluster_colour]
    tint[:, 3] = 150
    is_rejected = reasons[:-1] != "kept"
    tint[is_rejected] = (*palette.rgb(palette.QUIET), 60)
    caption = (
        f"{len(units.reasons):,} clusters, {counts['kept']:,} kept",
        "rejected: " + (", ".join(f"{counts[r]:,} {members.REASONS[r]}" for r in rejected) or "none"),
    )
    words = "Points within a radius of each other; rejected clusters are grey."
    names = tuple(layer.name for layer in layers)
    return Stage("instances", "Instances", words, caption, names, "cluster", tint), layers


def final_units(material: Material) -> tuple[Stage, list[PointLayer]]:
    """Step 5: the units, instances beside single seeds with their neighbours."""
    units = material.units
    code = _of(material.unit_colour, material.owner)
    merged = _of(units.merged, material.owner) & (material.owner >= 0)
    single = (material.owner >= 0) & ~merged
    instances_count = int(units.merged.sum())
    rest = units.count - instances_count
    layers = [
        material.layer("units.ground", "ground", units.ground, QUIET_GROUND, "quiet"),
        material.layer("units.rest", "in no unit", (material.owner < 0) & ~units.ground, palette.QUIET, "quiet"),
        material.coloured("neighbours", f"single seeds with neighbours: {rest:,}", single, code),
        material.coloured("merged", f"instances: {instances_count:,}", merged, code, "strong"),
    ]
    tint = np.zeros((units.count, 4), dtype=np.uint8)
    tint[:, :3] = palette.UNITS[material.unit_colour]
    tint[:, 3] = np.where(units.merged, 165, 105)
    absorbed = int(np.count_nonzero(units.instance[units.seeds] >= 0)) if len(units.seeds) else 0
    seedless = sum(reason == "kept" for reason in units.reasons) - instances_count
    caption = (
        f"{units.count:,} units: {instances_count:,} instances and {rest:,} single seeds",
        f"{absorbed:,} of {len(units.seeds):,} seeds are in instances",
        *((f"{seedless:,} {'instance has' if seedless == 1 else 'instances have'} no seed",) if seedless else ()),
    )
    words = "Seeds of one instance make one unit; all others stay single."
    return Stage("units", "Units", words, caption, tuple(layer.name for layer in layers), "unit", tint), layers


def similarity(material: Material, found: Similarity, ramp: Ramp) -> tuple[Stage, list[PointLayer]]:
    """One unit against all others: cosine as colour, negatives in the scale's lower half, excluded ones above."""
    units = material.units
    code = ramp.codes(found.cosine)
    of = material.owner
    mine = of == found.unit
    negative = _of(found.negatives, of) & (of >= 0)
    excluded = (of >= 0) & ~negative & ~mine
    layers = [
        material.layer("similarity.ground", "ground", units.ground, QUIET_GROUND, "quiet"),
        material.layer("similarity.rest", "in no unit", (of < 0) & ~units.ground, palette.QUIET, "quiet"),
    ]
    entries: tuple[tuple[str, str, Bools, Emphasis], ...] = (
        ("negatives", f"negatives: {found.keep:,}, up to {_signed(ramp.middle)}", negative, "plain"),
        ("excluded", f"excluded: {units.count - 1 - found.keep:,}", excluded, "strong"),
    )
    for name, title, which, emphasis in entries:
        rows = np.flatnonzero(which[material.rows])
        colour = code[of[material.rows[rows]]]
        layers.append(PointLayer(name, title, rows, colour, ramp.colours, emphasis, ramp))
    layers.append(material.layer("chosen", f"unit {found.unit}", mine, palette.CHOSEN, "strong"))
    tint = np.zeros((units.count, 4), dtype=np.uint8)
    tint[:, :3] = ramp.colours[code]
    tint[:, 3] = 160
    tint[found.unit] = (*palette.rgb(palette.CHOSEN), 200)
    left_out = units.count - 1 - found.keep
    caption = (
        f"unit {found.unit} against {units.count - 1:,} others: cosine {_span(found)}",
        f"the {found.keep:,} least similar stay negatives, {left_out:,} are excluded",
    )
    words = "Cosine of image features; units that look alike are no negatives."
    names = tuple(layer.name for layer in layers)
    return Stage("similarity", "Similarity", words, caption, names, "unit", tint), layers


def similarity_ramp(found: Similarity, low: float, high: float) -> Ramp:
    """The cosine's colours: those of the lower half up to the highest cosine of a unit that stays a negative."""
    edge = float(found.cosine[found.negatives].max()) if found.keep else low
    return Ramp(palette.split(palette.BELOW, palette.ABOVE), low, high, "cosine similarity", edge)


def surroundings(material: Material) -> list[LineLayer]:
    """Range rings, the vehicle, and labelled boxes where the data has them."""
    layers = around(material.frame.sensor.forward, -material.units.sensor_height)
    boxes = material.frame.boxes
    if boxes is not None and len(boxes):
        words = [f"labelled {boxes.classes[int(label)]}" for label in boxes.label]
        layers.append(box_layer("boxes", "labelled boxes", box_corners(boxes), words, palette.LABEL))
    return layers


def around(forward: tuple[float, float], floor: float, reach: float = 60.0) -> list[LineLayer]:
    """Range rings every 20 m and the vehicle as an arrow, on the ground at the height ``floor``."""
    turn = np.linspace(0, 2 * np.pi, 97)
    rings = [
        np.stack([r * np.cos(turn), r * np.sin(turn), np.full(97, floor)], axis=1) for r in np.arange(20, reach + 1, 20)
    ]
    return [
        LineLayer("rings", "rings every 20 m", _strokes(rings), palette.rgb(palette.QUIET), emphasis="quiet"),
        LineLayer("vehicle", "vehicle", _arrow(forward, floor), palette.rgb(palette.VEHICLE)),
    ]


def _arrow(forward: tuple[float, float], floor: float) -> NDArray[np.float32]:
    ahead, left = np.array([*forward, 0.0]), np.array([-forward[1], forward[0], 0.0])
    outline = np.array([[1.5, 0], [-1.1, 0.9], [-0.6, 0], [-1.1, -0.9], [1.5, 0]])
    return _strokes([outline[:, :1] * ahead + outline[:, 1:] * left + [0, 0, floor]])


def box_layer(
    name: str, title: str, corners: Floats, words: Sequence[str], colour: str, emphasis: Emphasis = "plain"
) -> LineLayer:
    """Wireframes of boxes with ``corners`` (B,8,3) as ``geometry.box_corners`` orders them, each with its heading on
    the floor and its line of ``words``."""
    # Twelve edges as four strokes (both rings and a post, then three posts), and the heading on the floor.
    ring = [0, 1, 2, 3, 0, 4, 5, 6, 7, 4]
    strokes, said = [], []
    for corner, of in zip(corners, words, strict=True):
        nose = (corner[0] + corner[3]) / 2
        for stroke in (
            corner[ring],
            corner[[1, 5]],
            corner[[2, 6]],
            corner[[3, 7]],
            np.stack([corner[:4].mean(0), nose]),
        ):
            strokes.append(stroke)
            said += [of] * (len(stroke) + 1)
    return LineLayer(name, title, _strokes(strokes), palette.rgb(colour), tuple(said), emphasis)


def _strokes(strokes: list[Doubles] | list[NDArray[np.float32]]) -> NDArray[np.float32]:
    end = np.full((1, 3), np.nan)
    if not strokes:
        return np.zeros((0, 3), dtype=np.float32)
    return np.concatenate([part for stroke in strokes for part in (stroke, end)]).astype(np.float32)


def _of(values: NDArray[Value], groups: Ints) -> NDArray[Value]:
    """``values`` of each point's group; zero or False for points without one."""
    return np.append(values, np.zeros(1, values.dtype))[groups]


def _share(of: Bools) -> str:
    return f"{float(of.mean()) if len(of) else 0.0:.0%}"


def _span(found: Similarity) -> str:
    others = np.delete(found.cosine, found.unit)
    return f"{_signed(others.min())} to {_signed(others.max())}" if len(others) else "of none"


def _signed(value: float | None) -> str:
    """A cosine in words, with a real minus."""
    return "none" if value is None else f"{value:.2f}".replace("-", "−")
