"""What a wrong calibration does to units, against a loop over pairs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from xmodal_core.datasets import open_dataset
from xmodal_core.rig import RigConfig, restore
from xmodal_core.types import Frame, Units
from xmodal_core.units.config import SeedsConfig, UnitsConfig
from xmodal_core.units.discovery import discover
from xmodal_core.units.members import unit_of_points
from xmodal_core.units.miscalibration import measure_miscalibration
from xmodal_core.units.pool import image_pooling

CONFIG = UnitsConfig(seeds=SeedsConfig(count=64))


def _opened(example_root, degrees: float) -> tuple[Frame, Units, RigConfig]:
    rig = RigConfig(perturb_calibration=degrees)
    frame = open_dataset("sample", example_root("sample"), rig=rig).frame(0)
    return frame, discover(frame, CONFIG), rig


def _naive(frame: Frame, units: Units, rig: RigConfig) -> tuple[float, float]:
    pairs, owner = image_pooling(units), unit_of_points(units)
    members = [set(units.pooling.column[units.pooling.row == unit]) for unit in range(units.count)]
    members = [some | set(np.flatnonzero(owner == unit)) for unit, some in enumerate(members)]
    cameras = restore(frame, rig).cameras
    seen = [camera.project(frame.points) for camera in cameras]
    moved, kept = [], []
    for unit, row in zip(pairs.row, pairs.column, strict=True):
        number, point = units.pixels.camera[row], units.pixels.point[row]
        at = np.array([units.pixels.u[row], units.pixels.v[row]])
        if seen[number].depth[point] > 1.0:
            moved.append(np.hypot(*(seen[number].uv[point] - at)))
        away = np.hypot(*(seen[number].uv - at).T)
        away[~seen[number].inside] = np.inf
        kept.append(int(away.argmin()) in members[unit])
    return float(np.mean(moved)), float(np.mean(kept))


@pytest.mark.parametrize("degrees", [0.5, 4.0])
def test_it_is_what_a_loop_over_pairs_finds(degrees, example_root):
    frame, units, rig = _opened(example_root, degrees)
    measured = measure_miscalibration(frame, units, rig)
    moved, kept = _naive(frame, units, rig)
    assert measured.pairs == len(image_pooling(units).row) > 100
    assert measured.moved == pytest.approx(moved, rel=1e-4)
    # Points that fall on one pixel are both the nearest.
    assert measured.kept == pytest.approx(kept, abs=0.01)


def test_the_more_it_is_off_the_fewer_pairs_stay(example_root):
    measured = [measure_miscalibration(*_opened(example_root, degrees)) for degrees in (0.0, 0.5, 2.0, 8.0)]
    assert measured[0].moved == pytest.approx(0.0, abs=1e-3)
    assert measured[0].kept > 0.99
    assert all(a.kept > b.kept and a.moved < b.moved for a, b in pairwise(measured))
    assert str(measured[0]) == "pixels moved by 0.0, 100% of pairs still on their unit"


def test_without_cameras_there_is_nothing_to_measure(example_root):
    frame, _, rig = _opened(example_root, 1.0)
    blind = replace(frame, cameras=())
    measured = measure_miscalibration(blind, discover(blind, CONFIG), rig)
    assert measured.pairs == 0
    assert np.isnan([measured.moved, measured.kept]).all()
