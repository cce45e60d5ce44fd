"""What is missing from or wrong in Waymo's files is named with what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pictures

from tests.xmodal_core.datasets.waymo_files import (
    FOLDER,
    TIMES,
    change_value,
    column,
    edit,
    file_of,
    with_column,
)
from xmodal_core import geometry
from xmodal_core.datasets import Dataset, open_dataset
from xmodal_core.datasets import _waymo_example as written
from xmodal_core.datasets._waymo_segment import COMPONENTS, Segment
from xmodal_core.errors import DataError

NAME = "waymo"
Root = Callable[[str], Path]


def jpeg(width: int, height: int) -> bytes:
    stream = BytesIO()
    Pictures.new("RGB", (width, height)).save(stream, format="JPEG")
    return stream.getvalue()


def read_all(root: Path) -> Dataset:
    dataset = open_dataset(NAME, root)
    for frame in dataset:
        for camera in frame.cameras:
            camera.image()
    return dataset


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, example_root: Root) -> Path:
    root = tmp_path_factory.mktemp("plain") / "root"
    shutil.copytree(example_root(NAME), root)
    for component in COMPONENTS:
        file = file_of(root, component)
        pq.write_table(pq.read_table(file), file, compression="none", row_group_size=6)
    return root


class TestDamage:
    @pytest.mark.parametrize("component", COMPONENTS)
    @pytest.mark.parametrize("how", ["missing", "empty", "cut", "no parquet", "column"])
    def test_a_file_is_named_with_what_to_do(self, copy: Path, component: str, how: str) -> None:
        file = file_of(copy, component)
        whole = file.read_bytes()
        if how == "missing":
            file.unlink()
        elif how == "column":
            names = [
                name
                for name in pq.read_table(file).column_names
                if name.endswith(("values", "transform", "center.x", "f_u"))
            ]
            edit(copy, component, lambda table: table.drop_columns(names[-1:]))
            if component == "camera_image":  # without a pose the camera is where it is mounted
                (front, *_), _ = (frame.cameras for frame in read_all(copy))
                mounted = geometry.invert(written.camera_to_vehicle("FRONT"))
                np.testing.assert_allclose(front.lidar_to_camera[2], mounted[0], atol=1e-9)
                return
        else:
            file.write_bytes({"empty": b"", "cut": whole[: len(whole) * 2 // 3], "no parquet": b"PAR1" * 50}[how])
        with pytest.raises(DataError) as caught:
            read_all(copy)
        if how == "missing" and component == "lidar":
            assert str(copy / FOLDER) in caught.value.message  # a segment without its range images is none
        else:
            assert str(file) in caught.value.message
        assert caught.value.hint
        assert "\n" not in caught.value.message

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "is empty"),
            (b"no jpeg", "no readable picture: no known format"),
            (jpeg(192, 128)[:-200], "no readable picture"),
            (jpeg(40, 30), "40x30 pixels, its calibration is for 192x128"),
        ],
    )
    def test_a_picture_is_named(self, copy: Path, content: bytes, words: str) -> None:
        file = change_value(copy, "camera_image", "image", 5, content)
        frames = list(open_dataset(NAME, copy))
        frames[0].cameras[0].image()
        with pytest.raises(DataError, match=rf"{file}: picture in row 5.*{words}"):
            frames[1].cameras[0].image()

    @pytest.mark.parametrize(
        ("component", "name", "row", "value", "words"),
        [
            ("lidar", "range_image_return1.values", 6, [1.0] * 7, "row 6 has 7 values for a shape of"),
            ("lidar", "range_image_return1.shape", 6, [20, 60, 0], "for a shape of"),
            ("lidar_pose", "range_image_return1.shape", 1, [150, 64, 6], "for a range image of 150x64, not 64x150"),
            ("lidar_pose", "range_image_return1.values", 1, None, "nothing at"),
            ("lidar_segmentation", "range_image_return1.values", 0, [0, 23] * 9600, f"unknown class 23 at {TIMES[0]}"),
            ("lidar_calibration", "extrinsic.transform", 0, [np.nan] * 16, "no list of 16 numbers"),
            ("lidar_calibration", "extrinsic.transform", 0, [0.5] * 16, "not rigid"),
            ("lidar_calibration", "beam_inclination.values", 4, [0.1] * 63, "lists 63 beams for a range image of 64"),
            ("lidar_calibration", "beam_inclination.values", 4, [0.1, np.nan] * 32, "beam without angle"),
            ("lidar_calibration", "key.laser_name", 4, 9, "lacks LiDAR TOP"),
            ("vehicle_pose", "world_from_vehicle.transform", 1, [1.0] * 16, "not rigid"),
            ("vehicle_pose", "key.frame_timestamp_micros", 1, 7, f"no pose at {TIMES[1]}"),
            ("camera_calibration", "intrinsic.f_u", 2, 0.0, "without size or focal length"),
            ("camera_calibration", "intrinsic.k1", 2, np.nan, "without size or focal length"),
            ("camera_calibration", "width", 2, None, "without size or focal length"),
            ("camera_calibration", "key.camera_name", 2, 7, "lacks camera FRONT_RIGHT"),
            ("camera_image", "pose.transform", 3, [np.inf] * 16, "no list of 16 numbers"),
            ("lidar_box", "box.center.x", 3, np.nan, "without place or size"),
            ("lidar_box", "box.size.z", 3, 0.0, "without place or size"),
            ("lidar_box", "type", 3, 5, "unknown type"),
            ("lidar_box", "num_lidar_points_in_box", 3, -7, "no count"),
            ("lidar_box", "key.laser_object_id", 1, "object-00", "object twice in a frame"),
            ("lidar", "key.laser_name", 6, 1, "two rows of the same frame and laser_name"),
            ("lidar", "key.laser_name", 6, 8, "no row of LiDAR FRONT"),
        ],
    )  # fmt: skip
    def test_a_value_that_cannot_be_is_named(
        self, copy: Path, component: str, name: str, row: int, value: Any, words: str
    ) -> None:
        file = change_value(copy, component, name, row, value)
        with pytest.raises(DataError) as caught:
            read_all(copy)
        assert str(file) in caught.value.message
        assert words in str(caught.value)
        assert caught.value.hint

    def test_a_camera_without_a_row_is_left_out_of_the_frame(self, copy: Path) -> None:
        edit(copy, "camera_image", lambda table: table.take([0, 1, 2, 3, 4, 5, 6, 8, 9]))
        first, second = open_dataset(NAME, copy)
        assert len(first.cameras) == 5
        assert [camera.name for camera in second.cameras] == ["FRONT", "FRONT_LEFT", "SIDE_LEFT", "SIDE_RIGHT"]
        assert set(second.pixels.camera.tolist()) == {0, 1, 2, 3}

    def test_a_second_return_may_be_absent(self, root: Path, copy: Path) -> None:
        frame = open_dataset(NAME, root).frame(1)
        for part in ("values", "shape"):
            edit(copy, "lidar", with_column("lidar", f"range_image_return2.{part}", [None] * 10))
        first = open_dataset(NAME, copy).frame(1)
        np.testing.assert_array_equal(first.points, frame.points[frame.channels["return"] == 1])

    def test_a_velocity_that_is_no_number_leaves_the_stated_pose(self, copy: Path) -> None:
        change_value(copy, "camera_image", "velocity.linear_velocity.x", 5, np.nan)
        camera = open_dataset(NAME, copy).frame(1).cameras[0]
        segment = Segment(copy / FOLDER, written.CONTEXT)
        stated = np.array(column(copy, "camera_image", "pose.transform")[5]).reshape(4, 4)
        mounted = written.camera_to_vehicle("FRONT")
        to_camera = geometry.invert(stated @ mounted) @ segment.vehicle_pose(TIMES[1])
        np.testing.assert_allclose(camera.lidar_to_camera[2], to_camera[0], atol=1e-9)  # z looks along Waymo's x

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_bytes_changed_anywhere_give_a_frame_or_a_named_error(self, plain: Path, data: st.DataObject) -> None:
        """Uncompressed and without checksums, so that damage reaches the values."""
        path = file_of(plain, data.draw(st.sampled_from(list(COMPONENTS))))
        whole = path.read_bytes()
        damaged = bytearray(whole)
        footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
        for place in data.draw(
            st.lists(st.integers(0, footer) | st.integers(0, len(whole) - 1), min_size=1, max_size=5)
        ):
            damaged[place] = data.draw(st.integers(0, 255))
        path.write_bytes(damaged)
        error = None
        try:
            with np.errstate(all="ignore"):
                read_all(plain)
        except DataError as caught:
            error = caught
        finally:
            path.write_bytes(whole)
        if error is not None:
            assert str(plain) in error.message
            assert error.hint
