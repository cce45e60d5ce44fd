"""What a fine-tuned network predicts of a frame, against its labels: a scene for any viewer.

Boxes: which labelled ones were found and which predicted ones are right, then predicted ones by class. Points: by
predicted class, by labelled class, and where the two differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from viz import palette
from viz.compose import subtitle_of
from viz.pictures import make_views, shown_pictures
from viz.scene import ALL, Emphasis, Kind, LineLayer, PointLayer, Scene, Stage, View
from viz.stages import around, box_layer
from viz.thin import LIMIT, thin
from xmodal_core.geometry import box_corners, pixels
from xmodal_core.geometry_boxes import box_rows, points_in_boxes
from xmodal_core.metrics._centre_matching import match_in_turn, turns
from xmodal_core.metrics.base import Detections
from xmodal_core.types import Bools, Boxes, Floats, Frame, Ints
from xmodal_core.units.level import fit_level

RIGHT_WITHIN = 2.0
"""Metres along the ground from a labelled box of its class within which a predicted one is right; as nuScenes measures
its errors."""
NEAREST = 2.5
"""Metres; returns nearer than this belong to the vehicle."""
RIGHT, WRONG, MISSED = "#35d07f", "#ff5a3c", "#ffd22d"
IN_A_BOX = "#cfe3ff"


def class_colours(count: int) -> NDArray[np.uint8]:
    """(count,3) uint8: a colour for each class, the ten of units first, then those darker, then lighter."""
    dark = palette.toward(palette.UNITS, (0, 0, 0), 0.5)
    light = palette.toward(palette.UNITS, (255, 255, 255), 0.55)
    return np.resize(np.concatenate([palette.UNITS, dark, light]), (count, 3))


class Matched(NamedTuple):
    """Which of the predicted boxes are right, and which of the labelled ones were found."""

    right: Bools
    found: Bools


def match_boxes(predicted: Detections, labelled: Boxes) -> Matched:
    """Predicted boxes in the order of their scores take the nearest free labelled box of their class within
    ``RIGHT_WITHIN``."""
    apart = predicted.centre[:, None, :2] - labelled.centre[None, :, :2]
    away = np.hypot(apart[..., 0], apart[..., 1])
    names = np.array([*predicted.classes, ""])[predicted.label], np.array([*labelled.classes, ""])[labelled.label]
    i, j = np.nonzero((away < RIGHT_WITHIN) & (names[0][:, None] == names[1][None]))
    _, rank = turns(predicted.score)
    match = match_in_turn(i, j, away[i, j], rank, len(labelled))
    found = np.zeros(len(labelled), dtype=np.bool_)
    found[match[match >= 0]] = True
    return Matched(match >= 0, found)


def compose_boxes(
    frame: Frame,
    predicted: Detections,
    labelled: Boxes | None,
    *,
    beyond: Bools | None = None,
    title: str = "",
    limit: int = LIMIT,
) -> Scene:
    """The scene of ``predicted`` boxes of ``frame``.

    Args:
        frame: its cameras' pictures are read now.
        predicted: in its LiDAR coordinates.
        labelled: the boxes that should have been found, of the same classes; None: nobody labelled it.
        beyond: (B,) which labelled boxes lie beyond what the network sees: missed ones of them stand apart; None: none.
        title: what the picture is headed with; empty: the frame's name.
        limit: how many points to draw.

    Raises:
        DataError: a camera's picture is missing or damaged.
    """
    true = labelled if labelled is not None else _none(predicted.classes)
    matched = match_boxes(predicted, true)
    of_predicted = _owner(frame, box_rows(predicted.centre, predicted.size, predicted.yaw))
    of_labelled = _owner(frame, box_rows(*(a.astype(np.float64) for a in (true.centre, true.size, true.yaw))))
    inside = (of_predicted >= 0) | (of_labelled >= 0)
    rows = thin([of_predicted, of_labelled], np.zeros(0, dtype=np.int64), ~inside, limit=limit)
    words = _words(predicted, matched, labelled is not None)
    true_words = [
        f"{true.classes[label]}, labelled, {'found' if found else 'missed'}"
        for label, found in zip(true.label, matched.found, strict=True)
    ]
    corners, true_corners = _corners(predicted), box_corners(true)
    unseen = np.zeros(len(true), dtype=np.bool_) if beyond is None else beyond & ~matched.found
    boxes = _judged_layers(matched, unseen, (corners, words), (true_corners, true_words), labelled is not None)
    by_class = _class_layers(predicted, corners, words)
    pale = box_layer("labels", f"labelled: {len(true):,}", true_corners, true_words, palette.LABEL, "quiet")
    points = [
        _points("points", "outside all boxes", ~inside[rows], palette.QUIET, "quiet"),
        _points("inside", "in a box", inside[rows], IN_A_BOX, "plain"),
    ]
    stages = (
        Stage("boxes", "Right and wrong", _rule(labelled is not None), _counts(matched, unseen, labelled is not None),
              _names(points, boxes)),
        Stage("classes", "Classes", "Predicted boxes by class, with their scores; labelled ones are pale.",
              (_some(len(predicted), "box", "boxes") + " predicted",), _names(points, [pale], by_class)),
    )  # fmt: skip
    facts: tuple[tuple[str, str], ...] = ((f"{len(predicted):,}", "predicted"),)
    if labelled is not None:
        facts = (*facts, (f"{int(matched.right.sum()):,}", "right"), (f"{len(true):,}", "labelled"))
    lines = [*boxes, pale, *by_class]
    groups: dict[Kind, Ints] = {"cluster": of_labelled, "unit": of_predicted}
    said: dict[Kind, tuple[str, ...]] = {"cluster": tuple(true_words), "unit": tuple(words)}
    return _scene(frame, title, rows, groups, said, points, lines, stages, facts)


def compose_classes(
    frame: Frame,
    predicted: Ints,
    labelled: Ints | None,
    classes: Sequence[str],
    *,
    title: str = "",
    limit: int = LIMIT,
) -> Scene:
    """The scene of the ``predicted`` classes of the points of ``frame``.

    Args:
        frame: its cameras' pictures are read now.
        predicted: (N,) int64 numbers into ``classes``.
        labelled: (N,) what they should be, -1 where a point does not count; None: nobody labelled it.
        classes: their names.
        title, limit: see ``compose_boxes``.

    Raises:
        DataError: a camera's picture is missing or damaged.
    """
    colours = class_colours(len(classes))
    groups = [predicted] if labelled is None else [predicted, labelled]
    rows = thin(groups, np.zeros(0, dtype=np.int64), np.zeros(len(frame), dtype=np.bool_), limit=limit)
    points = _by_class("predicted", predicted[rows], classes, colours)
    stages = [Stage("predicted", "Predicted", "Points by predicted class.", (), _names(points))]
    facts: tuple[tuple[str, str], ...] = ((f"{len(frame):,}", "points"),)
    if labelled is not None:
        true = _by_class("labelled", labelled[rows], classes, colours)
        counts = labelled >= 0
        right = counts & (predicted == labelled)
        share = f"{right.sum() / max(1, counts.sum()):.1%}"
        judged = [
            _points("uncounted", "does not count", ~counts[rows], palette.QUIET, "quiet"),
            _points("right", f"right: {int(right.sum()):,}", right[rows], RIGHT, "plain"),
            _points("wrong", f"wrong: {int((counts & ~right).sum()):,}", (counts & ~right)[rows], WRONG, "strong"),
        ]
        wrong = Stage("judged", "Right and wrong", "Where prediction and label agree.", (f"{share} of the points "
                      "that count are right",), _names(judged))  # fmt: skip
        stages += [Stage("labelled", "Labelled", "Points by labelled class.", (), _names(true)), wrong]
        points, facts = [*points, *true, *judged], (*facts, (share, "right"))
    none = np.full(len(frame), -1, dtype=np.int64)
    nothing: dict[Kind, Ints] = {"cluster": none, "unit": none}
    return _scene(frame, title, rows, nothing, {"cluster": (), "unit": ()}, points, [], tuple(stages), facts)


def _scene(
    frame: Frame,
    title: str,
    rows: Ints,
    groups: dict[Kind, Ints],
    words: dict[Kind, tuple[str, ...]],
    points: Sequence[PointLayer],
    lines: Sequence[LineLayer],
    stages: tuple[Stage, ...],
    facts: tuple[tuple[str, str], ...],
) -> Scene:
    height = frame.sensor.height
    floor = -(fit_level(frame.points, NEAREST).height if height is None else height)
    surroundings = around(frame.sensor.forward, floor)
    everywhere = tuple(layer.name for layer in surroundings)
    title = title or frame.name
    return Scene(
        title=title,
        subtitle=subtitle_of(frame, title),
        facts=facts,
        cloud=frame.points[rows],
        total=len(frame),
        forward=frame.sensor.forward,
        floor=floor,
        members={kind: group[rows].astype(np.int32) for kind, group in groups.items()},
        words=words,
        layers=(*surroundings, *points, *lines),
        views=_views(frame, rows, groups, lines),
        stages=tuple(
            Stage(stage.name, stage.title, stage.words, stage.caption, (*everywhere, *stage.layers)) for stage in stages
        ),
        opening=ALL,
    )


def _views(frame: Frame, rows: Ints, groups: dict[Kind, Ints], lines: Sequence[LineLayer]) -> tuple[View, ...]:
    seen = pixels(frame.cameras, frame.points, frame.pixels)
    return make_views(frame, shown_pictures(frame), seen, rows, groups, lines)


def _owner(frame: Frame, rows: NDArray[np.float64]) -> Ints:
    """(N,) the box that each point of ``frame`` lies in, of several the first; -1 for none."""
    inside = points_in_boxes(frame.points, rows)
    owner = np.full(len(frame), -1, dtype=np.int64)
    owner[inside.point[::-1]] = inside.box[::-1]  # of several the last written, which is the first box
    return owner


def _corners(predicted: Detections) -> Floats:
    count = len(predicted)
    boxes = Boxes(
        centre=predicted.centre.astype(np.float32),
        size=predicted.size.astype(np.float32),
        yaw=predicted.yaw.astype(np.float32),
        label=predicted.label,
        classes=predicted.classes,
        track=np.full(count, -1, dtype=np.int64),
        velocity=np.full((count, 2), np.nan, dtype=np.float32),
    )
    return box_corners(boxes)


def _none(classes: tuple[str, ...]) -> Boxes:
    wide, number = np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=np.int64)
    return Boxes(wide, wide, wide[:, 0], number, classes, number, wide[:, :2])


def _words(predicted: Detections, matched: Matched, judged: bool) -> list[str]:
    verdicts = [("right" if right else "wrong") if judged else "not labelled" for right in matched.right]
    return [
        f"{predicted.classes[label]} {score:.2f}, {verdict}"
        for label, score, verdict in zip(predicted.label, predicted.score, verdicts, strict=True)
    ]


Drawn = tuple[Floats, list[str]]
"""Corners of boxes, and what each is in words."""


def _judged_layers(matched: Matched, unseen: Bools, predicted: Drawn, labelled: Drawn, judged: bool) -> list[LineLayer]:
    """Labelled boxes that were found, missed, or ``unseen`` by the network; predicted ones that are right and wrong."""

    def layer(name: str, title: str, of: Drawn, which: Bools, colour: str) -> LineLayer:
        words = [words for words, chosen in zip(of[1], which, strict=True) if chosen]
        return box_layer(name, f"{title}: {len(words):,}", of[0][which], words, colour)

    if not judged:
        return [layer("right", "predicted", predicted, np.ones(len(matched.right), dtype=np.bool_), RIGHT)]
    words = [words for words, chosen in zip(labelled[1], unseen, strict=True) if chosen]
    title = f"labelled, beyond the network's range: {len(words):,}"
    far = [box_layer("beyond", title, labelled[0][unseen], words, palette.LABEL, "quiet")] if words else []
    return [
        *far,
        layer("found", "labelled, found", labelled, matched.found, palette.LABEL),
        layer("missed", "labelled, missed", labelled, ~matched.found & ~unseen, MISSED),
        layer("right", "predicted, right", predicted, matched.right, RIGHT),
        layer("wrong", "predicted, wrong", predicted, ~matched.right, WRONG),
    ]


def _class_layers(predicted: Detections, corners: Floats, words: list[str]) -> list[LineLayer]:
    layers = []
    for number, (name, colour) in enumerate(zip(predicted.classes, class_colours(len(predicted.classes)), strict=True)):
        mine = np.flatnonzero(predicted.label == number)
        if len(mine):
            shown = "#" + bytes(colour.tolist()).hex()
            said = [words[row] for row in mine]
            layers.append(box_layer(f"class.{name}", f"{name}: {len(mine):,}", corners[mine], said, shown))
    return layers


def _by_class(prefix: str, label: Ints, classes: Sequence[str], colours: NDArray[np.uint8]) -> list[PointLayer]:
    layers = []
    for number, name in enumerate(classes):
        rows = np.flatnonzero(label == number)
        if len(rows):
            code = np.zeros(len(rows), dtype=np.uint8)
            layers.append(PointLayer(f"{prefix}.{name}", name, rows, code, colours[number : number + 1]))
    if (label < 0).any():
        layers.insert(0, _points(f"{prefix}.none", "does not count", label < 0, palette.QUIET, "quiet"))
    return layers


def _points(name: str, title: str, which: Bools, colour: str, emphasis: Emphasis) -> PointLayer:
    rows = np.flatnonzero(which)
    return PointLayer(name, title, rows, np.zeros(len(rows), np.uint8), palette.table(colour), emphasis)


def _rule(judged: bool) -> str:
    if not judged:
        return "Predicted boxes; the frame is not labelled."
    return f"Right: within {RIGHT_WITHIN:g} m of a labelled box of its class."


def _counts(matched: Matched, unseen: Bools, judged: bool) -> tuple[str, ...]:
    if not judged:
        return (_some(len(matched.right), "box", "boxes") + " predicted",)
    far = (f"{_some(int(unseen.sum()), 'labelled box lies', 'labelled boxes lie')} beyond the network's range",)
    return (
        f"{int(matched.found.sum()):,} of {len(matched.found):,} labelled boxes found",
        f"{int(matched.right.sum()):,} of {len(matched.right):,} predicted boxes right",
        *(far if unseen.any() else ()),
    )


def _some(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _names(*layers: Sequence[PointLayer | LineLayer]) -> tuple[str, ...]:
    return tuple(layer.name for group in layers for layer in group)
