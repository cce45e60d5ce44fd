"""What the benchmarks want to know of the tables beside the boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.xmodal_core.metrics import nuscenes_official as official
from xmodal_core.datasets import open_dataset
from xmodal_core.datasets.nuscenes import NuScenes
from xmodal_core.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    official.write_drive(tmp_path, official.CASES["no attributes"])
    changed(tmp_path, lambda number, row: row.update(attribute_tokens=[f"attribute {NAMES[number % 8]}"]))
    return tmp_path


NAMES = sorted({name for names in official.ATTRIBUTES.values() for name in names})


def changed(root: Path, change: Callable[[int, dict[str, Any]], None]) -> list[dict[str, Any]]:
    table = root / official.VERSION / "sample_annotation.json"
    rows: list[dict[str, Any]] = json.loads(table.read_text())
    for number, row in enumerate(rows):
        change(number, row)
    table.write_text(json.dumps(rows))
    return rows


def opened(root: Path) -> NuScenes:
    dataset = open_dataset("nuscenes", root, {"split": official.SPLIT})
    assert isinstance(dataset, NuScenes)
    return dataset


def test_boxes_come_in_global_coordinates_with_their_points_and_attributes(root: Path) -> None:
    dataset, rows = opened(root), changed(root, lambda number, row: None)
    poses = {row["token"]: row for row in json.loads((root / official.VERSION / "ego_pose.json").read_text())}
    for index in range(len(dataset)):
        found = dataset.annotations(index)
        mine = [row for row in rows if row["sample_token"] == dataset.name(index)]
        assert len(mine) > 3
        np.testing.assert_array_equal(found.centre, [row["translation"] for row in mine])
        np.testing.assert_array_equal(found.rotation, [row["rotation"] for row in mine])
        np.testing.assert_array_equal(found.size[:, [1, 0, 2]], [row["size"] for row in mine])
        assert found.points.tolist() == [row["num_lidar_pts"] + row["num_radar_pts"] for row in mine]
        assert found.attribute.tolist() == [row["attribute_tokens"][0][len("attribute ") :] for row in mine]
        np.testing.assert_array_equal(found.ego, poses[dataset.lidar_token(index)]["translation"])


def test_boxes_without_an_attribute_or_a_table_of_them_have_none(root: Path) -> None:
    changed(root, lambda number, row: row.update(attribute_tokens=[] if number % 2 else row["attribute_tokens"]))
    counts = [(opened(root).annotations(index).attribute == "").mean() for index in range(3)]
    assert 0 < np.mean(counts) < 1
    (root / official.VERSION / "attribute.json").unlink()
    assert (opened(root).annotations(0).attribute == "").all()


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["attribute vehicle.moving", "attribute vehicle.parked"], "a box with 2 attributes"),
        (["nowhere"], "refers to a box attribute that does not exist: 'nowhere'"),
        (3, "is damaged"),
    ],
)
def test_what_is_no_attribute_is_named(root: Path, tokens: Any, words: str) -> None:
    changed(root, lambda number, row: row.update(attribute_tokens=tokens) if number == 5 else None)
    with pytest.raises(DataError, match=rf"sample_annotation\.json.*{words}"):
        opened(root)


@pytest.mark.parametrize("count", ["many", None, 1.5])
def test_a_count_that_is_none_is_named(root: Path, count: Any) -> None:
    changed(root, lambda number, row: row.update(num_lidar_pts=count) if number == 5 else None)
    with pytest.raises(DataError, match=r"sample_annotation\.json is damaged"):
        opened(root)
