"""Farthest point sampling equals the naive algorithm, whatever the points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.bench.naive import naive_farthest_points
from xmodal_core.datasets import open_dataset
from xmodal_core.units.seeds import BUCKET, choose_seeds, farthest_points


def naive(positions, count, start):
    """Every point against every seed, in NumPy."""
    distance = np.full(len(positions), np.inf)
    chosen = [start]
    while len(chosen) < min(count, len(positions)):
        offset = positions - positions[chosen[-1]]
        distance = np.minimum(distance, offset[:, 0] ** 2 + offset[:, 1] ** 2)
        distance[chosen] = -1
        chosen.append(int(distance.argmax()))
    return np.array(chosen)


@given(st.integers(1, 400), st.integers(0, 10_000), st.sampled_from([None, 0.5, 5.0, 1000.0]))
def test_the_same_seeds_as_the_naive_algorithm(number, seed, grid):
    rng = np.random.default_rng(seed)
    positions = rng.normal(0, rng.choice([0.1, 10, 100]), (number, 2))
    if grid is not None:  # many equal distances, many coincident points; all of them with the coarsest grid
        positions = np.round(positions / grid) * grid
    start = int(rng.integers(number))
    chosen = farthest_points(positions, 200, start)
    np.testing.assert_array_equal(chosen, naive(positions, 200, start))
    np.testing.assert_array_equal(chosen, naive_farthest_points(positions, 200, start))


@pytest.mark.parametrize("number", [1, BUCKET - 1, BUCKET, BUCKET + 1, 3 * BUCKET])
def test_buckets_of_every_filling(number):
    positions = np.random.default_rng(number).uniform(-40, 40, (number, 2))
    np.testing.assert_array_equal(farthest_points(positions, number, 0), naive(positions, number, 0))


def test_points_on_a_line_and_in_one_place():
    line = np.column_stack([np.arange(300.0), np.zeros(300)])
    np.testing.assert_array_equal(farthest_points(line, 50, 7), naive(line, 50, 7))
    assert sorted(farthest_points(np.zeros((90, 2)), 90, 3)) == list(range(90))


def test_height_is_ignored():
    points = np.random.default_rng(0).normal(0, 10, (500, 3)).astype(np.float32)
    tall = points * np.array([1, 1, 100], np.float32)
    everything = np.ones(500, np.bool_)
    np.testing.assert_array_equal(choose_seeds(points, everything, 50, 0), choose_seeds(tall, everything, 50, 0))


def test_seeds_are_candidates_and_each_only_once():
    points = np.random.default_rng(0).normal(0, 10, (500, 3)).astype(np.float32)
    candidates = np.arange(500) % 3 == 0
    seeds = choose_seeds(points, candidates, 100, 4)
    assert candidates[seeds].all()
    assert len(np.unique(seeds)) == 100


def test_fewer_candidates_than_seeds_are_all_taken():
    points = np.zeros((20, 3), np.float32)
    candidates = np.arange(20) < 7
    assert sorted(choose_seeds(points, candidates, 100, 0)) == list(range(7))
    assert choose_seeds(points, np.zeros(20, np.bool_), 100, 0).shape == (0,)


def test_the_seed_changes_the_first_point_and_nothing_else_does():
    points = np.random.default_rng(0).normal(0, 10, (500, 3)).astype(np.float32)
    everything = np.ones(500, np.bool_)
    first = {int(choose_seeds(points, everything, 10, seed)[0]) for seed in range(20)}
    assert len(first) > 10
    np.testing.assert_array_equal(choose_seeds(points, everything, 10, 3), choose_seeds(points, everything, 10, 3))


def test_a_real_sweep(real_data):
    points = open_dataset("nuscenes", real_data / "nuscenes_keyframe").frame(0).points[:, :2].astype(np.float64)
    np.testing.assert_array_equal(farthest_points(points, 2048, 17), naive_farthest_points(points, 2048, 17))


def test_random_seeds_are_drawn_from_all_candidates_alike():
    points = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    candidates = np.arange(400) % 2 == 0
    drawn = [choose_seeds(points, candidates, 20, seed, "random") for seed in range(200)]
    assert all(candidates[seeds].all() and len(set(seeds.tolist())) == 20 for seeds in drawn)
    often = np.bincount(np.concatenate(drawn), minlength=400)[candidates]
    assert often.sum() == 200 * 20
    assert often.max() < 45  # of 20 expected, with a deviation of 4.2
    np.testing.assert_array_equal(choose_seeds(points, candidates, 20, 5, "random"), drawn[5])
