"""KITTI's detection metric: against the development kit's steps written out as loops, and rules worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmodal_core.bench.traffic import KITTI, as_found, traffic
from xmodal_core.datasets import open_dataset
from xmodal_core.datasets._kitti import CLASSES as ALL
from xmodal_core.datasets._kitti_labels import Label, parse_label
from xmodal_core.errors import InputError
from xmodal_core.geometry_boxes import box_rows, iou_3d, iou_bev
from xmodal_core.metrics import Detections, Truth
from xmodal_core.metrics.kitti_detection import CLASSES, KittiDetection

LEVELS = {"easy": (1, 40), "moderate": (2, 25), "hard": (3, 25)}
NEIGHBOUR = {"Car": "Van", "Pedestrian": "Person_sitting"}


def with_heights(found: dict[str, Detections], seed: int) -> dict[str, Detections]:
    """``found`` with boxes in a picture that are 0 to 120 pixels tall."""
    random = np.random.default_rng(seed)
    frames = {}
    for name, boxes in found.items():
        image_box = np.zeros((len(boxes), 4))
        image_box[:, 2], image_box[:, 3] = 10.0, random.integers(0, 120, len(boxes))
        frames[name] = replace(boxes, image_box=image_box)
    return frames


def crowd(seed: int, frames: int = 6) -> tuple[dict[str, Detections], dict[str, Truth]]:
    found, truth = traffic(KITTI, frames=frames, boxes=15, seed=seed, name="{}")
    random = np.random.default_rng(seed)
    graded = {
        name: replace(one, difficulty=random.integers(1, 5, len(one)), points=None) for name, one in truth.items()
    }
    return with_heights(found, seed), graded


# ---- The development kit's steps


class Frame:
    """One frame as the kit's ``cleanData`` leaves it."""

    def __init__(self, found: Detections, labels: Truth, group: str, level: str, flat: bool) -> None:
        hardest, tallest = LEVELS[level]
        self.score = found.score
        self.overlap = (iou_bev if flat else iou_3d)(
            box_rows(labels.centre, labels.size, labels.yaw), box_rows(found.centre, found.size, found.yaw)
        )
        self.ignored_gt: list[int] = []
        self.ignored_det: list[int] = []
        assert labels.difficulty is not None
        assert found.image_box is not None
        for number, difficulty in zip(labels.label, labels.difficulty, strict=True):
            name = labels.classes[number]
            if name == group and difficulty <= hardest:
                self.ignored_gt.append(0)
            else:
                self.ignored_gt.append(1 if name in (group, NEIGHBOUR.get(group)) else -1)
        for number, box in zip(found.label, found.image_box, strict=True):
            name = found.classes[number]
            small = name in CLASSES and box[3] - box[1] < tallest
            self.ignored_det.append(1 if small else 0 if name == group else -1)


def statistics(frame: Frame, least: float, threshold: float | None) -> tuple[int, int, list[float]]:
    """``computeStatistics``: how many are right and wrong, and the scores of the right; first pass: no threshold."""
    assigned = [False] * len(frame.score)
    below = [threshold is not None and score < threshold for score in frame.score]
    scores = []
    for label, ignored in enumerate(frame.ignored_gt):
        if ignored == -1:
            continue
        chosen, valid, most, chose_ignored = -1, None, 0.0, False
        for det in range(len(frame.score)):
            if frame.ignored_det[det] == -1 or assigned[det] or below[det]:
                continue
            overlap = frame.overlap[label, det]
            if overlap <= least:
                continue
            if threshold is None:
                if valid is None or frame.score[det] > valid:
                    chosen, valid = det, frame.score[det]
            elif (overlap > most or chose_ignored) and frame.ignored_det[det] == 0:
                chosen, valid, most, chose_ignored = det, 1.0, overlap, False
            elif valid is None and frame.ignored_det[det] == 1:
                chosen, valid, chose_ignored = det, 1.0, True
        if valid is None:
            continue
        assigned[chosen] = True
        if ignored == 0 and frame.ignored_det[chosen] == 0:
            scores.append(float(frame.score[chosen]))
    wrong = sum(not assigned[det] and frame.ignored_det[det] == 0 and not below[det] for det in range(len(frame.score)))
    return len(scores), wrong, scores


def thresholds(scores: list[float], count: int) -> list[float]:
    """``getThresholds`` with 41 points."""
    scores = sorted(scores, reverse=True)
    recall, chosen = 0.0, []
    for place, score in enumerate(scores):
        left = (place + 1) / count
        right = (place + 2) / count if place < len(scores) - 1 else left
        if right - recall < recall - left and place < len(scores) - 1:
            continue
        chosen.append(score)
        recall += 1 / 40
    return chosen


def naive(found: dict[str, Detections], truth: dict[str, Truth], group: str, level: str, flat: bool) -> float:
    frames = [Frame(found[name], truth[name], group, level, flat) for name in truth]
    least = 0.7 if group == "Car" else 0.5
    count = sum(frame.ignored_gt.count(0) for frame in frames)
    cuts = thresholds([score for frame in frames for score in statistics(frame, least, None)[2]], count)
    precision = [0.0] * 41
    for place, cut in enumerate(cuts):
        right, wrong = (
            sum(part) for part in zip(*(statistics(frame, least, cut)[:2] for frame in frames), strict=True)
        )
        precision[place] = right / (right + wrong) if right else 0.0
    return sum(max(precision[place:]) for place in range(1, 41)) / 40


@given(st.integers(0, 2**20), st.sampled_from(CLASSES), st.sampled_from(list(LEVELS)), st.booleans())
@settings(max_examples=10, deadline=None)
def test_equals_the_development_kits_steps(seed: int, group: str, level: str, flat: bool) -> None:
    """With 41 labels or more, where the two agree by intention."""
    found, truth = crowd(seed, frames=12)
    result = KittiDetection().evaluate(found, truth, "val")
    labels = sum(
        int(((one.label == one.classes.index(group)) & (one.difficulty <= LEVELS[level][0])).sum())  # type: ignore[operator]
        for one in truth.values()
    )
    if labels >= 41:
        figure = result.parts[f"{group}, {level}"]["BEV AP" if flat else "AP"]
        assert figure == pytest.approx(naive(found, truth, group, level, flat), abs=1e-9)


# ---- Rules worked by hand


def scene(count: int, kind: str = "Car", difficulty: int = 1) -> tuple[dict[str, Detections], dict[str, Truth]]:
    """``count`` things in a row, each found exactly, surest first."""
    truth = Truth(
        centre=np.column_stack([5.0 + 6.0 * np.arange(count), np.zeros(count), np.zeros(count)]),
        size=np.tile([3.9, 1.6, 1.5], (count, 1)),
        yaw=np.zeros(count),
        label=np.full(count, ALL.index(kind)),
        classes=ALL,
        difficulty=np.full(count, difficulty),
    )
    found = replace(as_found(truth), score=np.linspace(0.9, 0.5, count))
    return {"000000": found}, {"000000": truth}


def precision_of(found: dict[str, Detections], truth: dict[str, Truth], part: str) -> float | None:
    parts = KittiDetection().evaluate(found, truth, "val").parts
    return parts[part]["AP"] if part in parts else None


class TestRules:
    def test_few_labels_reach_every_recall_too(self) -> None:
        for count in (1, 2, 7, 39, 40):
            assert precision_of(*scene(count), "Car, easy") == pytest.approx(1.0)

    def test_half_of_few_labels_is_half_the_recall(self) -> None:
        found, truth = scene(10)
        half = replace(found["000000"], score=np.where(np.arange(10) < 5, found["000000"].score, 0.0))
        half = replace(half, centre=half.centre + np.where(np.arange(10) < 5, 0.0, 50.0)[:, None])
        assert precision_of({"000000": half}, truth, "Car, easy") == pytest.approx(0.5, abs=1 / 40)

    def test_a_level_takes_what_the_easier_ones_take(self) -> None:
        found, truth = scene(5, difficulty=2)
        assert [precision_of(found, truth, f"Car, {level}") for level in LEVELS] == [None, 1.0, 1.0]

    def test_vans_are_no_cars_and_cost_nothing(self) -> None:
        found, truth = scene(5)
        vans = replace(truth["000000"], label=np.array([0, 0, 0, 1, 1]))
        assert precision_of(found, {"000000": vans}, "Car, easy") == pytest.approx(1.0)
        # Of three cars the last two are found behind two that are none: precision 1, 2/4 and 3/5.
        trucks = replace(vans, label=np.array([0, 2, 2, 0, 0]))
        assert precision_of(found, {"000000": trucks}, "Car, easy") == pytest.approx(0.8)

    def test_small_predictions_are_left_out_whatever_their_class(self) -> None:
        found, truth = scene(4)
        beside = found["000000"].centre + np.array([0.0, 40.0, 0.0])
        wrong = replace(found["000000"], centre=beside, score=np.full(4, 0.99))
        both = {
            name: np.concatenate([getattr(found["000000"], name), getattr(wrong, name)])
            for name in ("centre", "size", "yaw", "label", "score")
        }
        tall = np.array([[0, 0, 9, height] for height in (99,) * 4 + (30,) * 4], dtype=np.float64)
        more = Detections(**both, classes=ALL, image_box=tall)
        assert precision_of({"000000": more}, truth, "Car, easy") == pytest.approx(1.0)
        assert precision_of({"000000": more}, truth, "Car, moderate") == pytest.approx(0.5)

    def test_from_above_height_does_not_matter(self) -> None:
        found, truth = scene(3)
        raised = {"000000": replace(found["000000"], centre=found["000000"].centre + np.array([0.0, 0.0, 9.0]))}
        part = KittiDetection().evaluate(raised, truth, "val").parts["Car, easy"]
        assert part == {"AP": 0.0, "BEV AP": pytest.approx(1.0)}


@pytest.mark.parametrize(
    ("cut_off", "occluded", "tall", "level"),
    [
        (0, 0, 40, 1),
        (0, 0, 39.9, 2),
        (0.16, 0, 60, 2),
        (0, 1, 60, 2),
        (0, 2, 60, 3),
        (0.5, 0, 25, 3),
        (0, 3, 60, 4),
        (0.6, 0, 60, 4),
        (0, 0, 24.9, 4),
    ],
)
def test_the_difficulty_of_a_label(cut_off: float, occluded: int, tall: float, level: int) -> None:
    words = f"Car {cut_off} {occluded} 0 10 100 20 {100 + tall} 1.5 1.6 3.9 1 1.6 20 0".split()
    label = parse_label(words, "here")
    assert isinstance(label, Label)
    assert label.difficulty == level


# ---- On the object benchmark's files


@pytest.fixture(scope="module")
def dataset(example_root: Callable[[str], Path]) -> Any:
    return open_dataset("kitti_object", example_root("kitti_object"))


def test_labels_in_the_cameras_coordinates_are_those_of_the_file(dataset: Any, tmp_path: Path) -> None:
    """The labels, written as predictions, are the lines of the label files again."""
    protocol = KittiDetection()
    for index, (name, truth) in enumerate(protocol.truth(dataset).items()):
        labels = dataset.boxes(index)
        sure = Detections.of(labels, np.ones(len(labels)))
        found = protocol.found_of(dataset, index, dataset.frame(index), sure)
        np.testing.assert_allclose(found.centre, truth.centre, atol=1e-5)
        protocol.write_submission({name: replace(found, image_box=None)}, tmp_path)
        written = [line.split() for line in (tmp_path / f"{name}.txt").read_text().splitlines()]
        file = dataset.root / "training" / "label_2" / f"{name}.txt"
        lines = [words for line in file.read_text().splitlines() if (words := line.split())[0] != "DontCare"]
        assert [words[0] for words in written] == [words[0] for words in lines]
        first, second = (np.array([words[8:15] for words in side], dtype=np.float64) for side in (written, lines))
        first[:, 6], second[:, 6] = np.cos(first[:, 6]), np.cos(second[:, 6])
        np.testing.assert_allclose(first, second, atol=2e-3)


def test_boxes_in_the_picture_hold_their_points(dataset: Any) -> None:
    """Each box's middle, projected by the reader's own camera, lies in it."""
    protocol, seen = KittiDetection(), 0
    for index in range(len(dataset)):
        frame, labels = dataset.frame(index), dataset.boxes(index)
        found = protocol.found_of(dataset, index, frame, Detections.of(labels, np.ones(len(labels))))
        assert found.image_box is not None
        image = frame.cameras[0].project(labels.centre)
        for row in np.flatnonzero(image.inside):
            left, top, right, bottom = found.image_box[row]
            assert left <= image.uv[row, 0] <= right
            assert top <= image.uv[row, 1] <= bottom
            seen += 1
    assert seen > 0


def test_other_data_is_refused(example_root: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="object benchmark, not KittiRaw"):
        KittiDetection().truth(open_dataset("kitti_raw", example_root("kitti_raw")))
