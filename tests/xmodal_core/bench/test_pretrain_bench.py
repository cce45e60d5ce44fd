"""Where a step's time goes: parts that add up, losses that agree, and a teacher that looks no more."""

from __future__ import annotations

import dataclasses
from time import sleep

import pytest
import torch
from torch.nn import functional as F

from xmodal_core.bench.pretrain import STEPS, TOTAL, Part, bench_pretrain
from xmodal_core.datasets import open_dataset
from xmodal_core.errors import InputError
from xmodal_core.images.base import Teacher, TeacherConfig
from xmodal_core.methods.units import UnitContrast, UnitsMethodConfig
from xmodal_core.points.base import PointFeatures, PointNetwork
from xmodal_core.points.minkunet import MinkUNetConfig
from xmodal_core.train.config import Pretraining, read_experiment
from xmodal_core.train.parts import Parts

SLOW = 0.05


class Slow(Teacher):
    Config = TeacherConfig
    channels, strides = (3,), (4,)

    def forward(self, images):
        sleep(SLOW)
        return [F.avg_pool2d(F.pad(images, (0, 4, 0, 4)), 4)]


class Shallow(PointNetwork):
    width = 8

    def __init__(self) -> None:
        super().__init__(MinkUNetConfig(preset="tiny", channels=("intensity",)))
        self.layer = torch.nn.Linear(3, self.width)

    def forward(self, points, channels, offsets):
        return PointFeatures(self.layer(points / 20), None)


@pytest.fixture
def experiment(example_root) -> Pretraining:
    settings = ["units.seeds.count=64", "train.min_units=4", "train.batch_size=1", "train.device=cpu"]
    chosen = {"dataset.name": "kitti_object", "dataset.root": example_root("kitti_object")}
    return read_experiment(None, [*settings, "cache.half=false"], chosen, gpu=False)


def build(experiment: Pretraining) -> Parts:
    method = UnitContrast(UnitsMethodConfig(hidden=8, projection=8), Shallow(), Slow(TeacherConfig()))
    return Parts(open_dataset("kitti_object", experiment.root), method)


def test_the_teachers_time_is_the_teachers_and_gone_with_the_cache(experiment):
    said: list[str] = []
    bench = bench_pretrain(experiment, frames=2, repeat=2, build=build, on_step=said.append)
    parts = {part.step: part for part in bench.parts}
    assert tuple(parts) == (*STEPS, TOTAL)
    assert parts["teacher"].without > 1e3 * SLOW
    assert parts["teacher"].cached < 1e3 * SLOW / 2
    assert parts["units"].without > 0
    assert parts["units"].cached == 0
    assert parts["units"].ratio is None
    assert parts[TOTAL].ratio > 1
    assert bench.loss_difference == 0  # kept as they are
    assert "1 frames of 1 cameras" in bench.notes[0]
    assert said[0] == "the first looks"
    assert said[-1] == "step 6 of 6"


def test_a_method_that_keeps_nothing_is_refused(experiment):
    never = dataclasses.replace(experiment, train=experiment.train.model_copy(update={"unit_variants": 0}))
    with pytest.raises(InputError, match="cannot be kept"):
        bench_pretrain(never, build=build)


def test_a_row_of_json():
    assert Part("load", 10.0, 2.5).as_json() == {
        "step": "load",
        "milliseconds": 10.0,
        "cached_milliseconds": 2.5,
        "ratio": 4.0,
    }
