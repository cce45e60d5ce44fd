"""Frames for the tuner, compared by made-up features that depend on where a unit is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xmodal_core.datasets import open_dataset
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError
from xmodal_core.types import Bools, Floats, Frame, Units
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.discovery import discover

SMALL = UnitsConfig.model_validate({"seeds": {"count": 304}, "instances": {"radius": 1.2}})


class MadeUpComparison:
    share, literal = 0.4, False

    def features(self, units: Units) -> Floats:
        return np.random.default_rng(1).normal(size=(units.count, 24)).astype(np.float32)

    def negatives(self, features: Floats) -> Bools:
        return ~np.eye(len(features), dtype=np.bool_)


class ExampleSource:
    """The two frames of the nuScenes reader's own example, one with nothing but ground, and one that is damaged."""

    title, options = "example", "--dataset nuscenes --root here"

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.read: list[int] = []

    def __len__(self) -> int:
        return 4

    def frame(self, number: int) -> Frame:
        self.read.append(number)
        if number == 3:
            raise DataError("the sweep is gone", "fetch it again")
        frame = self.dataset.frame(number % 2)
        # The frames of the example differ in nothing but their name.
        frame = replace(frame, points=frame.points + np.float32(0.01 * number))
        return _ground_of(frame) if number == 2 else frame

    def comparison(self, frame: Frame) -> MadeUpComparison:
        return MadeUpComparison()


def _ground_of(frame: Frame) -> Frame:
    ground = discover(frame, SMALL).ground
    channels = {name: values[ground] for name, values in frame.channels.items()}
    semantic = frame.semantic and replace(frame.semantic, label=frame.semantic.label[ground])
    return replace(frame, points=frame.points[ground], channels=channels, semantic=semantic)


@pytest.fixture
def source(example_root: Callable[[str], Path]) -> ExampleSource:
    return ExampleSource(open_dataset("nuscenes", example_root("nuscenes")))


@pytest.fixture
def small() -> UnitsConfig:
    return SMALL
