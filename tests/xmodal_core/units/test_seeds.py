"""Seeds: candidates alone, each once, by farthest point sampling or by lot."""

from __future__ import annotations

import numpy as np

from xmodal_core.units.seeds import choose_seeds


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


def test_random_seeds_are_drawn_from_all_candidates_alike():
    points = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    candidates = np.arange(400) % 2 == 0
    drawn = [choose_seeds(points, candidates, 20, seed, "random") for seed in range(200)]
    assert all(candidates[seeds].all() and len(set(seeds.tolist())) == 20 for seeds in drawn)
    often = np.bincount(np.concatenate(drawn), minlength=400)[candidates]
    assert often.sum() == 200 * 20
    assert often.max() < 45  # of 20 expected, with a deviation of 4.2
    np.testing.assert_array_equal(choose_seeds(points, candidates, 20, 5, "random"), drawn[5])
