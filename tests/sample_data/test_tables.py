"""The tables hang together as nuScenes' do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sample_data import DriveSettings
from sample_data.labels import CATEGORIES
from sample_data.rig import CAMERAS, SENSORS
from sample_data.tables import VERSION, splits

Table = Callable[[str], list[dict[str, Any]]]
NAMES = (
    "sensor", "calibrated_sensor", "category", "attribute", "visibility", "log", "map", "scene", "sample", "ego_pose",
    "sample_data", "lidarseg", "instance", "sample_annotation",
)  # fmt: skip
LINKS = {
    ("calibrated_sensor", "sensor_token"): "sensor",
    ("scene", "log_token"): "log",
    ("scene", "first_sample_token"): "sample",
    ("scene", "last_sample_token"): "sample",
    ("sample", "scene_token"): "scene",
    ("sample", "prev"): "sample",
    ("sample", "next"): "sample",
    ("sample_data", "sample_token"): "sample",
    ("sample_data", "ego_pose_token"): "ego_pose",
    ("sample_data", "calibrated_sensor_token"): "calibrated_sensor",
    ("sample_data", "prev"): "sample_data",
    ("sample_data", "next"): "sample_data",
    ("lidarseg", "sample_data_token"): "sample_data",
    ("instance", "category_token"): "category",
    ("instance", "first_annotation_token"): "sample_annotation",
    ("instance", "last_annotation_token"): "sample_annotation",
    ("sample_annotation", "sample_token"): "sample",
    ("sample_annotation", "instance_token"): "instance",
    ("sample_annotation", "visibility_token"): "visibility",
    ("sample_annotation", "prev"): "sample_annotation",
    ("sample_annotation", "next"): "sample_annotation",
}


@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_unique(table: Table, name: str) -> None:
    tokens = [row["token"] for row in table(name)]
    assert len(tokens) == len(set(tokens)) > 0


@pytest.mark.parametrize(("where", "to"), LINKS.items(), ids=lambda v: v if isinstance(v, str) else ".".join(v))
def test_links_lead_somewhere(table: Table, where: tuple[str, str], to: str) -> None:
    known = {row["token"] for row in table(to)}
    targets = {row[where[1]] for row in table(where[0])}
    if where[1] in ("prev", "next"):
        assert "" in targets
        targets.remove("")
    assert targets <= known


@pytest.mark.parametrize("name", ["sample", "sample_data", "sample_annotation"])
def test_rows_are_chained_both_ways(table: Table, name: str) -> None:
    rows = {row["token"]: row for row in table(name)}
    for row in rows.values():
        if row["next"]:
            assert rows[row["next"]]["prev"] == row["token"]
        if row["prev"]:
            assert rows[row["prev"]]["next"] == row["token"]


def test_every_keyframe_has_all_sensors_at_their_own_time_and_pose(table: Table, small: DriveSettings) -> None:
    poses = {row["token"]: row for row in table("ego_pose")}
    channel = {row["token"]: row["channel"] for row in table("sensor")}
    sensor = {row["token"]: channel[row["sensor_token"]] for row in table("calibrated_sensor")}
    for sample in table("sample"):
        own = [row for row in table("sample_data") if row["sample_token"] == sample["token"]]
        assert sorted(sensor[row["calibrated_sensor_token"]] for row in own) == sorted(m.channel for m in SENSORS)
        assert len({row["timestamp"] for row in own}) == len(SENSORS)
        assert len({tuple(poses[row["ego_pose_token"]]["translation"]) for row in own}) == len(SENSORS)
        for row in own:
            assert poses[row["ego_pose_token"]]["timestamp"] == row["timestamp"]
            assert abs(row["timestamp"] - sample["timestamp"]) < 60_000
            assert row["is_key_frame"]
    assert len(table("sample")) == small.total


def test_files_are_there_and_of_the_stated_size(drive: Path, table: Table, small: DriveSettings) -> None:
    points = {}
    for row in table("sample_data"):
        path = drive / row["filename"]
        if row["fileformat"] == "jpg":
            with Image.open(path) as picture:
                assert picture.size == (row["width"], row["height"]) == (small.image_width, small.image_height)
        else:
            assert path.stat().st_size % 20 == 0
            points[row["token"]] = path.stat().st_size // 20
    for row in table("lidarseg"):
        labels = np.fromfile(drive / row["filename"], dtype=np.uint8)
        assert len(labels) == points[row["token"]]
        assert labels.max() < len(CATEGORIES)
    assert len(list((drive / "lidarseg" / VERSION).iterdir())) == len(table("lidarseg")) == small.total
    assert all((drive / row["filename"]).is_file() for row in table("map"))


def test_categories_stand_at_their_index(table: Table) -> None:
    rows = table("category")
    assert [row["index"] for row in rows] == list(range(32))
    assert rows[24]["name"] == "flat.driveable_surface"
    assert rows[26]["name"] == "flat.sidewalk"
    assert rows[31]["name"] == "vehicle.ego"


def test_instances_count_their_annotations(table: Table) -> None:
    annotations = {row["token"]: row for row in table("sample_annotation")}
    for instance in table("instance"):
        own = [row for row in annotations.values() if row["instance_token"] == instance["token"]]
        assert instance["nbr_annotations"] == len(own)
        assert annotations[instance["first_annotation_token"]]["prev"] == ""
        assert annotations[instance["last_annotation_token"]]["next"] == ""


def test_attributes_suit_their_categories(table: Table) -> None:
    attribute = {row["token"]: row["name"].split(".")[0] for row in table("attribute")}
    category = {row["token"]: row["name"] for row in table("category")}
    instance = {row["token"]: category[row["category_token"]] for row in table("instance")}
    for row in table("sample_annotation"):
        name = instance[row["instance_token"]]
        kinds = [attribute[token] for token in row["attribute_tokens"]]
        if name.startswith("movable_object"):
            assert kinds == []
        elif name in ("vehicle.bicycle", "vehicle.motorcycle"):
            assert kinds == ["cycle"]
        else:
            assert kinds == ["pedestrian" if name.startswith("human") else "vehicle"]


def test_what_moves_has_a_velocity_and_what_is_parked_has_none(table: Table) -> None:
    samples = {row["token"]: row["timestamp"] * 1e-6 for row in table("sample")}
    rows = {row["token"]: row for row in table("sample_annotation")}
    attribute = {row["token"]: row["name"] for row in table("attribute")}
    speeds: dict[str, list[float]] = {}
    for row in rows.values():
        if row["next"] and row["attribute_tokens"]:
            after = rows[row["next"]]
            moved = np.subtract(after["translation"], row["translation"])[:2]
            seconds = samples[after["sample_token"]] - samples[row["sample_token"]]
            name = attribute[row["attribute_tokens"][0]]
            speeds.setdefault(name, []).append(float(np.hypot(*moved)) / seconds)
    assert max(speeds["vehicle.parked"]) == 0.0
    assert 3.0 < float(np.median(speeds["vehicle.moving"])) < 12.0
    assert 0.8 < float(np.median(speeds["pedestrian.moving"])) < 2.0


@pytest.mark.parametrize(("scenes", "train", "val"), [(1, 1, 1), (2, 1, 1), (3, 2, 1), (6, 4, 2), (12, 10, 2)])
def test_splits(scenes: int, train: int, val: int) -> None:
    found = splits(scenes)
    assert (len(found["train"]), len(found["val"])) == (train, val)
    if scenes > 1:
        assert not set(found["train"]) & set(found["val"])
    assert found["sample_val"] == found["val"]


def test_splits_name_scenes_of_the_drive(drive: Path, table: Table) -> None:
    names = {row["name"] for row in table("scene")}
    for scenes in json.loads((drive / VERSION / "splits.json").read_text()).values():
        assert set(scenes) <= names


def test_cameras_have_lenses(table: Table) -> None:
    with_lens = [row for row in table("calibrated_sensor") if row["camera_intrinsic"]]
    assert len(with_lens) == len(CAMERAS)
