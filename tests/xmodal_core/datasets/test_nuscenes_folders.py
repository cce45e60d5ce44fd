"""Where nuScenes' reader finds its files, and which scenes a split has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from xmodal_core.datasets import _nuscenes_example, open_dataset
from xmodal_core.errors import DataError, InputError

NAME = "nuscenes"
VERSION = _nuscenes_example.VERSION


class TestFolders:
    def test_the_version_is_found_and_may_be_the_root_itself(self, root: Path) -> None:
        dataset = open_dataset("nuscenes", root / VERSION)
        assert dataset.root == root
        assert len(dataset.frame(0)) > 1000

    def test_several_versions_are_listed(self, copy: Path) -> None:
        (copy / "v1.0-other").mkdir()
        with pytest.raises(InputError, match=r"several versions: v1.0-mini, v1.0-other.*dataset\.version"):
            open_dataset("nuscenes", copy)
        assert len(open_dataset("nuscenes", copy, {"version": VERSION})) == 2

    def test_an_unknown_version_is_refused_with_what_is_there(self, root: Path) -> None:
        with pytest.raises(DataError, match=r"no folder v1.0-test.*v1.0-mini"):
            open_dataset("nuscenes", root, {"version": "v1.0-test"})

    def test_a_missing_table_is_named(self, copy: Path) -> None:
        (copy / VERSION / "ego_pose.json").unlink()
        with pytest.raises(DataError, match=r"ego_pose\.json is missing"):
            open_dataset("nuscenes", copy)

    def test_a_keyframe_whose_sweep_is_absent_is_an_error_or_skipped(self, copy: Path) -> None:
        dataset = open_dataset("nuscenes", copy, {"skip_missing": False})
        kept = dataset.name(1)
        lost = sorted((copy / "samples" / "LIDAR_TOP").iterdir())[0]
        lost.unlink()
        with pytest.raises(DataError, match=rf"{lost.name} is missing.*skip_missing=true"):
            dataset.frame(0)
        partial = open_dataset("nuscenes", copy)
        assert [partial.name(index) for index in range(len(partial))] == [kept]
        assert partial.notes() == (f"1 of 2 keyframes are left out: their LIDAR_TOP file is not in {copy}",)
        every = open_dataset("nuscenes", copy, {"skip_missing": False})
        assert len(every) == 2
        assert every.notes() == (f"1 of 2 keyframes cannot be read: their LIDAR_TOP file is not in {copy}",)

    def test_the_tables_alone_give_labels_and_say_which_sweep_a_frame_lacks(self, copy: Path) -> None:
        whole = open_dataset("nuscenes", copy).boxes(0)
        for file in (copy / "samples" / "LIDAR_TOP").iterdir():
            file.unlink()
        dataset = open_dataset("nuscenes", copy)
        assert dataset.notes() == (f"no sweep of the 2 keyframes of this split is in {copy}: labels only",)
        boxes = dataset.boxes(0)
        assert boxes is not None
        assert whole is not None
        np.testing.assert_array_equal(boxes.centre, whole.centre)
        with pytest.raises(DataError, match=r"\.pcd\.bin is missing.*unpack"):
            dataset.frame(0)

    def test_pictures_that_are_not_there_are_counted(self, copy: Path) -> None:
        next((copy / "samples" / "CAM_BACK").iterdir()).unlink()
        assert open_dataset("nuscenes", copy).notes() == ("1 of 12 pictures of these 2 frames are not there",)
        assert open_dataset("nuscenes", copy, {"cameras": ["CAM_FRONT"]}).notes() == ()

    def test_a_whole_folder_has_nothing_to_note(self, root: Path) -> None:
        assert open_dataset("nuscenes", root, {"split": "all"}).notes() == ()


class TestSplits:
    def test_the_official_lists_are_whole(self) -> None:
        from xmodal_core.datasets._nuscenes_splits import OFFICIAL

        lists = json.loads(OFFICIAL.read_text())
        sizes = {name: len(set(scenes)) for name, scenes in lists.items()}
        assert sizes == {
            "train": 700,
            "train_detect": 350,
            "train_track": 350,
            "val": 150,
            "test": 150,
            "mini_train": 8,
            "mini_val": 2,
        }
        assert not set(lists["train"]) & set(lists["val"])
        assert set(lists["train"]) == set(lists["train_detect"]) | set(lists["train_track"])
        # A trap of the release: two scenes of mini_train are validation scenes of the full one.
        assert set(lists["mini_train"]) & set(lists["val"]) == {"scene-0553", "scene-0796"}

    @pytest.mark.parametrize("split", ["auto", "all", "mini_train", "train", "train_detect"])
    def test_the_examples_scene_is_in_its_splits(self, root: Path, split: str) -> None:
        assert len(open_dataset("nuscenes", root, {"split": split})) == 2

    def test_a_split_without_a_scene_there_says_which_have(self, root: Path) -> None:
        with pytest.raises(InputError, match=r"split 'val' has no scene in .*v1.0-mini.*all, train, mini_train"):
            open_dataset("nuscenes", root, {"split": "val"})

    def test_own_splits_are_read(self, copy: Path) -> None:
        (copy / VERSION / "splits.json").write_text('{"mine": ["scene-0061"], "none": []}')
        assert len(open_dataset("nuscenes", copy, {"split": "mine"})) == 2
        with pytest.raises(InputError, match=r"known: .*mine"):
            open_dataset("nuscenes", copy, {"split": "yours"})

    def test_scenes_of_a_split_that_are_not_there_are_counted(self, copy: Path) -> None:
        (copy / VERSION / "splits.json").write_text('{"mine": ["scene-0061", "scene-9999", "scene-9998"]}')
        assert open_dataset("nuscenes", copy, {"split": "mine"}).notes() == (
            f"2 of 3 scenes of split 'mine' are not in {copy / VERSION}: scene-9998, …",
        )

    @pytest.mark.parametrize("text", ["[1, 2]", "{", '{"a": 3}'])
    def test_damaged_own_splits_are_named(self, copy: Path, text: str) -> None:
        (copy / VERSION / "splits.json").write_text(text)
        with pytest.raises(DataError, match=r"splits\.json is no list of splits"):
            open_dataset("nuscenes", copy, {"split": "mini_train"})

    def test_scenes_are_sorted_by_name_and_frames_by_time(self, copy: Path) -> None:
        table = copy / VERSION / "sample.json"
        table.write_text(json.dumps(json.loads(table.read_text())[::-1]))
        dataset = open_dataset("nuscenes", copy)
        assert [dataset.name(index) for index in range(2)] == [
            _nuscenes_example.token("sample", key) for key in range(2)
        ]
