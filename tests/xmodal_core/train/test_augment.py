"""Augmentation moves points alone, as a whole, and upright."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from xmodal_core.geometry import box_corners
from xmodal_core.train.augment import augment, motion
from xmodal_core.train.batch import Example
from xmodal_core.train.config import AugmentConfig
from xmodal_core.types import Boxes, Pixels, Pooling

OFF = AugmentConfig(flip_x=0, flip_y=0, rotation=0, scale_min=1, scale_max=1)

settings = st.builds(
    AugmentConfig,
    flip_x=st.floats(0, 1),
    flip_y=st.floats(0, 1),
    rotation=st.floats(0, 180),
    scale_min=st.floats(0.5, 1),
    scale_max=st.floats(1, 2),
)


@pytest.fixture(scope="module")
def example():
    random = np.random.default_rng(0)
    points = random.normal(scale=20, size=(50, 3)).astype(np.float32)
    index = np.arange(10)
    pooling = Pooling(index, index * 2, np.ones(10, dtype=np.float32), (10, 50))
    pixels = Pixels(index * 2, np.zeros(10, dtype=np.int64), *random.uniform(0, 9, (2, 10)).astype(np.float32))
    image_pooling = Pooling(index, index, np.ones(10, dtype=np.float32), (10, 10))
    return Example(
        "frame", points, np.ones((50, 1), np.float32), pooling, image_pooling, pixels, (np.zeros((9, 9, 3), np.uint8),)
    )


@given(config=settings, seed=st.integers(0, 1000))
def test_points_move_as_one_and_nothing_else_does(example, config, seed):
    moved = augment(example, config, np.random.default_rng(seed))
    for name in ("channels", "pooling", "image_pooling", "pixels", "images", "name"):
        assert getattr(moved, name) is getattr(example, name)
    scale = float(np.linalg.norm(moved.points[0]) / np.linalg.norm(example.points[0]))
    assert config.scale_min - 1e-5 <= scale <= config.scale_max + 1e-5
    before, after = (np.linalg.norm(e.points[:, None] - e.points[None], axis=2) for e in (example, moved))
    np.testing.assert_allclose(after, scale * before, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(moved.points[:, 2], scale * example.points[:, 2], rtol=1e-4, atol=1e-3)
    assert moved.points.dtype == np.float32


@given(seed=st.integers(0, 1000))
def test_switched_off_it_changes_nothing(example, seed):
    assert np.array_equal(augment(example, OFF, np.random.default_rng(seed)).points, example.points)


def test_each_change_stays_within_its_bounds_and_uses_them():
    def matrices(**on):
        config = OFF.model_copy(update=on)
        return np.stack([motion(config, np.random.default_rng(seed)).matrix for seed in range(400)])

    assert {tuple(np.diag(m)) for m in matrices(flip_x=0.5)} == {(1, 1, 1), (-1, 1, 1)}
    assert {tuple(np.diag(m)) for m in matrices(flip_y=1.0)} == {(1, -1, 1)}
    turned = matrices(rotation=90.0)
    angles = np.degrees(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]))
    assert -90 <= angles.min() < -80
    assert 80 < angles.max() <= 90
    np.testing.assert_allclose(np.linalg.det(turned), 1)
    scales = matrices(scale_min=0.8, scale_max=1.25)[:, 2, 2]
    assert 0.8 <= scales.min() < 0.82
    assert 1.23 < scales.max() <= 1.25


def test_a_setting_leaves_the_draws_of_the_others_alone():
    alone = motion(OFF.model_copy(update={"rotation": 180.0}), np.random.default_rng(7))
    mirrored = motion(OFF.model_copy(update={"rotation": 180.0, "flip_y": 1.0}), np.random.default_rng(7))
    np.testing.assert_allclose(mirrored.matrix, alone.matrix @ np.diag([1, -1, 1]))


def test_a_shift_has_the_deviation_that_is_set():
    shifts = np.stack(
        [motion(OFF.model_copy(update={"shift": 0.5}), np.random.default_rng(seed)).shift for seed in range(400)]
    )
    assert abs(shifts.mean()) < 0.05
    assert 0.47 < shifts.std() < 0.53


@given(config=settings, seed=st.integers(0, 1000))
def test_boxes_move_with_the_points_in_them(config, seed):
    random = np.random.default_rng(seed)
    boxes = Boxes(
        centre=random.normal(scale=10, size=(4, 3)).astype(np.float32),
        size=random.uniform(1, 6, (4, 3)).astype(np.float32),
        yaw=random.uniform(-np.pi, np.pi, 4).astype(np.float32),
        label=np.zeros(4, dtype=np.int64),
        classes=("car",),
        track=np.full(4, -1),
        velocity=random.normal(size=(4, 2)).astype(np.float32),
    )
    corners = box_corners(boxes).reshape(-1, 3).astype(np.float32)
    move = motion(config.model_copy(update={"shift": 0.5}), random)
    moved = move.boxes(boxes)
    # A mirrored box has its corners in another order.
    expected, found = move.points(corners).reshape(4, 8, 3), box_corners(moved)
    apart = np.linalg.norm(expected[:, :, None] - found[:, None], axis=3)
    assert apart.min(axis=1).max() < 1e-3
    assert apart.min(axis=2).max() < 1e-3
    # The front stays the front, and what drove ahead still does.
    ahead = np.stack([np.cos(boxes.yaw), np.sin(boxes.yaw), np.zeros(4)], axis=1)
    nose = (boxes.centre + ahead * boxes.size[:, :1] / 2).astype(np.float32)
    turned = np.stack([np.cos(moved.yaw), np.sin(moved.yaw), np.zeros(4)], axis=1)
    np.testing.assert_allclose(move.points(nose), moved.centre + turned * moved.size[:, :1] / 2, rtol=1e-4, atol=1e-3)
    later = boxes.centre + np.pad(boxes.velocity, ((0, 0), (0, 1)))
    np.testing.assert_allclose(
        move.points(later), moved.centre + np.pad(moved.velocity, ((0, 0), (0, 1))), rtol=1e-4, atol=1e-3
    )


def test_bounds_are_checked():
    with pytest.raises(ValidationError):
        AugmentConfig(scale_min=1.5)
