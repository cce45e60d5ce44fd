"""What a fine-tuned network predicts of a frame, against its labels: a scene for any viewer.

Boxes: which labelled ones were found and which predicted ones are right, then predicted ones by class. Points: by
predicted class, by labelled class, and where the two differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

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
    """(count,3) uint8: a colour for each class, of ``palette.CLASSES`` in turn."""
    return np.resize(palette.CLASSES, (count, 3))


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


class _Owned(NamedTuple):
    """What points belong to: the ``thing`` of a scene.

    Args:
        thing: what one is called.
        of: (N,) number of each point's, or -1.
        words: a line for each number.
        painted: (N,) likewise, of the points whose thing is painted on pictures.
    """

    thing: str
    of: Ints
    words: tuple[str, ...]
    painted: Ints


def compose_boxes(
    frame: Frame,
    predicted: Detections,
    labelled: Boxes | None,
    *,
    beyond: Bools | None = None,
    score: float = 0.0,
    title: str = "",
    limit: int = LIMIT,
) -> Scene:
    """The scene of ``predicted`` boxes of ``frame``: those that are at least as sure as ``score``.

    Args:
        frame: its cameras' pictures are read now.
        predicted: in its LiDAR coordinates.
        labelled: the boxes that should have been found, of the same classes; None: nobody labelled it.
        beyond: (B,) which labelled boxes lie beyond what the network sees: missed ones of them stand apart; None: none.
        score: the least score of a box that is drawn.
        title: what the picture is headed with; empty: the frame's name.
        limit: how many points to draw.

    Raises:
        DataError: a camera's picture is missing or damaged.
    """
    predicted = _sure(predicted, score)
    true = labelled if labelled is not None else _none(predicted.classes)
    matched = match_boxes(predicted, true)
    of_predicted = _owner(frame, box_rows(predicted.centre, predicted.size, predicted.yaw))
    of_labelled = _owner(frame, box_rows(*(a.astype(np.float64) for a in (true.centre, true.size, true.yaw))))
    inside = (of_predicted >= 0) | (of_labelled >= 0)
    rows = thin([of_predicted, of_labelled], np.zeros(0, dtype=np.int64), ~inside, limit=limit)
    unseen = np.zeros(len(true), dtype=np.bool_) if beyond is None else beyond & ~matched.found
    words = _predicted_words(predicted, matched, labelled is not None)
    true_words = _labelled_words(true, matched, unseen)
    corners, true_corners = _corners(predicted), box_corners(true)
    boxes = _judged_layers(matched, unseen, (corners, words), (true_corners, true_words), labelled is not None)
    by_class = _class_layers(predicted, corners, words)
    pale = box_layer("labels", f"labelled: {len(true):,}", true_corners, true_words, palette.LABEL, "quiet")
    points = [
        _points("points", "outside all boxes", ~inside[rows], palette.QUIET, "quiet"),
        _points("inside", "in a box", inside[rows], IN_A_BOX, "plain"),
    ]
    rule, counts = _rule(labelled is not None), _counts(matched, unseen, score, labelled is not None)
    by_class_words = "Predicted boxes by class; labelled ones are pale."
    stages = (
        Stage("boxes", "Right and wrong", rule, counts, _names(points, boxes)),
        Stage("classes", "Classes", by_class_words, (), _names(points, [pale], by_class)),
    )
    facts: tuple[tuple[str, str], ...] = ((f"{len(predicted):,}", "predicted"),)
    if labelled is not None:
        facts = (*facts, (f"{int(matched.right.sum()):,}", "right"), (f"{len(true):,}", "labelled"))
    lines = [*boxes, pale, *by_class]
    # What a point says when it is pointed at: the predicted box around it, or else the labelled one.
    of_any = np.where((of_predicted < 0) & (of_labelled >= 0), len(predicted) + of_labelled, of_predicted)
    owned = _Owned("box", of_any, (*words, *true_words), of_any)
    return _scene(frame, title, rows, owned, points, lines, stages, facts)


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
    seen = f"{len(np.unique(predicted)):,} of {_some(len(classes), 'class', 'classes')} predicted"
    stages = [Stage("predicted", "Predicted", "Points by predicted class.", (seen,), _names(points))]
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
        told = (f"{share} of what counts is right", *_mistakes(predicted, labelled, classes))
        wrong = Stage("judged", "Right and wrong", "Where prediction and label agree.", told, _names(judged))
        there = len(np.unique(labelled[counts]))
        seen = f"{there:,} of {_some(len(classes), 'class', 'classes')} labelled"
        stages += [Stage("labelled", "Labelled", "Points by labelled class.", (seen,), _names(true)), wrong]
        points, facts = [*points, *true, *judged], (*facts, (share, "right"))
    of_pair, words = _pairs(predicted, labelled, classes)
    # Nothing is painted on pictures: classes mingle, and reach over most of them.
    owned = _Owned("class", of_pair, words, np.full(len(frame), -1, dtype=np.int64))
    return _scene(frame, title, rows, owned, points, [], tuple(stages), facts)


def _scene(
    frame: Frame,
    title: str,
    rows: Ints,
    owned: _Owned,
    points: Sequence[PointLayer],
    lines: Sequence[LineLayer],
    stages: tuple[Stage, ...],
    facts: tuple[tuple[str, str], ...],
) -> Scene:
    none = np.full(len(frame), -1, dtype=np.int64)
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
        members={"cluster": none[rows].astype(np.int32), "unit": owned.of[rows].astype(np.int32)},
        words={"cluster": (), "unit": owned.words},
        layers=(*surroundings, *points, *lines),
        views=_views(frame, rows, {"cluster": none, "unit": owned.painted}, lines),
        stages=tuple(
            Stage(stage.name, stage.title, stage.words, stage.caption, (*everywhere, *stage.layers)) for stage in stages
        ),
        opening=ALL,
        thing=owned.thing,
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


def _sure(predicted: Detections, score: float) -> Detections:
    sure = predicted.score >= score
    columns: dict[str, Any] = {
        name: getattr(predicted, name)[sure] for name in ("centre", "size", "yaw", "label", "score")
    }
    velocity = None if predicted.velocity is None else predicted.velocity[sure]
    return replace(predicted, **columns, velocity=velocity)


def _predicted_words(predicted: Detections, matched: Matched, judged: bool) -> list[str]:
    verdicts = [("right" if right else "wrong") if judged else "not labelled" for right in matched.right]
    return [
        f"{predicted.classes[label]} {score:.2f} · {verdict} · {measures}"
        for label, score, verdict, measures in zip(
            predicted.label, predicted.score, verdicts, _measures(predicted.centre, predicted.size), strict=True
        )
    ]


def _labelled_words(true: Boxes, matched: Matched, unseen: Bools) -> list[str]:
    fates = np.where(matched.found, "found", np.where(unseen, "beyond the network's range", "missed"))
    return [
        f"{true.classes[label]} · labelled, {fate} · {measures}"
        for label, fate, measures in zip(true.label, fates, _measures(true.centre, true.size), strict=True)
    ]


def _measures(centre: NDArray[np.floating], size: NDArray[np.floating]) -> list[str]:
    away = np.hypot(centre[:, 0], centre[:, 1])
    return [
        f"{length:.1f} x {width:.1f} x {height:.1f} m, {metres:.0f} m away"
        for (length, width, height), metres in zip(size, away, strict=True)
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


def _pairs(predicted: Ints, labelled: Ints | None, classes: Sequence[str]) -> tuple[Ints, tuple[str, ...]]:
    """(N,) the pair of predicted and labelled class of each point, and what each pair is in words."""
    true = np.full(len(predicted), -1, dtype=np.int64) if labelled is None else labelled
    width = len(classes) + 1
    pairs, pair, counts = np.unique(predicted * width + true + 1, return_inverse=True, return_counts=True)
    words = []
    for code, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        guess, label = code // width, code % width - 1
        points = _some(count, "point", "points")
        if label == guess:
            words.append(f"{classes[guess]} · right · {points}")
        elif label >= 0:
            share = f"{count / np.count_nonzero(true == label):.1%} of those labelled {classes[label]}"
            words.append(f"{classes[guess]} · wrong, labelled {classes[label]} · {points}, {share}")
        else:
            words.append(f"{classes[guess]} · {'does not count' if labelled is not None else 'predicted'} · {points}")
    return pair, tuple(words)


def _mistakes(predicted: Ints, labelled: Ints, classes: Sequence[str]) -> tuple[str, ...]:
    """The most frequent confusion of classes, if there is one."""
    wrong = (labelled >= 0) & (predicted != labelled)
    if not wrong.any():
        return ()
    counts = np.bincount(labelled[wrong] * len(classes) + predicted[wrong])
    label, guess = divmod(int(counts.argmax()), len(classes))
    return (f"most often {classes[label]} is taken for {classes[guess]}: {int(counts.max()):,}",)


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


def _counts(matched: Matched, unseen: Bools, score: float, judged: bool) -> tuple[str, ...]:
    right, found, far = (int(which.sum()) for which in (matched.right, matched.found, unseen))
    sure = f" at least {score:g} sure" if score else " predicted"
    boxes = _some(len(matched.right), "box", "boxes") + sure
    if not judged:
        return (boxes,)
    missed = f"{len(unseen) - found - far:,} missed" + (f", {far:,} beyond the range" if far else "")
    return (f"{boxes}: {right:,} right", f"{len(unseen):,} labelled: {found:,} found, {missed}")


def _some(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _names(*layers: Sequence[PointLayer | LineLayer]) -> tuple[str, ...]:
    return tuple(layer.name for group in layers for layer in group)
