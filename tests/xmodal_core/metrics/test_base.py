"""The words that all protocols share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmodal_core.errors import InputError, RunError
from xmodal_core.geometry import rigid, rotation_z
from xmodal_core.metrics import Detections, Result, Truth, open_protocol
from xmodal_core.metrics.base import labels_as, moved, write_whole
from xmodal_core.types import Boxes


def columns(count: int = 2, **changes: Any) -> dict[str, Any]:
    return {
        "centre": np.arange(3.0 * count).reshape(count, 3),
        "size": np.ones((count, 3)),
        "yaw": np.zeros(count),
        "label": np.zeros(count, dtype=np.int64),
        "classes": ("car", "van"),
    } | changes


def boxes(velocity: float = 1.0) -> Boxes:
    return Boxes(
        centre=np.array([[1, 2, 3]], dtype=np.float32),
        size=np.ones((1, 3), dtype=np.float32),
        yaw=np.array([0.5], dtype=np.float32),
        label=np.array([1]),
        classes=("car", "van"),
        track=np.array([-1]),
        velocity=np.full((1, 2), velocity, dtype=np.float32),
        points=np.array([7]),
        difficulty=np.array([2]),
    )


class TestBoxes:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"centre": np.zeros((2, 2))}, r"centre must have shape \(2, 3\)"),
            ({"size": np.zeros((1, 3))}, r"size must have shape \(2, 3\)"),
            ({"yaw": np.zeros(2, dtype=np.float32)}, "yaw must be an array of float64"),
            ({"label": np.zeros(2)}, "label must be an array of int64"),
            ({"label": np.array([0, 2])}, r"labels must lie in 0\.\.1"),
            ({"label": np.array([0, -1])}, r"labels must lie in 0\.\.1"),
            ({"velocity": np.zeros((2, 3))}, r"velocity must have shape \(2, 2\)"),
            ({"attribute": np.zeros(2)}, "attribute must be an array of str"),
            ({"score": np.zeros(1)}, r"score must have shape \(2,\)"),
            ({"score": [0.1, 0.2]}, "score must be an array of float64, not list"),
        ],
    )
    def test_what_does_not_fit_is_refused_at_once(self, changes: dict[str, Any], words: str) -> None:
        with pytest.raises((TypeError, ValueError), match=words):
            Detections(**columns(**{"score": np.zeros(2)} | changes))

    def test_predictions_need_scores(self) -> None:
        with pytest.raises(ValueError, match="score must have shape"):
            Detections(**columns())

    def test_labels_of_a_frame_come_with_all_they_state(self) -> None:
        truth = Truth.of(boxes())
        assert truth.points is not None
        assert truth.difficulty is not None
        assert (truth.points[0], truth.difficulty[0], truth.centre.dtype) == (7, 2, np.float64)
        np.testing.assert_array_equal(truth.centre, [[1, 2, 3]])

    def test_a_velocity_that_is_unknown_throughout_is_none(self) -> None:
        assert Detections.of(boxes(math.nan), np.ones(1)).velocity is None
        assert Detections.of(boxes(2.0), np.ones(1)).velocity is not None

    def test_nothing_is_something(self) -> None:
        assert len(Detections.none(("car",))) == len(Truth.none()) == 0
        assert labels_as(("car",), Detections.none()).shape == (0,)

    def test_classes_are_found_by_name(self) -> None:
        truth = Truth(**columns(3, label=np.array([1, 0, 1])))
        assert labels_as(("van", "bus"), truth).tolist() == [0, -1, 0]

    @settings(max_examples=40)
    @given(angle=st.floats(-7, 7), x=st.floats(-50, 50), y=st.floats(-50, 50))
    def test_moving_there_and_back_changes_nothing(self, angle: float, x: float, y: float) -> None:
        there = rigid(rotation_z(angle), (x, y, 1.0))
        truth = Truth(**columns(2, velocity=np.array([[1.0, 2.0], [np.nan, np.nan]]), yaw=np.array([0.3, -3.0])))
        away = moved(truth, there)
        back = moved(away, np.linalg.inv(there))
        np.testing.assert_allclose(back.centre, truth.centre, atol=1e-9)
        np.testing.assert_allclose(np.exp(1j * back.yaw), np.exp(1j * truth.yaw), atol=1e-9)
        np.testing.assert_allclose(back.velocity, truth.velocity, atol=1e-9)
        np.testing.assert_allclose(back.origin, truth.origin, atol=1e-9)
        np.testing.assert_allclose(
            np.linalg.norm(away.centre - away.origin, axis=1), np.linalg.norm(truth.centre, axis=1), atol=1e-9
        )


class TestResult:
    result = Result(
        protocol="p",
        rules="r",
        split="val",
        frames=1234,
        evaluated=56789,
        of="points",
        measures={"mIoU": 0.5, "other": math.nan},
        parts={"car": {"IoU": 0.25}, "bus": {"IoU": math.nan}},
        conditions={"tta": "none"},
    )

    def test_its_line_says_all_one_must_know(self) -> None:
        assert self.result.line() == (
            "p (r), split val, 1,234 frames, 56,789 points, tta: none: mIoU 0.5000, other nan"
        )

    def test_its_json_has_null_where_a_figure_is_not_defined(self) -> None:
        assert self.result.as_json() == {
            "protocol": "p",
            "rules": "r",
            "split": "val",
            "frames": 1234,
            "evaluated_points": 56789,
            "conditions": {"tta": "none"},
            "metrics": {"mIoU": 0.5, "other": None},
            "parts": {"car": {"IoU": 0.25}, "bus": {"IoU": None}},
        }

    def test_the_first_measure_ranks(self) -> None:
        assert self.result.main == 0.5


def test_protocols_are_opened_by_name_with_their_options() -> None:
    assert open_protocol("nuscenes_detection", {"use_map": True}).config.model_dump()["use_map"] is True
    with pytest.raises(InputError, match=r"unknown protocol 'nuscenes_detektion'.*did you mean 'nuscenes_detection'"):
        open_protocol("nuscenes_detektion")
    with pytest.raises(InputError, match=r"no setting 'protocol\.use_maps'"):
        open_protocol("nuscenes_detection", {"use_maps": True})
    with pytest.raises(InputError, match=r"no setting 'protocol\.anything'"):
        open_protocol("semantickitti_segmentation", {"anything": 1})


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b"
    write_whole(file, b"old")
    write_whole(file, b"new")
    assert file.read_bytes() == b"new"
    with pytest.raises(RunError, match=f"cannot write {file / 'c'}"):
        write_whole(file / "c", b"")  # below a file there is no folder
    assert sorted(tmp_path.rglob("*")) == [file.parent, file]
