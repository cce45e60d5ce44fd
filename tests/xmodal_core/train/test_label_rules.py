"""Which frames are labelled: the published rules on rows of made-up frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from xmodal_core.config import Settings
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.train.label_rules import LabelsConfig, labelled_frames
from xmodal_core.types import Frame, Semantic, Sensor


class Row(Dataset):
    """``scenes`` x ``each`` frames; point k of frame i has class ``classes[i][k]``. Counts which frames are read."""

    sensor = Sensor("made up", 1, (1.0, 0.0), None, 1.0)
    channels = ()

    def __init__(self, scenes: int, each: int, classes: list[list[int]] | None = None) -> None:
        super().__init__(Path("nowhere"), Settings())
        self.count, self.each, self.classes = scenes, each, classes
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.count * self.each

    def name(self, index: int) -> str:
        return f"{index // self.each:02d}/{index % self.each:06d}"

    def scene(self, index: int) -> str:
        return f"scene-{index // self.each:04d}"

    def _read(self, index: int) -> Frame:
        self.read.append(index)
        label = np.array(self.classes[index] if self.classes else [], dtype=np.int64)
        points = np.zeros((len(label), 3), dtype=np.float32)
        semantic = Semantic(label, tuple("abcdefgh")) if self.classes else None
        return Frame(self.name(index), self.scene(index), 0.0, points, {}, self.sensor, semantic=semantic)


def chosen(dataset: Dataset, **settings: object) -> list[int]:
    return labelled_frames(dataset, LabelsConfig(**settings)).indices.tolist()


def test_every_kth_frame_from_the_first_on() -> None:
    assert chosen(Row(4, 25), fraction=0.05) == [0, 20, 40, 60, 80]
    assert chosen(Row(4, 25)) == list(range(100))


def test_slidr_takes_the_kth_scene_of_each_k() -> None:
    row = Row(700, 2)
    scenes = sorted({index // 2 for index in chosen(row, fraction=0.01, protocol="slidr")})
    assert scenes == [99, 199, 299, 399, 499, 599, 699]  # seven, as published for 1 %
    assert len(chosen(row, fraction=0.1, protocol="slidr")) == 2 * 70
    assert row.read == []


def test_slidr_takes_scans_of_semantic_kitti() -> None:
    Row.__module__, before = "xmodal_core.datasets.semantic_kitti", Row.__module__
    try:
        assert chosen(Row(1, 301), fraction=0.01, protocol="slidr") == [0, 100, 200, 300]
    finally:
        Row.__module__ = before


def test_whole_sequences() -> None:
    assert chosen(Row(10, 3), fraction=0.2, protocol="sequences") == [
        index for scene in (0, 5) for index in range(3 * scene, 3 * scene + 3)
    ]


def test_a_number_of_frames_is_evenly_spread_and_another_seed_moves_it() -> None:
    assert chosen(Row(1, 100), frames=4) == [0, 25, 50, 75]
    other = chosen(Row(1, 100), frames=4, seed=1)
    assert other != [0, 25, 50, 75]
    assert np.diff(other).tolist() == [25, 25, 25]
    rules = [
        labelled_frames(Row(1, 100), LabelsConfig(frames=count, seed=seed)).rule for count, seed in ((1, 0), (4, 2))
    ]
    assert rules == ["1 frame, evenly spread", "4 frames, evenly spread, subset 2"]


@pytest.mark.parametrize("protocol", ["frames", "slidr", "sequences"])
def test_another_seed_is_another_subset_of_the_same_rule(protocol: str) -> None:
    subsets = {tuple(chosen(Row(40, 5), fraction=0.1, protocol=protocol, seed=seed)) for seed in range(6)}
    assert len(subsets) > 2
    assert {len(subset) for subset in subsets} == {20}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fraction": 0.01, "protocol": "slidr"}, r"1 % of 8 scenes by the rule 'slidr' is none"),
        ({"fraction": 0.01, "protocol": "frames"}, r"1 % of 40 frames .* is none"),
        ({"fraction": 0.3}, r"takes every k-th of the frames, which a share of 0.3 is not"),
        ({"frames": 41}, r"41 labelled frames of 40"),
        ({"fraction": 0.5, "protocol": "segcontrast"}, r"needs classes of points"),
    ],
)
def test_what_cannot_be_is_refused_with_a_hint(settings: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        chosen(Row(8, 5), **settings)
    assert "--" in caught.value.hint


def test_segcontrast_draws_until_all_classes_of_a_sequence_are_there() -> None:
    # Of each ten frames one shows class 3; the rest show 1 and 2. A fifth of them has to have that one.
    classes = [[1, 2, 3] if index % 10 == 7 else [1, 2, 0] for index in range(40)]
    row = Row(4, 10, classes)
    found = chosen(row, fraction=0.2, protocol="segcontrast")
    assert [sum(index // 10 == scene for index in found) for scene in range(4)] == [2, 2, 2, 2]
    assert {7, 17, 27, 37} <= set(found)
    assert (
        found
        == chosen(row, fraction=0.2, protocol="segcontrast")
        != chosen(row, fraction=0.2, protocol="segcontrast", seed=1)
    )
    assert len(chosen(row, fraction=0.01, protocol="segcontrast")) == 4  # at least one of each sequence


def test_a_list_names_frames_by_name_or_by_their_file(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("01/000002\n\n/data/dataset/sequences/00/velodyne/000001.bin\n")
    assert chosen(Row(2, 5), file=str(file)) == [1, 7]
    file.write_text("09/000000\n")
    with pytest.raises(DataError, match="frame '09/000000' is not in this split"):
        chosen(Row(2, 5), file=str(file))
    file.write_text("\n")
    with pytest.raises(DataError, match="empty"):
        chosen(Row(2, 5), file=str(file))


def test_segcontrasts_own_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "percentiles_split.json"
    paths = {share: {"01": {"points": [f"x/sequences/01/velodyne/00000{share[-1]}.bin"]}} for share in ("0.01", "0.2")}
    file.write_text(json.dumps(paths))
    assert chosen(Row(2, 5), file=str(file), fraction=0.2) == [7]
    with pytest.raises(DataError, match="no list for a share of"):
        chosen(Row(2, 5), file=str(file), fraction=0.5)
