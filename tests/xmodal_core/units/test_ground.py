"""Ground removal on surfaces whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.types import Sensor
from xmodal_core.units.config import GroundConfig, RangeConfig
from xmodal_core.units.ground import _borrow, _fit, find_ground
from xmodal_core.units.level import fit_level


def ground_of(points, sensor, **settings):
    return find_ground(np.ascontiguousarray(points, np.float32), sensor, RangeConfig(), GroundConfig(**settings))


def tilted(points, degrees, axis=0):
    angle = np.radians(degrees)
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) if axis == 0 else np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return (points @ matrix.T).astype(np.float32)


SURFACES = {
    "flat": lambda x, y: 0 * x,
    "slope": lambda x, y: 0.08 * x,
    "hill": lambda x, y: np.maximum(np.hypot(x, y) - 15, 0) * 0.1,
    "valley": lambda x, y: -np.maximum(np.hypot(x, y) - 12, 0) * 0.08,
    "waves": lambda x, y: 0.15 * np.sin(x / 8) + 0.15 * np.cos(y / 9),
}


@pytest.mark.parametrize("name", SURFACES)
def test_ground_is_ground_and_cars_are_not(name, world, sensor):
    scene = world(SURFACES[name])
    cars = np.concatenate([scene.box(8, 3), scene.box(-15, 6), scene.box(3, -20)])
    ground = ground_of(np.concatenate([scene.ground, cars]), sensor).mask
    assert ground[: len(scene.ground)].mean() > 0.99
    assert not ground[len(scene.ground) :].any()


def test_both_sides_of_a_kerb_are_ground(world, sensor):
    scene = world(lambda x, y: np.where(y > 4, 0.15, 0.0))
    pedestrian = scene.box(5, 6, (0.6, 0.6, 1.8))
    ground = ground_of(np.concatenate([scene.ground, pedestrian]), sensor).mask
    sidewalk = np.flatnonzero(scene.ground[:, 1] > 4)
    assert ground[sidewalk].mean() > 0.98
    assert ground[: len(scene.ground)].mean() > 0.99
    assert not ground[len(scene.ground) :].any()


@pytest.mark.parametrize("degrees", [-6, -3, 2, 5])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_tilted_mount_costs_nothing(degrees, axis, world, sensor):
    scene = world()
    car = scene.box(8, 3)
    ground = ground_of(tilted(np.concatenate([scene.ground, car]), degrees, axis), sensor)
    assert ground.mask[: len(scene.ground)].all()
    assert not ground.mask[len(scene.ground) :].any()
    assert abs(ground.level.height - 1.8) < 0.05


def test_without_the_level_a_tilted_mount_costs_ground(world, sensor):
    scene = world()
    assert ground_of(tilted(scene.ground, 5), sensor, level=False).mask.mean() < 0.9


@pytest.mark.parametrize("height", [0.0, 0.6, 1.73, 1.84, 2.4])
def test_the_height_is_estimated_in_traffic(height, world, sensor):
    scene = world(height=height)
    cars = [scene.box(x, y) for x in (-15, -9, 7, 13) for y in (-4, 4)]
    points = np.concatenate([scene.ground + np.random.default_rng(0).normal(0, 0.02, (1, 3)), *cars])
    assert ground_of(points, sensor).level.height == pytest.approx(height, abs=0.06)


def test_a_given_height_comes_before_the_stated_one_and_that_before_the_estimate(world):
    points = world().ground
    stated = Sensor("stated", 64, (1.0, 0.0), 1.9, 1.0)
    assert ground_of(points, stated).level.height == 1.9
    assert ground_of(points, stated, sensor_height=1.7).level.height == 1.7


def test_returns_below_the_ground_go_with_it_and_do_not_pull_it_down(world, sensor):
    scene = world()
    rng = np.random.default_rng(1)
    mirrored = scene.ground[rng.choice(len(scene.ground), 300, replace=False)] - [0, 0, 1] * rng.uniform(
        0.5, 3, (300, 1)
    )
    car = scene.box(8, 3)
    ground = ground_of(np.concatenate([scene.ground, car, mirrored]), sensor).mask
    assert ground[: len(scene.ground)].mean() > 0.97
    assert not ground[len(scene.ground) : len(scene.ground) + len(car)].any()
    assert ground[-300:].mean() > 0.97


def rings(beams=32, height=1.84, farthest=45.0):
    """What the lower beams of a sensor with 1.33 degrees between them meet of flat ground."""
    distance = height / np.tan(np.radians(np.arange(1, beams) * 4 / 3))
    distance = distance[(distance > 2.5) & (distance < farthest)]
    angle = np.linspace(-np.pi, np.pi, 1080, endpoint=False)
    r, a = (grid.ravel() for grid in np.meshgrid(distance, angle))
    return np.column_stack([r * np.cos(a), r * np.sin(a), 0 * r - height]).astype(np.float32), r


def test_the_wide_gaps_between_far_rings_are_bridged():
    points, distance = rings()
    sparse = Sensor("HDL-32E", 32, (0.0, 1.0), None, 255.0)
    assert ground_of(points, sparse).mask.all()
    # Raised rings behind long gaps are ground only where the beams leave no nearer returns to be seen.
    points[distance > 30, 2] += 0.45
    assert ground_of(points, sparse).mask[distance > 30].sum() == 0


def test_a_segment_behind_an_object_borrows_its_neighbours_ground(world, sensor):
    scene = world()
    angle = np.degrees(np.arctan2(scene.ground[:, 1], scene.ground[:, 0]))
    distance = np.hypot(scene.ground[:, 0], scene.ground[:, 1])
    hidden = (np.abs(angle) < 4) & (distance < 25)
    keep = scene.ground[~hidden | ((distance > 14) & (distance < 14.8))]
    far = np.abs(np.hypot(keep[:, 0], keep[:, 1]) - 14.4) < 0.4
    assert ground_of(keep, sensor).mask[far].all()
    assert not ground_of(keep, sensor, line_search_angle=0).mask[far].all()


def test_a_wall_is_not_ground(world, sensor):
    scene = world()
    y, z = (grid.ravel() for grid in np.meshgrid(np.arange(-10, 10, 0.1), np.arange(0.15, 4, 0.1)))
    wall = np.column_stack([0 * y + 12, y, z - 1.8]).astype(np.float32)
    assert not ground_of(np.concatenate([scene.ground, wall]), sensor).mask[len(scene.ground) :].any()


def test_returns_out_of_range_are_not_ground(sensor):
    points, distance = rings()
    mask = find_ground(points, sensor, RangeConfig(nearest=5.0, farthest=20.0), GroundConfig()).mask
    assert not mask[(distance < 5) | (distance >= 20)].any()
    assert mask[(distance >= 5) & (distance < 20)].all()


@pytest.mark.parametrize("number", [0, 1, 5])
def test_too_few_points_are_no_ground(number, sensor):
    points = np.tile(np.array([[10.0, 0.0, -1.0]], np.float32), (number, 1))
    ground = ground_of(points, sensor)
    assert ground.mask.shape == (number,)
    assert not ground.mask.any()
    assert np.isfinite(ground.level.height)


def test_a_cloud_without_ground_gives_no_steep_plane():
    rng = np.random.default_rng(0)
    points = rng.normal(0, 8, (3000, 3)).astype(np.float32)
    points[:, 2] += points[:, 0]
    level = fit_level(points, 2.0)
    assert np.hypot(level.x_slope, level.y_slope) <= 0.25


@given(st.integers(2, 12), st.integers(0, 10_000))
def test_the_line_is_the_least_squares_line(length, seed):
    rng = np.random.default_rng(seed)
    line = np.column_stack([np.cumsum(rng.uniform(0.1, 3, length + 2)), rng.normal(0, 1, length + 2)])
    slope, offset = _fit(line, length)
    expected = np.polyfit(line[:length, 0], line[:length, 1], 1)
    np.testing.assert_allclose([slope, offset], expected, atol=1e-8)


def test_borrowing_takes_the_nearest_and_the_mean_of_equally_near_ones():
    surface = np.full((8, 1, 2), np.nan)
    surface[0, 0] = [1.0, 0.1]
    surface[4, 0] = [3.0, 0.3]
    filled = _borrow(surface, 2)
    np.testing.assert_allclose(filled[:, 0, 0], [1, 1, 2, 3, 3, 3, 2, 1])
    np.testing.assert_allclose(filled[2, 0, 1], 0.2)
    assert np.isnan(_borrow(surface, 1)[2, 0, 0])
