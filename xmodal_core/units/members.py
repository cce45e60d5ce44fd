"""Which points make up a unit."""

from __future__ import annotations

import numpy as np

from xmodal_core.types import Ints, Units


def unit_of_points(units: Units) -> Ints:
    """The unit of each point, (N,) int64, or -1.

    All points of an instance belong to the unit it became, a seed to its own, any other point to the unit that gives it
    most weight. (The pooling matrix may share a point among units; a picture has to choose, and loses no unit.)
    """
    pooling = units.pooling
    owner = np.full(len(units.ground), -1, dtype=np.int64)
    lightest_first = np.argsort(pooling.weight, kind="stable")
    owner[pooling.column[lightest_first]] = pooling.row[lightest_first]
    inside = units.instance >= 0
    became = unit_of_instances(units)
    owner[inside] = became[units.instance[inside]]
    owner[units.seeds] = units.unit
    return owner


def unit_of_instances(units: Units) -> Ints:
    """The unit that each kept instance became, (I,) int64, or -1 where no seed fell into it (no camera sees it)."""
    became = np.full(int(units.instance.max(initial=-1)) + 1, -1, dtype=np.int64)
    at = units.instance[units.seeds]
    became[at[at >= 0]] = units.unit[at >= 0]
    return became


def cluster_of_instances(units: Units) -> Ints:
    """The raw cluster that each kept instance is, (I,) int64."""
    of = np.full(int(units.instance.max(initial=-1)) + 1, -1, dtype=np.int64)
    inside = units.instance >= 0
    of[units.instance[inside]] = units.clusters[inside]
    return of
