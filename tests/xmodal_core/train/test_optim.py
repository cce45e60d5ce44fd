"""Schedules against torch's own, and what decays."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from xmodal_core.train.config import AdamConfig, SgdConfig, TrainConfig
from xmodal_core.train.optim import cosine, make_optimizer, one_cycle, rates, set_rates

pytestmark = pytest.mark.filterwarnings("ignore:Detected call of")  # torch's schedulers are stepped alone here


@pytest.mark.parametrize("steps", [3, 10, 101])
@pytest.mark.parametrize("rising", [0.25, 0.4])
def test_one_cycle_is_torchs(steps, rising):
    config = AdamConfig(lr=0.01, rising=rising)
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0, betas=(0.9, 0.99))
    scheduler = OneCycleLR(
        optimizer,
        config.lr,
        total_steps=steps,
        pct_start=(rising * (steps - 1) + 1) / steps,  # torch counts the rising part up to the step before its top
        base_momentum=config.momentum_low,
        max_momentum=config.momentum_high,
        div_factor=config.start_divisor,
        final_div_factor=config.end_divisor,
    )
    for step in range(steps):
        ours = one_cycle(step, steps, config)
        assert ours.lr == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15)
        assert ours.momentum == pytest.approx(optimizer.param_groups[0]["betas"][0])
        scheduler.step()


@pytest.mark.parametrize("rising", [0.0, 0.4, 1.0])
def test_one_cycle_starts_and_ends_where_it_should(rising):
    config = AdamConfig(lr=0.01, rising=rising)
    low, lowest = config.lr / config.start_divisor, config.lr / config.start_divisor / config.end_divisor
    assert one_cycle(0, 50, config).lr == pytest.approx(config.lr if rising == 0 else low)
    assert one_cycle(49, 50, config).lr == pytest.approx(config.lr if rising == 1 else lowest)


def test_one_cycle_of_a_single_step_starts():
    config = AdamConfig()
    assert one_cycle(0, 1, config).lr == pytest.approx(config.lr / config.start_divisor)


@pytest.mark.parametrize("steps", [1, 2, 50])
def test_cosine_is_torchs(steps):
    config = SgdConfig(lr=0.5)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=config.lr)
    scheduler = CosineAnnealingLR(optimizer, T_max=steps)
    for step in range(steps):
        assert cosine(step, steps, config).lr == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        assert cosine(step, steps, config).momentum == config.momentum
        scheduler.step()


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_only_matrices_decay_and_only_what_is_trained_moves(name):
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3).requires_grad_(False))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    config = TrainConfig(optimizer=name, adam={"weight_decay": 0.5}, sgd={"weight_decay": 0.5})
    optimizer = make_optimizer(module, config)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    set_rates(optimizer, rates(3, 10, config))
    optimizer.step()
    moved = {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"0.weight"}


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_rates_reach_the_optimiser(name):
    config = TrainConfig(optimizer=name)
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    now = rates(2, 10, config)
    set_rates(optimizer, now)
    for group in optimizer.param_groups:
        assert group["lr"] == now.lr
        assert (group["betas"][0] if name == "adam" else group["momentum"]) == now.momentum
