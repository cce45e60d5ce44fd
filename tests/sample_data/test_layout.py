"""Streets on which nothing meets anything, and the ego car keeps to its lane."""

from __future__ import annotations

import numpy as np
import pytest

from sample_data.motion import Standing
from sample_data.styles import ORDER
from sample_data.traffic import EGO_AHEAD, EGO_LENGTH, EGO_WIDTH, plan_size
from sample_data.world import Layout, lay_out
from xmodal_core.types import Bools, Doubles

FRAMES = 8
TIMES = np.arange(0.0, FRAMES * 0.5, 0.25)


@pytest.fixture(scope="module", params=range(len(ORDER)), ids=[style.name.split()[0] for style in ORDER])
def layout(request: pytest.FixtureRequest) -> Layout:
    return lay_out(3, request.param, FRAMES)


def footprint(size: tuple[float, float]) -> Doubles:
    # Places all over a rectangle, a quarter of a metre apart.
    x = np.linspace(-0.5, 0.5, max(int(size[0] / 0.25), 3)) * size[0]
    y = np.linspace(-0.5, 0.5, max(int(size[1] / 0.25), 3)) * size[1]
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def covered(place: Doubles, size: tuple[float, float], points: Doubles) -> Bools:
    local = points - place[:2]
    c, k = np.cos(place[2]), np.sin(place[2])
    along, across = local[:, 0] * c + local[:, 1] * k, -local[:, 0] * k + local[:, 1] * c
    return np.asarray((np.abs(along) < size[0] / 2) & (np.abs(across) < size[1] / 2))


def spread(place: Doubles, size: tuple[float, float]) -> Doubles:
    c, k = np.cos(place[2]), np.sin(place[2])
    return footprint(size) @ np.array([[c, k], [-k, c]]) + place[:2]


def test_no_two_things_ever_overlap(layout: Layout) -> None:
    site = layout.site
    things = [thing for thing in (*site.standing, *site.moving) if thing.labelled]
    paths = np.stack([thing.motion.flat(TIMES) for thing in things])
    # People in company brush arms, and their boxes hold swinging arms and bags: only bodies must not meet.
    person = (0.4, 0.45)
    sizes = [person if t.model.category.startswith("human.") else plan_size(t.model) for t in things]
    ego = layout.drive.ego.flat(TIMES)
    ego[:, :2] += EGO_AHEAD * np.stack([np.cos(ego[:, 2]), np.sin(ego[:, 2])], axis=1)
    paths, sizes = np.concatenate([paths, ego[None]]), [*sizes, (EGO_LENGTH, EGO_WIDTH)]
    reach = np.array([np.hypot(*size) / 2 for size in sizes])
    trailers = {i for i, thing in enumerate(things) if thing.model.category == "vehicle.trailer"}
    clashes = []
    for t in range(len(TIMES)):
        apart = np.linalg.norm(paths[:, None, t, :2] - paths[None, :, t, :2], axis=-1)
        for i, j in np.argwhere(np.triu(apart < reach[:, None] + reach[None], k=1)):
            if {i, j} & trailers and abs(i - j) == 1:
                continue  # a trailer and what draws it
            if covered(paths[j, t], sizes[j], spread(paths[i, t], sizes[i])).any():
                clashes.append((things[i].model.category, t, i, j))
    assert clashes == []


def test_the_ego_car_stays_in_its_lane_and_on_the_road(layout: Layout) -> None:
    roads, drive = layout.site.roads, layout.drive
    s, t = roads.coordinates(*drive.ego.flat(TIMES)[:, :2].T)
    np.testing.assert_allclose(t, drive.ego.aside, atol=0.05)
    assert (np.diff(s) >= -1e-6).all()
    assert s[-1] - s[0] > 10.0
    assert t.max() < 0  # traffic keeps to the right
    for corner in (-0.5, 0.5):
        x, y, _ = roads.at(s, t + corner * EGO_WIDTH).T
        assert roads.outside(x, y).max() < -0.2


def test_vehicles_stand_on_the_road_and_people_on_the_sidewalk(layout: Layout) -> None:
    roads = layout.site.roads
    for thing in layout.site.moving:
        path = thing.motion.flat(TIMES)
        outside = roads.outside(path[:, 0], path[:, 1])
        if thing.model.category.startswith("vehicle."):
            assert outside.max() < 0.0, thing.model.category
    walkers = [thing for thing in layout.site.moving if thing.model.category.startswith("human.")]
    share = np.mean([float((roads.outside(*w.motion.flat(TIMES)[:, :2].T) > 0).mean()) for w in walkers])
    assert share > 0.55  # the rest are on zebra crossings


def test_things_face_where_they_go(layout: Layout) -> None:
    for thing in layout.site.moving:
        path = thing.motion.flat(np.array([1.0, 1.1]))
        step = path[1, :2] - path[0, :2]
        if np.hypot(*step) > 0.02:
            assert step @ [np.cos(path[0, 2]), np.sin(path[0, 2])] > 0.97 * np.hypot(*step)


def test_poses_are_rotations_upon_the_slope(layout: Layout) -> None:
    land = layout.site.roads.land
    for thing in layout.site.moving[::7]:
        pose = thing.motion.pose(1.3)
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        height = pose[2, 3] - float(land.height(pose[0, 3], pose[1, 3]))
        assert -0.01 < height < 0.15
        assert pose[2, 2] > 0.99


def test_standing_things_do_not_move(layout: Layout) -> None:
    for thing in layout.site.standing[::50]:
        assert isinstance(thing.motion, Standing)
        np.testing.assert_array_equal(thing.motion.pose(0.0), thing.motion.pose(3.0))
        assert not thing.motion.moving(1.0)


def test_no_two_cars_are_the_same(layout: Layout) -> None:
    site = layout.site
    cars = [thing.model for thing in (*site.standing, *site.moving) if thing.model.category == "vehicle.car"]
    assert len(cars) > 8
    assert len({model.parameters for model in cars}) == len(cars)
    assert len({model.mesh.corners.tobytes() for model in cars}) == len(cars)
    assert len({model.size for model in cars}) > 0.9 * len(cars)


def test_slopes_are_gentle_but_there(layout: Layout) -> None:
    roads = layout.site.roads
    s = np.linspace(0, roads.length, 200)
    x, y, _ = roads.at(s).T
    slope = np.abs(np.gradient(roads.land.height(x, y), s))
    assert 0.002 < slope.max() < 0.08
