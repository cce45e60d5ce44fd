"""The whole of discovery on a made-up street, and on input with nothing to discover."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from xmodal_core.config import Settings, entries, resolve
from xmodal_core.types import Units
from xmodal_core.units import UnitsConfig, discover
from xmodal_core.units.config import ContextConfig, InstancesConfig, RangeConfig, SeedsConfig
from xmodal_core.units.pool import image_pooling
from xmodal_core.units.steps import Steps

STEPS = ["ground", "visible", "seeds", "context", "clusters", "filters", "merge"]


def assert_sound(units: Units, points: int) -> None:
    """What holds for the units of any frame."""
    assert len(units.ground) == points
    assert not (units.ground[units.seeds]).any()
    assert units.visible[units.seeds].all()
    assert len(np.unique(units.seeds)) == len(units.seeds)
    assert not (units.clusters[units.ground] >= 0).any()
    assert units.clusters.max(initial=-1) + 1 == len(units.reasons)
    kept = np.array([reason == "kept" for reason in units.reasons], np.bool_)
    assert ((units.instance >= 0) == (units.clusters >= 0) & np.append(kept, False)[units.clusters]).all()
    assert units.instance.max(initial=-1) + 1 == kept.sum()
    assert sorted(set(units.unit)) == list(range(units.count))
    assert list(units.milliseconds) == STEPS
    for pooling in (units.pooling, image_pooling(units)):
        np.testing.assert_allclose(np.bincount(pooling.row, pooling.weight, units.count), 1, atol=1e-4)
    assert not units.ground[units.pooling.column].any()


def assert_same(one: Units, other: Units) -> None:
    for name in ("ground", "visible", "seeds", "clusters", "instance", "unit"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("row", "column", "weight"):
        np.testing.assert_array_equal(getattr(one.pooling, name), getattr(other.pooling, name), err_msg=name)
    assert one.reasons == other.reasons


SMALL = UnitsConfig(seeds=SeedsConfig(count=256))


def test_a_street(street):
    units = discover(street, SMALL)
    assert_sound(units, len(street))
    assert units.reasons == ("kept", "kept", "kept")
    assert units.count == 3
    assert units.merged.all()
    assert units.sensor_height == pytest.approx(1.8, abs=0.05)
    assert units.ground.sum() == 60 * 720


def test_without_instances_every_seed_is_a_unit(street):
    units = discover(street, UnitsConfig(seeds=SeedsConfig(count=64), instances=InstancesConfig(enabled=False)))
    assert_sound(units, len(street))
    assert units.count == 64
    assert not units.merged.any()
    assert np.bincount(units.pooling.row).max() == 16


def test_pillars(street):
    config = UnitsConfig(seeds=SeedsConfig(count=64), context=ContextConfig(kind="pillar"))
    assert_sound(discover(street, config), len(street))


def test_the_same_seed_gives_the_same_units_another_one_others(street):
    assert_same(discover(street, SMALL, seed=5), discover(street, SMALL, seed=5))
    assert not np.array_equal(discover(street, SMALL, seed=5).seeds, discover(street, SMALL, seed=6).seeds)


def test_points_that_do_not_lie_side_by_side_in_memory(street, frame_of):
    padded = np.zeros((len(street), 5), np.float32)
    padded[:, :3] = street.points
    assert_same(discover(frame_of(padded[:, :3], street.cameras), SMALL), discover(street, SMALL))


def test_returns_out_of_range_take_no_part(street):
    units = discover(street, UnitsConfig(range=RangeConfig(nearest=5.0, farthest=10.0), seeds=SeedsConfig(count=256)))
    distance = np.hypot(street.points[:, 0], street.points[:, 1])
    assert_sound(units, len(street))
    outside = (distance < 5) | (distance >= 10)
    assert not units.ground[outside].any()
    assert (units.clusters[outside] == -1).all()
    assert not outside[units.seeds].any()


def test_no_camera_no_units_but_instances(street, frame_of):
    units = discover(frame_of(street.points), SMALL)
    assert_sound(units, len(street))
    assert units.count == 0
    assert units.pooling.shape == (0, len(street))
    assert units.reasons == ("kept", "kept", "kept")


def far_behind(points):
    return points * np.array([0, 0, 1], np.float32) + np.array([0, -30, 0], np.float32)


@pytest.mark.parametrize(
    "change",
    [
        lambda points: points[:0],
        lambda points: points[:1],
        lambda points: points[-1:],
        lambda points: points[: 60 * 720],
        lambda points: points * 0,
        lambda points: points * 0 + 10,
        far_behind,
        lambda points: points * 1000,
        lambda points: np.repeat(points[-3:], 50, axis=0),
    ],
    ids=["none", "one of ground", "one of a car", "all ground", "zero", "one place", "out of sight", "far", "three"],
)
def test_nothing_or_little_to_discover(change, street, frame_of):
    points = np.ascontiguousarray(change(street.points), np.float32)
    for config in (SMALL, UnitsConfig(context=ContextConfig(kind="pillar"))):
        assert_sound(discover(frame_of(points, street.cameras), config), len(points))


def test_every_setting_has_words_and_every_number_bounds_for_its_slider():
    for entry in entries(UnitsConfig):
        assert entry.words, entry.path
        assert not (isinstance(entry.kind, type) and issubclass(entry.kind, Settings))
        if entry.kind in (int, float, float | None):
            assert entry.ge is not None, entry.path
            assert entry.le is not None, entry.path
            assert entry.step, entry.path


def test_reading_the_settings_loads_nothing_heavy():
    program = "import sys; import xmodal_core.units.config; print({'numba', 'scipy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("setting", "rerun"),
    [
        ("units.ground.max_dist_to_line=0.3", STEPS),
        ("units.seeds.count=200", ["seeds", "context", "merge"]),
        ("units.context.kind=pillar", ["context", "merge"]),
        ("units.instances.enabled=false", ["clusters", "filters", "merge"]),
        ("units.instances.radius=2", ["clusters", "filters"]),  # the same clusters: nothing behind them changes
        ("units.instances.max_height=1", ["filters", "merge"]),
        ("units.instances.min_points=1", ["filters"]),  # every cluster is larger
    ],
)
def test_only_the_steps_behind_a_changed_setting_run_again(street, setting, rerun):
    steps = Steps()
    assert_same(discover(street, SMALL, steps=steps), discover(street, SMALL))
    assert steps.ran == STEPS
    discover(street, SMALL, steps=steps)
    assert steps.ran == []
    changed = resolve(UnitsConfig, None, ["units.seeds.count=256", setting], "units")
    found = discover(street, changed, steps=steps)
    assert [step for step in steps.ran if step != "visible"] == [step for step in rerun if step != "visible"]
    assert_same(found, discover(street, changed))
    assert_sound(found, len(street))


def test_steps_of_another_frame_or_seed_are_not_taken_for_this_one(street, world, frame_of):
    steps = Steps()
    discover(street, SMALL, steps=steps)
    other = frame_of(np.concatenate([world().ground, world().box(5, 5)]), street.cameras)
    assert_same(discover(other, SMALL, steps=steps), discover(other, SMALL))
    assert_same(discover(other, SMALL, seed=3, steps=steps), discover(other, SMALL, seed=3))
