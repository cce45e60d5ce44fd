"""The road network's geometry and the ground made from it."""

from __future__ import annotations

import numpy as np
import pytest

from sample_data.casting import Stage
from sample_data.ground import height
from sample_data.ground_texture import Kind
from sample_data.roads import FILLET, Roads
from sample_data.world import World


@pytest.fixture(scope="module")
def roads(world: World) -> Roads:
    return world.roads


def test_coordinates_undo_places(roads: Roads) -> None:
    rng = np.random.default_rng(0)
    s, t = rng.uniform(5, roads.length - 5, 200), rng.uniform(-25, 25, 200)
    x, y, _ = roads.at(s, t).T
    found_s, found_t = roads.coordinates(x, y)
    np.testing.assert_allclose(found_s, s, atol=0.02)
    np.testing.assert_allclose(found_t, t, atol=0.02)


def test_distance_outside_is_that_to_the_kerb(roads: Roads) -> None:
    clear = [s for s in np.arange(20, roads.length - 20, 3.0) if not roads.near_side(s, FILLET + 12)]
    for t, expected in ((0.0, -roads.half), (roads.half, 0.0), (-roads.half - 2, 2.0)):
        x, y, _ = roads.at(np.array(clear), t).T
        np.testing.assert_allclose(roads.outside(x, y), expected, atol=0.02)


def test_side_roads_open_the_kerb(roads: Roads) -> None:
    for side in roads.sides:
        for way, opens in ((1, side.left), (-1, side.right)):
            x, y, _ = roads.side_at(side, way * (roads.half + 12.0))
            assert (float(roads.outside(x, y)) < 0) == opens


def test_corners_are_round(roads: Roads) -> None:
    side = next(side for side in roads.sides if side.left)
    x, y, _ = roads.side_at(side, roads.half + 0.5, side.half + 0.5)
    assert float(roads.outside(x, y)) < 0  # a sharp corner would have kerb here


def test_the_cast_ground_is_where_it_should_be(world: World, stage: Stage) -> None:
    rng = np.random.default_rng(1)
    s, t = rng.uniform(100, 160, 400), rng.uniform(-9, 9, 400)
    x, y, _ = world.roads.at(s, t).T
    keep = np.abs(world.roads.outside(x, y)) > 0.3
    x, y = x[keep], y[keep]
    low = np.full(len(x), -40.0)  # from below, where nothing stands in between
    rays = np.stack([x, y, low, np.zeros(len(x)), np.zeros(len(x)), np.ones(len(x))], axis=1).astype(np.float32)
    stage.move([], [])
    hits = stage.cast(rays)
    ground = stage.surfaces.thing[hits.triangle] == 0
    assert ground.mean() > 0.9
    np.testing.assert_allclose((low + hits.distance)[ground], height(world.roads, x, y)[ground], atol=0.02)


def test_the_painted_ground_agrees_with_the_roads(world: World) -> None:
    rng = np.random.default_rng(2)
    s, t = rng.uniform(95, 150, 2000), rng.uniform(-20, 20, 2000)
    x, y, _ = world.roads.at(s, t).T
    outside = world.roads.outside(x, y)
    clear = (np.abs(outside) > 0.12) & (np.abs(outside - 0.18) > 0.12)
    kind = world.fine.kind_at(x, y)
    on_road = np.isin(kind, [Kind.ROAD, Kind.PAINT])
    np.testing.assert_array_equal(on_road[clear], outside[clear] < 0)
    assert 0.01 < (kind == Kind.PAINT).mean() < 0.2
