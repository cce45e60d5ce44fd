"""nuScenes lidarseg and SemanticKITTI beside the official tools' golden values, and where their rules differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.xmodal_core.metrics import nuscenes_official, semantickitti_official
from xmodal_core.datasets import open_dataset
from xmodal_core.datasets._nuscenes_classes import SEGMENTATION, SEGMENTATION_OF
from xmodal_core.datasets._semantic_kitti_classes import FILE_LABEL, class_of_label
from xmodal_core.errors import DataError, InputError
from xmodal_core.metrics._confusion import confusion
from xmodal_core.metrics.base import LabelledPoints
from xmodal_core.metrics.nuscenes_lidarseg import NuScenesLidarseg
from xmodal_core.metrics.semantickitti_segmentation import SemanticKittiSegmentation


def points(name: str, predicted: list[int], true: list[int]) -> LabelledPoints:
    return LabelledPoints(name, np.array(predicted, dtype=np.int64), np.array(true, dtype=np.int64))


class TestNuScenesLidarseg:
    @pytest.mark.parametrize("name", nuscenes_official.CASES)
    def test_equals_the_official_tool(self, name: str, tmp_path: Path) -> None:
        """Its values were computed by ``nuscenes_official.py`` with nuscenes-devkit 1.2.0."""
        case = nuscenes_official.CASES[name]
        nuscenes_official.write_drive(tmp_path, case)
        nuscenes_official.write_segments(tmp_path, tmp_path / "results", case)
        golden = json.loads(nuscenes_official.GOLDEN.read_text())[name]["lidarseg"]
        protocol = NuScenesLidarseg()
        found = dict(protocol.read_submission(tmp_path / "results", nuscenes_official.SPLIT))
        result = protocol.evaluate(labelled(tmp_path, found), nuscenes_official.SPLIT)
        # The tool divides by counts of points in single precision.
        assert result.measures == pytest.approx(
            {"mIoU": golden["miou"], "fwIoU": golden["freq_weighted_iou"]}, abs=1e-7
        )
        official = {kind: np.nan if iou is None else iou for kind, iou in golden["iou_per_class"].items()}
        assert np.isnan(official.pop("ignore"))
        assert {kind: part["IoU"] for kind, part in result.parts.items()} == pytest.approx(
            official, abs=1e-7, nan_ok=True
        )

    def test_some_golden_class_is_nowhere(self) -> None:
        golden = json.loads(nuscenes_official.GOLDEN.read_text())
        assert any(iou is None for iou in list(golden["few classes"]["lidarseg"]["iou_per_class"].values())[1:])

    def test_a_class_that_is_nowhere_is_left_out_of_the_mean(self) -> None:
        result = NuScenesLidarseg().evaluate([points("a", [1, 2, 2], [1, 2, 1])], "s")
        assert result.measures["mIoU"] == pytest.approx(0.5)
        assert result.parts["bus"]["IoU"] != result.parts["bus"]["IoU"]
        assert result.as_json()["parts"]["bus"]["IoU"] is None

    def test_every_point_has_to_have_a_class(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"'a' has a point of class 0.*takes 1 to 16"):
            NuScenesLidarseg().evaluate([points("a", [1, 0], [1, 0])], "s")
        with pytest.raises(InputError, match=r"'a' has a point of class 0.*takes 1 to 16"):
            NuScenesLidarseg().write_submission([("a", np.zeros(3, dtype=np.int64))], tmp_path, "val")
        assert list(tmp_path.iterdir()) == []

    def test_the_folder_is_what_the_benchmark_describes(self, tmp_path: Path) -> None:
        NuScenesLidarseg().write_submission([("abc", np.array([1, 16, 3]))], tmp_path, "test")
        assert (tmp_path / "lidarseg" / "test" / "abc_lidarseg.bin").read_bytes() == b"\x01\x10\x03"
        meta = json.loads((tmp_path / "test" / "submission.json").read_text())["meta"]
        assert set(meta) == {"use_camera", "use_lidar", "use_radar", "use_map", "use_external"}
        assert all(isinstance(value, bool) for value in meta.values())

    def test_frames_of_nuscenes_go_by_their_sweeps_token(self, tmp_path: Path) -> None:
        case = nuscenes_official.CASES["no attributes"]
        nuscenes_official.write_drive(tmp_path, case)
        dataset = open_dataset("nuscenes", tmp_path, {"split": nuscenes_official.SPLIT})
        names = [NuScenesLidarseg().submission_name(dataset, index) for index in range(len(dataset))]
        assert names == [f"{scene}-data-{key}" for scene in nuscenes_official.SCENES for key in range(case.frames)]

    def test_the_readers_labels_are_the_benchmarks(self, example_root: Callable[[str], Path]) -> None:
        frame = open_dataset("nuscenes", example_root("nuscenes")).frame(0)
        assert frame.semantic is not None
        np.testing.assert_array_equal(NuScenesLidarseg().true_labels(frame), frame.semantic.label)


def labelled(root: Path, found: dict[str, np.ndarray]) -> Iterator[LabelledPoints]:
    """Labels straight from the files, merged by the categories' names."""
    coarse = np.array([SEGMENTATION.index(SEGMENTATION_OF.get(name, "ignore")) for name in nuscenes_official.FINE])
    for name, predicted in found.items():
        file = root / "lidarseg" / nuscenes_official.VERSION / f"{name}_lidarseg.bin"
        yield LabelledPoints(name, predicted, coarse[np.frombuffer(file.read_bytes(), dtype=np.uint8)])


class TestSemanticKitti:
    @pytest.mark.parametrize("name", semantickitti_official.CASES)
    def test_equals_the_official_tool(self, name: str, tmp_path: Path) -> None:
        """Its values were computed by ``semantickitti_official.py`` with semantic-kitti-api's evaluate_semantics.py."""
        semantickitti_official.write_case(tmp_path, semantickitti_official.CASES[name])
        golden = json.loads(semantickitti_official.GOLDEN.read_text())[name]
        protocol = SemanticKittiSegmentation()
        frames = []
        for scan, predicted in protocol.read_submission(tmp_path, "valid"):
            file = tmp_path / "sequences" / "08" / "labels" / f"{scan[3:]}.label"
            label = np.frombuffer(file.read_bytes(), dtype="<u4") & 0xFFFF
            frames.append(LabelledPoints(scan, predicted, class_of_label()[label]))
        result = protocol.evaluate(frames, "valid")
        assert result.measures == pytest.approx(
            {"mIoU": golden.pop("iou_mean"), "accuracy": golden.pop("accuracy_mean")}, abs=1e-12
        )
        assert {f"iou_{kind}": part["IoU"] for kind, part in result.parts.items()} == pytest.approx(golden, abs=1e-12)

    def test_a_class_that_is_nowhere_counts_as_zero(self) -> None:
        result = SemanticKittiSegmentation().evaluate([points("08/000000", [1, 2, 2], [1, 2, 1])], "s")
        assert result.measures["mIoU"] == pytest.approx(1 / 19)

    def test_a_labelled_point_without_prediction_is_missed(self) -> None:
        result = SemanticKittiSegmentation().evaluate([points("08/000000", [1, 0, 0], [1, 1, 0])], "s")
        assert result.parts["car"]["IoU"] == pytest.approx(0.5)
        assert result.measures["accuracy"] == pytest.approx(1.0)  # of what was predicted
        nothing = SemanticKittiSegmentation().evaluate([points("08/000000", [0, 0], [1, 1])], "s")
        assert nothing.measures == {"mIoU": 0.0, "accuracy": 0.0}

    def test_the_folder_is_what_the_benchmark_describes(self, tmp_path: Path) -> None:
        predicted = np.arange(20)
        SemanticKittiSegmentation().write_submission([("11/000042", predicted)], tmp_path, "test")
        file = tmp_path / "sequences" / "11" / "predictions" / "000042.label"
        expected = [0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81]
        assert np.frombuffer(file.read_bytes(), dtype="<u4").tolist() == expected

    def test_every_number_of_the_data_set_has_a_class(self) -> None:
        lookup = class_of_label()
        assert sorted(np.flatnonzero(lookup >= 0)) == sorted(semantickitti_official.ALL + semantickitti_official.MOVING)
        assert [lookup[number] for number in FILE_LABEL] == list(range(20))
        assert [lookup[number] for number in semantickitti_official.MOVING] == [1, 7, 6, 8, 5, 5, 4, 5]

    def test_the_readers_frames_go_through_the_official_folder(
        self, example_root: Callable[[str], Path], tmp_path: Path
    ) -> None:
        dataset = open_dataset("semantic_kitti", example_root("semantic_kitti"), {"split": "all"})
        protocol = SemanticKittiSegmentation()
        true = {frame.name: protocol.true_labels(frame) for frame in dataset if frame.semantic is not None}
        protocol.write_submission(true.items(), tmp_path, "all")
        again = [LabelledPoints(name, found, true[name]) for name, found in protocol.read_submission(tmp_path, "all")]
        result = protocol.evaluate(again, "all")
        assert result.frames == len(true) > 0
        seen = [part["IoU"] for part in result.parts.values() if part["IoU"]]
        assert seen == [1.0] * len(seen)
        assert len(seen) > 2

    def test_a_file_cut_within_a_label_is_named(self, tmp_path: Path) -> None:
        SemanticKittiSegmentation().write_submission([("08/000001", np.arange(5))], tmp_path, "valid")
        file = tmp_path / "sequences" / "08" / "predictions" / "000001.label"
        file.write_bytes(file.read_bytes()[:-2])
        with pytest.raises(DataError, match=r"000001.label is cut short: 18 bytes"):
            list(SemanticKittiSegmentation().read_submission(tmp_path, "valid"))


@settings(max_examples=100)
@given(st.data())
def test_counts_and_ious_equal_the_naive_rule(data: st.DataObject) -> None:
    classes = data.draw(st.integers(2, 5))
    number = st.integers(0, classes - 1)
    pairs = data.draw(st.lists(st.lists(st.tuples(number, number), max_size=12), min_size=1, max_size=3))
    flat = [pair for frame in pairs for pair in frame if pair[1] > 0]
    frames = [points(str(k), [p for p, _ in frame], [t for _, t in frame]) for k, frame in enumerate(pairs)]
    if not flat:
        with pytest.raises(InputError, match="no labelled point"):
            confusion(frames, classes)
        return
    ious = confusion(frames, classes).ious()
    for kind in range(1, classes):
        both = sum(p == kind == t for p, t in flat)
        either = sum(kind in (p, t) for p, t in flat)
        assert ious[kind] == pytest.approx(both / either if either else np.nan, nan_ok=True)
