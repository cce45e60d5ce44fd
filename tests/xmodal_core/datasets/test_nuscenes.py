from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xmodal_core.datasets import _example, _nuscenes_example, open_dataset
from xmodal_core.datasets._nuscenes_classes import DETECTION, OTHER, SEGMENTATION
from xmodal_core.datasets.nuscenes import NuScenes
from xmodal_core.errors import DataError
from xmodal_core.geometry import invert, points_in_box, transform_points

NAME = "nuscenes"
VERSION = _nuscenes_example.VERSION
Change = Callable[[list[dict[str, Any]]], object]


def edit(root: Path, table: str, change: Change) -> None:
    file = root / VERSION / f"{table}.json"
    rows = json.loads(file.read_text())
    change(rows)
    file.write_text(json.dumps(rows))


class TestProjection:
    def test_equals_a_chain_of_scipy_rotations_read_straight_from_the_tables(self, root: Path) -> None:
        tables = {
            name: {row["token"]: row for row in json.loads((root / VERSION / f"{name}.json").read_text())}
            for name in ("sample_data", "ego_pose", "calibrated_sensor", "sensor")
        }
        dataset = open_dataset("nuscenes", root)
        frame = dataset.frame(1)
        files = {}
        for row in tables["sample_data"].values():
            if row["sample_token"] == frame.name and row["is_key_frame"]:
                calibrated = tables["calibrated_sensor"][row["calibrated_sensor_token"]]
                files[tables["sensor"][calibrated["sensor_token"]]["channel"]] = (
                    calibrated,
                    tables["ego_pose"][row["ego_pose_token"]],
                )

        def turn(pose: dict[str, Any]) -> Rotation:
            w, x, y, z = pose["rotation"]
            return Rotation.from_quat([x, y, z, w])

        calibrated, ego = files["LIDAR_TOP"]
        points = turn(calibrated).apply(frame.points.astype(float)) + calibrated["translation"]
        world = turn(ego).apply(points) + ego["translation"]
        assert len(frame.cameras) == 6
        for camera in frame.cameras:
            calibrated, ego = files[camera.name]
            points = turn(ego).inv().apply(world - ego["translation"])
            points = turn(calibrated).inv().apply(points - calibrated["translation"])
            seen = camera.project(frame.points)
            wanted = points @ np.array(calibrated["camera_intrinsic"]).T
            ahead = points[:, 2] > 1.0
            np.testing.assert_allclose(
                seen.uv[ahead & seen.inside], (wanted[:, :2] / wanted[:, 2:])[ahead & seen.inside], atol=2e-3
            )
            np.testing.assert_allclose(seen.depth, points[:, 2], atol=1e-4)
            assert seen.inside.sum() > 100

    def test_each_camera_uses_its_own_ego_pose(self, root: Path) -> None:
        """The vehicle drives on between the exposures: with one pose for all, the transforms would be the mounts'."""
        frame = open_dataset("nuscenes", root).frame(1)
        for camera in frame.cameras:
            mount = invert(_nuscenes_example._camera_to_ego(camera.name)) @ _nuscenes_example.LIDAR_TO_EGO
            off = np.abs(camera.lidar_to_camera - mount).max()
            assert 1e-4 < off < 0.2

    def test_cameras_come_in_the_order_asked_for(self, root: Path) -> None:
        wanted = ["CAM_BACK", "CAM_FRONT"]
        frame = open_dataset("nuscenes", root, {"cameras": wanted}).frame(0)
        assert [camera.name for camera in frame.cameras] == wanted

    def test_a_camera_without_a_row_is_left_out(self, copy: Path) -> None:
        edit(
            copy,
            "sample_data",
            lambda rows: rows.__setitem__(slice(None), [r for r in rows if "/CAM_BACK_" not in r["filename"]]),
        )
        frame = open_dataset("nuscenes", copy).frame(0)
        assert [camera.name for camera in frame.cameras] == [
            "CAM_FRONT",
            "CAM_FRONT_RIGHT",
            "CAM_BACK",
            "CAM_FRONT_LEFT",
        ]


class TestBoxes:
    def test_they_lie_where_the_things_are(self, root: Path) -> None:
        frame = open_dataset("nuscenes", root).frame(1)
        assert frame.boxes is not None
        assert frame.pose is not None
        time = _nuscenes_example.KEY_PERIOD
        to_lidar = invert(frame.pose) @ _nuscenes_example.WORLD_TO_MAP
        for number, thing in enumerate(_example.THINGS):
            pose = to_lidar @ thing.pose(time)
            np.testing.assert_allclose(frame.boxes.centre[number], pose[:3, 3], atol=1e-4)
            np.testing.assert_allclose(frame.boxes.size[number], thing.size, atol=1e-6)
            heading = pose[:2, :2] @ (1, 0)
            yaw = frame.boxes.yaw[number]
            np.testing.assert_allclose((np.cos(yaw), np.sin(yaw)), heading, atol=1e-5)
            np.testing.assert_allclose(
                frame.boxes.velocity[number], (to_lidar[:3, :3] @ (*thing.velocity, 0))[:2], atol=1e-4
            )

    def test_they_hold_exactly_the_points_that_hit_the_thing(self, root: Path) -> None:
        frame = open_dataset("nuscenes", root).frame(1)
        assert frame.boxes is not None
        hit = np.round((frame.channels["intensity"] - 20) / 30).astype(int) - 3
        hit[-1] = _example.WALL  # the marker
        for number in range(len(_example.THINGS)):
            np.testing.assert_array_equal(points_in_box(frame.points, frame.boxes, number, margin=1e-3), hit == number)

    def test_classes_are_the_detection_classes_then_the_others_by_their_own_name(self, root: Path) -> None:
        boxes = open_dataset("nuscenes", root).frame(0).boxes
        assert boxes is not None
        assert boxes.classes == (*DETECTION, *OTHER)
        assert [boxes.classes[label] for label in boxes.label] == ["car", "pedestrian", "truck", "animal", "car"]

    def test_a_foreign_category_keeps_its_name_at_the_end(self, copy: Path) -> None:
        edit(
            copy,
            "category",
            lambda rows: [row.update(name="vehicle.tram") for row in rows if row["name"] == "vehicle.truck"],
        )
        boxes = open_dataset("nuscenes", copy).frame(0).boxes
        assert boxes is not None
        assert boxes.classes == (*DETECTION, *OTHER, "vehicle.tram")
        assert boxes.classes[boxes.label[2]] == "vehicle.tram"

    def test_tracks_follow_objects(self, copy: Path) -> None:
        edit(copy, "sample_annotation", lambda rows: rows.reverse())
        dataset = open_dataset("nuscenes", copy)
        first, second = dataset.frame(0).boxes, dataset.frame(1).boxes
        assert first is not None
        assert second is not None
        of_track = dict(zip(first.track.tolist(), first.size.tolist(), strict=True))
        assert len(of_track) == len(_example.THINGS)
        for track, size in zip(second.track.tolist(), second.size.tolist(), strict=True):
            assert of_track[track] == size

    def test_a_lone_annotation_has_no_velocity(self, copy: Path) -> None:
        edit(copy, "sample_annotation", lambda rows: [row.update(prev="", next="") for row in rows])
        boxes = open_dataset("nuscenes", copy).frame(0).boxes
        assert boxes is not None
        assert np.isnan(boxes.velocity).all()

    def test_a_frame_without_annotations_has_no_boxes_but_the_classes(self, copy: Path) -> None:
        first = open_dataset("nuscenes", copy).name(0)
        edit(
            copy,
            "sample_annotation",
            lambda rows: rows.__setitem__(slice(None), [row for row in rows if row["sample_token"] != first]),
        )
        boxes = open_dataset("nuscenes", copy).frame(0).boxes
        assert boxes is not None
        assert len(boxes) == 0
        assert boxes.classes[: len(DETECTION)] == DETECTION

    def test_a_version_without_annotations_has_no_boxes_and_says_so(self, copy: Path) -> None:
        """As v1.0-test, whose tables of them are empty."""
        for table in ("sample_annotation", "instance"):
            edit(copy, table, lambda rows: rows.clear())
        (copy / VERSION).rename(copy / "v1.0-test")
        edit_scene = copy / "v1.0-test" / "scene.json"
        edit_scene.write_text(edit_scene.read_text().replace("scene-0061", "scene-0077"))  # one of the split "test"
        dataset = open_dataset("nuscenes", copy)
        assert len(dataset) == 2
        assert dataset.frame(0).boxes is None
        assert dataset.boxes(0) is None
        assert "v1.0-test has no annotations, so frames have no boxes" in dataset.notes()


class TestRangeImage:
    def test_rows_are_beams_and_the_nearest_return_is_seen(self, root: Path) -> None:
        dataset = open_dataset("nuscenes", root)
        assert isinstance(dataset, NuScenes)
        frame, image = dataset.frame(1), dataset.range_image(1)
        assert image.shape == (32, 1024, 2)
        ranges = np.linalg.norm(frame.points, axis=1)
        for ring in (0, 7, 31):
            of_ring = ranges[frame.channels["ring"] == ring]
            seen = image[31 - ring, :, 0]
            assert (seen > 0).sum() == len(of_ring)  # the example has 180 columns
            np.testing.assert_allclose(np.sort(seen[seen > 0]), np.sort(of_ring), rtol=1e-6)

    def test_firings_have_a_column_each_and_the_vehicle_itself_is_no_return(self, copy: Path) -> None:
        file = sorted((copy / "samples" / "LIDAR_TOP").iterdir())[0]
        values = np.zeros((32 * 50, 5), dtype="<f4")
        values[:, 1], values[:, 3], values[:, 4] = 5 + np.arange(1600), 7, np.arange(1600) % 32
        values[40, :2] = 0.3, -0.9
        file.write_bytes(values.tobytes())
        dataset = open_dataset("nuscenes", copy)
        assert isinstance(dataset, NuScenes)
        wanted = values[:, 1].reshape(50, 32).T[::-1].copy()
        wanted[31 - 8, 1] = -1
        np.testing.assert_array_equal(dataset.range_image(0)[..., 0], wanted)

    def test_it_is_one_of_the_keyframe_whatever_the_sweeps(self, root: Path) -> None:
        one, many = open_dataset("nuscenes", root), open_dataset("nuscenes", root, {"n_sweeps": 3})
        assert isinstance(one, NuScenes)
        assert isinstance(many, NuScenes)
        np.testing.assert_array_equal(one.range_image(1), many.range_image(1))


class TestSweeps:
    def test_earlier_ones_follow_in_the_keyframes_frame_with_their_time_lag(self, root: Path) -> None:
        one = open_dataset("nuscenes", root).frame(1)
        three = open_dataset("nuscenes", root, {"n_sweeps": 3}).frame(1)
        np.testing.assert_array_equal(three.points[: len(one)], one.points)
        lags, counts = np.unique(three.channels["time_lag"], return_counts=True)
        np.testing.assert_allclose(lags, [0.0, 0.25, 0.5])
        assert counts.min() > 5000
        assert three.pose is not None
        world = transform_points(invert(_nuscenes_example.WORLD_TO_MAP) @ three.pose, three.points)
        hit = np.round((three.channels["intensity"] - 20) / 30).astype(int) - 3
        marker = three.channels["intensity"] == 255
        ground, wall = (hit == _example.GROUND) & ~marker, (hit == _example.WALL) & ~marker
        np.testing.assert_allclose(world[ground, 2], 0.0, atol=2e-3)
        np.testing.assert_allclose(np.hypot(*world[wall, :2].T), _example.WALL_RADIUS, atol=2e-2)

    def test_there_are_fewer_at_the_start_of_a_scene(self, root: Path) -> None:
        frame = open_dataset("nuscenes", root, {"n_sweeps": 10}).frame(0)
        assert np.unique(frame.channels["time_lag"]).tolist() == [0.0]

    def test_a_chain_that_leads_out_of_the_tables_ends(self, copy: Path) -> None:
        edit(copy, "sample_data", lambda rows: [row.update(prev="elsewhere") for row in rows])
        assert np.unique(open_dataset("nuscenes", copy, {"n_sweeps": 5}).frame(1).channels["time_lag"]).tolist() == [
            0.0
        ]

    def test_the_vehicles_own_returns_are_left_out_by_a_square(self, copy: Path) -> None:
        """As the devkit: |x| < 1 and |y| < 1, in each sweep's own sensor frame; a single sweep stays as stored."""
        for file in (copy / "samples" / "LIDAR_TOP").iterdir():
            values = np.frombuffer(file.read_bytes(), dtype="<f4").reshape(-1, 5).copy()
            values[0, :2], values[1, :2], values[2, :2] = (0.9, 0.9), (0.5, 1.1), (1.2, -0.1)
            file.write_bytes(values.tobytes())
        one = open_dataset("nuscenes", copy).frame(0)
        two = open_dataset("nuscenes", copy, {"n_sweeps": 2}).frame(0)
        np.testing.assert_array_equal(two.points, one.points[1:])
        assert two.semantic is not None
        assert one.semantic is not None
        np.testing.assert_array_equal(two.semantic.label, one.semantic.label[1:])

    def test_points_of_earlier_sweeps_have_no_class(self, root: Path) -> None:
        one = open_dataset("nuscenes", root).frame(1)
        two = open_dataset("nuscenes", root, {"n_sweeps": 2}).frame(1)
        assert one.semantic is not None
        assert two.semantic is not None
        np.testing.assert_array_equal(two.semantic.label[: len(one)], one.semantic.label)
        assert not two.semantic.label[len(one) :].any()

    def test_a_missing_one_is_named_with_the_way_out(self, copy: Path) -> None:
        lost = next((copy / "sweeps" / "LIDAR_TOP").iterdir())
        lost.unlink()
        open_dataset("nuscenes", copy).frame(1)
        with pytest.raises(DataError, match=rf"{lost.name} is missing.*n_sweeps=1"):
            open_dataset("nuscenes", copy, {"n_sweeps": 2}).frame(1)


class TestLabels:
    def test_they_are_the_sixteen_classes_by_name(self, root: Path) -> None:
        """The example's category rows are in another order than their indices."""
        frame = open_dataset("nuscenes", root).frame(0)
        assert frame.semantic is not None
        assert frame.semantic.classes == SEGMENTATION
        hit = np.round((frame.channels["intensity"] - 20) / 30).astype(int) - 3
        names = {-1: "driveable_surface", -2: "manmade", 0: "car", 1: "pedestrian", 2: "truck", 3: "ignore", 4: "car"}
        wanted = [SEGMENTATION.index(names[what]) for what in hit[:-1]]
        np.testing.assert_array_equal(frame.semantic.label, [*wanted, 0])

    def test_without_the_lidarseg_package_there_are_none(self, copy: Path) -> None:
        (copy / VERSION / "lidarseg.json").unlink()
        edit(copy, "category", lambda rows: [row.pop("index") for row in rows])
        assert open_dataset("nuscenes", copy).frame(0).semantic is None

    def test_a_category_table_without_index_is_named(self, copy: Path) -> None:
        edit(copy, "category", lambda rows: [row.pop("index") for row in rows])
        with pytest.raises(DataError, match=r"category\.json has no 'index'"):
            open_dataset("nuscenes", copy)

    def test_a_class_without_a_category_is_named(self, copy: Path) -> None:
        file = next((copy / "lidarseg" / VERSION).iterdir())
        file.write_bytes(bytes([200]) + file.read_bytes()[1:])
        with pytest.raises(DataError, match=rf"{file.name} holds class 200"):
            list(open_dataset("nuscenes", copy))

    def test_labels_for_another_number_of_points_are_named(self, copy: Path) -> None:
        file = next((copy / "lidarseg" / VERSION).iterdir())
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(DataError, match=rf"{file.name} holds \d+ labels for \d+ points"):
            list(open_dataset("nuscenes", copy))


def test_the_real_keyframe(real_data: Path) -> None:
    dataset = open_dataset("nuscenes", real_data / "nuscenes_keyframe")
    assert (len(dataset), dataset.scene(0)) == (1, "scene-0061")
    frame = dataset.frame(0)
    assert len(frame) == 34_688
    assert [camera.name for camera in frame.cameras][:2] == ["CAM_FRONT", "CAM_FRONT_RIGHT"]
    assert frame.cameras[0].image().shape == (900, 1600, 3)
    assert np.array_equal(frame.channels["ring"], np.arange(len(frame)) % 32)
    assert isinstance(dataset, NuScenes)
    assert dataset.range_image(0).shape == (32, 34_688 // 32, 2)
    assert (dataset.range_image(0)[..., 0] > 0).sum() == (np.abs(frame.points[:, :2]).max(axis=1) >= 1).sum()
    assert frame.boxes is not None
    assert len(frame.boxes) == 68
    assert frame.semantic is None
    # What devkit's own projection counts in each camera.
    assert [int(camera.project(frame.points).inside.sum()) for camera in frame.cameras] == [
        3053, 3076, 3369, 4820, 4089, 3696,
    ]  # fmt: skip
    table = json.loads((real_data / "nuscenes_keyframe" / VERSION / "sample_annotation.json").read_text())
    stated = np.array([row["num_lidar_pts"] for row in table])
    found = np.array([points_in_box(frame.points, frame.boxes, number).sum() for number in range(68)])
    assert np.abs(found - stated).max() <= 0.05 * stated.max()
    assert (np.abs(found - stated) <= 1).mean() > 0.9
