"""Waymo's parquet is read row by row: each row group once, in constant memory, in any order."""

from __future__ import annotations

import gc
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.xmodal_core.datasets.waymo_files import (
    TIMES,
    column,
    file_of,
    full,
)
from xmodal_core.datasets import _waymo_example as written
from xmodal_core.datasets import open_dataset
from xmodal_core.datasets._waymo_parquet import Component
from xmodal_core.datasets._waymo_segment import COMPONENTS, LARGE

NAME = "waymo"


def long_segment(root: Path, frames: int, group: int, *, by_sensor: bool = False) -> None:
    """``frames`` frames, the two of the example in turn, in row groups of ``group`` rows."""
    for component in COMPONENTS:
        file = file_of(root, component)
        table = pq.read_table(file)
        if "key.frame_timestamp_micros" not in table.column_names:
            continue
        times = np.array(table.column("key.frame_timestamp_micros").to_pylist())
        parts = []
        for number in range(frames):
            rows_of = np.flatnonzero(times == TIMES[number % 2])
            part = table.take(rows_of)
            time = pa.array([written.START + number * 100_000] * len(part), pa.int64())
            parts.append(
                part.set_column(
                    part.schema.get_field_index("key.frame_timestamp_micros"), "key.frame_timestamp_micros", time
                )
            )
        whole = pa.concat_tables(parts)
        if by_sensor and component in LARGE:
            key = "key.camera_name" if component == "camera_image" else "key.laser_name"
            whole = whole.sort_by([(key, "ascending"), ("key.frame_timestamp_micros", "ascending")])
        pq.write_table(whole, file, compression="none", row_group_size=group)


class Counting:
    """Counts the row groups that are begun, by component."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[tuple[str, int]] = []
        begin = pq.ParquetFile.iter_batches

        def counted(parquet: pq.ParquetFile, **options: Any) -> Any:
            self.begun.append((options["columns"][0].split("]")[0][1:], options["row_groups"][0]))
            return begin(parquet, **options)

        monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)


class TestStreaming:
    FRAMES = 24

    @pytest.fixture
    def segment(self, copy: Path) -> Path:
        long_segment(copy, self.FRAMES, group=32)
        return copy

    def test_each_row_group_is_decoded_once_in_constant_memory(
        self, segment: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counting = Counting(monkeypatch)
        gc.collect()  # what other tests left
        before, allocated = pa.total_allocated_bytes(), []
        for frame in open_dataset(NAME, segment):
            for camera in frame.cameras:
                camera.image()
            allocated.append(pa.total_allocated_bytes() - before)
        assert len(allocated) == self.FRAMES
        assert len(set(counting.begun)) == len(counting.begun)
        groups = -(-self.FRAMES * 5 // 32)
        assert sum(name == "LiDARComponent" for name, _ in counting.begun) == groups
        assert max(allocated[self.FRAMES // 2 :]) <= 1.1 * max(allocated[: self.FRAMES // 2])
        images = [(name, image) for name in LARGE if name.startswith("lidar_") for image in LARGE[name]]
        values = [pair for pair in [("lidar", image) for image in LARGE["lidar"]] + images if "values" in pair[1]]
        decoded = sum(4 * len(row) for pair in values for row in column(segment, *pair))
        assert max(allocated) < decoded / 3

    def test_of_a_row_group_only_a_little_is_held(self, tmp_path: Path) -> None:
        file = tmp_path / "large.parquet"
        values = list(np.random.default_rng(0).random((40, 100_000), dtype=np.float32))
        table = {full("lidar", name): pa.array(values, pa.list_(pa.float32())) for name in LARGE["lidar"][:1]}
        pq.write_table(pa.table(table), file, use_dictionary=False)
        before = pa.total_allocated_bytes()
        component = Component(file, "LiDARComponent", LARGE["lidar"][:1], keep=1)
        component.row(0)
        component.row(30)
        assert pa.total_allocated_bytes() - before < file.stat().st_size / 2

    def test_few_rows_are_kept(self, segment: Path) -> None:
        component = Component(file_of(segment, "lidar"), "LiDARComponent", LARGE["lidar"], keep=7)
        for number in range(100):
            component.row(number)
            assert len(component._recent) <= 7
        assert list(component._recent) == list(range(93, 100))

    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(order=st.lists(st.integers(0, 39), min_size=1, max_size=12))
    def test_rows_come_right_in_any_order(self, root: Path, copy: Path, order: list[int]) -> None:
        file = copy / "numbered.parquet"
        if not file.exists():
            names = {
                full("lidar", name): pa.array([[k] * (k % 3) for k in range(40)], pa.list_(pa.float32()))
                for name in LARGE["lidar"]
            }
            pq.write_table(pa.table(names), file, row_group_size=16)
        component = Component(file, "LiDARComponent", LARGE["lidar"], keep=3)
        for lane in (0, 1):
            for number in order:
                (row,) = component.row(number, lane).column(0).to_pylist()
                assert row == [number] * (number % 3)

    def test_a_file_sorted_by_sensor_is_decoded_once_a_sensor_and_group(
        self, root: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long_segment(copy, self.FRAMES, group=32, by_sensor=True)
        wanted = [frame.points for frame in open_dataset(NAME, root)]
        counting = Counting(monkeypatch)
        for number, frame in enumerate(open_dataset(NAME, copy)):
            np.testing.assert_array_equal(frame.points, wanted[number % 2])
        lidar = [group for name, group in counting.begun if name == "LiDARComponent"]
        assert len(lidar) <= 5 + -(-self.FRAMES * 5 // 32)

    def test_reading_back_and_again_gives_the_same(self, segment: Path) -> None:
        dataset = open_dataset(NAME, segment)
        forward = [frame.points for frame in dataset]
        for number in (20, 3, 3, 23, 0, 11):
            frame = dataset.frame(number)
            np.testing.assert_array_equal(frame.points, forward[number])
            np.testing.assert_array_equal(frame.points, forward[number % 2])

    def test_a_picture_may_be_asked_for_later(self, segment: Path) -> None:
        dataset = open_dataset(NAME, segment)
        early = dataset.frame(0).cameras
        wanted = [camera.image() for camera in dataset.frame(2).cameras]
        list(dataset)
        for camera, image in zip(early, wanted, strict=True):
            np.testing.assert_array_equal(camera.image(), image)

    def test_few_segments_are_open_and_none_travels(self, copy: Path) -> None:
        for component in COMPONENTS:
            for number in range(5):
                shutil.copy(file_of(copy, component), file_of(copy, component, f"more_{number}"))
        dataset = open_dataset(NAME, copy)
        for frame in dataset:
            assert len(frame)
            assert len(dataset._open) <= 2
        there = pickle.loads(pickle.dumps(dataset))
        assert not there._open
        assert len(pickle.dumps(dataset)) < 5000
        np.testing.assert_array_equal(there.frame(3).points, frame.points)
