"""The two optimisers and their schedules. A schedule is a function of the step alone: nothing of it to save."""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, pi
from typing import Any, NamedTuple

import torch
from torch import nn

from xmodal_core.train.config import AdamConfig, EngineConfig, SgdConfig


class Rates(NamedTuple):
    """Learning rate and momentum (Adam's first beta) of one step."""

    lr: float
    momentum: float


def make_optimizer(
    module: nn.Module, config: EngineConfig, head: Iterable[nn.Parameter] = (), head_rate: float = 1.0
) -> torch.optim.Optimizer:
    """The optimiser of the parameters of ``module`` that are trained; biases and norms do not decay, and those of the
    ``head`` learn ``head_rate`` times as fast."""
    apart = {id(parameter) for parameter in head}
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = _groups([p for p in trained if id(p) not in apart], 1.0)
    groups += _groups([p for p in trained if id(p) in apart], head_rate)
    if config.optimizer == "adam":
        adam = config.adam
        return torch.optim.AdamW(
            groups, lr=adam.lr, betas=(adam.momentum_high, adam.beta2), weight_decay=adam.weight_decay
        )
    sgd = config.sgd
    return torch.optim.SGD(
        groups, lr=sgd.lr, momentum=sgd.momentum, dampening=sgd.dampening, weight_decay=sgd.weight_decay
    )


def _groups(trained: list[nn.Parameter], rate: float) -> list[dict[str, Any]]:
    if not trained:
        return []
    return [
        {"params": [p for p in trained if p.ndim > 1], "rate": rate},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0, "rate": rate},
    ]


def rates(step: int, steps: int, config: EngineConfig) -> Rates:
    """Those of ``step`` (from 0) of a run of ``steps``."""
    if config.optimizer == "adam":
        return one_cycle(step, steps, config.adam)
    return cosine(step, steps, config.sgd)


def one_cycle(step: int, steps: int, config: AdamConfig) -> Rates:
    """Two half cosines: up to the highest rate within the ``rising`` share of the steps, then down to the end."""
    last = max(steps - 1, 1)
    top = config.rising * last
    if step < top:
        share = step / top
        return Rates(
            _ease(config.lr / config.start_divisor, config.lr, share),
            _ease(config.momentum_high, config.momentum_low, share),
        )
    share = (step - top) / (last - top) if last > top else 0.0
    return Rates(
        _ease(config.lr, config.lr / config.start_divisor / config.end_divisor, share),
        _ease(config.momentum_low, config.momentum_high, share),
    )


def cosine(step: int, steps: int, config: SgdConfig) -> Rates:
    """Half a cosine from the full rate at the first step to zero after the last."""
    return Rates(_ease(config.lr, 0.0, step / steps), config.momentum)


def _ease(start: float, end: float, share: float) -> float:
    """From ``start`` to ``end`` along half a cosine, ``share`` 0..1 of the way."""
    return end + (start - end) * (1 + cos(pi * share)) / 2


def set_rates(optimizer: torch.optim.Optimizer, now: Rates) -> None:
    """Let the next step of ``optimizer`` go by ``now``."""
    for group in optimizer.param_groups:
        group["lr"] = now.lr * group.get("rate", 1.0)
        if "betas" in group:
            group["betas"] = (now.momentum, group["betas"][1])
        else:
            group["momentum"] = now.momentum
