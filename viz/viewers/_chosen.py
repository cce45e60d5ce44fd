"""Another unit for the similarity stage, where the picture is looked at: the same scene with that unit chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from viz import palette
from viz.palette import Ramp
from viz.scene import PointLayer, Scene, Stage
from viz.similarity import Similarity, compare
from xmodal_core.types import Bools


def choose_unit(scene: Scene, unit: int) -> Scene:
    """``scene`` with ``unit`` compared to all others; as it is where it has nothing to compare units by."""
    given = scene.similarities
    if given is None or not 0 <= unit < len(given.features):
        return scene
    found = compare(given.features, unit, given.keep, literal=given.literal)
    mine = np.arange(len(found.cosine)) == unit
    excluded = ~found.negatives & ~mine
    edge = float(found.cosine[found.negatives].max()) if found.keep else given.low
    ramp = replace(_ramp(scene), middle=edge)
    code = ramp.codes(found.cosine)
    new = {
        "negatives": _layer(scene, "negatives", f"negatives: {found.keep:,}, up to {signed(edge)}", found.negatives),
        "excluded": _layer(scene, "excluded", f"excluded: {int(excluded.sum()):,}", excluded),
        "chosen": _layer(scene, "chosen", f"unit {unit}", mine),
    }
    of = scene.members["unit"]
    for name in ("negatives", "excluded"):
        new[name] = replace(new[name], code=code[of[new[name].rows]], ramp=ramp)
    return replace(
        scene,
        layers=tuple(new.get(layer.name, layer) for layer in scene.layers),
        stages=tuple(_stage(stage, found, ramp) if stage.name == "similarity" else stage for stage in scene.stages),
        similarities=replace(given, unit=unit),
    )


def signed(cosine: float) -> str:
    """Two decimals, a true minus before what is below zero."""
    return f"{cosine:.2f}".replace("-", "−")


def _ramp(scene: Scene) -> Ramp:
    layer = scene.layer("negatives")
    assert isinstance(layer, PointLayer)
    assert layer.ramp is not None
    return layer.ramp


def _layer(scene: Scene, name: str, title: str, units: Bools) -> PointLayer:
    """The layer called ``name`` with the points of ``units`` (U,) bool, all in its first colour."""
    layer = scene.layer(name)
    assert isinstance(layer, PointLayer)
    rows = np.flatnonzero(np.append(units, False)[scene.members["unit"]])
    return replace(layer, title=title, rows=rows, code=np.zeros(len(rows), dtype=np.uint8))


def _stage(stage: Stage, found: Similarity, ramp: Ramp) -> Stage:
    tint = stage.tint.copy()
    tint[:, :3] = ramp.colours[ramp.codes(found.cosine)]
    tint[:, 3] = np.delete(stage.tint[:, 3], found.unit).min(initial=255)
    tint[found.unit] = (*palette.rgb(palette.CHOSEN), 200)
    others = np.delete(found.cosine, found.unit)
    if not len(others):
        return replace(stage, caption=(f"unit {found.unit} is alone",), tint=tint)
    caption = (
        f"unit {found.unit} against {len(others):,} others: cosine {signed(others.min())} to {signed(others.max())}",
        f"the {found.keep:,} least similar stay negatives, {len(others) - found.keep:,} are excluded",
    )
    return replace(stage, caption=caption, tint=tint)
