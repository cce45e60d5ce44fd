"""What every metric protocol promises, on made-up labels of its own classes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xmodal_core import plugins
from xmodal_core.errors import DataError, InputError
from xmodal_core.metrics import DetectionProtocol, Detections, Protocol, Result, SegmentationProtocol, Truth
from xmodal_core.metrics.base import LabelledPoints

ALL = {name: plugins.load(plugins.PROTOCOL, name) for name in plugins.names(plugins.PROTOCOL)}
FRAMES = 6


def names_of(protocol: Protocol) -> list[str]:
    return [protocol.naming.format(number) for number in range(1, FRAMES + 1)]


def of_kind(kind: type[Protocol]) -> list[str]:
    return [name for name, protocol in ALL.items() if issubclass(protocol, kind)]


def assert_same(first: Result, second: Result) -> None:
    assert first.measures == pytest.approx(second.measures, nan_ok=True, abs=1e-9)
    assert list(first.parts) == list(second.parts)
    for name, part in first.parts.items():
        assert part == pytest.approx(second.parts[name], nan_ok=True, abs=1e-9), name
    assert (first.frames, first.evaluated) == (second.frames, second.evaluated)


@pytest.mark.parametrize("name", ALL)
def test_it_states_its_rules_its_classes_and_options(name: str) -> None:
    protocol = ALL[name]()
    assert protocol.name == name
    assert protocol.rules
    assert len(set(protocol.classes)) == len(protocol.classes) > 1
    assert isinstance(protocol, (DetectionProtocol, SegmentationProtocol))
    assert all(field.description for field in protocol.Config.model_fields.values())


def assert_speaks_for_itself(result: Result, protocol: Protocol, of: str) -> None:
    """Whoever reads the line or the JSON knows what was measured on what."""
    assert (result.protocol, result.split, result.of) == (protocol.name, "val", of)
    assert result.rules.startswith(protocol.rules)  # options that change figures may follow
    assert result.frames == FRAMES
    assert result.evaluated > 0
    assert all(isinstance(value, float) for value in result.measures.values())
    for word in (protocol.name, result.rules, "val", f"{FRAMES} frames", f"{result.evaluated:,} {of}"):
        assert word in result.line()
    told = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert next(iter(told["metrics"].values())) == result.main
    assert told[f"evaluated_{of}"] == result.evaluated


class TestEveryDetectionProtocol:
    @pytest.fixture(params=of_kind(DetectionProtocol))
    def protocol(self, request: pytest.FixtureRequest) -> DetectionProtocol:
        found: DetectionProtocol = ALL[request.param]()
        return found

    @pytest.fixture
    def truth(self, protocol: DetectionProtocol) -> dict[str, Truth]:
        """Three boxes of each class in each frame, well apart, all near, all well seen."""
        rng = np.random.default_rng(0)
        count = 3 * len(protocol.classes)
        places = np.array([(x, y, 0.5) for x in range(-18, 19, 6) for y in range(-18, 19, 6)], dtype=np.float64)
        frames = {}
        for number, name in enumerate(names_of(protocol)):
            origin = np.array([100.0 * number, 50.0, 0.0])
            frames[name] = Truth(
                centre=origin + rng.permutation(places)[:count] + rng.uniform(-0.5, 0.5, (count, 3)),
                size=rng.uniform([3.0, 1.4, 1.3], [4.0, 1.9, 1.8], (count, 3)),
                yaw=rng.uniform(-3.1, 3.1, count),
                label=rng.permutation(np.repeat(np.arange(len(protocol.classes)), 3)),
                classes=protocol.classes,
                velocity=rng.normal(0, 3, (count, 2)),
                attribute=rng.choice(["vehicle.moving", "vehicle.parked"], count),
                points=np.full(count, 20),
                difficulty=np.ones(count, dtype=np.int64),
                origin=origin,
            )
        return frames

    def predicted(self, truth: dict[str, Truth], noise: float = 0.0) -> dict[str, Detections]:
        """All labels with scores that differ, and, with ``noise``, in the wrong place and with false ones between."""
        rng = np.random.default_rng(1)
        scores = rng.permutation(np.linspace(0.02, 0.98, sum(map(len, truth.values()))))
        frames, taken = {}, 0
        for name, labels in truth.items():
            shift = rng.normal(0, noise, (len(labels), 3)) * [1, 1, 0.2]
            label = np.where(rng.random(len(labels)) < noise, labels.label[::-1], labels.label)
            frames[name] = Detections(
                centre=labels.centre + shift,
                size=labels.size * np.exp(rng.normal(0, noise / 3, labels.size.shape)),
                yaw=labels.yaw + rng.normal(0, noise, len(labels)),
                label=label,
                classes=labels.classes,
                velocity=labels.velocity,
                attribute=labels.attribute,
                score=scores[taken : taken + len(labels)],
            )
            taken += len(labels)
        return frames

    def test_perfect_predictions_score_perfectly(self, protocol: DetectionProtocol, truth: dict[str, Truth]) -> None:
        result = protocol.evaluate(self.predicted(truth), truth, "val")
        assert result.main == pytest.approx(1.0)
        assert_speaks_for_itself(result, protocol, "boxes")

    def test_no_predictions_score_zero(self, protocol: DetectionProtocol, truth: dict[str, Truth]) -> None:
        result = protocol.evaluate({name: Detections.none() for name in truth}, truth, "val")
        assert result.main == 0.0
        assert result.evaluated > 0

    def test_predictions_elsewhere_score_zero(self, protocol: DetectionProtocol, truth: dict[str, Truth]) -> None:
        away = {
            name: replace(boxes, centre=boxes.centre + [0.0, 0.0, 30.0] + 400.0 * (protocol.coordinates == "world"))
            for name, boxes in self.predicted(truth).items()
        }
        assert protocol.evaluate(away, truth, "val").main == pytest.approx(0.0, abs=1e-9)

    def test_worse_predictions_score_less(self, protocol: DetectionProtocol, truth: dict[str, Truth]) -> None:
        scores = [protocol.evaluate(self.predicted(truth, noise), truth, "val").main for noise in (0.02, 0.15, 0.5)]
        assert 1.0 >= scores[0] > scores[1] > scores[2] >= 0.0

    def test_the_order_of_frames_and_of_boxes_does_not_matter(
        self, protocol: DetectionProtocol, truth: dict[str, Truth]
    ) -> None:
        predictions = self.predicted(truth, 0.15)
        names = list(truth)[::-1]
        shuffled = {name: _reordered(predictions[name]) for name in names}
        labels = {name: _reordered(truth[name]) for name in sorted(names)}
        assert_same(protocol.evaluate(predictions, truth, "val"), protocol.evaluate(shuffled, labels, "val"))

    def test_nothing_of_what_goes_in_is_changed(self, protocol: DetectionProtocol, truth: dict[str, Truth]) -> None:
        predictions = self.predicted(truth, 0.15)
        before = {name: boxes.centre.copy() for name, boxes in predictions.items()}
        first = protocol.evaluate(predictions, truth, "val")
        assert_same(first, protocol.evaluate(predictions, truth, "val"))
        for name, centre in before.items():
            np.testing.assert_array_equal(predictions[name].centre, centre)

    def test_classes_are_found_by_name_and_unknown_ones_do_not_count(
        self, protocol: DetectionProtocol, truth: dict[str, Truth]
    ) -> None:
        predictions = self.predicted(truth, 0.15)
        expected = protocol.evaluate(predictions, truth, "val")
        turned = ("unicorn", *protocol.classes[::-1])
        renumbered: dict[str, Any] = {}
        for name in truth:
            renumbered[name] = replace(
                predictions[name], classes=turned, label=len(protocol.classes) - predictions[name].label
            )
        assert_same(protocol.evaluate(renumbered, truth, "val"), expected)
        with_unicorns = {name: _with_another(boxes, turned) for name, boxes in renumbered.items()}
        assert_same(protocol.evaluate(with_unicorns, truth, "val"), expected)

    def test_predictions_are_for_the_frames_of_the_split(
        self, protocol: DetectionProtocol, truth: dict[str, Truth]
    ) -> None:
        predictions = self.predicted(truth)
        first, *others = truth
        missing = {name: predictions[name] for name in others}
        with pytest.raises(InputError, match=f"1 of 6 frames have no predictions, the first is '{first}'"):
            protocol.evaluate(missing, truth, "val")
        with pytest.raises(InputError, match=r"1 frames with predictions are not in the split.*'elsewhere'"):
            protocol.evaluate({**predictions, "elsewhere": Detections.none()}, truth, "val")

    def test_no_frames_at_all_are_refused(self, protocol: DetectionProtocol) -> None:
        with pytest.raises(InputError, match="no frames to score"):
            protocol.evaluate({}, {}, "val")

    @pytest.mark.parametrize("field", ["centre", "size", "yaw", "score"])
    def test_what_is_no_number_is_refused_with_its_frame(
        self, protocol: DetectionProtocol, truth: dict[str, Truth], field: str, tmp_path: Path
    ) -> None:
        predictions = self.predicted(truth)
        third = list(truth)[2]
        values = getattr(predictions[third], field).copy()
        values[1] = np.nan
        predictions[third] = replace(predictions[third], **{field: values})
        for act in (
            lambda: protocol.evaluate(predictions, truth, "val"),
            lambda: protocol.write_submission(predictions, tmp_path / "out"),
        ):
            with pytest.raises(InputError, match=third):
                act()
        assert list(tmp_path.iterdir()) == []

    def test_a_submission_scores_as_the_predictions_it_was_written_from(
        self, protocol: DetectionProtocol, truth: dict[str, Truth], tmp_path: Path
    ) -> None:
        predictions = self.predicted(truth, 0.15)
        protocol.write_submission(predictions, tmp_path / "deep" / "submission")
        again = protocol.read_submission(tmp_path / "deep" / "submission")
        first, second = (protocol.evaluate(found, truth, "val") for found in (predictions, again))
        assert second.measures == pytest.approx(first.measures, abs=1e-5)
        assert not list(tmp_path.rglob("*.partial"))

    def test_a_damaged_submission_is_named(
        self, protocol: DetectionProtocol, truth: dict[str, Truth], tmp_path: Path
    ) -> None:
        out = tmp_path / "submission"
        with pytest.raises(DataError, match="submission"):
            protocol.read_submission(out)
        protocol.write_submission(self.predicted(truth), out)
        file = out if out.is_file() else sorted(path for path in out.rglob("*") if path.is_file())[-1]
        whole = file.read_bytes()
        for content in (b"", whole[: len(whole) // 2 + 1]):
            file.write_bytes(content)
            with pytest.raises(DataError, match=file.name):
                protocol.read_submission(out)


def _chosen(boxes: Any, index: Any) -> Any:
    columns = {}
    for name in ("centre", "size", "yaw", "label", "velocity", "attribute", "score", "points", "difficulty"):
        values = getattr(boxes, name, None)
        if values is not None:
            columns[name] = values[index]
    return replace(boxes, **columns)


def _reordered(boxes: Any) -> Any:
    return _chosen(boxes, np.random.default_rng(len(boxes)).permutation(len(boxes)))


def _with_another(boxes: Detections, classes: tuple[str, ...]) -> Detections:
    """``boxes`` and a sure one of the first class."""
    more = _chosen(boxes, np.append(np.arange(len(boxes)), 0))
    return replace(more, classes=classes, label=np.append(boxes.label, 0))


class TestEverySegmentationProtocol:
    @pytest.fixture(params=of_kind(SegmentationProtocol))
    def protocol(self, request: pytest.FixtureRequest) -> SegmentationProtocol:
        found: SegmentationProtocol = ALL[request.param]()
        return found

    @pytest.fixture
    def frames(self, protocol: SegmentationProtocol) -> list[LabelledPoints]:
        """All classes occur, so do points that do not count; two thirds of the predictions are right."""
        rng = np.random.default_rng(2)
        frames = []
        for name in names_of(protocol):
            true = np.concatenate([np.arange(len(protocol.classes)), rng.integers(0, len(protocol.classes), 400)])
            guess = rng.integers(1, len(protocol.classes), len(true))
            frames.append(
                LabelledPoints(name, np.where((rng.random(len(true)) < 0.67) & (true > 0), true, guess), true)
            )
        return frames

    def test_right_predictions_score_perfectly(
        self, protocol: SegmentationProtocol, frames: list[LabelledPoints]
    ) -> None:
        right = [frame._replace(predicted=np.maximum(frame.true, 1)) for frame in frames]
        result = protocol.evaluate(right, "val")
        assert result.measures == pytest.approx(dict.fromkeys(result.measures, 1.0))
        assert_speaks_for_itself(result, protocol, "points")
        assert list(result.parts) == list(protocol.classes[1:])

    def test_wrong_predictions_score_zero(self, protocol: SegmentationProtocol, frames: list[LabelledPoints]) -> None:
        wrong = [frame._replace(predicted=frame.true % (len(protocol.classes) - 1) + 1) for frame in frames]
        assert protocol.evaluate(wrong, "val").main == 0.0

    def test_half_right_lies_between(self, protocol: SegmentationProtocol, frames: list[LabelledPoints]) -> None:
        result = protocol.evaluate(frames, "val")
        assert 0.3 < result.main < 0.7
        assert result.main == pytest.approx(np.mean([part["IoU"] for part in result.parts.values()]))

    def test_order_does_not_matter(self, protocol: SegmentationProtocol, frames: list[LabelledPoints]) -> None:
        order = np.random.default_rng(3).permutation(len(frames[0].true))
        shuffled = [LabelledPoints(name, guess[order], true[order]) for name, guess, true in reversed(frames)]
        assert_same(protocol.evaluate(frames, "val"), protocol.evaluate(iter(shuffled), "val"))

    def test_points_that_do_not_count_do_not_count(
        self, protocol: SegmentationProtocol, frames: list[LabelledPoints]
    ) -> None:
        other = [frame._replace(predicted=np.where(frame.true == 0, 3, frame.predicted)) for frame in frames]
        assert_same(protocol.evaluate(frames, "val"), protocol.evaluate(other, "val"))
        counted = [LabelledPoints(name, guess[true > 0], true[true > 0]) for name, guess, true in frames]
        assert_same(protocol.evaluate(frames, "val"), protocol.evaluate(counted, "val"))

    def test_bad_predictions_are_refused_with_their_frame(
        self, protocol: SegmentationProtocol, frames: list[LabelledPoints], tmp_path: Path
    ) -> None:
        name, guess, true = frames[1]
        too_high = np.where(true == 2, len(protocol.classes), guess)
        for bad, words in (
            (LabelledPoints(name, guess[:-1], true), f"'{name}' has {len(true) - 1} predictions for {len(true)}"),
            (LabelledPoints(name, too_high, true), f"'{name}' has a point of class {len(protocol.classes)}"),
            (LabelledPoints(name, np.where(true == 2, -1, guess), true), f"'{name}' has a point of class -1"),
            (frames[0], f"'{frames[0].name}' comes twice"),
        ):
            with pytest.raises(InputError, match=words):
                protocol.evaluate([frames[0], bad], "val")
        with pytest.raises(InputError, match=r"frame 'a/b/c' is no "):
            protocol.write_submission([("a/b/c", guess)], tmp_path, "val")
        assert list(tmp_path.iterdir()) == []
        for nothing in ([], [frames[0]._replace(true=np.zeros_like(true))]):
            with pytest.raises(InputError, match="no labelled point"):
                protocol.evaluate(nothing, "val")

    def test_a_submission_holds_the_predictions_it_was_written_from(
        self, protocol: SegmentationProtocol, frames: list[LabelledPoints], tmp_path: Path
    ) -> None:
        protocol.write_submission(((frame.name, frame.predicted) for frame in frames[::-1]), tmp_path, "val")
        found = dict(protocol.read_submission(tmp_path, "val"))
        assert list(found) == [frame.name for frame in frames]
        for frame in frames:
            np.testing.assert_array_equal(found[frame.name], frame.predicted)
        assert not list(tmp_path.rglob("*.partial"))

    def test_a_damaged_submission_is_named(
        self, protocol: SegmentationProtocol, frames: list[LabelledPoints], tmp_path: Path
    ) -> None:
        with pytest.raises(DataError, match=tmp_path.name):
            list(protocol.read_submission(tmp_path, "val"))
        protocol.write_submission([(frames[0].name, frames[0].predicted)], tmp_path, "val")
        file = next(path for path in tmp_path.rglob("*") if path.suffix in (".bin", ".label"))
        for content in (b"", b"\xff" * 8):
            file.write_bytes(content)
            with pytest.raises(DataError, match=file.name):
                list(protocol.read_submission(tmp_path, "val"))

    def test_labels_of_points_are_found_by_name(self, protocol: SegmentationProtocol) -> None:
        from xmodal_core.types import Frame, Semantic, Sensor

        classes = ("ignore", "unicorn", *protocol.classes[:0:-1])
        label = np.arange(len(classes))
        points = np.zeros((len(label), 3), dtype=np.float32)
        frame = Frame("f", "s", 0.0, points, {}, Sensor("", 1, (1, 0), None, 1.0), semantic=Semantic(label, classes))
        assert protocol.true_labels(frame).tolist() == [0, 0, *range(len(protocol.classes) - 1, 0, -1)]
        with pytest.raises(DataError, match="points of frame 'f' have no labels"):
            protocol.true_labels(replace(frame, semantic=None))
