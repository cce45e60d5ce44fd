"""Boxes: that labels, targets, decoding and the protocols agree, and that a network learns them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.datasets import open_dataset
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.geometry_boxes import points_in_boxes
from xmodal_core.metrics import Detections, Result
from xmodal_core.points import load_network
from xmodal_core.points.base import BevGrid, NetworkSettings, PointFeatures, PointNetwork
from xmodal_core.tasks._centers import PARTS, assign
from xmodal_core.tasks._objects import COLUMNS, rows_of
from xmodal_core.tasks.base import Judged, LabelledExample, collate
from xmodal_core.tasks.detection import Detection, DetectionConfig
from xmodal_core.train.augment import motion
from xmodal_core.train.batch import stack_channels
from xmodal_core.train.config import AugmentConfig
from xmodal_core.types import Boxes, Frame

WITH_BOXES = ("nuscenes", "sample", "waymo", "once", "kitti_object", "kitti_raw", "kitti_tracking", "folder")
GRID = BevGrid(low=(-100.0, -100.0), cell=0.5, nx=400, ny=400, width=4)


class Maps(PointNetwork):
    """Any map, of which nothing is computed."""

    def __init__(self, grid: BevGrid) -> None:
        super().__init__(NetworkSettings.model_construct(channels=("intensity",), intensity_scale=1.0))
        self.width = grid.width
        self.bev_grid = grid
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, points: Tensor, channels: Tensor, offsets: Tensor) -> PointFeatures:
        shape = (len(offsets) - 1, GRID.width, self.bev_grid.ny, self.bev_grid.nx) if self.bev_grid else (0,)
        return PointFeatures(points.new_zeros(len(points), self.width), points.new_zeros(shape) + self.weight)


def settings_of(dataset: str, **more: Any) -> DetectionConfig:
    """What the engine makes of the defaults for a data set."""
    chosen = {**Detection.defaults(dataset, pretrained=False)["task"], **more}
    return validate(DetectionConfig, chosen, "task")


def oracle(task: Detection, frame: Frame) -> Detections:
    """What a network predicts of ``frame`` that has learnt its targets by heart."""
    labels = task.label(frame, task.classes, task.config)
    assert labels is not None
    objects = task.collate([labels])
    maps = []
    for group in task.groups:
        targets = assign(
            task._of(objects, group), len(group.numbers), task.grid, 1, overlap=0.1, min_radius=2, most=500
        )
        cells = task.grid.ny * task.grid.nx
        said = {name: torch.zeros(1, PARTS[name], cells) for name in task.parts}
        for name, part in said.items():
            part[targets.frame, :, targets.cell] = targets.values[name].nan_to_num()
        shaped = {name: part.view(1, -1, task.grid.ny, task.grid.nx) for name, part in said.items()}
        # Only at the very centres is the rest of a box said.
        heat = torch.where(targets.heat == 1, 9.0, -9.0)
        maps.append({"heat": heat, **shaped})
    return task.boxes_of(maps)[0]


class TestOracle:
    @pytest.mark.parametrize("name", WITH_BOXES)
    def test_targets_decoded_as_predictions_are_as_good_as_the_labels_for_the_data_sets_own_judge(
        self, name: str, example_root: Callable[[str], Path]
    ) -> None:
        dataset = open_dataset(name, example_root(name))
        config = settings_of(name, min_points=0)
        task = Detection(config, Maps(GRID), Detection.classes_of(dataset, config)).eval()
        frames = [replace(dataset.frame(number), cameras=(), pixels=None) for number in range(len(dataset))]
        found = judge(task, dataset, [oracle(task, frame) for frame in frames], frames)
        best = judge(task, dataset, [label_as_prediction(task, frame) for frame in frames], frames)
        assert found.evaluated > 0
        assert max(next(iter(part.values())) for part in best.parts.values()) > 0.999
        for part, figures in best.parts.items():
            assert found.parts[part] == pytest.approx(figures, abs=1e-3, nan_ok=True), part


def judge(task: Detection, dataset: Dataset, found: list[Detections], frames: list[Frame]) -> Result:
    judged = [Judged(number, frame, one) for number, (frame, one) in enumerate(zip(frames, found, strict=True))]
    return task.judge(task.protocol(dataset), dataset, judged, "val")


def label_as_prediction(task: Detection, frame: Frame) -> Detections:
    labels = task.label(frame, task.classes, task.config)
    assert labels is not None
    found = Detections.of(labels.boxes, np.ones(len(labels.boxes)))
    return replace(found, velocity=None if found.velocity is None else np.nan_to_num(found.velocity))


def near(frame: Frame, reach: float) -> Frame:
    """``frame`` with what lies within ``reach`` metres along both axes of the ground, and of that every third point."""
    boxes = frame.boxes
    assert boxes is not None
    kept = np.flatnonzero(np.abs(boxes.centre[:, :2]).max(axis=1) < reach - 0.5)
    columns = {name: getattr(boxes, name)[kept] for name in (*COLUMNS, "points") if getattr(boxes, name) is not None}
    rows = np.flatnonzero(np.abs(frame.points[:, :2]).max(axis=1) < reach)[::3]
    return replace(
        frame,
        cameras=(),
        pixels=None,
        stored=None,
        semantic=None,
        points=frame.points[rows],
        channels={name: values[rows] for name, values in frame.channels.items()},
        boxes=Boxes(**columns, classes=boxes.classes),
    )


class TestLearning:
    def test_two_frames_are_learnt_by_heart(self, example_root: Callable[[str], Path]) -> None:
        """Network, head, targets, losses, decoding and figures agree."""
        dataset = open_dataset("sample", example_root("sample"))
        frames = [near(dataset.frame(number), 12.8) for number in range(2)]
        torch.manual_seed(0)
        reach = (-12.8, -12.8, -5, 12.8, 12.8, 3)
        network = load_network("pillars", {"range": reach, "pillar_size": 0.4, "intensity_scale": 1 / 255})
        classes = tuple(dict.fromkeys(frame.boxes.classes[n] for frame in frames for n in frame.boxes.label))  # type: ignore[union-attr]
        task = Detection(settings_of("sample", features=16, box_weight=1.0), network, classes)
        examples = [example_of(task, frame) for frame in frames]
        assert sum(len(one.labels.boxes) for one in examples) >= 8
        batch = collate(examples, Detection)
        steps = 90
        optimizer = torch.optim.Adam(task.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-2, total_steps=steps)
        for _ in range(steps):
            optimizer.zero_grad()
            outcome = task(batch)
            outcome.loss.backward()
            torch.nn.utils.clip_grad_norm_(task.parameters(), 35.0)
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            # In training mode: batch statistics, since running ones of so few steps lag behind.
            found = task.predict(batch)
        result = judge(task, dataset, found, frames)
        assert result.main > 0.97


def example_of(task: Detection, frame: Frame) -> LabelledExample:
    labels = task.label(frame, task.classes, task.config)
    channels = stack_channels(frame, task.network.config.channels)
    return LabelledExample(frame.name, frame.points, channels, labels)


def boxes_of(names: list[str], centres: list[tuple[float, float]], classes: tuple[str, ...]) -> Boxes:
    count = len(names)
    return Boxes(
        centre=np.column_stack([np.array(centres, dtype=np.float32).reshape(-1, 2), np.zeros(count)]).astype(
            np.float32
        ),
        size=np.full((count, 3), 2.0, dtype=np.float32),
        yaw=np.zeros(count, dtype=np.float32),
        label=np.array([classes.index(name) for name in names], dtype=np.int64),
        classes=classes,
        track=np.arange(count),
        velocity=np.full((count, 2), np.nan, dtype=np.float32),
    )


ONCE_CLASSES = ("Car", "Truck", "Bus", "Pedestrian", "Cyclist")


def small_frame() -> Frame:
    """A truck with a point, a car with none, a person with three, and something that is not learnt with one."""
    from xmodal_core.types import Sensor

    boxes = boxes_of(["Truck", "Car", "Pedestrian", "Bus"], [(0, 0), (9, 0), (0, 9), (9, 9)], ONCE_CLASSES)
    points = np.array([[0, 0, 0], [0, 9, 0], [0.5, 9, 0], [-0.5, 9, 0], [9, 9, 0]], dtype=np.float32)
    channels = {"intensity": np.arange(5, dtype=np.float32)}
    return Frame("f", "s", 0.0, points, channels, Sensor("", 4, (1.0, 0.0), 1.8, 1.0), boxes=boxes)


class TestLabels:
    def test_are_the_boxes_that_are_told_apart_and_have_points(self) -> None:
        config = DetectionConfig(merge={"Truck": "Car"})
        labels = Detection.label(small_frame(), ("Pedestrian", "Car"), config)
        assert labels is not None
        assert [labels.boxes.classes[n] for n in labels.boxes.label] == ["Car", "Pedestrian"]
        assert labels.boxes.track.tolist() == [0, 2]
        np.testing.assert_array_equal(labels.others[:, :2], [[9, 0], [9, 9]])

    def test_fewer_points_are_a_setting(self) -> None:
        for least, tracks in ((0, [0, 1, 2, 3]), (2, [2]), (4, [])):
            labels = Detection.label(small_frame(), ONCE_CLASSES, DetectionConfig(min_points=least))
            assert labels is not None
            assert labels.boxes.track.tolist() == tracks

    def test_a_frame_nobody_labelled_has_none(self) -> None:
        assert Detection.label(replace(small_frame(), boxes=None), ONCE_CLASSES, DetectionConfig()) is None

    def test_move_with_the_points_in_them(self, example_root: Callable[[str], Path]) -> None:
        frame = replace(open_dataset("kitti_object", example_root("kitti_object")).frame(0), cameras=(), pixels=None)
        labels = Detection.label(frame, ("Car", "Pedestrian", "Cyclist"), settings_of("kitti_object"))
        assert labels is not None
        before = points_in_boxes(frame.points, rows_of(labels.boxes), 0.01)
        assert len(before.box)
        for seed in range(5):
            move = motion(AugmentConfig(), np.random.default_rng(seed))
            moved = Detection.move(labels, move)
            after = points_in_boxes(move.points(frame.points), rows_of(moved.boxes), 0.01 * move.scale)
            np.testing.assert_array_equal(after.point, before.point)

    def test_in_a_batch_each_knows_its_frame(self) -> None:
        labels = [Detection.label(small_frame(), ONCE_CLASSES, DetectionConfig(min_points=k)) for k in (1, 4, 2)]
        found = Detection.collate([one for one in labels if one is not None])
        assert found.frame.tolist() == [0, 0, 0, 2]
        assert found.box[:, :2].tolist() == [[0, 0], [0, 9], [9, 9], [0, 9]]


class TestObjects:
    def test_come_from_the_frames_given_and_no_others(self, tmp_path: Path) -> None:
        other = replace(small_frame(), name="unlabelled", boxes=None)
        config = DetectionConfig(objects={"min_points": 3})
        store = Detection.prepare([small_frame(), other], ("intensity",), ONCE_CLASSES, config, tmp_path)
        assert store is not None
        assert len(store) == 1
        np.testing.assert_array_equal(store.points(0)[:, 3], [1, 2, 3])
        assert Detection.prepare([], (), ONCE_CLASSES, DetectionConfig(objects={"enabled": False}), tmp_path) is None

    def test_fade_before_the_end(self, tmp_path: Path) -> None:
        config = DetectionConfig(objects={"min_points": 1, "fade": 2, "others": 5})
        store = Detection.prepare([small_frame()], ("intensity",), ONCE_CLASSES, config, tmp_path)
        empty = replace(small_frame(), boxes=boxes_of([], [], ONCE_CLASSES))
        labels = Detection.label(empty, ONCE_CLASSES, config)
        example = LabelledExample("f", empty.points[:1], np.zeros((1, 1), dtype=np.float32), labels)
        counts = [
            len(
                Detection.enrich(
                    example, store, ONCE_CLASSES, config, np.random.default_rng(0), epochs_left=left
                ).labels.boxes
            )
            for left in (1, 2, 3)
        ]
        assert counts == [0, 0, 3]


class TestSettings:
    def test_a_network_without_a_map_is_refused_and_those_with_one_are_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plugins, "names", lambda kind: ["minkunet", "pillars"])  # the others take their time
        blind = Maps(GRID)
        blind.bev_grid = None
        with pytest.raises(InputError, match="bird's-eye map, which the network 'test_detection'") as refused:
            Detection(DetectionConfig(), blind, ("car",))
        assert refused.value.hint == "choose one that does: pillars"

    def test_classes_are_those_of_the_benchmark_that_the_data_has(self, example_root: Callable[[str], Path]) -> None:
        dataset = open_dataset("kitti_object", example_root("kitti_object"))
        assert Detection.classes_of(dataset, settings_of("kitti_object")) == ("Car", "Pedestrian", "Cyclist")
        assert "Van" in Detection.classes_of(dataset, DetectionConfig())
        with pytest.raises(InputError, match=r"none of task\.classes"):
            Detection.classes_of(dataset, DetectionConfig(classes=("unicorn",)))
        unlabelled = open_dataset("semantic_kitti", example_root("semantic_kitti"))
        with pytest.raises(DataError, match="no labelled boxes"):
            Detection.classes_of(unlabelled, DetectionConfig())

    @pytest.mark.parametrize(
        ("name", "protocol"),
        [
            ("nuscenes", "nuscenes_detection"),
            ("once", "once_detection"),
            ("kitti_object", "kitti_detection"),
            ("kitti_tracking", "centre_distance"),
        ],
    )
    def test_the_official_protocol_judges_where_there_is_one(
        self, name: str, protocol: str, example_root: Callable[[str], Path]
    ) -> None:
        dataset, config = open_dataset(name, example_root(name)), settings_of(name)
        task = Detection(config, Maps(GRID), Detection.classes_of(dataset, config))
        assert task.protocol(dataset).name == protocol
