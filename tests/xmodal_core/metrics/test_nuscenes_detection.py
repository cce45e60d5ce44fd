"""nuScenes detection beside the official tool's golden values, a naive re-implementation, and rule by rule."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.xmodal_core.metrics import nuscenes_official as official
from tests.xmodal_core.metrics.naive_nuscenes import naive_scores
from xmodal_core.datasets import open_dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry import rotation_from_quaternion, yaw_of
from xmodal_core.metrics import Detections, Truth, open_protocol
from xmodal_core.metrics._centre_matching import match_in_turn
from xmodal_core.metrics.base import moved
from xmodal_core.metrics.nuscenes_detection import (
    ATTRIBUTES,
    DETECTION,
    RACK,
    NuScenesDetection,
    yaws_of,
)

GOLDEN = json.loads(official.GOLDEN.read_text())
OFFICIAL = {"ATE": "trans_err", "ASE": "scale_err", "AOE": "orient_err", "AVE": "vel_err", "AAE": "attr_err"}
CLASSES = (*DETECTION, RACK, "animal")
PROTOCOL = NuScenesDetection()


@pytest.fixture(scope="module", params=list(official.CASES))
def drive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    root = tmp_path_factory.mktemp("drive")
    case = official.CASES[request.param]
    official.write_drive(root, case)
    official.write_predictions(root, root / "results.json", case)
    return request.param, root


def evaluated(root: Path, results: Path) -> tuple[Any, dict[str, Truth]]:
    truth = PROTOCOL.truth(open_dataset("nuscenes", root, {"split": official.SPLIT}))
    return PROTOCOL.evaluate(PROTOCOL.read_submission(results), truth, official.SPLIT), truth


class TestBesideTheOfficialTool:
    """Its values were computed by ``nuscenes_official.py`` with nuscenes-devkit 1.2.0."""

    def test_every_figure_is_equal(self, drive: tuple[str, Path]) -> None:
        name, root = drive
        golden = GOLDEN[name]["detection"]
        result, _ = evaluated(root, root / "results.json")
        expected = {"NDS": golden["nd_score"], "mAP": golden["mean_ap"]}
        expected |= {f"m{ours}": golden["tp_errors"][theirs] for ours, theirs in OFFICIAL.items()}
        assert result.measures == pytest.approx(expected, abs=2e-9)
        assert list(result.measures) == list(expected)
        for kind in DETECTION:
            figures = {f"AP@{float(distance):g}m": value for distance, value in golden["label_aps"][kind].items()} | {
                ours: math.nan
                if golden["label_tp_errors"][kind][theirs] is None
                else golden["label_tp_errors"][kind][theirs]
                for ours, theirs in OFFICIAL.items()
            }
            figures["AP"] = sum(golden["label_aps"][kind].values()) / 4
            assert dict(result.parts[kind]) == pytest.approx(figures, abs=2e-9, nan_ok=True), kind

    def test_our_own_file_says_the_same(self, drive: tuple[str, Path], tmp_path: Path) -> None:
        _, root = drive
        PROTOCOL.write_submission(PROTOCOL.read_submission(root / "results.json"), tmp_path / "again.json")
        first, _ = evaluated(root, root / "results.json")
        second, _ = evaluated(root, tmp_path / "again.json")
        assert second.measures == pytest.approx(first.measures, abs=1e-9)

    def test_the_naive_rule_agrees(self, drive: tuple[str, Path]) -> None:
        _, root = drive
        result, truth = evaluated(root, root / "results.json")
        assert_parts(result.parts, naive_scores(PROTOCOL.read_submission(root / "results.json"), truth))


def assert_parts(found: Any, expected: Any) -> None:
    for name, figures in expected.items():
        assert dict(found[name]) == pytest.approx(figures, abs=1e-9, nan_ok=True), name


@st.composite
def scenes(draw: st.DrawFn) -> tuple[dict[str, Detections], dict[str, Truth]]:
    """A few frames on a coarse grid, so that ties of distance and score, misses and doubles are frequent."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    step = draw(st.sampled_from([0.25, 0.5, 2.0]))
    predictions, truth = {}, {}
    kinds = rng.choice(len(CLASSES), draw(st.integers(1, len(CLASSES))), replace=False)
    for number in range(draw(st.integers(1, 4))):
        first, second = (draw(st.integers(0, 12)) for _ in range(2))
        velocity = rng.normal(0, 2, (second, 2))
        velocity[rng.random(second) < 0.2] = np.nan
        truth[str(number)] = Truth(
            **_boxes(rng, kinds, second, step),
            velocity=velocity,
            points=rng.integers(0, 4, second),
            attribute=rng.choice(["", *ATTRIBUTES[:2]], second),
            origin=np.array([10.0, 0.0, 0.0]),
        )
        predictions[str(number)] = Detections(
            **_boxes(rng, kinds, first, step),
            velocity=rng.normal(0, 2, (first, 2)) if draw(st.booleans()) else None,
            attribute=rng.choice(["", *ATTRIBUTES[:2]], first) if draw(st.booleans()) else None,
            score=rng.integers(0, 8, first) / 7,
        )
    return predictions, truth


def _boxes(rng: np.random.Generator, kinds: Any, count: int, step: float) -> dict[str, Any]:
    centre = rng.integers(0, 4, (count, 3)) * step
    centre[rng.random(count) < 0.1] += [45.0, 0.0, 0.0]
    return {
        "centre": centre * [1.0, 1.0, 0.1],
        "size": rng.integers(1, 5, (count, 3)) / 2,
        "yaw": rng.integers(-8, 8, count) * 0.4,
        "label": rng.choice(kinds, count),
        "classes": CLASSES,
    }


@settings(max_examples=120)
@given(scenes())
def test_equals_the_naive_rule(scene: tuple[dict[str, Detections], dict[str, Truth]]) -> None:
    predictions, truth = scene
    assert_parts(PROTOCOL.evaluate(predictions, truth, "s").parts, naive_scores(predictions, truth))


@settings(max_examples=200)
@given(st.data())
def test_matching_in_turn_equals_one_after_the_other(data: st.DataObject) -> None:
    found, labels = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 8))
    chosen = data.draw(st.lists(st.tuples(st.integers(0, found - 1), st.integers(0, labels - 1)), unique=True))
    away = [data.draw(st.integers(0, 3)) / 2 for _ in chosen]
    turns = data.draw(st.permutations(range(found)))
    rank = np.empty(found, dtype=np.int64)
    rank[turns] = np.arange(found)
    pairs = np.array(chosen, dtype=np.int64).reshape(-1, 2)
    match = match_in_turn(pairs[:, 0], pairs[:, 1], np.array(away, dtype=np.float64), rank, labels)
    taken: set[int] = set()
    for prediction in turns:
        free = [
            (d, label) for (f, label), d in zip(chosen, away, strict=True) if f == prediction and label not in taken
        ]
        expected = min(free)[1] if free else -1
        assert match[prediction] == expected
        taken.add(expected)


# ---- One rule at a time


def one_frame(*rows: tuple[str, float, float], **columns: Any) -> dict[str, Any]:
    """Boxes of (class, x, y), all else alike."""
    count = len(rows)
    plain = {
        "centre": np.array([(x, y, 0.0) for _, x, y in rows]).reshape(-1, 3),
        "size": np.full((count, 3), 1.0),
        "yaw": np.zeros(count),
        "label": np.array([CLASSES.index(name) for name, _, _ in rows], dtype=np.int64),
        "classes": CLASSES,
    }
    return plain | columns


def figures(found: dict[str, Any], labels: dict[str, Any], name: str) -> dict[str, float]:
    found.setdefault("score", np.linspace(0.9, 0.1, len(found["label"])))
    result = PROTOCOL.evaluate({"f": Detections(**found)}, {"f": Truth(**labels)}, "s")
    return dict(result.parts[name])


@pytest.mark.parametrize(("name", "reach"), [("car", 50), ("pedestrian", 40), ("barrier", 30), ("traffic_cone", 30)])
def test_each_class_counts_within_its_range_of_the_vehicle(name: str, reach: float) -> None:
    labels = one_frame((name, 5.0, 0.0), (name, reach + 99.9, 0.0), origin=np.array([100.0, 0.0, -7.0]))
    labels["centre"][0, 0] += 95 + reach  # outside, just; the other one inside
    result = PROTOCOL.evaluate({"f": Detections.none()}, {"f": Truth(**labels)}, "s")
    assert result.evaluated == 1


def test_false_ones_out_of_range_do_not_count() -> None:
    found = one_frame(("car", 80.0, 0.0), ("car", 5.0, 0.0))
    assert figures(found, one_frame(("car", 5.0, 0.0)), "car")["AP"] == pytest.approx(1.0)


def test_labels_without_any_point_do_not_count_and_those_of_unknown_count_do() -> None:
    labels = one_frame(("car", 0.0, 0.0), ("car", 9.0, 0.0), ("car", 18.0, 0.0), points=np.array([0, 1, -1]))
    assert PROTOCOL.evaluate({"f": Detections.none()}, {"f": Truth(**labels)}, "s").evaluated == 2


@pytest.mark.parametrize(("name", "counts"), [("bicycle", False), ("motorcycle", False), ("pedestrian", True)])
def test_cycles_in_a_rack_do_not_count_on_either_side(name: str, counts: bool) -> None:
    labels = one_frame((RACK, 10.0, 0.0), (name, 11.9, 0.4), (name, 20.0, 0.0))
    labels["size"][0], labels["yaw"][0] = [4.0, 1.0, 2.0], 0.2
    result = PROTOCOL.evaluate({"f": Detections.none()}, {"f": Truth(**labels)}, "s")
    assert result.evaluated == 1 + counts
    found = one_frame((name, 11.9, 0.4), (name, 20.0, 0.0))
    assert figures(found, labels, name)["AP"] == pytest.approx(1.0)


def test_a_match_is_nearer_than_the_distance_not_as_near() -> None:
    scores = figures(one_frame(("car", 2.0, 0.0)), one_frame(("car", 0.0, 0.0)), "car")
    assert [scores[f"AP@{distance}m"] for distance in ("0.5", "1", "2", "4")] == pytest.approx([0, 0, 0, 1])


def test_heights_do_not_matter() -> None:
    found = one_frame(("car", 1.0, 1.0))
    found["centre"][:, 2] = 50.0
    assert figures(found, one_frame(("car", 1.0, 1.0)), "car")["AP"] == pytest.approx(1.0)


def test_of_equal_scores_the_later_prediction_is_first() -> None:
    """Which one is right shows in the precision before the last recall."""
    labels, score = one_frame(("car", 0.0, 0.0)), np.array([0.5, 0.5])
    last = figures(one_frame(("car", 30.0, 0.0), ("car", 0.0, 0.0), score=score), labels, "car")
    first = figures(one_frame(("car", 0.0, 0.0), ("car", 30.0, 0.0), score=score), labels, "car")
    assert last["AP"] > 0.99
    assert first["AP"] < 0.5


def test_a_barrier_turned_round_is_the_same_and_a_car_is_not() -> None:
    for name, expected in (("barrier", 0.0), ("car", math.pi)):
        found, labels = one_frame((name, 3.0, 0.0)), one_frame((name, 3.0, 0.0))
        found["yaw"][:] = math.pi
        assert figures(found, labels, name)["AOE"] == pytest.approx(expected)


def test_unknown_velocities_and_attributes_of_labels_are_left_out() -> None:
    rows = [("car", 10.0 * number, 0.0) for number in range(4)]
    velocity = np.array([[3.0, 4.0], [np.nan, np.nan], [3.0, 4.0], [3.0, 4.0]])
    attribute = np.array(["vehicle.moving", "", "vehicle.moving", "vehicle.moving"])
    labels = one_frame(*rows, velocity=velocity, attribute=attribute)
    found = one_frame(*rows, velocity=np.zeros((4, 2)), attribute=np.full(4, "vehicle.moving"))
    known = figures(found, labels, "car")
    assert known["AVE"] == pytest.approx(5.0)
    assert known["AAE"] == 0.0
    nothing = figures(found, one_frame(*rows), "car")
    assert (nothing["AVE"], nothing["AAE"]) == (1.0, 1.0)


def test_predictions_without_velocity_are_at_rest() -> None:
    labels = one_frame(("car", 1.0, 0.0), velocity=np.array([[3.0, 4.0]]))
    assert figures(one_frame(("car", 1.0, 0.0)), labels, "car")["AVE"] == pytest.approx(5.0)


# ---- What goes in and out


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"attribute": np.array(["vehicle.flying"])}, "unknown attribute 'vehicle.flying'"),
        ({"velocity": np.array([[np.inf, 0.0]])}, "infinite velocity"),
        ({"size": np.array([[1.0, 0.0, 1.0]])}, "without extent"),
    ],
)
def test_bad_predictions_are_refused(changed: dict[str, Any], words: str) -> None:
    found = Detections(**one_frame(("car", 0.0, 0.0), score=np.ones(1)) | changed)
    with pytest.raises(InputError, match=f"'f'.*{words}"):
        PROTOCOL.evaluate({"f": found}, {"f": Truth.none()}, "s")


def test_more_boxes_than_the_benchmark_takes_are_refused(tmp_path: Path) -> None:
    many = Detections(**one_frame(*[("car", 0.0, 0.0)] * 501, score=np.ones(501)))
    with pytest.raises(InputError, match=r"'f' has 501 predictions, the benchmark takes 500"):
        PROTOCOL.write_submission({"f": many}, tmp_path / "results.json")
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_no_word_for_an_unknown_velocity(tmp_path: Path) -> None:
    found = Detections(**one_frame(("car", 0.0, 0.0), score=np.ones(1), velocity=np.full((1, 2), np.nan)))
    with pytest.raises(InputError, match=r"unknown velocity.*give 0"):
        PROTOCOL.write_submission({"f": found}, tmp_path / "results.json")


def test_the_file_is_what_the_benchmark_describes(tmp_path: Path) -> None:
    found = Detections(
        **one_frame(("truck", 4.0, 5.0), ("animal", 0.0, 0.0), score=np.array([0.25, 0.5]))
        | {"size": np.array([[7.0, 2.5, 3.0], [1.0, 1.0, 1.0]]), "yaw": np.array([np.pi / 2, 0.0])}
    )
    protocol = open_protocol("nuscenes_detection", {"use_camera": True})
    assert isinstance(protocol, NuScenesDetection)
    protocol.write_submission({"a": found, "b": Detections.none()}, tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["meta"] == {
        "use_camera": True,
        "use_lidar": True,
        "use_radar": False,
        "use_map": False,
        "use_external": False,
    }
    assert content["results"]["b"] == []
    (row,) = content["results"]["a"]  # of an animal the benchmark knows nothing
    assert row.pop("rotation") == pytest.approx([math.sqrt(0.5), 0, 0, math.sqrt(0.5)])
    assert row == {
        "sample_token": "a",
        "translation": [4.0, 5.0, 0.0],
        "size": [2.5, 7.0, 3.0],
        "velocity": [0.0, 0.0],
        "detection_name": "truck",
        "detection_score": 0.25,
        "attribute_name": "",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "no nuScenes detection result"),
        ('{"meta": {}}', "'results' is missing"),
        ('{"results": {"a": [{}]}}', "is missing"),
        ('{"results": {"a": 3}}', "no nuScenes detection result"),
        ('{"results": {"a": [{"detection_name": "unicorn"}]}}', "class 'unicorn' is unknown"),
        (
            '{"results": {"a": [{"detection_name": "car", "sample_token": "b"}]}}',
            "sample 'b' stands among those of 'a'",
        ),
    ],
)
def test_a_file_that_is_none_is_named(content: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(content)
    with pytest.raises(DataError, match=f"results.json is no nuScenes detection result.*{words}|{words}"):
        PROTOCOL.read_submission(file)


ROW = {
    "sample_token": "a",
    "translation": [1.0, 2.0, 3.0],
    "size": [1.0, 2.0, 3.0],
    "rotation": [1.0, 0.0, 0.0, 0.0],
    "velocity": [0.0, 0.0],
    "detection_name": "car",
    "detection_score": 0.5,
    "attribute_name": "",
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(list(ROW)), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150)
@given(field=st.sampled_from(list(ROW)), value=ANYTHING, absent=st.booleans())
def test_any_value_gives_boxes_or_a_named_error(
    field: str, value: Any, absent: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    row = {name: (value if name == field else known) for name, known in ROW.items() if not (absent and name == field)}
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps({"results": {"a": [ROW, row]}}))
    complaint = ""
    try:
        found = PROTOCOL.read_submission(file)
        PROTOCOL.evaluate(found, {"a": Truth(**one_frame(("car", 1.0, 2.0)))}, "s")
    except InputError as error:  # a DataError is one too
        complaint = error.message
    assert "any.json" in complaint or "'a'" in complaint if complaint else len(found["a"]) == 2


@settings(max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: sum(v * v for v in q) > 0.1))
def test_headings_are_those_of_the_rotations(quaternion: list[float]) -> None:
    rotation = rotation_from_quaternion(quaternion)
    if np.hypot(rotation[0, 0], rotation[1, 0]) > 0.05:
        turn = yaws_of(np.array([quaternion]))[0] - yaw_of(rotation)
        assert math.remainder(turn, 2 * math.pi) == pytest.approx(0, abs=1e-9)


# ---- From data sets


class TestTruth:
    def test_of_nuscenes_it_is_what_the_tables_say(self, example_root: Callable[[str], Path]) -> None:
        dataset = open_dataset("nuscenes", example_root("nuscenes"))
        truth = PROTOCOL.truth(dataset)
        assert list(truth) == [dataset.name(0), dataset.name(1)]
        rows = json.loads((dataset.root / "v1.0-mini" / "sample_annotation.json").read_text())
        for name, labels in truth.items():
            mine = [row for row in rows if row["sample_token"] == name]
            np.testing.assert_array_equal(labels.centre, [row["translation"] for row in mine])
            np.testing.assert_array_equal(labels.size[:, [1, 0, 2]], [row["size"] for row in mine])
            assert labels.points is not None
            assert labels.points.tolist() == [row["num_lidar_pts"] + row["num_radar_pts"] for row in mine]

    def test_a_split_without_labels_is_refused(self, example_copy: Callable[[str], Path]) -> None:
        root = example_copy("nuscenes")
        for name in ("sample_annotation", "instance"):
            (root / "v1.0-mini" / f"{name}.json").write_text("[]")
        with pytest.raises(DataError, match="no labelled boxes in this split"):
            PROTOCOL.truth(open_dataset("nuscenes", root))

    def test_the_real_keyframe(self, real_data: Path) -> None:
        """All labels as predictions: those in which the LiDAR has no point, and only those, are wrong."""
        dataset = open_dataset("nuscenes", real_data / "nuscenes_keyframe", {"split": "all"})
        truth, frame = PROTOCOL.truth(dataset), dataset.frame(0)
        boxes = frame.boxes
        assert boxes is not None
        assert boxes.points is not None
        placed = PROTOCOL.place(frame, Detections.of(boxes, np.linspace(1.0, 0.5, len(boxes))))
        result = PROTOCOL.evaluate({frame.name: placed}, truth, "all")
        assert_parts(result.parts, naive_scores({frame.name: placed}, truth))
        assert 20 < result.evaluated < len(boxes)
        hidden = {boxes.classes[label] for label in boxes.label[boxes.points == 0]}
        seen = {name: part for name, part in result.parts.items() if part["AP"]}
        assert len(seen) > 3
        for name, part in seen.items():
            assert (part["AP"] < 0.999) == (name in hidden)
            assert part["ATE"] < 1e-5
            assert not part["AOE"] > 1e-5

    def test_boxes_of_the_lidar_go_to_the_world_and_back(self, example_root: Callable[[str], Path]) -> None:
        """What a network predicts in the LiDAR's coordinates lands where the tables have the labels."""
        dataset = open_dataset("nuscenes", example_root("nuscenes"))
        truth = PROTOCOL.truth(dataset)
        for frame in dataset:
            assert frame.boxes is not None
            placed = PROTOCOL.place(frame, Detections.of(frame.boxes, np.ones(len(frame.boxes))))
            labels = truth[frame.name]
            np.testing.assert_allclose(placed.centre, labels.centre, atol=1e-4)
            np.testing.assert_allclose(np.cos(placed.yaw - labels.yaw), 1.0, atol=1e-6)
            np.testing.assert_allclose(placed.velocity, labels.velocity, atol=1e-4)
            score = PROTOCOL.evaluate({frame.name: placed}, {frame.name: labels}, "all").parts["car"]
            assert score["AP"] == pytest.approx(1.0)
            assert score["ATE"] < 1e-4

    def test_of_another_data_set_it_comes_from_its_frames(self, example_root: Callable[[str], Path]) -> None:
        dataset = open_dataset("kitti_raw", example_root("kitti_raw"))
        truth = PROTOCOL.truth(dataset)
        frame = dataset.frame(1)
        assert frame.pose is not None
        np.testing.assert_allclose(truth[frame.name].origin, frame.pose[:3, 3])
        assert len(truth[frame.name]) == len(frame.boxes or ())

    def test_of_frames_without_a_pose_there_is_none_in_the_world(self, example_root: Callable[[str], Path]) -> None:
        frame = open_dataset("kitti_object", example_root("kitti_object")).frame(0)
        assert frame.pose is None
        with pytest.raises(DataError, match=f"'{frame.name}' has no pose"):
            PROTOCOL.truth(open_dataset("kitti_object", example_root("kitti_object")))

    def test_a_tilted_transform_keeps_boxes_upright(self) -> None:
        from scipy.spatial.transform import Rotation

        rotation = Rotation.from_euler("zyx", [2.0, 0.02, -0.03]).as_matrix()
        transform = np.eye(4)
        transform[:3, :3], transform[:3, 3] = rotation, [5.0, 6.0, 7.0]
        boxes = Truth(**one_frame(("car", 3.0, 4.0), velocity=np.array([[1.0, 0.0]])))
        there = moved(boxes, transform)
        np.testing.assert_allclose(there.centre[0], rotation @ [3, 4, 0] + [5, 6, 7])
        assert there.yaw[0] == pytest.approx(yaw_of(rotation))
        np.testing.assert_allclose(there.velocity, (rotation @ [1, 0, 0])[None, :2])
        np.testing.assert_allclose(there.origin, [5, 6, 7])
