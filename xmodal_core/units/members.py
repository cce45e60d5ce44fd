"""Which points make up a unit, and why there may be none."""

from __future__ import annotations

import numpy as np

from xmodal_core.types import Frame, Ints, Pooling, Units


def unit_of_points(units: Units) -> Ints:
    """The unit of each point, (N,) int64, or -1.

    All points of an instance belong to the unit it became, a seed to its own, any other point to the unit that gives it
    most weight. (The pooling matrix may share a point among units; a picture has to choose, and loses no unit.)
    """
    owner = row_of_columns(units.pooling)
    inside = units.instance >= 0
    became = unit_of_instances(units)
    owner[inside] = became[units.instance[inside]]
    owner[units.seeds] = units.unit
    return owner


def row_of_columns(pooling: Pooling) -> Ints:
    """The row that gives each column most weight, (N,) int64, or -1: the unit of each point, whatever a unit is."""
    owner = np.full(pooling.shape[1], -1, dtype=np.int64)
    lightest_first = np.argsort(pooling.weight, kind="stable")
    owner[pooling.column[lightest_first]] = pooling.row[lightest_first]
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


def why_none(frame: Frame, units: Units) -> str:
    """Why ``frame`` has no units, in words; empty where it has some."""
    if units.count:
        return ""
    if not len(frame):
        return f"frame {frame.name} has no points"
    if not frame.cameras:
        return f"frame {frame.name} has no camera, and a unit begins at a point that a camera sees"
    if not units.visible.any():
        return f"no camera of frame {frame.name} sees a single point"
    return f"the cameras of frame {frame.name} see nothing but ground and what is left out"
