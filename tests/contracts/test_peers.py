"""What every peer promises: a pooling matrix that a loss or a measure can take, on any frame, the same each time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xmodal_core import plugins
from xmodal_core.config import entries
from xmodal_core.datasets import open_dataset
from xmodal_core.errors import InputError
from xmodal_core.geometry import invert, transform_points
from xmodal_core.types import Frame, Pooling
from xmodal_core.units import peers
from xmodal_core.units.peers.base import Peer


@pytest.fixture(scope="module", params=["nuscenes", "kitti_object"])
def frame(request: pytest.FixtureRequest, example_root: Callable[[str], Path]) -> Frame:
    """A frame of an example, and 8 m before its first camera a plate as densely sampled as a real sweep samples it."""
    plain = open_dataset(request.param, example_root(request.param)).frame(0)
    x, y = np.meshgrid(np.arange(-1, 1, 0.1), np.arange(-1, 1, 0.1))
    plate = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, 8.0)]).astype(np.float32)
    points = transform_points(invert(plain.cameras[0].lidar_to_camera), plate)
    return replace(plain, points=np.concatenate([plain.points, points]), channels={}, semantic=None)


@pytest.fixture(params=peers.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def same(a: Pooling, b: Pooling) -> bool:
    return a.shape == b.shape and all(
        np.array_equal(getattr(a, part), getattr(b, part)) for part in ("row", "column", "weight")
    )


class TestEveryPeer:
    def test_its_units_average_points_of_the_frame(self, name: str, frame: Frame) -> None:
        pooling = peers.load(name)(frame)
        units, points = pooling.shape
        assert points == len(frame)
        assert units > 0
        assert np.array_equal(np.unique(pooling.row), np.arange(units)), "a unit without a point"
        assert pooling.column.min() >= 0
        assert pooling.column.max() < points
        assert (pooling.weight > 0).all()
        np.testing.assert_allclose(np.bincount(pooling.row, pooling.weight), 1.0, rtol=1e-5)
        key = pooling.row * points + pooling.column
        assert (np.diff(key) > 0).all(), "not sorted, or a pair twice"

    def test_the_same_seed_gives_the_same_units(self, name: str, frame: Frame) -> None:
        assert same(peers.load(name)(frame, 3), peers.load(name)(frame, 3))

    def test_without_points_there_are_no_units(self, name: str, frame: Frame) -> None:
        none = replace(frame, points=frame.points[:0], channels={}, boxes=None, semantic=None)
        assert peers.load(name)(none).shape == (0, 0)

    def test_it_says_whose_units_they_are_and_where_from(self, name: str) -> None:
        peer = peers.load(name)
        assert peer.system
        assert peer.source
        assert peer.system in plugins.summary(plugins.PEER, name)

    def test_its_settings_are_said_in_words_and_bounded(self, name: str) -> None:
        for entry in entries(plugins.load(plugins.PEER, name).Config):
            assert entry.words, entry.path
            assert entry.ge is not None, entry.path
            assert entry.le is not None, entry.path

    def test_a_wrong_setting_is_refused(self, name: str) -> None:
        with pytest.raises(InputError, match=r"there is no setting 'peer\.no_such_thing'"):
            peers.load(name, {"no_such_thing": 1})

    def test_its_libraries_are_not_imported_before_it_looks(self, name: str) -> None:
        code = (
            f"import sys; from xmodal_core.units import peers; peers.load({name!r}); "
            "heavy = {'open3d', 'skimage', 'sklearn', 'torch'} & set(sys.modules); "
            "sys.exit(f'imported {heavy}' if heavy else 0)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_an_unknown_peer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown peer 'superpixel'") as caught:
        peers.load("superpixel")
    assert caught.value.hint == "did you mean 'superpixels'? known: points, segments, superpixels"
    assert all(isinstance(peers.load(name), Peer) for name in peers.names())
