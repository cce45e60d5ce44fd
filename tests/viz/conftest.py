"""A small frame with its units and its scene, shared by the tests of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from viz.compose import compose
from viz.members import telling_unit
from viz.scene import Scene
from viz.similarity import Similarity, compare
from xmodal_core.datasets import open_dataset
from xmodal_core.types import Floats, Frame, Units
from xmodal_core.units import UnitsConfig, discover


@pytest.fixture(scope="session")
def frame(example_root: Callable[[str], Path]) -> Frame:
    """Six cameras, labelled boxes, exact rays: the nuScenes reader's own example."""
    return open_dataset("nuscenes", example_root("nuscenes")).frame(0)


@pytest.fixture(scope="session")
def units(frame: Frame) -> Units:
    return discover(frame, UnitsConfig.model_validate({"seeds": {"count": 300}, "instances": {"radius": 1.2}}))


@pytest.fixture(scope="session")
def features(units: Units) -> Floats:
    """Made-up image features."""
    return np.random.default_rng(1).normal(size=(units.count, 24)).astype(np.float32)


@pytest.fixture(scope="session")
def similarity(frame: Frame, units: Units, features: Floats) -> Similarity:
    return compare(features, telling_unit(frame, units), 0.4)


@pytest.fixture(scope="session")
def scene(frame: Frame, units: Units, similarity: Similarity) -> Scene:
    return compose(frame, units, similarity)
