"""``xmodal bench pretrain``: where a step of pre-training spends its time, with the teacher's cache and without it.

The same frames are trained on twice from the same weights, in the same order, by the functions of a run: the teacher
looks at every picture every time, or everything comes from files after a first pass, which is not timed. The two take
their steps in turn, so that what else the machine does slows both.
"""

from __future__ import annotations

import copy
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import torch

from xmodal_core.errors import InputError, RunError
from xmodal_core.images._units import frame_features
from xmodal_core.methods.base import Method
from xmodal_core.train.batch import Batch
from xmodal_core.train.config import Pretraining
from xmodal_core.train.examples import Examples, gather, variant_seed
from xmodal_core.train.forget import bytes_in
from xmodal_core.train.optim import make_optimizer, rates, set_rates
from xmodal_core.train.parts import Parts, make_examples, make_parts, open_memory
from xmodal_core.train.plan import Key, Plan
from xmodal_core.train.remember import Memory, recall
from xmodal_core.units import discover

STEPS = ("load", "units", "teacher", "network", "loss", "backward", "optimiser")
TOTAL = "total"


@dataclass(frozen=True)
class Part:
    """One row of the table.

    Args:
        step: what is done: a part of ``STEPS``, or ``TOTAL``.
        without: milliseconds a step where the teacher looks every time.
        cached: milliseconds a step where everything comes from the cache.
    """

    step: str
    without: float
    cached: float

    @property
    def ratio(self) -> float | None:
        """How many times faster the cache is; None where nothing is left of it."""
        return self.without / self.cached if self.cached >= 1e-3 else None

    def as_json(self) -> dict[str, Any]:
        """The row as ``--json`` prints it."""
        ratio = None if self.ratio is None else round(self.ratio, 3)
        return {
            "step": self.step,
            "milliseconds": round(self.without, 3),
            "cached_milliseconds": round(self.cached, 3),
            "ratio": ratio,
        }


class Bench(NamedTuple):
    """The table; by how much the losses of the two differ at most, as a share; what a reader should know."""

    parts: list[Part]
    loss_difference: float
    notes: list[str]


class Stopwatch:
    """Seconds by name, of a device that may still be at work when a call returns."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: dict[str, float] = defaultdict(float)

    def now(self) -> float:
        """Seconds, when all that was asked of the device is done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return perf_counter()

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Add how long the block takes to ``name``."""
        start = self.now()
        yield
        self.seconds[name] += self.now() - start


def bench_pretrain(
    experiment: Pretraining,
    *,
    frames: int = 8,
    repeat: int = 3,
    build: Callable[[Pretraining], Parts] = make_parts,
    on_step: Callable[[str], None] = lambda step: None,
) -> Bench:
    """Time the steps of ``experiment``.

    Args:
        experiment: what is trained, on what, how.
        frames: so many of its frames, evenly spread, or all where there are fewer.
        repeat: how many passes over them are timed; the median of their steps counts.
        build: makes data set and method.
        on_step: told what is done before it is.

    Raises:
        InputError: the method does not pool its teacher's features, so nothing is kept; there is no frame.
        DataError: a file is damaged.
    """
    experiment = replace(experiment, train=experiment.train.model_copy(update={"frames": frames}))
    torch.manual_seed(experiment.train.seed)
    parts = build(experiment)
    device = torch.device("cuda" if experiment.train.device != "cpu" and torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory(prefix="xmodal-bench-") as folder:
        named = replace(experiment, cache=experiment.cache.model_copy(update={"folder": folder}))
        memory = open_memory(named, parts.method, device)
        if memory is None:
            raise InputError("this method's teacher cannot be kept", "choose --method units")
        learners = [_Learner(experiment, parts, each, device) for each in (None, memory)]
        # The first pass finds the seeds of every variant and lets the teacher look, so that those after it are alike.
        plan = Plan(len(learners[0].examples), experiment.train.batch_size, 1, 1, 1 + repeat, experiment.train.seed)
        for step in range(plan.steps):
            on_step(f"step {step + 1} of {plan.steps}" if plan.epoch(step) else "the first looks")
            for learner in learners:
                learner.step(plan, step)
        taken = bytes_in(memory.place) / len(learners[0].examples)
    without, cached = learners
    if not without.steps:
        raise RunError("none of the frames can be trained on", "look at one: xmodal units show --frame 0")
    rows = [Part(name, without.milliseconds(name), cached.milliseconds(name)) for name in (*STEPS, TOTAL)]
    pairs = zip(without.losses, cached.losses, strict=True)
    notes = [
        f"a step is {without.frames} frames of {len(parts.dataset.frame(0).cameras)} cameras; the cache takes "
        f"{taken / 1e6:.2f} MB a frame ({experiment.train.unit_variants} variants)",
        "load: read and decode files, augment, put into a batch; in a run with --workers, load and units are done by "
        "others meanwhile",
    ]
    return Bench(rows, max(abs(a - b) / abs(a) for a, b in pairs), notes)


class _Learner:
    """One of the two that are compared; ``memory`` None: its teacher looks every time."""

    def __init__(self, experiment: Pretraining, parts: Parts, memory: Memory | None, device: torch.device) -> None:
        self.method: Method = copy.deepcopy(parts.method).to(device)
        self.method.train()
        self.examples: Examples = make_examples(experiment, Parts(parts.dataset, self.method), memory)
        self.steps: list[dict[str, float]] = []
        self.losses: list[float] = []
        self.frames = 0
        self._train, self._memory, self._device = experiment.train, memory, device
        self._optimizer = make_optimizer(self.method, experiment.train)

    def milliseconds(self, name: str) -> float:
        """Median over the timed steps."""
        return 1e3 * median(step.get(name, 0.0) for step in self.steps)

    def step(self, plan: Plan, step: int) -> None:
        """Take a step; those of the first pass are not timed."""
        watch = Stopwatch(self._device)
        batch = _load(self.examples, plan.batches(step)[0], watch, self._device)
        if batch is None:
            return
        self.frames = max(self.frames, len(batch.names))
        torch.manual_seed(step)
        set_rates(self._optimizer, rates(step, plan.steps, self._train))
        with watch.time("teacher"):
            batch = _seen(batch, self.method, self._memory)
        self.losses.append(_learn(self.method, self._optimizer, batch, self._train.clip, watch))
        if plan.epoch(step):
            self.steps.append({**watch.seconds, TOTAL: sum(watch.seconds.values())})


def _load(examples: Examples, keys: Sequence[Key], watch: Stopwatch, device: torch.device) -> Batch | None:
    start = watch.now()
    loaded = gather([examples[key] for key in keys])
    batch = None if loaded.batch is None else loaded.batch.to(device)
    taken = watch.now() - start
    if loaded.failure is not None:
        raise RunError(loaded.failure.message, loaded.failure.hint)
    units = _time_of_units(examples, keys) if batch is not None and any(seen is None for seen in batch.seen) else 0.0
    watch.seconds["units"] += units
    watch.seconds["load"] += max(taken - units, 0.0)
    return batch


def _time_of_units(examples: Examples, keys: Sequence[Key]) -> float:
    """Seconds that finding the units of ``keys`` takes alone."""
    total = 0.0
    for key in keys:
        frame = examples.dataset.frame(int(examples.indices[key.frame]))
        start = perf_counter()
        discover(frame, examples.units, seed=variant_seed(frame, 0))
        total += perf_counter() - start
    return total


def _seen(batch: Batch, method: Method, memory: Memory | None) -> Batch:
    teacher = method.teacher
    assert teacher is not None
    if memory is not None:
        return recall(batch, teacher, memory)
    return replace(batch, seen=tuple(frame_features(batch, number, teacher) for number in range(len(batch.names))))


def _learn(method: Method, optimizer: Any, batch: Batch, clip: float, watch: Stopwatch) -> float:
    """One step on ``batch``; its loss."""
    began: list[float] = []
    hooks = [
        method.network.register_forward_pre_hook(lambda *_: began.append(watch.now())),
        method.network.register_forward_hook(lambda *_: _since(began, "network", watch)),
    ]
    start = watch.now()
    loss = method(batch).loss
    forward = watch.now() - start
    for hook in hooks:
        hook.remove()
    watch.seconds["loss"] += forward - watch.seconds["network"]
    with watch.time("backward"):
        loss.backward()
    with watch.time("optimiser"):
        torch.nn.utils.clip_grad_norm_(method.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def _since(began: list[float], name: str, watch: Stopwatch) -> None:
    watch.seconds[name] += watch.now() - began.pop()
