"""Predictions against labels as scenes: who is right, what is counted, what is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz.draw import draw
from viz.predictions import RIGHT_WITHIN, class_colours, compose_boxes, compose_classes, match_boxes
from viz.scene import LineLayer, PointLayer, Scene
from xmodal_core.datasets import open_dataset
from xmodal_core.metrics import Detections
from xmodal_core.types import Boxes, Frame

CLASSES = ("Car", "Pedestrian", "Cyclist")


@pytest.fixture(scope="module")
def frame(example_root: Callable[[str], Path]) -> Frame:
    return open_dataset("kitti_object", example_root("kitti_object")).frame(0)


def boxes(places: list[tuple[int, float, float]]) -> Boxes:
    count = len(places)
    return Boxes(
        centre=np.array([(x, y, -1.0) for _, x, y in places], dtype=np.float32).reshape(-1, 3),
        size=np.full((count, 3), 1.5, dtype=np.float32),
        yaw=np.linspace(0, 1, count, dtype=np.float32),
        label=np.array([label for label, _, _ in places], dtype=np.int64),
        classes=CLASSES,
        track=np.full(count, -1, dtype=np.int64),
        velocity=np.full((count, 2), np.nan, dtype=np.float32),
    )


spots = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 8), st.floats(0, 3)), max_size=6)


class TestMatching:
    @given(spots, spots, st.integers(0, 99))
    def test_surest_first_each_takes_the_nearest_free_one_of_its_class(
        self, guessed: list[tuple[int, float, float]], there: list[tuple[int, float, float]], seed: int
    ) -> None:
        score = np.random.default_rng(seed).permutation(len(guessed)) / 10
        predicted, labelled = Detections.of(boxes(guessed), score), boxes(there)
        found = match_boxes(predicted, labelled)
        free, right = set(range(len(there))), [False] * len(guessed)
        for number in np.argsort(-score):
            away = {
                k: float(np.hypot(*(predicted.centre[number, :2] - labelled.centre[k, :2])))
                for k in sorted(free)
                if labelled.label[k] == predicted.label[number]
            }
            near = {k: d for k, d in away.items() if d < RIGHT_WITHIN}
            if near:
                free.discard(min(near, key=lambda k: near[k]))
                right[number] = True
        assert found.right.tolist() == right
        assert np.flatnonzero(~found.found).tolist() == sorted(free)

    def test_classes_are_compared_by_name(self) -> None:
        predicted = Detections.of(boxes([(0, 5, 0)]), np.ones(1))
        other = replace(boxes([(2, 5, 0)]), classes=("Cyclist", "Pedestrian", "Car"))
        assert match_boxes(predicted, other).right.all()


def layers(scene: Scene, kind: type) -> dict[str, str]:
    return {layer.name: layer.title for layer in scene.layers if isinstance(layer, kind)}


class TestBoxes:
    def test_says_who_is_right_and_draws_each_box_once_a_stage(self, frame: Frame) -> None:
        assert frame.boxes is not None
        true = boxes([(0, 10, 0), (1, 20, 3), (0, 30, -3)])
        found = Detections.of(boxes([(0, 10.5, 0), (0, 20, 3), (2, 40, 0)]), np.array([0.9, 0.8, 0.35]))
        scene = compose_boxes(frame, found, true, limit=5000)
        lines = layers(scene, LineLayer)
        assert lines["right"] == "predicted, right: 1"
        assert lines["wrong"] == "predicted, wrong: 2"
        assert lines["found"] == "labelled, found: 1"
        assert lines["missed"] == "labelled, missed: 2"
        assert scene.stage("boxes").caption == ("3 boxes predicted: 1 right", "3 labelled: 1 found, 2 missed")
        assert {name for name in lines if name.startswith("class.")} == {"class.Car", "class.Cyclist"}
        assert [words.split(" · ")[:2] for words in scene.words["unit"]] == [
            ["Car 0.90", "right"], ["Car 0.80", "wrong"], ["Cyclist 0.35", "wrong"],
            ["Car", "labelled, found"], ["Pedestrian", "labelled, missed"], ["Car", "labelled, missed"],
        ]  # fmt: skip
        assert scene.words["unit"][1].endswith("1.5 x 1.5 x 1.5 m, 20 m away")
        for stage in scene.stages:
            drawn = [layer for layer in scene.line_layers(stage) if layer.words]
            assert sum(len(layer.words) for layer in drawn) == 6 * (11 + 3 * 3 + 3)
        strokes = scene.views[0].strokes
        assert len(strokes["right"]) > 0

    def test_what_the_network_cannot_see_is_not_called_missed(self, frame: Frame) -> None:
        true = boxes([(0, 10, 0), (0, 60, 0), (0, 70, 0)])
        found = Detections.of(boxes([(0, 10, 0), (0, 60, 0)]), np.array([0.9, 0.8]))
        scene = compose_boxes(frame, found, true, beyond=np.array([False, True, True]), limit=5000)
        lines = layers(scene, LineLayer)
        assert lines["beyond"] == "labelled, beyond the network's range: 1"
        assert lines["missed"] == "labelled, missed: 0"
        assert lines["found"] == "labelled, found: 2"
        assert scene.stage("boxes").caption[-1] == "3 labelled: 2 found, 0 missed, 1 beyond the range"
        assert [words.split(" · ")[1] for words in scene.words["unit"][2:]] == [
            "labelled, found", "labelled, found", "labelled, beyond the network's range"
        ]  # fmt: skip

    def test_unsure_boxes_are_left_out_and_the_picture_says_so(self, frame: Frame) -> None:
        found = Detections.of(boxes([(0, 10, 0), (1, 20, 3), (0, 40, 0)]), np.array([0.9, 0.3, 0.29]))
        scene = compose_boxes(frame, found, boxes([(0, 40, 0)]), score=0.3, limit=5000)
        assert scene.stage("boxes").caption == ("2 boxes at least 0.3 sure: 0 right", "1 labelled: 0 found, 1 missed")
        assert layers(scene, LineLayer)["wrong"] == "predicted, wrong: 2"

    def test_a_point_belongs_to_the_predicted_box_around_it_or_else_to_the_labelled_one(self, frame: Frame) -> None:
        first = int(np.flatnonzero(frame.points[:, 0] > 5)[0])
        other = int(np.flatnonzero(np.linalg.norm(frame.points - frame.points[first], axis=1) > 5)[0])
        there = replace(boxes([(0, 0, 0), (0, 0, 0)]), centre=frame.points[[first, other]])
        guessed = replace(boxes([(1, 0, 0)]), centre=frame.points[[first]])
        scene = compose_boxes(frame, Detections.of(guessed, np.ones(1)), there, limit=10**6)
        said = [
            scene.words["unit"][scene.members["unit"][(scene.cloud == frame.points[row]).all(axis=1)][0]]
            for row in (first, other)
        ]
        assert [words.split(" · ")[:2] for words in said] == [["Pedestrian 1.00", "wrong"], ["Car", "labelled, missed"]]

    def test_without_labels_nothing_is_judged(self, frame: Frame) -> None:
        found = Detections.of(boxes([(0, 10, 0)]), np.ones(1))
        scene = compose_boxes(frame, found, None, limit=5000)
        lines = layers(scene, LineLayer)
        assert lines["right"] == "predicted: 1"
        assert not {"wrong", "missed", "found"} & set(lines)
        assert scene.words["unit"] == ("Car 1.00 · not labelled · 1.5 x 1.5 x 1.5 m, 10 m away",)

    @pytest.mark.parametrize("suffix", [".png", ".html"])
    def test_can_be_drawn_also_where_nothing_was_found(self, frame: Frame, suffix: str, tmp_path: Path) -> None:
        nothing = compose_boxes(frame, Detections.none(CLASSES), boxes([]), limit=2000)
        some = compose_boxes(frame, Detections.of(boxes([(0, 10, 0)]), np.ones(1)), boxes([(0, 10, 0)]), limit=2000)
        for number, scene in enumerate((nothing, some)):
            drawn = draw(scene, tmp_path / f"{number}{suffix}", size=(400, 300))
            assert drawn.file is not None
            assert drawn.file.stat().st_size > 1000


class TestClasses:
    def test_counts_right_and_wrong_among_points_that_count(self, frame: Frame) -> None:
        label = np.arange(len(frame)) % 4 - 1
        guess = np.where(np.arange(len(frame)) % 8 == 1, 1, np.maximum(label, 0))
        scene = compose_classes(frame, guess, label, CLASSES, limit=10**6)
        points = layers(scene, PointLayer)
        wrong = int(((label >= 0) & (guess != label)).sum())
        assert points["wrong"] == f"wrong: {wrong:,}"
        for stage in scene.stages:
            rows = np.concatenate([layer.rows for layer in scene.point_layers(stage)])
            assert sorted(rows.tolist()) == list(range(len(frame)))
        assert scene.layer("predicted.Car").title == scene.layer("labelled.Car").title == "Car"

    def test_points_say_what_they_were_taken_for(self, frame: Frame) -> None:
        count = len(frame)
        label = np.zeros(count, dtype=np.int64)
        guess = label.copy()
        guess[:10], label[10:20] = 1, -1
        scene = compose_classes(frame, guess, label, CLASSES, limit=10**6)
        said = [scene.words["unit"][number] for number in scene.members["unit"]]
        order = [int(np.flatnonzero((scene.cloud == frame.points[row]).all(axis=1))[0]) for row in (0, 10, count - 1)]
        assert [said[row] for row in order] == [
            f"Pedestrian · wrong, labelled Car · 10 points, {10 / (count - 10):.1%} of those labelled Car",
            "Car · does not count · 10 points",
            f"Car · right · {count - 20:,} points",
        ]
        assert scene.stage("judged").caption[1] == "most often Car is taken for Pedestrian: 10"
        assert scene.stage("predicted").caption == ("2 of 3 classes predicted",)
        right = compose_classes(frame, label.clip(0), label.clip(0), CLASSES, limit=2000)
        assert len(right.stage("judged").caption) == 1

    def test_can_be_drawn_without_labels(self, frame: Frame, tmp_path: Path) -> None:
        guess = np.zeros(len(frame), dtype=np.int64)
        scene = compose_classes(frame, guess, None, CLASSES, limit=2000)
        assert [stage.name for stage in scene.stages] == ["predicted"]
        assert scene.words["unit"] == (f"Car · predicted · {len(frame):,} points",)
        assert draw(scene, tmp_path / "k.png", size=(400, 300)).file is not None

    def test_thirty_classes_have_colours_of_their_own(self) -> None:
        assert len(np.unique(class_colours(30), axis=0)) == 30
        assert class_colours(40).shape == (40, 3)
