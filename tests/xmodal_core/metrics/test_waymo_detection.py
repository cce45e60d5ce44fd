"""Waymo's detection metric against the official tool's figures, a naive re-implementation, and rules worked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from xmodal_core.bench.traffic import WAYMO, as_found, traffic
from xmodal_core.datasets import open_dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry_boxes import box_rows, iou_3d
from xmodal_core.metrics._best_matching import matched_sums
from xmodal_core.metrics.base import Detections, Truth
from xmodal_core.metrics.waymo_detection import CLASSES, CUTOFFS, LEAST_IOU, WaymoConfig, WaymoDetection

FRAME = "segment/1600000000000000"
BINS = {"": (0, np.inf), " [0, 30)": (0, 30), " [30, 50)": (30, 50), " [50, inf)": (50, np.inf)}


def figures(predictions: dict[str, Detections], truth: dict[str, Truth]) -> dict[str, dict[str, float]]:
    return {name: dict(part) for name, part in WaymoDetection().evaluate(predictions, truth, "val").parts.items()}


def test_equals_the_official_tool() -> None:
    """``waymo_golden.json`` holds the figures of Waymo's tool, run by ``xmodal_core/bench/_waymo_tool.py`` on the files
    that are written of these predictions and labels."""
    predictions, truth = traffic(WAYMO, frames=30, boxes=20, seed=4)
    golden = json.loads(Path(__file__).with_name("waymo_golden.json").read_text())
    result = WaymoDetection().evaluate(predictions, truth, "val")
    assert set(result.parts) == set(golden)
    for name, part in golden.items():
        assert result.parts[name] == pytest.approx(part, abs=1e-6), name
    classes = ("vehicle", "pedestrian", "cyclist")
    for figure in ("AP_L1", "APH_L1", "AP_L2", "APH_L2"):
        assert result.measures[f"m{figure}"] == pytest.approx(np.mean([golden[c][figure] for c in classes]), abs=1e-6)
    assert result.main == result.measures["mAPH_L2"]


# ---- A naive re-implementation: every frame, class, bin and cut-off on its own


def naive_figures(predictions: dict[str, Detections], truth: dict[str, Truth], name: str, end: str) -> dict[str, float]:
    near, far = BINS[end]
    number = CLASSES.index(name)
    curves: dict[int, list[tuple[float, float, float]]] = {1: [], 2: []}
    for cut in CUTOFFS:
        heading = 0.0
        true, wrong, missed = 0, 0, {1: 0, 2: 0}
        for frame, found in predictions.items():
            labels = truth[frame]
            assert labels.difficulty is not None
            assert found.in_no_label_zone is not None
            away = np.linalg.norm(found.centre, axis=1)
            mine = np.flatnonzero(
                (found.label == number) & (found.score.astype(np.float32) >= cut) & (near <= away) & (away < far)
            )
            away = np.linalg.norm(labels.centre, axis=1)
            asked = np.flatnonzero((labels.label == number) & (near <= away) & (away < far))
            iou = iou_3d(
                box_rows(found.centre, found.size, found.yaw)[mine],
                box_rows(labels.centre, labels.size, labels.yaw)[asked],
            )
            weight = np.where(iou >= LEAST_IOU[name], np.rint(1e6 * iou), 0)
            pairs = [(i, j) for i, j in zip(*linear_sum_assignment(-weight), strict=True) if weight[i, j] > 0]
            for i, j in pairs:
                turn = abs(found.yaw[mine[i]] - labels.yaw[asked[j]]) % (2 * np.pi)
                heading += 1 - min(turn, 2 * np.pi - turn) / np.pi
            true += len(pairs)
            wrong += sum(not found.in_no_label_zone[mine[i]] for i in set(range(len(mine))) - {i for i, _ in pairs})
            for level in (1, 2):
                left = set(range(len(asked))) - {j for _, j in pairs}
                missed[level] += sum(labels.difficulty[asked[j]] <= level for j in left)
        for level in (1, 2):
            recall = true / (true + missed[level]) if true else 0.0
            curves[level].append((recall, true / max(true + wrong, 1), heading / max(true + wrong, 1)))
    return {
        f"{figure}_L{level}": naive_area([(point[0], point[column]) for point in curves[level]])
        for level in (1, 2)
        for figure, column in (("AP", 1), ("APH", 2))
    }


def naive_area(points: list[tuple[float, float]]) -> float:
    best = {0.0: 1.0}
    for recall, precision in points:
        best[recall] = max(best.get(recall, 0.0), precision)
    curve: list[tuple[float, float]] = []
    highest, last = 0.0, 0.0
    for recall in sorted(best, reverse=True):
        while curve and last - recall > 0.05 + 1e-6:
            last -= 0.05
            curve.append((last, highest))
        highest = max(highest, best[recall])
        curve.append((recall, highest))
        last = recall
    if len(curve) > 1:
        curve[-1] = (0.0, curve[-2][1])
    return sum((a[0] - b[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(curve))


@given(
    st.integers(0, 2**20), st.sampled_from(["vehicle", "pedestrian", "cyclist", "sign"]), st.sampled_from(list(BINS))
)
@settings(max_examples=25, deadline=None)
def test_equals_loops_over_frames_and_cutoffs(seed: int, name: str, end: str) -> None:
    predictions, truth = traffic(WAYMO, frames=3, boxes=8, seed=seed)
    found = figures(predictions, truth)
    if name + end not in found:
        assert all(CLASSES.index("sign") not in labels.label for labels in truth.values())
        return
    assert found[name + end] == pytest.approx(naive_figures(predictions, truth, name, end), abs=1e-9)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_the_matching_is_the_best_one_at_every_step(data: st.DataObject) -> None:
    """Also where many boxes overlap many, which no traffic has."""
    rows, columns = data.draw(st.integers(0, 7)), data.draw(st.integers(1, 6))
    weights = np.array(
        data.draw(st.lists(st.integers(0, 9), min_size=rows * columns, max_size=rows * columns)), dtype=np.int64
    ).reshape(rows, columns)
    bins = np.array(
        sorted(data.draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows)), reverse=True), np.int64
    )
    order = np.array(data.draw(st.permutations(range(rows))), dtype=np.int64)
    row, column = np.nonzero(weights)
    place = np.empty(rows, dtype=np.int64)
    place[order] = bins
    values = np.column_stack([weights[row, column], np.ones(len(row))]).astype(np.float64)
    first = np.searchsorted(row, np.arange(rows + 1))
    sums = matched_sums(order, first, column.astype(np.int64), weights[row, column], columns, values, place, 5)
    for k in range(5):
        joined = weights[place >= k]
        assert sums[k, 0] == joined[linear_sum_assignment(-joined)].sum()
        assert sums[k, 1] <= min(joined.shape)


# ---- Rules worked by hand


def scene(count: int, **changes: Any) -> tuple[dict[str, Detections], dict[str, Truth]]:
    """``count`` vehicles in a row, each found exactly with score 0.9."""
    truth = Truth(
        centre=np.column_stack([10.0 + 2.0 * np.arange(count), np.zeros(count), np.zeros(count)]),
        size=np.tile([1.8, 1.0, 1.0], (count, 1)),
        yaw=np.zeros(count),
        label=np.zeros(count, dtype=np.int64),
        classes=CLASSES,
    )
    found = as_found(truth)
    of_truth = {name: value for name, value in changes.items() if name in ("points", "difficulty")}
    rest = {name: value for name, value in changes.items() if name not in of_truth}
    return {FRAME: replace(found, **rest)}, {FRAME: replace(truth, **of_truth)}


class TestRules:
    def test_a_heading_costs_in_proportion(self) -> None:
        vehicle = figures(*scene(4, yaw=np.array([0.0, np.pi, -np.pi, 2 * np.pi])))["vehicle"]
        assert vehicle["AP_L1"] == pytest.approx(1.0)
        assert vehicle["APH_L1"] == pytest.approx(0.5)

    def test_the_level_is_as_labelled_else_by_points(self) -> None:
        """Found are the first two; of the others one is easy, two are hard and one was never seen."""
        predictions, truth = scene(
            6, points=np.array([9, 9, 6, 5, 40, 0]), difficulty=np.array([0, 1, 0, 0, 2, 1], dtype=np.int64)
        )
        found = predictions[FRAME]
        predictions[FRAME] = replace(
            found,
            centre=found.centre[:2],
            size=found.size[:2],
            yaw=found.yaw[:2],
            label=found.label[:2],
            score=found.score[:2],
        )
        result = WaymoDetection().evaluate(predictions, truth, "val")
        assert result.parts["vehicle"]["AP_L1"] == pytest.approx(2 / 3)
        assert result.parts["vehicle"]["AP_L2"] == pytest.approx(2 / 5)
        assert result.evaluated == 5

    def test_a_hard_box_that_is_found_counts_at_level_1_too(self) -> None:
        predictions, truth = scene(3, difficulty=np.array([1, 1, 2], dtype=np.int64))
        assert figures(predictions, truth)["vehicle"]["AP_L1"] == pytest.approx(1.0)

    def test_what_hides_in_a_no_label_zone_is_not_wrong(self) -> None:
        predictions, truth = scene(2)
        away = replace(predictions[FRAME], centre=predictions[FRAME].centre + np.array([0.0, 50.0, 0.0]))
        both = Detections(
            **{
                name: np.concatenate([getattr(predictions[FRAME], name), getattr(away, name)])
                for name in ("centre", "size", "yaw", "label", "score")
            },
            classes=CLASSES,
        )
        assert figures({FRAME: both}, truth)["vehicle"]["AP_L1"] == pytest.approx(0.5)
        hidden = replace(both, in_no_label_zone=np.array([False, False, True, True]))
        assert figures({FRAME: hidden}, truth)["vehicle"]["AP_L1"] == pytest.approx(1.0)

    def test_a_pair_across_a_bins_edge_cannot_match(self) -> None:
        predictions, truth = scene(1)
        truth[FRAME] = replace(truth[FRAME], centre=np.array([[29.95, 0.0, 0.0]]))
        predictions[FRAME] = replace(predictions[FRAME], centre=np.array([[30.05, 0.0, 0.0]]))
        found = figures(predictions, truth)
        assert found["vehicle"]["AP_L1"] == pytest.approx(1.0)
        assert found["vehicle [0, 30)"]["AP_L1"] == found["vehicle [30, 50)"]["AP_L1"] == 0.0

    def test_distance_is_measured_in_space_and_from_the_frames_origin(self) -> None:
        predictions, truth = scene(1)
        shift = np.array([1000.0, 0.0, 0.0])
        truth[FRAME] = replace(truth[FRAME], centre=np.array([[1020.0, 20.0, 15.0]]), origin=shift)
        predictions[FRAME] = replace(predictions[FRAME], centre=truth[FRAME].centre)
        assert figures(predictions, truth)["vehicle [30, 50)"]["AP_L1"] == pytest.approx(1.0)

    def test_signs_stay_out_of_the_means(self) -> None:
        predictions, truth = scene(3, label=np.array([0, 2, 2]))
        truth[FRAME] = replace(truth[FRAME], label=np.array([0, 2, 1]))
        result = WaymoDetection().evaluate(predictions, truth, "val")
        assert result.parts["sign"]["AP_L1"] == pytest.approx(0.5)
        assert result.measures["mAP_L1"] == pytest.approx(1 / 3)  # the pedestrian is missed, there is no cyclist
        assert result.evaluated == 2
        assert "sign" not in figures(*scene(1))

    def test_a_box_as_thin_as_a_centimetre_overlaps_nothing(self) -> None:
        for thickness, ap in ((0.01, 0.0), (0.011, 1.0)):
            predictions, truth = scene(1)
            size = np.array([[1.8, 1.0, thickness]])
            predictions[FRAME] = replace(predictions[FRAME], size=size)
            truth[FRAME] = replace(truth[FRAME], size=size)
            assert figures(predictions, truth)["vehicle"]["AP_L1"] == ap

    def test_every_score_from_0_to_1_passes_the_cutoff_that_it_equals(self) -> None:
        for score in (0.0, 0.29, 0.57, 1.0):
            assert figures(*scene(1, score=np.array([score])))["vehicle"]["AP_L1"] == pytest.approx(1.0)

    def test_bad_input_is_refused(self) -> None:
        predictions, truth = scene(2, score=np.array([0.5, 1.2]))
        with pytest.raises(InputError, match=r"'segment/1600000000000000' has a score outside 0\.\.1"):
            figures(predictions, truth)
        predictions, truth = scene(2, difficulty=np.array([1, 3]))
        with pytest.raises(InputError, match="difficulty 3"):
            figures(predictions, truth)
        with pytest.raises(InputError, match="no frames"):
            figures({}, {})

    def test_a_frame_without_predictions_is_a_question_of_settings(self) -> None:
        predictions, truth = scene(1)
        truth["segment/1"] = truth[FRAME]
        with pytest.raises(InputError, match="1 of 2 frames have no predictions"):
            figures(predictions, truth)
        result = WaymoDetection(WaymoConfig(missing_frames="empty")).evaluate(predictions, truth, "val")
        assert result.parts["vehicle"]["AP_L1"] == pytest.approx(0.5)


def test_labels_come_with_points_and_difficulty_and_without_a_sweep(
    example_root: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset("waymo", example_root("waymo"))
    monkeypatch.setattr(type(dataset), "_read", None)
    truth = WaymoDetection().truth(dataset)
    assert list(truth) == [dataset.name(index) for index in range(len(dataset))]
    assert all(labels.points is not None and labels.difficulty is not None for labels in truth.values())
    found = {name: as_found(labels) for name, labels in truth.items()}
    parts = figures(found, truth)
    assert parts["vehicle"]["APH_L2"] == parts["pedestrian"]["APH_L2"] == pytest.approx(1.0)


# ---- The file


def schema() -> Any:
    """The parts of Waymo's label.proto and metrics.proto that boxes use, for Google's own reader."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="objects.proto", package="w", syntax="proto2")

    def message(name: str, *fields: tuple[str, int, int], **nested: int) -> None:
        made = file.message_type.add(name=name)
        for field, number, of in fields:
            made.field.add(name=field, number=number, type=of, label=kind.LABEL_OPTIONAL)
        for field, number in nested.items():
            repeated = kind.LABEL_REPEATED if field == "objects" else kind.LABEL_OPTIONAL
            of = {"objects": ".w.Object", "object": ".w.Label", "box": ".w.Box"}[field]
            made.field.add(name=field, number=number, type=kind.TYPE_MESSAGE, type_name=of, label=repeated)

    double, text = kind.TYPE_DOUBLE, kind.TYPE_STRING
    names = ("center_x", "center_y", "center_z", "width", "length", "height", "heading")
    message("Box", *((name, number, double) for number, name in enumerate(names, 1)))
    message("Label", ("type", 3, kind.TYPE_INT32), ("level", 5, kind.TYPE_INT32), ("points", 7, kind.TYPE_INT32), box=1)
    message(
        "Object",
        ("score", 2, kind.TYPE_FLOAT),
        ("overlap_with_nlz", 3, kind.TYPE_BOOL),
        ("context_name", 4, text),
        ("frame_timestamp_micros", 5, kind.TYPE_INT64),
        object=1,
    )
    message("Objects", objects=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("w.Objects"))


class TestTheFile:
    @pytest.fixture
    def predictions(self) -> dict[str, Detections]:
        return {name: found for name, found in traffic(WAYMO, frames=4, boxes=6, seed=1)[0].items() if len(found)}

    def test_googles_reader_finds_every_box_in_its_field(
        self, predictions: dict[str, Detections], tmp_path: Path
    ) -> None:
        WaymoDetection().write_submission(predictions, tmp_path / "p.bin")
        objects = iter(schema().FromString((tmp_path / "p.bin").read_bytes()).objects)
        for name, found in predictions.items():
            assert found.in_no_label_zone is not None
            for row in range(len(found)):
                one = next(objects)
                box = one.object.box
                assert [box.center_x, box.center_y, box.center_z] == found.centre[row].tolist()
                assert [box.length, box.width, box.height] == found.size[row].tolist()
                assert box.heading == found.yaw[row]
                assert one.object.type == found.label[row] + 1
                assert one.score == np.float32(found.score[row])
                assert one.overlap_with_nlz == found.in_no_label_zone[row]
                assert f"{one.context_name}/{one.frame_timestamp_micros}" == name
        assert next(objects, None) is None

    def test_what_is_read_is_what_was_written(self, predictions: dict[str, Detections], tmp_path: Path) -> None:
        WaymoDetection().write_submission(predictions, tmp_path / "p.bin")
        again = WaymoDetection().read_submission(tmp_path / "p.bin")
        assert list(again) == list(predictions)
        for name, found in predictions.items():
            for field in ("centre", "size", "yaw", "label", "in_no_label_zone"):
                np.testing.assert_array_equal(getattr(again[name], field), getattr(found, field))
            np.testing.assert_array_equal(again[name].score, found.score.astype(np.float32))

    def test_a_submission_around_the_boxes_is_read_too(
        self, predictions: dict[str, Detections], tmp_path: Path
    ) -> None:
        from xmodal_core.metrics import _wire as wire

        WaymoDetection().write_submission(predictions, tmp_path / "p.bin")
        objects = (tmp_path / "p.bin").read_bytes()
        (tmp_path / "s.bin").write_bytes(wire.integer(1, 2) + wire.message(13, b"a@b") + wire.message(11, objects))
        assert list(WaymoDetection().read_submission(tmp_path / "s.bin")) == list(predictions)

    def test_labels_carry_what_counts(self, tmp_path: Path) -> None:
        _, truth = scene(3, points=np.array([9, 3, 0]))
        WaymoDetection().write_truth(truth, tmp_path / "t.bin")
        labels = [one.object for one in schema().FromString((tmp_path / "t.bin").read_bytes()).objects]
        assert [(label.level, label.points) for label in labels] == [(1, 9), (2, 3)]

    @given(data=st.data())
    @settings(max_examples=150, deadline=None)
    def test_a_damaged_file_is_read_or_named(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        file = tmp_path_factory.mktemp("damaged") / "p.bin"
        WaymoDetection().write_submission(scene(2)[0], file)
        content = bytearray(file.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        try:
            found = WaymoDetection().read_submission(file)
        except DataError as caught:
            error: DataError | None = caught
        else:
            error = None
            assert 1 <= sum(map(len, found.values())) <= 2
        assert error is None or str(file) in error.message

    def test_what_the_file_cannot_say_is_refused(self, tmp_path: Path) -> None:
        found = scene(1)[0][FRAME]
        for name in ("segment", "segment/", "/5", "segment/12a", "segment/007"):
            with pytest.raises(InputError, match="context and timestamp"):
                WaymoDetection().write_submission({name: found}, tmp_path / "p.bin")
        with pytest.raises(InputError, match="unknown class 'tram'"):
            WaymoDetection().write_submission({FRAME: replace(found, classes=("tram",))}, tmp_path / "p.bin")
        with pytest.raises(InputError, match="no box to write"):
            WaymoDetection().write_submission({FRAME: Detections.none()}, tmp_path / "p.bin")
        assert not list(tmp_path.iterdir())
