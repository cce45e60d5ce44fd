"""Detection's settings: complete, coherent, and those of the data set where nobody chose."""

from __future__ import annotations

import pytest

from xmodal_core.config import validate
from xmodal_core.errors import InputError
from xmodal_core.tasks._detection_config import DetectionConfig, defaults_of, grouped
from xmodal_core.train.finetune_config import read_finetuning


@pytest.mark.parametrize("preset", DetectionConfig.presets)
def test_every_preset_is_complete_and_survives_being_written(preset: str) -> None:
    config = DetectionConfig(preset=preset)  # type: ignore[arg-type]
    assert DetectionConfig.model_validate(config.model_dump(mode="json")) == config


def test_a_group_of_settings_may_be_given_in_part() -> None:
    config = DetectionConfig(preset="waymo", objects={"enabled": False})
    assert not config.objects.enabled
    assert config.objects.counts["vehicle"] == 15


def test_a_class_is_in_one_group() -> None:
    with pytest.raises(InputError, match="do not fit together"):
        validate(DetectionConfig, {"groups": [["car"], ["car"]]}, "task")


def test_a_network_with_a_map_is_taken_where_none_was_chosen() -> None:
    options = {"task.name": "detection", "dataset.name": "kitti_object", "dataset.root": "/data"}
    for network, taken in ((None, "pillars"), ("voxels", "voxels")):
        assert read_finetuning(None, [], {**options, "network.name": network}).network.name == taken


def test_what_a_data_set_has_is_its_own_and_of_others_plain() -> None:
    assert defaults_of("kitti_object")["augment"]["flip_x"] == 0.0  # only what lies ahead is labelled
    assert "flip_x" not in defaults_of("waymo")["augment"]
    assert defaults_of("folder")["task"] == {"preset": "plain"}


def test_groups_keep_to_the_classes_there_are() -> None:
    groups = grouped(("car", "unicorn", "pedestrian"), DetectionConfig(preset="nuscenes"))
    assert [group.numbers for group in groups] == [(0,), (2,), (1,)]
    assert [group.radius for group in groups] == [2.0, 0.42, 0.42]
