"""What every pre-training method promises, on two frames of an example, with a small network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.datasets import open_dataset
from xmodal_core.errors import InputError
from xmodal_core.images import load_teacher
from xmodal_core.images._units import frame_features
from xmodal_core.methods.base import Method, Outcome
from xmodal_core.points import load_network
from xmodal_core.train.batch import Example, collate, make_example
from xmodal_core.types import Pooling
from xmodal_core.units import UnitsConfig, discover

NAMES = plugins.names(plugins.METHOD)


@pytest.fixture(scope="module")
def examples(example_root: Callable[[str], Path]) -> list[Example]:
    frames = open_dataset("kitti_raw", example_root("kitti_raw"))
    return [make_example(frame, discover(frame, UnitsConfig()), ("intensity",), 320) for frame in frames]


def make(name: str, seed: int = 0, **settings: object) -> Method:
    torch.manual_seed(seed)
    kind = plugins.load(plugins.METHOD, name)
    network = load_network("minkunet", {"preset": "tiny", "channels": ["intensity"]})
    teacher = load_teacher("efficientnet_lite0", {"image_width": 320}) if kind.needs_teacher else None
    method: Method = kind(validate(kind.Config, settings, "method", name), network, teacher)
    return method


def permute(example: Example, order: np.ndarray) -> Example:
    """The same frame with its units in another order."""

    def rows(pooling: Pooling) -> Pooling:
        new = np.argsort(order)[pooling.row]
        sort = np.lexsort((pooling.column, new))
        return Pooling(new[sort], pooling.column[sort], pooling.weight[sort], pooling.shape)

    return replace(example, pooling=rows(example.pooling), image_pooling=rows(example.image_pooling))


def run(method: Method, examples: Sequence[Example]) -> Outcome:
    outcome: Outcome = method(collate(examples))
    return outcome


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestEveryMethod:
    def test_the_loss_is_a_finite_scalar_with_a_graph(self, name: str, examples: list[Example]) -> None:
        outcome = run(make(name), examples)
        assert outcome.loss.shape == ()
        assert outcome.loss.dtype == torch.float32
        assert torch.isfinite(outcome.loss)
        assert outcome.loss.requires_grad

    def test_measures_are_finite_scalars_without_one(self, name: str, examples: list[Example]) -> None:
        measures = run(make(name), examples).measures
        assert measures
        for what, value in measures.items():
            assert value.shape == (), what
            assert not value.requires_grad, what
            assert torch.isfinite(value), what

    def test_the_gradient_reaches_everything_but_the_teacher(self, name: str, examples: list[Example]) -> None:
        method = make(name).train()
        run(method, examples).loss.backward()
        for parameter_name, parameter in method.named_parameters():
            if parameter_name.startswith("teacher."):
                assert parameter.grad is None, parameter_name
            else:
                assert parameter.grad is not None, parameter_name
                assert torch.isfinite(parameter.grad).all(), parameter_name
                assert parameter.grad.any(), parameter_name

    def test_a_few_steps_lower_the_loss(self, name: str, examples: list[Example]) -> None:
        method = make(name).train()
        optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=3e-3)
        losses = []
        for _ in range(6):
            loss = run(method, examples).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0] - 0.2

    def test_the_same_twice_is_the_same(self, name: str, examples: list[Example]) -> None:
        first, second = (run(make(name, seed=3), examples).loss for _ in range(2))
        assert torch.equal(first, second)

    def test_the_order_of_units_does_not_matter(self, name: str, examples: list[Example]) -> None:
        method = make(name).eval()
        random = np.random.default_rng(0)
        shuffled = [permute(example, random.permutation(example.pooling.shape[0])) for example in examples]
        plain, other = run(method, examples), run(method, shuffled)
        assert float(other.loss.detach()) == pytest.approx(float(plain.loss.detach()), rel=1e-4)
        for what, value in plain.measures.items():
            assert float(other.measures[what]) == pytest.approx(float(value), rel=1e-3, abs=1e-4), what

    def test_its_state_holds_all_but_the_teacher(self, name: str, examples: list[Example]) -> None:
        method, fresh = make(name, seed=1), make(name, seed=2)
        run(method.train(), examples).loss.backward()  # batch statistics move
        state = copy.deepcopy(method.trained_state())
        assert not any(entry.startswith("teacher.") for entry in state)
        assert any(entry.startswith("network.") for entry in state)
        fresh.load_trained_state(state)
        assert torch.equal(run(fresh.eval(), examples).loss, run(method.eval(), examples).loss)
        entry, value = next(iter(state.items()))
        for wrong in ({**state, "heads.9": value}, {k: v for k, v in state.items() if k != entry}):
            with pytest.raises(RuntimeError):
                fresh.load_trained_state(wrong)

    def test_bfloat16_autocast_changes_little(self, name: str, examples: list[Example]) -> None:
        method = make(name).eval()
        plain = run(method, examples)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = run(method, examples)
        assert cast.loss.dtype == torch.float32
        assert float(cast.loss.detach()) == pytest.approx(float(plain.loss.detach()), rel=0.1)

    def test_where_it_pools_its_teacher_features_that_are_known_do_instead_of_pictures(
        self, name: str, examples: list[Example]
    ) -> None:
        method = make(name).eval()
        if not method.pools_teacher:
            pytest.skip("it needs more of its teacher, or has none")
        assert method.teacher is not None
        batch = collate(examples)
        seen = tuple(frame_features(batch, number, method.teacher) for number in range(len(examples)))
        known = method(replace(batch, seen=seen, images=batch.images[:0]))
        assert torch.equal(known.loss, method(batch).loss)

    def test_it_asks_for_its_teacher(self, name: str) -> None:
        kind = plugins.load(plugins.METHOD, name)
        if not kind.needs_teacher:
            pytest.skip("it needs none")
        with pytest.raises(InputError, match="needs an image teacher"):
            kind(kind.Config(), load_network("minkunet", {"preset": "tiny"}), None)


def test_a_method_of_units_is_there() -> None:
    assert "units" in NAMES
