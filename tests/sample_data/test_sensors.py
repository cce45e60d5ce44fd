"""What the LiDAR and the cameras say of one and the same world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sample_data import DriveSettings, cameras, frames, lidar
from sample_data.casting import Stage
from sample_data.labels import CATEGORIES
from sample_data.rig import CAMERAS, LIDAR, Mount
from sample_data.world import World
from xmodal_core.geometry import invert, rigid, rotation_from_quaternion
from xmodal_core.types import Doubles

Table = Callable[[str], list[dict[str, Any]]]
GROUND = [CATEGORIES.index(name) for name in CATEGORIES if name.startswith("flat.")]


@pytest.fixture(scope="module")
def turn(world: World, stage: Stage, small: DriveSettings) -> lidar.Sweep:
    return frames.spin(world, stage, small, 0, 1)[1]


def test_rows_come_ring_after_ring_as_the_head_turns_clockwise(turn: lidar.Sweep) -> None:
    rows = turn.rows
    assert rows.dtype == np.float32
    assert len(rows) % 32 == 0
    assert 33_000 < len(rows) < 36_000
    np.testing.assert_array_equal(rows[:, 4], np.arange(len(rows)) % 32)
    far = turn.returned & (np.hypot(rows[:, 0], rows[:, 1]) > 4) & (rows[:, 4] == 16)
    azimuth = np.unwrap(np.arctan2(rows[far, 1], rows[far, 0]).astype(np.float64))
    assert np.mean(np.diff(azimuth) < 0) > 0.999
    assert 2 * np.pi * 0.98 < azimuth[0] - azimuth[-1] < 2 * np.pi * 1.02


def test_beams_have_the_hdl_32e_elevations(turn: lidar.Sweep) -> None:
    rows = turn.rows[turn.returned]
    distance = np.linalg.norm(rows[:, :3], axis=1)
    elevation = np.degrees(np.arcsin(rows[:, 2] / distance))
    expected = -30.67 + rows[:, 4] * (10.67 + 30.67) / 31
    np.testing.assert_allclose(elevation[distance > 2], expected[distance > 2], atol=1e-3)
    assert distance.max() <= lidar.REACH + 0.2


def test_intensity_is_whole_numbers_up_to_255_and_paint_is_brighter_than_asphalt(turn: lidar.Sweep) -> None:
    strength = turn.rows[:, 3]
    assert strength.min() >= 0
    assert strength.max() <= 255
    np.testing.assert_array_equal(strength, np.round(strength))
    near = turn.returned & (turn.thing == 0) & (np.linalg.norm(turn.rows[:, :3], axis=1) < 15)
    asphalt, paint = strength[near & (turn.kind == 0)], strength[near & (turn.kind == 1)]
    assert np.median(paint) > 4 * np.median(asphalt)


def test_rows_without_a_return_lie_at_the_sensor_and_are_noise(world: World, turn: lidar.Sweep) -> None:
    labels = frames.point_labels(world, turn)
    lost = ~turn.returned
    assert 0.02 < lost.mean() < 0.4
    assert np.linalg.norm(turn.rows[lost, :3], axis=1).max() < 0.5
    assert set(labels[lost]) == {CATEGORIES.index("noise")}
    assert CATEGORIES.index("noise") not in labels[~lost]


def test_the_car_sees_of_itself_only_what_readers_drop(world: World, turn: lidar.Sweep) -> None:
    own = frames.point_labels(world, turn) == CATEGORIES.index("vehicle.ego")
    assert own.sum() > 100
    assert np.abs(turn.rows[own, :2]).max() < 1.0


def test_a_third_to_two_thirds_of_the_returns_are_ground_and_lie_on_it(world: World, turn: lidar.Sweep) -> None:
    labels = frames.point_labels(world, turn)
    outside = turn.returned & (labels != CATEGORIES.index("vehicle.ego"))
    ground = np.isin(labels, GROUND) & outside
    assert 1 / 3 < ground.sum() / outside.sum() < 2 / 3
    pose = world.car(frames.time_of(1)) @ LIDAR.transform
    places = turn.rows[ground, :3].astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
    flat = np.abs(world.roads.outside(places[:, 0], places[:, 1])) > 0.4
    kerb = np.where(world.roads.outside(places[:, 0], places[:, 1]) > 0, 0.14, 0.0)
    above = places[:, 2] - world.roads.land.height(places[:, 0], places[:, 1]) - kerb
    assert np.abs(np.median(above[flat])) < 0.01
    assert np.percentile(np.abs(above[flat]), 95) < 0.05


def test_range_noise_is_about_two_centimetres(world: World, stage: Stage, turn: lidar.Sweep) -> None:
    pose = world.car(frames.time_of(1)) @ LIDAR.transform
    labels = frames.point_labels(world, turn)
    walls = np.flatnonzero(labels == CATEGORIES.index("static.manmade"))
    directions = turn.rows[walls, :3] / np.linalg.norm(turn.rows[walls, :3], axis=1, keepdims=True)
    rays = np.concatenate([np.tile(pose[:3, 3], (len(walls), 1)), directions @ pose[:3, :3].T], axis=1)
    hits = stage.cast(rays.astype(np.float32))
    error = np.linalg.norm(turn.rows[walls, :3], axis=1) - hits.distance
    error = error[np.abs(error) < 0.3]
    assert 0.012 < error.std() < 0.025
    assert abs(error.mean()) < 0.003


def _chain(table: Table, row: dict[str, Any]) -> tuple[Doubles, Doubles]:
    poses = {pose["token"]: pose for pose in table("ego_pose")}
    sensors = {sensor["token"]: sensor for sensor in table("calibrated_sensor")}
    ego, own = poses[row["ego_pose_token"]], sensors[row["calibrated_sensor_token"]]
    return (
        rigid(rotation_from_quaternion(ego["rotation"]), ego["translation"]),
        rigid(rotation_from_quaternion(own["rotation"]), own["translation"]),
    )


@pytest.mark.parametrize("mount", CAMERAS, ids=lambda mount: mount.channel)
def test_points_of_a_thing_fall_on_pixels_of_the_same_thing(
    world: World, stage: Stage, small: DriveSettings, turn: lidar.Sweep, mount: Mount
) -> None:
    labels = frames.point_labels(world, turn)
    solid = [k for k, name in enumerate(CATEGORIES) if name.startswith("vehicle.") or name == "static.manmade"]
    solid.remove(CATEGORIES.index("vehicle.ego"))
    rows = np.flatnonzero(np.isin(labels, solid))
    shot = frames.shoot(world, stage, small, 0, 1, mount)
    to_camera = invert(shot.car @ mount.transform) @ world.car(frames.time_of(1)) @ LIDAR.transform
    local = turn.rows[rows, :3].astype(np.float64) @ to_camera[:3, :3].T + to_camera[:3, 3]
    rows, local = rows[local[:, 2] > 1.0], local[local[:, 2] > 1.0]
    pixel = local @ shot.lens.T
    u, v = np.round(pixel[:, :2] / pixel[:, 2:]).astype(int).T
    high, wide = shot.picture.thing.shape
    inside = (u >= 0) & (v >= 0) & (u < wide) & (v < high)
    assert inside.sum() > 200
    u, v = u[inside], v[inside]
    same = shot.picture.thing[v, u] == turn.thing[rows[inside]]
    assert same.mean() > 0.8  # the rest: edges, and what the camera, mounted elsewhere, sees something else before
    away = np.linalg.norm(local[inside][same], axis=1)
    assert np.median(np.abs(shot.picture.distance[v, u][same] - away)) < 0.1


@pytest.mark.parametrize("mount", CAMERAS, ids=lambda mount: mount.channel)
def test_rays_left_out_of_the_search_for_what_moves_meet_none_of_it(world: World, stage: Stage, mount: Mount) -> None:
    moment = world.moment(1.0)
    stage.move(moment.meshes, moment.numbers)
    pose, lens = world.car(1.0) @ mount.transform, mount.intrinsics(160, 90)
    near = moment.near(pose, lens, 160, 90).ravel()
    rays = cameras._rays(pose, lens, *cameras._grid(160, 90, 0.0, 0.0))
    np.testing.assert_array_equal(stage.cast(rays, near).triangle, stage.cast(rays).triangle)
    assert not near.all()


def test_the_tables_place_points_on_the_same_pixels(drive: Path, table: Table, world: World, turn: lidar.Sweep) -> None:
    # By the files alone, as a reader does it, against the world's own poses.
    sample = table("sample")[1]["token"]
    rows = {row["filename"].split("/")[1]: row for row in table("sample_data") if row["sample_token"] == sample}
    stored = np.fromfile(drive / rows["LIDAR_TOP"]["filename"], dtype=np.float32).reshape(-1, 5)
    np.testing.assert_array_equal(stored, turn.rows)
    (ego_l, lidar_), (ego_c, camera) = _chain(table, rows["LIDAR_TOP"]), _chain(table, rows["CAM_FRONT"])
    by_tables = invert(ego_c @ camera) @ ego_l @ lidar_
    time, mount = frames.time_of(1), CAMERAS[0]
    by_world = invert(world.car(time + mount.delay) @ mount.transform) @ world.car(time) @ LIDAR.transform
    np.testing.assert_allclose(by_tables, by_world, atol=1e-6)
    same_time = invert(mount.transform) @ LIDAR.transform
    assert np.abs(by_tables - same_time).max() > 0.05  # the car drove on between the two


def test_pictures_show_sky_above_and_street_below(
    drive: Path, table: Table, world: World, stage: Stage, small: DriveSettings
) -> None:
    shot = frames.shoot(world, stage, small, 0, 1, CAMERAS[0])
    sky = shot.picture.thing == -1
    assert np.isinf(shot.picture.distance[sky]).all()
    assert np.isfinite(shot.picture.distance[~sky]).all()
    assert sky[: small.image_height // 3].mean() > 0.1
    assert (shot.picture.thing[-8:] == 0).mean() > 0.5
    row = next(row for row in table("sample_data") if "CAM_FRONT__" in row["filename"])
    image = np.asarray(Image.open(drive / row["filename"]), dtype=np.float64)
    assert image.std() > 25
    assert 70 < image.mean() < 190
    blue = image[: small.image_height // 4][sky[: small.image_height // 4]].mean(axis=0)
    assert blue[2] > blue[0]


@pytest.mark.parametrize("mount", CAMERAS, ids=lambda mount: mount.channel)
def test_lenses_scale_with_the_picture(mount: Mount) -> None:
    full, half = mount.intrinsics(1600, 900), mount.intrinsics(800, 450)
    assert (full[0, 0], full[0, 2], full[1, 2]) == pytest.approx((mount.focal, *mount.centre))
    ray = np.array([0.21, -0.13, 1.0])
    u, v, _ = full @ ray
    small = half @ ray
    assert (small[0], small[1]) == pytest.approx(((u + 0.5) / 2 - 0.5, (v + 0.5) / 2 - 0.5))


def test_a_picture_of_another_shape_is_cut_from_the_middle() -> None:
    mount = CAMERAS[0]
    square = mount.intrinsics(900, 900)
    assert square[0, 0] == square[1, 1] == pytest.approx(mount.focal)
    assert square[0, 2] == pytest.approx(mount.centre[0] - 350)
    assert square[1, 2] == pytest.approx(mount.centre[1])
