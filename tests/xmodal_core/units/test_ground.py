"""Ground removal on surfaces whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.types import Sensor
from xmodal_core.units.config import GroundConfig, RangeConfig
from xmodal_core.units.ground import Growth, Polar, _below, _borrow, _fit, _grow_lines, find_ground
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
    distance = distance[(distance > 2.6) & (distance < farthest)]
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


def test_a_wall_of_points_gives_no_steep_plane():
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(-15, 15, 0.2), np.arange(-15, 15, 0.2)))
    level = fit_level(np.column_stack([x, y, x]).astype(np.float32), 2.0)
    assert (level.x_slope, level.y_slope) == (0.0, 0.0)


def test_a_known_height_says_which_of_two_levels_is_the_ground(world):
    ground = tilted(world(farthest=20).ground, 4)
    deck = world(height=0.4, farthest=20).ground
    behind = np.abs(np.arctan2(ground[:, 1], ground[:, 0])) > 1.0
    points = np.concatenate([deck[behind], ground[~behind]])
    slope = -np.tan(np.radians(4))
    assert abs(fit_level(points, 2.0).x_slope - slope) > 0.05
    assert fit_level(points, 2.0, 1.8).x_slope == pytest.approx(slope, abs=0.01)


GRID = Polar(segments=1, bins=40, nearest=0.0, farthest=40.0)
RULES = Growth(
    max_slope=0.2, max_fit_error=0.1, long_threshold=2.0, beam_gap=0.0, max_long_height=0.2, max_start_height=0.2
)


def test_the_ground_follows_its_slope_within_a_bin():
    surface = np.full((1, 40, 2), np.nan)
    surface[0, 10] = [1.0, 0.2]
    distance = np.array([10.0, 10.0, 10.9, 10.9, 11.5])
    above = np.array([0.99, 1.01, 1.17, 1.19, 0.0])  # the ground is at 0.9 and 1.08 m there
    mask = _below(np.array([10, 10, 10, 10, 11]), distance, above, surface, GRID, 0.1)
    assert mask.tolist() == [True, False, True, False, False]


def grown(heights: dict[int, float], rules: Growth = RULES):
    """The ground's height in each of 40 bins of 1 m, from the lowest returns in the middle of some of them."""
    lowest = np.full((40, 2), np.inf)
    for place, height in heights.items():
        lowest[place] = [place + 0.5, height]
    surface = np.full((40, 2), np.nan)
    _grow_lines(lowest, surface, GRID, rules)
    return surface[:, 0]


def test_three_returns_make_a_line_two_do_not():
    np.testing.assert_allclose(grown({4: 0.1, 5: 0.1, 6: 0.1})[4:7], 0.1)
    assert np.isnan(grown({4: 0.1, 5: 0.1})).all()


def test_a_line_does_not_begin_across_a_long_gap_but_across_a_gap_between_beams():
    heights = {4: 0.0, 9: 0.0, 14: 0.0, 19: 0.0}
    assert np.isnan(grown(heights)).all()
    np.testing.assert_allclose(grown(heights, RULES._replace(beam_gap=0.3))[4:20], 0.0)


def test_behind_a_long_gap_a_line_goes_on_only_where_it_was_heading():
    begun = {4: 0.0, 5: 0.0, 6: 0.0, 7: 0.0}
    loose = RULES._replace(max_fit_error=1.0)
    assert not np.isnan(grown({**begun, 12: 0.1}, loose)[12])
    assert np.isnan(grown({**begun, 12: 0.3}, loose)[12])


def test_a_steep_line_is_no_ground():
    heights = {place: 0.18 * (place - 4) for place in range(4, 10)}
    np.testing.assert_allclose(grown(heights)[4:10], [heights[place] for place in range(4, 10)], atol=1e-9)
    steep = RULES._replace(max_slope=0.15, max_start_height=1.0)
    assert np.isnan(grown(heights, steep)).all()
    # It may also become too steep bit by bit.
    bent = {4: 0.0, 5: 0.05, 6: 0.2, 7: 0.45, 8: 1.0}
    assert np.isnan(grown(bent, RULES._replace(max_fit_error=5.0))[8])


def test_terraces_climb_from_the_end_of_one_line_to_the_next():
    heights = {place: 0.19 * (place // 5) for place in range(5, 25)}
    surface = grown(heights, RULES._replace(max_fit_error=0.02))
    np.testing.assert_allclose(surface[5:25], [heights[place] for place in range(5, 25)], atol=1e-9)


def test_behind_an_object_the_last_known_ground_counts():
    heights = {**dict.fromkeys(range(3, 8), 0.15), 8: 0.9, 9: 0.9, **dict.fromkeys(range(10, 14), 0.3)}
    np.testing.assert_allclose(grown(heights)[10:14], 0.3)
    assert np.isnan(grown({place: height + 0.1 for place, height in heights.items() if place > 7})).all()


def test_an_object_does_not_begin_a_line_and_the_ground_behind_it_does():
    heights = {**dict.fromkeys(range(3, 8), 0.0), 8: 0.9, 9: 0.9, 10: 0.9, 11: 0.0, 12: 0.0, 13: 0.0}
    surface = grown(heights)
    np.testing.assert_allclose(surface[[3, 7, 11, 13]], 0.0)
    assert np.isnan(surface[8:11]).all()


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
