"""Boxes hold their things, and their points are counted right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sample_data.casting import Stage
from sample_data.frames import time_of
from sample_data.labels import CATEGORIES
from sample_data.world import World
from xmodal_core.geometry import rigid, rotation_from_quaternion
from xmodal_core.types import Bools, Doubles

Table = Callable[[str], list[dict[str, Any]]]


def inside(points: Doubles, row: dict[str, Any]) -> Bools:
    turn = rotation_from_quaternion(row["rotation"])
    local = (points - row["translation"]) @ turn
    width, length, height = row["size"]
    return np.asarray((np.abs(local) <= np.array([length, width, height]) / 2).all(axis=1))


@pytest.fixture(scope="module")
def sweeps(drive: Path, table: Table) -> dict[str, tuple[Doubles, np.ndarray]]:
    poses = {row["token"]: row for row in table("ego_pose")}
    lidar = next(row for row in table("calibrated_sensor") if not row["camera_intrinsic"])
    labels = {row["sample_data_token"]: drive / row["filename"] for row in table("lidarseg")}
    result = {}
    for row in table("sample_data"):
        if row["fileformat"] != "pcd":
            continue
        points = np.fromfile(drive / row["filename"], dtype=np.float32).reshape(-1, 5)[:, :3].astype(np.float64)
        ego = poses[row["ego_pose_token"]]
        move = rigid(rotation_from_quaternion(ego["rotation"]), ego["translation"])
        move = move @ rigid(rotation_from_quaternion(lidar["rotation"]), lidar["translation"])
        label = np.fromfile(labels[row["token"]], dtype=np.uint8)
        result[row["sample_token"]] = points @ move[:3, :3].T + move[:3, 3], label
    return result


def test_point_counts_are_those_of_the_files(table: Table, sweeps: dict[str, tuple[Doubles, np.ndarray]]) -> None:
    rows = table("sample_annotation")
    for row in rows:
        points, label = sweeps[row["sample_token"]]
        found = int((inside(points, row) & (label != 0)).sum())
        assert abs(found - row["num_lidar_pts"]) <= 1  # one may lie on a face
    assert sum(row["num_lidar_pts"] >= 5 for row in rows) > 20


def test_points_of_a_class_lie_in_boxes_of_that_class(
    table: Table, sweeps: dict[str, tuple[Doubles, np.ndarray]]
) -> None:
    category = {row["token"]: row["name"] for row in table("category")}
    instance = {row["token"]: category[row["category_token"]] for row in table("instance")}
    for name in ("vehicle.car", "human.pedestrian.adult"):
        held, total = 0, 0
        for sample, (points, label) in sweeps.items():
            own = points[label == CATEGORIES.index(name)]
            boxes = [
                r
                for r in table("sample_annotation")
                if r["sample_token"] == sample and instance[r["instance_token"]] == name
            ]
            near = np.zeros(len(own), dtype=np.bool_)
            for row in boxes:
                grown = {**row, "size": [side + 0.12 for side in row["size"]]}
                near |= inside(own, grown)
            held, total = held + int(near.sum()), total + len(own)
        assert total > 20
        assert held > 0.97 * total


def test_models_fill_their_boxes(world: World) -> None:
    for thing in world.things:
        if thing.model.size is None:
            continue
        half = np.array(thing.model.size) / 2 + [0, 0, thing.model.size[2] / 2]
        for pose in thing.model.poses:
            reach = np.abs(pose.corners).max(axis=(0, 1))
            assert (reach <= half + np.array([0.24, 0.24, 0.05])).all(), thing.model.category  # a toe, a mirror
            assert pose.corners[..., 2].min() > -0.01
        low, high = thing.model.bounds.min(axis=0), thing.model.bounds.max(axis=0)
        assert (high - low >= 0.75 * np.array(thing.model.size)).all(), thing.model.category


def test_there_are_many_kinds(table: Table) -> None:
    category = {row["token"]: row["name"] for row in table("category")}
    kinds = {category[row["category_token"]] for row in table("instance")}
    assert {"vehicle.car", "human.pedestrian.adult", "vehicle.bicycle"} <= kinds
    per_frame = len(table("sample_annotation")) / len(table("sample"))
    assert per_frame > 30


def _through(size: tuple[float, float, float]) -> tuple[Doubles, Doubles]:
    # Ends of lines across a box, a little within it and above the kerb's height.
    length, width, height = size[0] - 0.1, size[1] - 0.1, size[2] - 0.03
    starts, ends = [], []
    for z in np.linspace(0.25 if height > 0.6 else 0.08, height, 4):
        for along in np.linspace(-0.5, 0.5, max(int(length / 0.4), 3)):
            starts.append((along * length, -width / 2, z))
            ends.append((along * length, width / 2, z))
    return np.array(starts), np.array(ends)


@pytest.mark.parametrize("frame", [0, 2])
def test_nothing_that_stands_reaches_into_a_box_of_another(world: World, stage: Stage, frame: int) -> None:
    moment = world.moment(time_of(frame))
    stage.move([], [])
    clashes = []
    for thing in world.things:
        if thing.model.size is None:
            continue
        pose = world.pose(thing, moment)
        start, end = (ends @ pose[:3, :3].T + pose[:3, 3] for ends in _through(thing.model.size))
        way = np.linalg.norm(end - start, axis=1)
        hits = stage.cast(np.c_[start, (end - start) / way[:, None]].astype(np.float32))
        met = stage.surfaces.thing[hits.triangle[(hits.triangle >= 0) & (hits.distance < way)]]
        clashes += [
            (thing.model.category, thing.number, int(other)) for other in np.unique(met) if other != thing.number
        ]
    assert clashes == []
