"""Waymo's parquet: points and pixels against naive re-implementations and the official tools; labels; options."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation

from tests.xmodal_core.datasets.waymo_files import (
    FOLDER,
    TIMES,
    column,
    edit,
    file_of,
    full,
    with_column,
)
from xmodal_core import geometry
from xmodal_core.datasets import _example, open_dataset
from xmodal_core.datasets import _waymo_example as written
from xmodal_core.datasets._waymo_classes import CAMERAS, LIDARS, SEGMENTATION
from xmodal_core.datasets._waymo_segment import COMPONENTS
from xmodal_core.errors import DataError, InputError
from xmodal_core.points.pillars import PillarsConfig
from xmodal_core.train.batch import stack_channels
from xmodal_core.types import Frame
from xmodal_core.units.discovery import discover

NAME = "waymo"
Root = Callable[[str], Path]


def rows(root: Path, component: str) -> list[dict[str, Any]]:
    """The rows of a component by the plain names of its columns."""
    prefix = f"[{COMPONENTS[component]}]."
    return [
        {name.removeprefix(prefix).removeprefix("key."): value for name, value in row.items()}
        for row in pq.read_table(file_of(root, component)).to_pylist()
    ]


def image_of(row: dict[str, Any], echo: int) -> np.ndarray:
    return np.array(row[f"range_image_return{echo}.values"], dtype=np.float64).reshape(
        row[f"range_image_return{echo}.shape"]
    )


def matrix(row: dict[str, Any], name: str) -> np.ndarray:
    return np.array(row[name], dtype=np.float64).reshape(4, 4)


@pytest.fixture
def frame(root: Path) -> Frame:
    return open_dataset(NAME, root).frame(1)


class TestPoints:
    def test_equal_a_loop_over_pixels_in_the_words_of_the_format(self, root: Path, frame: Frame) -> None:
        calibrations = {row["laser_name"]: row for row in rows(root, "lidar_calibration")}
        poses = {row["frame_timestamp_micros"]: row for row in rows(root, "lidar_pose")}
        vehicle = {row["frame_timestamp_micros"]: row for row in rows(root, "vehicle_pose")}
        images = {row["laser_name"]: row for row in rows(root, "lidar") if row["frame_timestamp_micros"] == TIMES[1]}
        wanted, values = [], []
        for lidar in range(1, 6):
            calibration = calibrations[lidar]
            extrinsic = matrix(calibration, "extrinsic.transform")
            for echo in (1, 2):
                image = image_of(images[lidar], echo)
                height, width = image.shape[:2]
                for i, j in zip(*np.nonzero(image[..., 0] > 0), strict=True):
                    values.append((*image[i, j, 1:], height - 1 - i, j, lidar, echo))
                    if len(values) % 29:
                        wanted.append(np.full(3, np.nan))
                        continue
                    if calibration["beam_inclination.values"]:
                        elevation = calibration["beam_inclination.values"][height - 1 - i]
                    else:
                        low, high = calibration["beam_inclination.min"], calibration["beam_inclination.max"]
                        elevation = low + (height - 1 - i + 0.5) / height * (high - low)
                    azimuth = (2 * (width - j - 0.5) / width - 1) * np.pi - np.arctan2(extrinsic[1, 0], extrinsic[0, 0])
                    ray = (
                        np.cos(azimuth) * np.cos(elevation),
                        np.sin(azimuth) * np.cos(elevation),
                        np.sin(elevation),
                    )
                    point = extrinsic @ (*(image[i, j, 0] * np.array(ray)), 1.0)
                    if lidar == 1:
                        pixel = image_of(poses[TIMES[1]], 1)[i, j]
                        world = Rotation.from_euler("xyz", pixel[:3]).apply(point[:3]) + pixel[3:]
                        point = np.linalg.inv(matrix(vehicle[TIMES[1]], "world_from_vehicle.transform")) @ (*world, 1)
                    wanted.append(point[:3])
        assert len(frame) == len(wanted) > 10_000
        chosen = np.isfinite(np.array(wanted)[:, 0])
        np.testing.assert_allclose(frame.points[chosen], np.array(wanted)[chosen], atol=1e-5)
        intensity, elongation, zone, ring, place, lidar, echo = np.array(values).T
        np.testing.assert_allclose(frame.channels["intensity"], np.tanh(intensity), atol=1e-6)
        np.testing.assert_allclose(frame.channels["elongation"], elongation, atol=1e-6)
        for name, found in (("ring", ring), ("column", place), ("lidar", lidar), ("return", echo)):
            np.testing.assert_array_equal(frame.channels[name], found)
        np.testing.assert_array_equal(frame.channels["no_label_zone"], zone > 0)
        assert 0 < frame.channels["no_label_zone"].mean() < 1

    def test_equal_those_of_the_official_tool(self, frame: Frame) -> None:
        """waymo-open-dataset-tf-2-12-0 1.6.7, v2 ``convert_range_image_to_point_cloud`` on the files of the example:
        its points of frame 1, LiDAR after LiDAR, return after return. It computes in float32, so TOP's are off by up
        to 2 mm."""
        golden = {
            40: (8.7266, 59.2275, 4.6782),
            3000: (-46.7832, 1.0098, -0.2299),
            5222: (-5.3379, -17.5830, -0.0970),
            7000: (7.7529, -10.0986, -0.0016),
            8800: (6.0088, -7.0474, 0.0019),
            9660: (20.8809, 7.3608, 0.1339),
            9900: (12.1268, 8.0568, 0.0929),
            11000: (4.8341, -4.9192, 0.0045),
            12500: (3.6843, -1.4743, 0.0125),
        }
        assert len(frame) == 13_846
        np.testing.assert_allclose(frame.points[list(golden)], list(golden.values()), atol=2e-3)
        np.testing.assert_allclose(
            frame.points[[9900, 11000, 12500]], [golden[k] for k in (9900, 11000, 12500)], atol=1e-4
        )

    def test_the_pose_of_each_pixel_of_top_is_used(self, root: Path, copy: Path) -> None:
        """With the first column's pose for all, the wall of 60 m is no circle any more."""
        sharp = open_dataset(NAME, root, {"lidars": ["TOP"]}).frame(0)

        def stop(table: pa.Table) -> pa.Table:
            name = full("lidar_pose", "range_image_return1.values")
            images = np.array(table.column(name).to_pylist(), dtype=np.float32).reshape(2, *written.TOP_SHAPE, 6)
            still = np.broadcast_to(images[:, :, :1], images.shape).reshape(2, -1)
            return with_column("lidar_pose", "range_image_return1.values", list(still))(table)

        edit(copy, "lidar_pose", stop)
        smeared = open_dataset(NAME, copy, {"lidars": ["TOP"]}).frame(0)
        wall = sharp.channels["no_label_zone"] == 1
        to_world = geometry.invert(written.MAP) @ sharp.pose

        def off(frame: Frame) -> np.ndarray:
            return np.abs(np.hypot(*geometry.transform_points(to_world, frame.points[wall]).T[:2]) - 60.0)

        assert off(sharp).max() < 0.01
        assert off(smeared).max() > 0.5

    def test_a_file_may_have_another_order_more_columns_and_other_types(self, root: Path, copy: Path) -> None:
        for component in COMPONENTS:

            def loosen(table: pa.Table, component: str = component) -> pa.Table:
                for place, field in enumerate(table.schema):
                    values = table.column(field.name).to_pylist()
                    if field.name.endswith("transform"):
                        kind = pa.list_(pa.float32(), 16) if component != "vehicle_pose" else pa.list_(pa.float64())
                        table = table.set_column(place, field.name, pa.array(values, kind))
                    elif field.name.endswith(".values"):
                        table = table.set_column(place, field.name, pa.array(values, pa.large_list(pa.float64())))
                    elif field.name.endswith(("laser_name", "camera_name")):
                        names = LIDARS if "laser" in field.name else CAMERAS
                        table = table.set_column(place, field.name, pa.array([names[value - 1] for value in values]))
                table = table.append_column("[NewComponent].what", pa.array(["?"] * len(table)))
                return table.select(table.schema.names[::-1]).take(list(range(len(table)))[::-1])

            edit(copy, component, loosen)
        for whole, loose in zip(open_dataset(NAME, root), open_dataset(NAME, copy), strict=True):
            np.testing.assert_allclose(loose.points, whole.points, atol=1e-4)  # extrinsics in float32
            np.testing.assert_array_equal(loose.channels["intensity"], whole.channels["intensity"])
            np.testing.assert_array_equal(loose.boxes.track[::-1], whole.boxes.track)
            np.testing.assert_array_equal(loose.pixels.point, whole.pixels.point)
            for one, other in zip(loose.cameras, whole.cameras, strict=True):
                np.testing.assert_array_equal(one.image(), other.image())
                # The camera's pose in the map is only good to half a millimetre in float32.
                np.testing.assert_allclose(one.lidar_to_camera, other.lidar_to_camera, atol=2e-3)
                np.testing.assert_allclose(
                    one.lidar_to_camera[:3, :3] @ one.lidar_to_camera[:3, :3].T, np.eye(3), atol=1e-9
                )

    def test_what_is_no_number_is_dropped_with_all_that_is_its(self, root: Path, copy: Path) -> None:
        whole = open_dataset(NAME, root).frame(0)
        values = column(copy, "lidar", "range_image_return1.values")
        top = np.array(values[0], dtype=np.float32).reshape(*written.TOP_SHAPE, 4)
        row, place = np.nonzero(top[..., 0] > 0)
        gone = [5, 900, 4000, 7000]
        for k, (channel, value) in zip(gone, ((0, np.nan), (0, np.inf), (1, np.nan), (2, 3e38)), strict=True):
            top[row[k], place[k], channel] = value
        values[0] = top.ravel()
        edit(copy, "lidar", with_column("lidar", "range_image_return1.values", values))
        frame = open_dataset(NAME, copy).frame(0)
        np.testing.assert_array_equal(frame.points, np.delete(whole.points, gone, axis=0))
        np.testing.assert_array_equal(frame.semantic.label, np.delete(whole.semantic.label, gone))
        for name, channel in frame.channels.items():
            np.testing.assert_array_equal(channel, np.delete(whole.channels[name], gone))
        left = ~np.isin(whole.pixels.point, gone)
        assert not left.all()
        np.testing.assert_array_equal(frame.pixels.u, whole.pixels.u[left])
        np.testing.assert_array_equal(frame.points[frame.pixels.point], whole.points[whole.pixels.point[left]])

    def test_its_channels_are_those_of_openpcdets_network(self, frame: Frame) -> None:
        names = PillarsConfig.presets["waymo"]["channels"]
        fed = stack_channels(frame, names)
        assert names == ("intensity", "elongation")
        assert fed[:, 0].max() == 1.0 == frame.sensor.intensity_max
        np.testing.assert_array_equal(fed[:, 1], frame.channels["elongation"])

    def test_the_native_range_image(self, root: Path, frame: Frame) -> None:
        dataset = open_dataset(NAME, root)
        assert dataset.range_image(1, "REAR").shape == (*written.SIDE_SHAPE, 4)
        image = dataset.range_image(1)
        mine = (frame.channels["lidar"] == 1) & (frame.channels["return"] == 1)
        row = len(image) - 1 - frame.channels["ring"][mine].astype(int)
        stored = image[row, frame.channels["column"][mine].astype(int)]
        np.testing.assert_allclose(np.tanh(stored[:, 1]), frame.channels["intensity"][mine], atol=1e-7)
        np.testing.assert_array_equal(stored[:, 2], frame.channels["elongation"][mine])
        assert (image[..., 0] > 0).sum() == mine.sum()
        with pytest.raises(InputError, match="unknown LiDAR 'BOTTOM'"):
            dataset.range_image(0, "BOTTOM")


class TestPixels:
    def test_are_the_rolling_shutters_by_a_loop_over_points(self, root: Path, frame: Frame) -> None:
        """The vehicle moves on steadily from the pose that camera_image states; a column's time is asked for until it
        no longer changes. The files cut pixels off to whole ones."""
        images = {
            row["camera_name"]: row for row in rows(root, "camera_image") if row["frame_timestamp_micros"] == TIMES[1]
        }
        models = {row["camera_name"]: row for row in rows(root, "camera_calibration")}
        pixels = frame.pixels
        world = frame.points.astype(np.float64) @ frame.pose[:3, :3].T + frame.pose[:3, 3]
        for k in range(0, len(pixels), 97):
            number = int(pixels.camera[k]) + 1
            u, v = naive_pixel(world[pixels.point[k]], images[number], models[number])
            assert abs(u - 0.5 - pixels.u[k]) < 0.52
            assert abs(v - 0.5 - pixels.v[k]) < 0.52

    def test_are_those_of_the_official_tool(self, frame: Frame) -> None:
        """waymo-open-dataset-tf-2-12-0 1.6.7, ``world_to_image`` on the example's frame 1: point, camera, u and v, from
        the first pixel's centre on."""
        golden = [
            (84, 0, 182.31, 52.23),
            (5627, 0, 119.11, 89.65),
            (11889, 0, 50.78, 73.50),
            (65, 1, 176.99, 53.38),
            (5153, 1, 73.59, 86.50),
            (103, 2, 183.64, 53.18),
            (11955, 2, 7.14, 107.71),
            (47, 3, 184.17, 33.27),
            (11817, 3, 93.16, 13.17),
            (122, 4, 185.88, 33.24),
            (4169, 4, 159.06, 59.73),
        ]
        for point, camera, u, v in golden:
            (row,) = np.flatnonzero((frame.pixels.point == point) & (frame.pixels.camera == camera))
            assert abs(frame.pixels.u[row] - u) < 0.6
            assert abs(frame.pixels.v[row] - v) < 0.6
        # One model for the whole picture cannot be as good.
        models = [frame.cameras[camera].project(frame.points[[point]]).uv[0, 0] for point, camera, *_ in golden]
        assert np.abs(np.array(models) - [u for *_, u, _ in golden]).max() > 1.5

    def test_show_what_the_points_hit_better_than_the_models(self, root: Path) -> None:
        exact, modelled, count = 0, 0, 0
        for frame in open_dataset(NAME, root):
            pixels = frame.pixels
            hit = np.round((frame.channels["intensity"] * 255 - 20) / 30).astype(int) - 3
            use = (hit >= 0) & (frame.channels["intensity"] < 1) & (frame.channels["return"] == 1)
            for number, camera in enumerate(frame.cameras):
                mine = (pixels.camera == number) & use[pixels.point]
                point = pixels.point[mine]

                def right(uv: np.ndarray, image: np.ndarray, colour: np.ndarray) -> int:
                    across, down = np.round(uv).astype(int).T
                    return int((np.abs(image[down, across] - colour).sum(axis=1) < 60).sum())

                shown = camera.image().astype(int), _example.colour_of(hit[point])
                seen = np.clip(camera.project(frame.points[point]).uv, 0, (camera.width - 1, camera.height - 1))
                exact += right(np.stack([pixels.u[mine], pixels.v[mine]], axis=1), *shown)
                modelled += right(seen, *shown)
                count += len(point)
        assert count > 500
        assert exact / count > 0.95 > 0.9 > modelled / count

    def test_the_model_is_the_camera_at_the_middle_of_its_exposure(self, frame: Frame) -> None:
        pixels = frame.pixels
        for number, camera in enumerate(frame.cameras):
            mine = (pixels.camera == number) & (np.abs(pixels.u - camera.width / 2) < 4)
            seen = camera.project(frame.points[pixels.point[mine]])
            assert np.abs(seen.uv[:, 0] - pixels.u[mine]).max() < 0.8
            at_edge = (pixels.camera == number) & (np.abs(pixels.u - camera.width / 2) > 80)
            edge = camera.project(frame.points[pixels.point[at_edge]])
            assert np.abs(edge.uv[:, 0] - pixels.u[at_edge]).max() > 1.0

    def test_are_sorted_unique_and_well_inside(self, frame: Frame) -> None:
        pixels = frame.pixels
        key = pixels.point * 5 + pixels.camera
        assert (np.diff(key) > 0).all()
        assert set(pixels.camera.tolist()) == set(range(5))
        assert (np.bincount(pixels.point) == 2).any()
        size = np.array([(camera.width, camera.height) for camera in frame.cameras])[pixels.camera]
        assert ((pixels.u > 1) & (pixels.u < size[:, 0] - 1) & (pixels.v > 1) & (pixels.v < size[:, 1] - 1)).all()

    def test_are_numbered_by_the_cameras_asked_for(self, root: Path, frame: Frame) -> None:
        some = open_dataset(NAME, root, {"cameras": ["SIDE_LEFT", "FRONT"]}).frame(1)
        assert [camera.name for camera in some.cameras] == ["SIDE_LEFT", "FRONT"]
        for number, name in enumerate(("SIDE_LEFT", "FRONT")):
            mine, whole = some.pixels.camera == number, frame.pixels.camera == CAMERAS.index(name)
            np.testing.assert_array_equal(some.pixels.point[mine], frame.pixels.point[whole])
            np.testing.assert_array_equal(some.pixels.u[mine], frame.pixels.u[whole])

    def test_without_cameras_nothing_is_seen(self, root: Path) -> None:
        frame = open_dataset(NAME, root, {"cameras": []}).frame(0)
        assert len(frame.pixels) == 0
        assert discover(frame).count == 0

    def test_of_a_file_with_fractions_are_moved_by_half_a_pixel(self, copy: Path, frame: Frame) -> None:
        for echo in (1, 2):
            name = f"range_image_return{echo}.values"
            images = [np.array(values).reshape(-1, 6) for values in column(copy, "lidar_camera_projection", name)]
            for image in images:
                image[:, [1, 2, 4, 5]] += 0.5
            change = with_column("lidar_camera_projection", name, [image.ravel() for image in images])
            edit(copy, "lidar_camera_projection", change)
        fractions = open_dataset(NAME, copy).frame(1).pixels
        np.testing.assert_array_equal(fractions.u, frame.pixels.u)

    def test_units_take_them_and_without_them_the_models(self, root: Path, copy: Path, frame: Frame) -> None:
        assert discover(frame).pixels is frame.pixels
        shutil.rmtree(copy / FOLDER / "lidar_camera_projection")
        dataset = open_dataset(NAME, copy)
        (note,) = dataset.notes()
        assert "lidar_camera_projection" in note
        assert open_dataset(NAME, root).notes() == ()
        for without in (dataset.frame(1), open_dataset(NAME, root, {"exact_pixels": False}).frame(1)):
            assert without.pixels is None
            units = discover(without)
            assert units.count > 20
            np.testing.assert_array_equal(units.pixels.u, geometry.pixels(frame.cameras, frame.points).u)


def naive_pixel(world: np.ndarray, image: dict[str, Any], model: dict[str, Any]) -> tuple[float, float]:
    """Where a camera with a rolling shutter sees a point, from the picture's edge."""
    pose, extrinsic = matrix(image, "pose.transform"), matrix(model, "extrinsic.transform")
    linear = np.array([image[f"velocity.linear_velocity.{axis}"] for axis in "xyz"])
    angular = np.array([image[f"velocity.angular_velocity.{axis}"] for axis in "xyz"])
    shutter = image["rolling_shutter_params.shutter"]
    trigger = image["rolling_shutter_params.camera_trigger_time"]
    readout = image["rolling_shutter_params.camera_readout_done_time"] - trigger - shutter
    f_u, f_v, c_u, c_v = (model[f"intrinsic.{term}"] for term in ("f_u", "f_v", "c_u", "c_v"))
    k1, k2, p1, p2, k3 = (model[f"intrinsic.{term}"] for term in ("k1", "k2", "p1", "p2", "k3"))
    u = v = c_u
    for _ in range(15):
        share = u / model["width"] if model["rolling_shutter_direction"] == 2 else 1 - u / model["width"]
        later = trigger + shutter / 2 + readout * share - image["pose_timestamp"]
        turned = pose[:3, :3] @ Rotation.from_rotvec(angular * later).as_matrix()
        vehicle = turned.T @ (world - pose[:3, 3] - linear * later)
        x, y, z = np.linalg.inv(extrinsic)[:3] @ (*vehicle, 1.0)
        a, b = -y / x, -z / x
        r2 = a * a + b * b
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        u = f_u * (a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a)) + c_u
        v = f_v * (b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b) + c_v
    return u, v


class TestLabels:
    def test_boxes_keep_what_is_stated_of_them(self, frame: Frame) -> None:
        boxes = frame.boxes
        assert [boxes.classes[label] for label in boxes.label] == ["vehicle", "pedestrian", "vehicle", "vehicle"]
        assert boxes.difficulty.tolist() == [0, 0, 2, 0]
        for number in range(len(boxes)):
            inside = geometry.points_in_box(frame.points, boxes, number, margin=0.05)
            assert inside.sum() >= 0.9 * boxes.points[number] > 20

    def test_velocities_are_along_the_vehicles_axes(self, root: Path) -> None:
        """The first car's heading is its direction of travel, in the world and so in every frame."""
        first, second = (frame.boxes for frame in open_dataset(NAME, root))
        speed = np.hypot(3.0, 0.75)
        np.testing.assert_allclose(np.hypot(*first.velocity[0]), speed, atol=1e-4)
        direction = np.arctan2(second.velocity[0, 1], second.velocity[0, 0])
        assert direction == pytest.approx(np.arctan2(0.75, 3.0) - 0.1 * written.YAW_RATE, abs=1e-4)

    def test_an_object_keeps_its_number_whatever_the_order_of_rows(self, copy: Path) -> None:
        edit(copy, "lidar_box", lambda table: table.take([7, 1, 2, 5, 0, 4, 3, 6]))
        first, second = (frame.boxes for frame in open_dataset(NAME, copy))
        for one, other in zip(first.track, first.size, strict=True):
            np.testing.assert_array_equal(second.size[second.track == one][0], other)

    def test_columns_that_may_be_absent(self, copy: Path) -> None:
        absent = ["speed.x", "num_lidar_points_in_box", "difficulty_level.detection"]
        edit(copy, "lidar_box", lambda table: table.drop_columns([full("lidar_box", name) for name in absent]))
        boxes = open_dataset(NAME, copy).frame(0).boxes
        assert np.isnan(boxes.velocity).all()
        assert boxes.points.tolist() == [-1] * 4
        assert boxes.difficulty.tolist() == [0] * 4

    def test_a_frame_without_boxes_has_none(self, copy: Path) -> None:
        edit(copy, "lidar_box", lambda table: table.slice(0, 4))
        assert [len(frame.boxes) for frame in open_dataset(NAME, copy)] == [4, 0]

    def test_classes_of_both_returns_of_top(self, root: Path) -> None:
        frame = open_dataset(NAME, root).frame(0)
        label, top = frame.semantic.label, frame.channels["lidar"] == 1
        assert not label[~top].any()
        hit = np.round((frame.channels["intensity"] * 255 - 20) / 30).astype(int) - 3
        marker = frame.channels["intensity"] == 1
        wanted = np.array([SEGMENTATION.index(name) for name in written.CLASSES])[hit * ~marker] * ~marker
        np.testing.assert_array_equal(label[top], wanted[top])
        second = top & (frame.channels["return"] == 2)
        assert second.sum() > 50
        assert {SEGMENTATION[k] for k in label[second]} == {"road"}

    def test_only_some_frames_have_classes(self, root: Path) -> None:
        dataset = open_dataset(NAME, root)
        assert dataset.frame(1).semantic is None
        assert dataset.label_classes()["semantic"] == list(SEGMENTATION)
        segmented = open_dataset(NAME, root, {"segmented": True})
        assert [frame.name for frame in segmented] == [dataset.name(0)]
        assert open_dataset(NAME, root, {"lidars": ["REAR"]}).frame(0).semantic is None

    @pytest.mark.parametrize("component", ["lidar_box", "lidar_segmentation"])
    def test_without_the_component_there_are_no_labels(self, copy: Path, component: str) -> None:
        shutil.rmtree(copy / FOLDER / component)
        dataset = open_dataset(NAME, copy)
        frame = dataset.frame(0)
        assert (frame.boxes is None) == (component == "lidar_box")
        assert (frame.semantic is None) == (component == "lidar_segmentation")
        assert len(dataset.label_classes()) == 1
        assert component in dataset.notes()[0]


class TestOptions:
    def test_lidars_and_returns_are_parts_of_the_whole(self, root: Path, frame: Frame) -> None:
        part = open_dataset(NAME, root, {"lidars": ["REAR", "TOP"], "returns": [2]}).frame(1)
        lidar, echo = frame.channels["lidar"], frame.channels["return"]
        wanted = [frame.points[(lidar == number) & (echo == 2)] for number in (5, 1)]
        np.testing.assert_array_equal(part.points, np.concatenate(wanted))

    def test_without_cameras_and_top_three_components_are_enough(self, copy: Path) -> None:
        for component in set(COMPONENTS).difference(["lidar", "lidar_calibration"]):
            shutil.rmtree(copy / FOLDER / component)
        sides = [name for name in LIDARS if name != "TOP"]
        frame = open_dataset(NAME, copy, {"lidars": sides, "cameras": []}).frame(0)
        assert len(frame) > 4000
        assert (frame.pose, frame.cameras, frame.boxes, frame.pixels) == (None, (), None, None)
        with pytest.raises(DataError, match=r"lidar_pose.*is missing.*leave the LiDAR TOP out"):
            open_dataset(NAME, copy, {"cameras": []}).frame(0)
        with pytest.raises(DataError, match=r"camera_image.*is missing.*dataset\.cameras=\[\]"):
            open_dataset(NAME, copy, {"lidars": sides}).frame(0)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"lidars": ["BOTTOM"]}, "unknown LiDAR 'BOTTOM'.*known: TOP"),
            ({"lidars": ["TOP", "TOP"]}, "LiDAR is chosen twice"),
            ({"lidars": []}, "nothing to read"),
            ({"returns": [3]}, "nothing to read"),
            ({"returns": []}, "nothing to read"),
            ({"split": "validation"}, "unknown split 'validation'.*known: training"),
        ],
    )
    def test_what_cannot_be_is_refused(self, root: Path, options: dict[str, Any], words: str) -> None:
        with pytest.raises(InputError, match=words):
            open_dataset(NAME, root, options)

    def test_splits_are_folders_with_their_short_names(self, copy: Path) -> None:
        (copy / FOLDER).rename(copy / "validation")
        shutil.copytree(copy / "validation", copy / "domain_adaptation")
        dataset = open_dataset(NAME, copy)
        assert dataset.splits() == ("validation", "domain_adaptation")
        assert open_dataset(NAME, copy, {"split": "val"}).name(0) == dataset.name(0)
        assert len(open_dataset(NAME, copy / "domain_adaptation")) == 2
        with pytest.raises(InputError, match=r"unknown split 'validation'.*known: domain_adaptation"):
            open_dataset(NAME, copy / "domain_adaptation", {"split": "validation"})

    def test_a_segment_that_is_not_whole_is_named_or_left_out(self, copy: Path) -> None:
        for component in COMPONENTS:
            shutil.copy(file_of(copy, component), file_of(copy, component, "another"))
        assert len(open_dataset(NAME, copy)) == 4
        file_of(copy, "lidar_box", "another").unlink()
        dataset = open_dataset(NAME, copy)
        with pytest.raises(DataError, match=r"lidar_box/another\.parquet is missing.*skip_missing=true"):
            list(dataset)
        dataset = open_dataset(NAME, copy, {"skip_missing": True})
        assert len(list(dataset)) == 2
        assert any("segments left out" in note for note in dataset.notes())
        assert {frame.scene for frame in dataset} == {written.CONTEXT}

    def test_a_segment_without_range_images_is_told(self, copy: Path) -> None:
        whole = open_dataset(NAME, copy).notes()
        shutil.copy(file_of(copy, "camera_image"), file_of(copy, "camera_image", "another"))
        dataset = open_dataset(NAME, copy)
        assert len(dataset) == 2
        assert set(dataset.notes()) - set(whole) == {"segments left out, of which files are missing or cut short: 1"}

    def test_a_segment_that_is_cut_short_is_named_or_left_out(self, copy: Path) -> None:
        for component in COMPONENTS:
            shutil.copy(file_of(copy, component), file_of(copy, component, "another"))
        file = file_of(copy, "lidar", "another")
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(DataError, match=r"another\.parquet is damaged or cut short"):
            open_dataset(NAME, copy)
        dataset = open_dataset(NAME, copy, {"skip_missing": True})
        assert {frame.scene for frame in dataset} == {written.CONTEXT}
        assert any("segments left out" in note for note in dataset.notes())
