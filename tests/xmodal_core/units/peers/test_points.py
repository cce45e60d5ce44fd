"""PPKT's pairs: single points, as many as there are views of them, drawn without replacement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xmodal_core import geometry
from xmodal_core.types import Frame
from xmodal_core.units import peers
from xmodal_core.units.peers.points import draw


def test_each_pair_at_most_once(street: Frame) -> None:
    views = np.bincount(geometry.pixels(street.cameras, street.points).point, minlength=len(street))
    assert views.max() == 2
    pooling = peers.load("points")(street)
    assert pooling.shape == (4096, len(street))
    assert (pooling.weight == 1).all()
    assert np.array_equal(pooling.row, np.arange(4096))
    assert (np.bincount(pooling.column, minlength=len(street)) <= views).all()
    other = peers.load("points")(street, 1)
    assert not np.array_equal(pooling.column, other.column), "another seed draws others"


def test_all_of_them_where_there_are_fewer(street: Frame) -> None:
    views = np.bincount(geometry.pixels(street.cameras, street.points).point, minlength=len(street))
    pooling = peers.load("points", {"pairs": 100_000})(street)
    assert np.array_equal(np.bincount(pooling.column, minlength=len(street)), views)
    assert peers.load("points")(replace(street, cameras=())).shape == (0, len(street))


def test_a_fair_draw() -> None:
    drawn = np.concatenate([draw(40, 10, seed) for seed in range(400)])
    times = np.bincount(drawn, minlength=40)
    assert times.sum() == 4000
    assert times.min() > 60
    assert times.max() < 140
