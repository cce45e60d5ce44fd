"""A scene's mask shows the road where the tables have the ego car, as nuScenes' devkit reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sample_data import maps
from sample_data.world import World
from xmodal_core.types import Bools, Doubles

Table = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def mask(drive: Path, table: Table) -> Bools:
    (row,) = table("map")
    assert row["log_tokens"] == [table("log")[0]["token"]]
    with Image.open(drive / row["filename"]) as picture:
        values = np.asarray(picture)
    assert set(np.unique(values)) == {0, 255}
    return np.asarray(values == 255)


def white(mask: Bools, places: Doubles) -> Bools:
    column, up = (places[:, :2] / maps.RESOLUTION).astype(int).T
    return np.asarray(mask[mask.shape[0] - 1 - up, column])


def test_the_ego_car_drives_on_the_mask(mask: Bools, table: Table) -> None:
    places = np.array([row["translation"] for row in table("ego_pose")])
    assert places[:, :2].min() > 0
    assert white(mask, places).all()


def test_white_is_road_and_sidewalk_and_nothing_else(mask: Bools, world: World) -> None:
    rng = np.random.default_rng(0)
    x0, y0, x1, y1 = world.bounds
    x, y = rng.uniform(x0 + 2, x1 - 2, 4000), rng.uniform(y0 + 2, y1 - 2, 4000)
    places = np.stack([x, y, np.zeros(4000), np.ones(4000)], axis=1) @ world.to_global.T
    beyond = world.roads.outside(x, y) - (world.roads.style.walk_to - world.roads.half)
    clear = np.abs(beyond) > 0.25
    np.testing.assert_array_equal(white(mask, places)[clear], beyond[clear] < 0)
    assert 0.05 < white(mask, places).mean() < 0.6


@pytest.mark.parametrize("heading", [-3.0, -1.2, 0.0, 0.7, 2.4])
def test_all_of_a_scene_lies_at_positive_coordinates(heading: float) -> None:
    bounds = (-90.0, -125.0, 480.0, 125.0)
    to_map = maps.place(bounds, heading)
    corners = np.array([(x, y, 0.0, 1.0) for x in bounds[::2] for y in bounds[1::2]]) @ to_map.T
    assert corners[:, :2].min() > 1.0
    assert corners[:, :2].max() < 800.0
    np.testing.assert_allclose(to_map[:3, :3] @ to_map[:3, :3].T, np.eye(3), atol=1e-12)
