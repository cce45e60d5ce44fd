"""ONCE's detection metric: against the official tool's figures, a naive re-implementation, and rules worked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmodal_core.bench.traffic import ONCE, as_found, traffic
from xmodal_core.datasets import open_dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry_boxes import box_rows, iou_3d
from xmodal_core.metrics.base import Detections, Truth
from xmodal_core.metrics.once_detection import CLASSES, OnceConfig, OnceDetection

FRAME = "000027/1616100800400"
BINS = {"": (0, np.inf), " [0, 30)": (0, 30), " [30, 50)": (30, 50), " [50, inf)": (50, np.inf)}
GROUPS = {"Vehicle": ("Car", "Bus", "Truck"), "Pedestrian": ("Pedestrian",), "Cyclist": ("Cyclist",)}
LEAST = {"Vehicle": 0.7, "Pedestrian": 0.3, "Cyclist": 0.5}


def precisions(
    predictions: dict[str, Detections], truth: dict[str, Truth], rotation: Any = "official"
) -> dict[str, float]:
    result = OnceDetection(OnceConfig(rotation=rotation)).evaluate(predictions, truth, "val")
    return {name: part["AP"] for name, part in result.parts.items()}


def test_equals_the_official_tool() -> None:
    """``once_golden.json`` holds what once_devkit's evaluation (commit 7488a6f) says of these boxes. It was made with a
    transcription of its steps that runs on a CPU, the overlap kernel in 32-bit floats as on a graphics card."""
    predictions, truth = traffic(ONCE, frames=30, boxes=20, seed=4, name="000027/{}")
    golden = json.loads(Path(__file__).with_name("once_golden.json").read_text())
    result = OnceDetection().evaluate(predictions, truth, "val")
    assert {name: part["AP"] for name, part in result.parts.items()} == pytest.approx(golden, abs=1e-6)
    for end in BINS:
        assert result.measures[f"mAP{end}"] == pytest.approx(np.mean([golden[group + end] for group in GROUPS]))
    assert result.main == result.measures["mAP"]


# ---- A naive re-implementation


def naive_precision(
    predictions: dict[str, Detections], truth: dict[str, Truth], group: str, end: str, rotation: str
) -> float:
    frames = [_prepared(predictions[name], truth[name], group, BINS[end], rotation) for name in truth]
    scores = sorted((score for frame in frames for score in _matched_scores(*frame)), reverse=True)
    count = sum(role == "counts" for _, wanted, *_ in frames for role in wanted)
    cuts: list[float] = []
    level = 0.0
    for place, score in enumerate(scores, 1):
        here = place / count
        both = here + (min(place + 1, len(scores)) / count)
        if both < 2 * level and place < len(scores):
            continue
        cuts.append(score)
        level += 1 / 50
        while both + 1e-6 > 2 * level:
            cuts.append(score)
            level += 1 / 50
    curve = [0.0] * 51
    for place, cut in enumerate(cuts):
        hits, wrong = (sum(column) for column in zip(*(_hits_and_wrong(*frame, cut) for frame in frames), strict=True))
        curve[place] = hits / (hits + wrong) if hits else 0.0
    return sum(max(curve[place:]) for place in range(1, 51)) / 50


def _prepared(
    found: Detections, labels: Truth, group: str, within: tuple[float, float], rotation: str
) -> tuple[np.ndarray, list[str], list[str], np.ndarray]:
    sign = np.array([1, 1, 1, 1, 1, 1, -1 if rotation == "official" else 1])
    overlap = iou_3d(
        sign * box_rows(labels.centre, labels.size, labels.yaw), sign * box_rows(found.centre, found.size, found.yaw)
    )
    for i in range(len(labels)):
        for j in range(len(found)):
            if np.cos(labels.yaw[i] - found.yaw[j]) < 0:
                overlap[i, j] = 0

    def roles(boxes: Any) -> list[str]:
        names = []
        for centre, number in zip(boxes.centre, boxes.label, strict=True):
            if not within[0] <= np.sqrt((centre**2).sum()) < within[1]:
                names.append("ignored")
            else:
                names.append("counts" if boxes.classes[number] in GROUPS[group] else "other")
        return names

    return overlap > LEAST[group], roles(labels), roles(found), np.column_stack([found.score, *overlap])


def _matched_scores(near: np.ndarray, wanted: list[str], offered: list[str], table: np.ndarray) -> list[float]:
    free = {j for j, role in enumerate(offered) if role != "other"}
    scores = []
    for i, role in enumerate(wanted):
        choice = [j for j in sorted(free) if near[i, j]] if role != "other" else []
        if not choice:
            continue
        best = max(choice, key=lambda j: table[j, 0])
        free.remove(best)
        if role == offered[best] == "counts":
            scores.append(table[best, 0])
    return scores


def _hits_and_wrong(
    near: np.ndarray, wanted: list[str], offered: list[str], table: np.ndarray, cut: float
) -> tuple[int, int]:
    free = {j for j, role in enumerate(offered) if role != "other" and table[j, 0] >= cut}
    hits = 0
    for i, role in enumerate(wanted):
        choice = [j for j in sorted(free) if near[i, j]] if role != "other" else []
        if not choice:
            continue
        counting = [j for j in choice if offered[j] == "counts"]
        best = max(counting, key=lambda j: table[j, 1 + i]) if counting else choice[0]
        free.remove(best)
        hits += role == offered[best] == "counts"
    return hits, sum(offered[j] == "counts" for j in free)


@given(
    st.integers(0, 2**20),
    st.sampled_from(list(GROUPS)),
    st.sampled_from(list(BINS)),
    st.sampled_from(["official", "true"]),
)
@settings(max_examples=60, deadline=None)
def test_equals_loops_over_frames_and_cuts(seed: int, group: str, end: str, rotation: str) -> None:
    predictions, truth = traffic(ONCE, frames=4, boxes=8, seed=seed)
    found = precisions(predictions, truth, rotation)[group + end]
    assert found == pytest.approx(naive_precision(predictions, truth, group, end, rotation), abs=1e-12)


# ---- Rules worked by hand


def scene(count: int, **changes: Any) -> tuple[dict[str, Detections], dict[str, Truth]]:
    """``count`` cars in a row, each found exactly with score 0.9."""
    truth = Truth(
        centre=np.column_stack([5.0 + 4.0 * np.arange(count), np.zeros(count), np.zeros(count)]),
        size=np.tile([3.0, 1.5, 1.5], (count, 1)),
        yaw=np.zeros(count),
        label=np.zeros(count, dtype=np.int64),
        classes=CLASSES,
    )
    return {FRAME: replace(as_found(truth), **changes)}, {FRAME: truth}


class TestRules:
    def test_the_official_rotation_mirrors_the_scene(self) -> None:
        """A box moved along its own heading of 45 degrees: mirrored, it is moved across."""
        predictions, truth = scene(1, yaw=np.array([np.pi / 4]))
        truth[FRAME] = replace(truth[FRAME], yaw=np.array([np.pi / 4]))
        along = np.array([np.cos(np.pi / 4), np.sin(np.pi / 4), 0.0])
        predictions[FRAME] = replace(predictions[FRAME], centre=truth[FRAME].centre + 0.4 * along)
        # 0.4 m of 3 m leave an IoU of 2.6 / 3.4; 0.4 m of 1.5 m leave 1.1 / 1.9.
        assert precisions(predictions, truth, "true")["Vehicle"] == 1.0
        assert precisions(predictions, truth, "official")["Vehicle"] == 0.0

    def test_the_result_names_the_rotation(self) -> None:
        assert "official rotation" in OnceDetection().evaluate(*scene(1), "val").line()
        assert "true rotation" in OnceDetection(OnceConfig(rotation="true")).evaluate(*scene(1), "val").line()

    def test_headings_more_than_a_right_angle_apart_cannot_match(self) -> None:
        predictions, truth = scene(3)
        for yaw, hits in (([0, np.pi, -np.pi], 1), ([0, 2 * np.pi, 0.01], 3), ([0.0, 3.1, 3.1], 1)):
            turned = {FRAME: replace(predictions[FRAME], yaw=np.array(yaw, dtype=np.float64))}
            for rotation in ("official", "true"):
                assert precisions(turned, truth, rotation)["Vehicle"] == pytest.approx(hits * hits / 9, abs=0.1)

    def test_cars_buses_and_trucks_are_vehicles(self) -> None:
        predictions, truth = scene(3, label=np.array([1, 0, 2]))
        assert precisions(predictions, truth)["Vehicle"] == 1.0
        predictions, truth = scene(3, label=np.array([3, 0, 1]))
        assert precisions(predictions, truth)["Vehicle"] < 0.7

    def test_a_label_of_another_class_out_of_range_takes_a_prediction_out_of_the_reckoning(self) -> None:
        """The official tool's order of filters: what stands beyond 50 m is ignored by the nearer bins, pedestrians and
        cars alike, and what is ignored still matches."""
        predictions, truth = scene(2)
        far = np.array([[10.0, 0.0, 0.0], [50.1, 0.0, 0.0]])
        truth[FRAME] = replace(truth[FRAME], centre=far, label=np.array([0, 3]))
        near_edge = far - np.array([[0.0, 0.0, 0.0], [0.2, 0.0, 0.0]])
        predictions[FRAME] = replace(predictions[FRAME], centre=near_edge, score=np.array([0.8, 0.9]))
        found = precisions(predictions, truth)
        assert found["Vehicle"] == 0.5
        # In [30, 50) lies one predicted car and no label: no precision to speak of, but in the nearest bin all is well.
        assert found["Vehicle [0, 30)"] == 1.0
        truth[FRAME] = replace(truth[FRAME], centre=np.array([[40.0, 0.0, 0.0], [50.1, 0.0, 0.0]]))
        predictions[FRAME] = replace(predictions[FRAME], centre=np.array([[40.0, 0.0, 0.0], [49.9, 0.0, 0.0]]))
        assert precisions(predictions, truth)["Vehicle [30, 50)"] == 1.0
        assert precisions(predictions, truth)["Vehicle"] == 0.5

    def test_labels_known_to_be_empty_are_left_out(self) -> None:
        predictions, truth = scene(2)
        found = predictions[FRAME]
        one = replace(found, **{name: getattr(found, name)[:1] for name in ("centre", "size", "yaw", "label", "score")})
        assert precisions({FRAME: one}, truth)["Vehicle"] < 0.6
        truth[FRAME] = replace(truth[FRAME], points=np.array([5, 0]))
        assert precisions({FRAME: one}, truth)["Vehicle"] == 1.0

    def test_nothing_anywhere_scores_zero(self) -> None:
        assert set(precisions({FRAME: Detections.none()}, {FRAME: Truth.none()}).values()) == {0.0}

    def test_bad_input_is_refused(self) -> None:
        predictions, truth = scene(2)
        with pytest.raises(InputError, match="no frames"):
            precisions({}, {})
        with pytest.raises(InputError, match="is not a finite number"):
            precisions({FRAME: replace(predictions[FRAME], score=np.array([0.5, np.nan]))}, truth)


def test_labels_come_from_the_sequence_files(example_root: Callable[[str], Path]) -> None:
    """The official tool asks for every labelled box, however few points it has."""
    dataset = open_dataset("once", example_root("once"))
    truth = OnceDetection().truth(dataset)
    assert list(truth) == [dataset.name(index) for index in range(len(dataset))]
    assert all(labels.points is None for labels in truth.values())
    found = {name: as_found(labels) for name, labels in truth.items()}
    assert OnceDetection().evaluate(found, truth, "train").parts["Vehicle"]["AP"] == 1.0


# ---- The file


class TestTheFile:
    def test_an_entry_is_what_the_official_evaluation_takes(self, tmp_path: Path) -> None:
        predictions, _ = scene(2, label=np.array([1, 3]), yaw=np.array([0.5, -0.5]))
        OnceDetection().write_submission({**predictions, "1616100800900": Detections.none()}, tmp_path / "r.json")
        assert json.loads((tmp_path / "r.json").read_text()) == [
            {
                "sequence_id": "000027",
                "frame_id": "1616100800400",
                "name": ["Truck", "Pedestrian"],
                "boxes_3d": [[5.0, 0.0, 0.0, 3.0, 1.5, 1.5, 0.5], [9.0, 0.0, 0.0, 3.0, 1.5, 1.5, -0.5]],
                "score": [0.9, 0.9],
            },
            {"frame_id": "1616100800900", "name": [], "boxes_3d": [], "score": []},
        ]

    def test_what_is_read_is_what_was_written(self, tmp_path: Path) -> None:
        predictions, _ = traffic(ONCE, frames=5, boxes=3, seed=2, name="000027/{}")
        OnceDetection().write_submission(predictions, tmp_path / "r.json")
        again = OnceDetection().read_submission(tmp_path / "r.json")
        assert list(again) == list(predictions)
        for name, found in predictions.items():
            for field in ("centre", "size", "yaw", "score"):
                np.testing.assert_array_equal(getattr(again[name], field), getattr(found, field))
            kinds = [[of.classes[label] for label in of.label] for of in (again[name], found)]
            assert kinds[0] == kinds[1]

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("[", "Expecting value"),
            ('{"a": 1}', "r.json"),
            ('[{"name": []}]', "'boxes_3d' is missing|'frame_id' is missing"),
            ('[{"frame_id": "1", "name": ["Car"], "boxes_3d": [[1, 2]], "score": [0.5]}]', "a box that is not 7"),
            ('[{"frame_id": "1", "name": ["Tram"], "boxes_3d": [], "score": []}]', "unknown class 'Tram'"),
            (
                '[{"frame_id": "1", "name": ["Car"], "boxes_3d": [[1,2,3,4,5,6,7]], "score": []}]',
                "1 names, 1 boxes and 0 scores",
            ),
            ('[{"frame_id": "1", "name": ["Car"], "boxes_3d": [[1,2,3,4,5,6,7]], "score": ["high"]}]', "high"),
            (f'[{{"frame_id": "1", "name": ["Car"], "boxes_3d": [[1,2,3,4,5,6,7]], "score": [{10**400}]}}]', "float"),
            (
                '[{"frame_id": "1", "name": [], "boxes_3d": [], "score": []},'
                '{"frame_id": "1", "name": [], "boxes_3d": [], "score": []}]',
                "frame '1' twice",
            ),
        ],
    )
    def test_a_damaged_file_is_named(self, content: str, words: str, tmp_path: Path) -> None:
        (tmp_path / "r.json").write_text(content)
        with pytest.raises(DataError, match=words) as caught:
            OnceDetection().read_submission(tmp_path / "r.json")
        assert "r.json" in caught.value.message

    @given(data=st.data())
    @settings(max_examples=100, deadline=None)
    def test_a_file_damaged_anywhere_is_read_or_named(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        file = tmp_path_factory.mktemp("damaged") / "r.json"
        OnceDetection().write_submission(scene(2)[0], file)
        content = bytearray(file.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from(b'[]{}",:0.e-nul\xff'))
        file.write_bytes(content)
        try:
            OnceDetection().read_submission(file)
        except DataError as caught:
            error: DataError | None = caught
        else:
            error = None
        assert error is None or str(file) in error.message

    def test_an_unknown_class_is_refused(self, tmp_path: Path) -> None:
        predictions, _ = scene(1)
        with pytest.raises(InputError, match="unknown class 'Tram'"):
            OnceDetection().write_submission({FRAME: replace(predictions[FRAME], classes=("Tram",))}, tmp_path / "r")
        assert not list(tmp_path.iterdir())
