"""The order of frames: every frame once an epoch, the same however it is cut, resumable at any step."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmodal_core.train.plan import BatchSampler, Key, Plan, evenly_spread

plans = st.builds(
    Plan,
    frames=st.integers(1, 40),
    batch_size=st.integers(1, 7),
    devices=st.integers(1, 4),
    accumulate=st.integers(1, 4),
    epochs=st.integers(1, 3),
    seed=st.integers(0, 5),
)


def _keys(plan: Plan, step: int) -> list[Key]:
    return [key for rank in range(plan.devices) for batch in plan.batches(step, rank) for key in batch]


@given(plans)
def test_every_epoch_takes_every_frame(plan):
    taken = Counter(key for step in range(plan.steps) for key in _keys(plan, step))
    assert set(taken) == {Key(epoch, frame) for epoch in range(plan.epochs) for frame in range(plan.frames)}
    surplus = -plan.frames % plan.devices
    assert sum(taken.values()) == plan.epochs * (plan.frames + surplus)
    if plan.devices == 1:
        assert set(taken.values()) == {1}


@given(plans)
def test_all_devices_have_the_same_batches_to_go_through(plan):
    for step in range(plan.steps):
        sizes = [[len(batch) for batch in plan.batches(step, rank)] for rank in range(plan.devices)]
        assert all(mine == sizes[0] for mine in sizes)
        assert 1 <= len(sizes[0]) <= plan.accumulate
        assert all(1 <= size <= plan.batch_size for size in sizes[0])


@given(plans, st.data())
def test_going_on_at_a_step_takes_what_was_left(plan, data):
    step = data.draw(st.integers(0, plan.steps))
    rank = data.draw(st.integers(0, plan.devices - 1))
    done = sum(len(plan.batches(earlier, rank)) for earlier in range(step))
    assert list(BatchSampler(plan, rank, step)) == list(BatchSampler(plan, rank, 0))[done:]


def test_epochs_have_orders_of_their_own_and_seeds_too():
    plan = Plan(frames=20, batch_size=20, devices=1, accumulate=1, epochs=2, seed=0)
    first, second = ([key.frame for key in plan.batches(step)[0]] for step in range(2))
    other = [key.frame for key in Plan(20, 20, 1, 1, 2, seed=1).batches(0)[0]]
    assert len({tuple(first), tuple(second), tuple(other), tuple(range(20))}) == 4


def test_the_last_step_of_an_epoch_takes_what_is_left():
    plan = Plan(frames=7, batch_size=2, devices=1, accumulate=2, epochs=2, seed=0)
    assert (plan.effective, plan.steps_per_epoch, plan.steps) == (4, 2, 4)
    assert [len(_keys(plan, step)) for step in range(4)] == [4, 3, 4, 3]
    assert [plan.epoch(step) for step in range(4)] == [0, 0, 1, 1]
    assert [plan.ends_epoch(step) for step in range(4)] == [False, True, False, True]


@pytest.mark.parametrize(("total", "wanted", "expected"), [(5, None, 5), (5, 9, 5), (100, 4, 4), (3, 1, 1)])
def test_fewer_frames_are_spread_over_all(total, wanted, expected):
    chosen = evenly_spread(total, wanted)
    assert len(set(chosen.tolist())) == len(chosen) == expected
    assert chosen.min() >= 0
    assert chosen.max() < total
    if wanted == 4:
        assert chosen.tolist() == [0, 25, 50, 75]
