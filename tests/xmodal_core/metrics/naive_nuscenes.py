"""The nuScenes detection benchmark box by box, in plain loops, as its paper and rules describe it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from xmodal_core.metrics import Detections, Truth

RANGE = dict.fromkeys(("car", "truck", "bus", "trailer", "construction_vehicle"), 50.0)
RANGE |= dict.fromkeys(("pedestrian", "motorcycle", "bicycle"), 40.0)
RANGE |= dict.fromkeys(("traffic_cone", "barrier"), 30.0)
LEFT_OUT = {"traffic_cone": {"AOE", "AVE", "AAE"}, "barrier": {"AVE", "AAE"}}


def naive_scores(predictions: Mapping[str, Detections], truth: Mapping[str, Truth]) -> dict[str, dict[str, float]]:
    """The figures of each class."""
    parts = {}
    for name in RANGE:
        labels = {frame: _kept(truth[frame], truth[frame], name) for frame in truth}
        found = [(frame, box) for frame in predictions for box in _kept(predictions[frame], truth[frame], name)]
        positives = sum(map(len, labels.values()))
        figures: dict[str, float] = {}
        for distance in (0.5, 1.0, 2.0, 4.0):
            hits, errors = _match(found, labels, distance, name)
            figures[f"AP@{distance:g}m"] = _average_precision(hits, positives)
            if distance == 2.0:
                figures.update(_errors(hits, errors, positives, name))
        figures["AP"] = sum(figures[f"AP@{distance}m"] for distance in ("0.5", "1", "2", "4")) / 4
        parts[name] = figures
    return parts


def _kept(boxes: Detections | Truth, truth: Truth, name: str) -> list[dict[str, Any]]:
    kept = []
    for row in range(len(boxes)):
        if boxes.classes[boxes.label[row]] != name:
            continue
        if math.dist(boxes.centre[row, :2], truth.origin[:2]) >= RANGE[name]:
            continue
        if isinstance(boxes, Truth) and boxes.points is not None and boxes.points[row] == 0:
            continue
        if name in ("bicycle", "motorcycle") and _in_a_rack(boxes.centre[row], truth):
            continue
        velocity = boxes.velocity[row] if boxes.velocity is not None else None
        kept.append(
            {
                "centre": boxes.centre[row],
                "size": boxes.size[row],
                "yaw": boxes.yaw[row],
                "velocity": velocity,
                "attribute": boxes.attribute[row] if boxes.attribute is not None else "",
                "score": boxes.score[row] if isinstance(boxes, Detections) else 0.0,
            }
        )
    return kept


def _in_a_rack(centre: Any, truth: Truth) -> bool:
    for row in range(len(truth)):
        if truth.classes[truth.label[row]] == "static_object.bicycle_rack":
            x, y, z = centre - truth.centre[row]
            c, s = math.cos(truth.yaw[row]), math.sin(truth.yaw[row])
            local = (c * x + s * y, c * y - s * x, z)
            if all(abs(side) <= extent / 2 for side, extent in zip(local, truth.size[row], strict=True)):
                return True
    return False


def _match(found: list[Any], labels: Mapping[str, list[Any]], distance: float, name: str) -> tuple[Any, Any]:
    """(score, whether it hit) of each prediction by falling score, and the errors of those that hit."""
    free = {frame: list(range(len(boxes))) for frame, boxes in labels.items()}
    turns = sorted(range(len(found)), key=lambda number: (found[number][1]["score"], number), reverse=True)
    hits, errors = [], []
    for number in turns:
        frame, box = found[number]
        best, nearest = None, distance
        for other in free[frame]:
            away = math.dist(box["centre"][:2], labels[frame][other]["centre"][:2])
            if away < nearest:
                best, nearest = other, away
        hits.append((box["score"], best is not None))
        if best is not None:
            free[frame].remove(best)
            errors.append(_error(box, labels[frame][best], nearest, name))
    return hits, errors


def _error(box: Any, label: Any, away: float, name: str) -> dict[str, float]:
    shared = math.prod(min(a, b) for a, b in zip(box["size"], label["size"], strict=True))
    union = math.prod(box["size"]) + math.prod(label["size"]) - shared
    turn = abs(box["yaw"] - label["yaw"]) % (2 * math.pi)
    turn = min(turn, 2 * math.pi - turn)
    if name == "barrier":
        turn = min(turn, math.pi - turn)
    unknown = label["velocity"] is None or math.isnan(label["velocity"][0])
    mine = box["velocity"] if box["velocity"] is not None else (0.0, 0.0)
    return {
        "ATE": away,
        "ASE": 1 - shared / union,
        "AOE": turn,
        "AVE": math.nan if unknown else math.dist(mine, label["velocity"]),
        "AAE": math.nan if not label["attribute"] else float(box["attribute"] != label["attribute"]),
    }


def _interpolate(x: float, xs: list[float], ys: list[float], beyond: float) -> float:
    """Of points with the same x the last one counts where x is exactly theirs."""
    if x < xs[0]:
        return ys[0]
    if x > xs[-1]:
        return beyond
    last = max(number for number, value in enumerate(xs) if value <= x)
    if xs[last] == x or last + 1 == len(xs):
        return ys[last]
    return ys[last] + (ys[last + 1] - ys[last]) * (x - xs[last]) / (xs[last + 1] - xs[last])


def _curve(hits: Any, positives: int) -> tuple[list[float], list[float], list[float]]:
    true, recalls, precisions, scores = 0, [], [], []
    for number, (score, hit) in enumerate(hits, start=1):
        true += hit
        recalls.append(true / positives)
        precisions.append(true / number)
        scores.append(score)
    return recalls, precisions, scores


def _average_precision(hits: Any, positives: int) -> float:
    if not positives or not any(hit for _, hit in hits):
        return 0.0
    recalls, precisions, _ = _curve(hits, positives)
    total = 0.0
    for percent in range(11, 101):
        total += max(_interpolate(float(RECALLS[percent]), recalls, precisions, 0.0) - 0.1, 0.0)
    return total / 90 / 0.9


def _errors(hits: Any, errors: Any, positives: int, name: str) -> dict[str, float]:
    figures = {}
    for kind in ("ATE", "ASE", "AOE", "AVE", "AAE"):
        if kind in LEFT_OUT.get(name, ()):
            figures[kind] = math.nan
        elif not positives or not errors:
            figures[kind] = 1.0
        else:
            figures[kind] = _mean_error(hits, [error[kind] for error in errors], positives)
    return figures


def _mean_error(hits: Any, errors: list[float], positives: int) -> float:
    recalls, _, scores = _curve(hits, positives)
    at_recall = [_interpolate(float(recall), recalls, scores, 0.0) for recall in RECALLS]
    last = max((percent for percent in range(101) if at_recall[percent] != 0), default=0)
    if last < 11:
        return 1.0
    means, total, count = [], 0.0, 0
    for error in errors:
        if not math.isnan(error):
            total, count = total + error, count + 1
        means.append(total / count if count else 0.0)
    if not count:
        means = [1.0] * len(errors)
    hit_scores = [score for score, hit in hits if hit]
    rising, of_rising = hit_scores[::-1], means[::-1]
    values = [_interpolate(at_recall[percent], rising, of_rising, of_rising[-1]) for percent in range(11, last + 1)]
    return sum(values) / len(values)


RECALLS = np.linspace(0, 1, 101)
