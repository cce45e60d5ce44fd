"""From a frame and its units to a scene: what is drawn, before any viewer is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from viz import members, stages
from viz.changes import changes
from viz.pictures import make_views, shown_pictures
from viz.scene import ALL, Kind, LineLayer, PointLayer, Scene, Similarities, Stage, View
from viz.similarity import Similarity, compact
from viz.thin import LIMIT, thin
from xmodal_core.errors import InputError
from xmodal_core.types import Floats, Frame, Image, Ints, Units
from xmodal_core.units.members import unit_of_points

STAGES = ("sweep", "ground", "seeds", "instances", "units", "similarity")


def compose(
    frame: Frame,
    units: Units,
    similarity: Similarity | None = None,
    stage: str = ALL,
    *,
    title: str = "",
    limit: int = LIMIT,
    pictures: bool | Sequence[Image] = True,
    before: Units | None = None,
) -> Scene:
    """The scene of ``frame`` and ``units``.

    Args:
        frame: its cameras' pictures are read now, unless they are given.
        units: as ``units.discover`` found them, every stage inside.
        similarity: one unit against all others; None leaves that stage out.
        stage: the stage to open on, or ``all``.
        title: what the picture is headed with; empty: the frame's name.
        limit: how many points to draw.
        pictures: with the cameras' images; without, none is read. Whoever draws a frame again gives them, as
            ``pictures.shown_pictures`` made them.
        before: units of other settings to compare with, as a stage ``changes``; None leaves that stage out.

    Raises:
        InputError: there is no such stage, or ``similarity`` is asked for and not given.
        DataError: a camera's picture is missing or damaged.
    """
    if stage not in (*STAGES, ALL):
        raise InputError(f"unknown stage '{stage}'", f"known: {', '.join((*STAGES, ALL))}")
    if stage == "similarity" and similarity is None:
        raise InputError("there is no similarity to show", "it needs units that a camera sees, and a teacher")
    owner = unit_of_points(units)
    rows = thin([owner, units.clusters], units.seeds, units.ground, limit=limit)
    material = stages.gather(frame, units, rows, owner)
    similarities = _similarities(similarity)
    steps, layers = _all_stages(material, similarity, similarities)
    if before is not None:
        stage_of_changes, more = changes(material, before)
        steps, layers = [*steps, stage_of_changes], [*layers, *more]
    around = stages.surroundings(material)
    everywhere = tuple(layer.name for layer in around)
    groups: dict[Kind, Ints] = {"cluster": units.clusters, "unit": owner}
    wireframes = [layer for layer in around if layer.name == "boxes"]
    title = title or (frame.scene if frame.scene and frame.scene not in frame.name else frame.name)
    return Scene(
        title=title,
        subtitle=subtitle_of(frame, title),
        facts=_facts(frame, units),
        cloud=frame.points[rows],
        total=len(frame),
        forward=frame.sensor.forward,
        floor=-units.sensor_height,
        members={kind: group[rows].astype(np.int32) for kind, group in groups.items()},
        words={
            "cluster": members.cluster_words(frame, units),
            "unit": members.unit_words(frame, units, owner),
        },
        layers=(*around, *layers),
        views=_views(frame, units, pictures, rows, groups, wireframes),
        stages=tuple(_with(step, everywhere) for step in steps),
        opening=stage,
        similarities=similarities,
    )


def _views(
    frame: Frame,
    units: Units,
    pictures: bool | Sequence[Image],
    rows: Ints,
    groups: dict[Kind, Ints],
    wireframes: list[LineLayer],
) -> tuple[View, ...]:
    if pictures is False:
        return ()
    shown = shown_pictures(frame) if pictures is True else pictures
    return make_views(frame, shown, units.pixels, rows, groups, wireframes)


def _all_stages(
    material: stages.Material, similarity: Similarity | None, similarities: Similarities | None
) -> tuple[list[Stage], list[PointLayer]]:
    makers = (stages.sweep, stages.ground, stages.seeds, stages.instances, stages.final_units)
    made = [make(material) for make in makers]
    if similarity is not None:
        low, high = (similarities.low, similarities.high) if similarities else _span(similarity.cosine)
        made.append(stages.similarity(material, similarity, stages.similarity_ramp(similarity, low, high)))
    return [stage for stage, _ in made], [layer for _, layers in made for layer in layers]


def _with(stage: Stage, names: tuple[str, ...]) -> Stage:
    return replace(stage, layers=(*names, *stage.layers))


def _span(cosine: Floats) -> tuple[float, float]:
    """The ends of the colour scale; few units are below or above."""
    low, high = np.percentile(cosine, [1, 99])
    return float(low), float(high)


def _similarities(similarity: Similarity | None) -> Similarities | None:
    """What any unit is compared by, with one scale for all of them."""
    if similarity is None or similarity.features is None:
        return None
    vectors = compact(similarity.features)
    some = vectors[:: max(1, len(vectors) // 500)]
    pairs = (some @ some.T)[~np.eye(len(some), dtype=np.bool_)]
    low, high = _span(pairs if len(pairs) else similarity.cosine)
    least = similarity.least or similarity.keep
    return Similarities(similarity.unit, vectors, least, low, high, similarity.literal)


def subtitle_of(frame: Frame, title: str) -> str:
    """The frame's and the scene's names, as far as they are not said yet, and the sensor's."""
    said, parts = title, []
    for part in (frame.name, frame.scene, frame.sensor.name):
        if part and part not in said:
            parts.append(part)
            said = f"{said} {part}"
    return " · ".join(parts)


def _facts(frame: Frame, units: Units) -> tuple[tuple[str, str], ...]:
    kept = sum(reason == "kept" for reason in units.reasons)
    return (
        (f"{len(frame):,}", "points"),
        (f"{float(units.ground.mean()) if len(frame) else 0:.0%}", "ground"),
        (f"{len(units.seeds):,}", "seeds"),
        (f"{kept:,}", "instances"),
        (f"{units.count:,}", "units"),
    )
