"""``xmodal bench networks``: a training step of each LiDAR network on real sweeps, stage by stage, and peers.

A step is a forward and a backward pass. Whole passes are timed unwatched; the stages are timed in further steps, in
turn with those. A part of the backward pass belongs to the stage whose forward operation it differentiates.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from xmodal_core import plugins
from xmodal_core.bench.stage_watch import OTHER, StageWatch, now
from xmodal_core.bench.timing import OURS, Row, measured, with_ratios
from xmodal_core.errors import InputError
from xmodal_core.points import load_network
from xmodal_core.points._cells import Cells, find_cells, on_grid
from xmodal_core.points._sparse import SparseConvolution, fit_to_device, spconv
from xmodal_core.points._stages import PAIRS, STAGES, stage, watched
from xmodal_core.points.base import PointNetwork
from xmodal_core.types import Frame

T = TypeVar("T")

TINY = "tiny"
"""The preset of every network that is for a CPU."""
LOW, SIZE, SHAPE = (-51.2, -51.2, -5.0), (0.1, 0.1, 0.2), (1024, 1024, 40)
"""Corner, voxels in metres and their numbers at which voxelisation is compared: CenterPoint's for nuScenes …"""
PER_VOXEL, VOXELS = 10, 120_000
"""… and its limits: points of a voxel, voxels of a frame."""


@dataclass(frozen=True)
class Part:
    """A stage of a step, in milliseconds of its forward and of its backward pass; medians over the repeats."""

    stage: str
    forward: float
    backward: float
    share: float
    """Of the time of all stages."""

    def as_json(self) -> dict[str, Any]:
        """The part as ``--json`` prints it."""
        return {
            "stage": self.stage,
            "forward_milliseconds": round(self.forward, 2),
            "backward_milliseconds": round(self.backward, 2),
            "share": round(self.share, 4),
        }


@dataclass(frozen=True)
class Step:
    """A training step of one network on one sweep.

    Args:
        frame: the sweep's name.
        points: in the sweep.
        network, preset: which network.
        parameters: its size.
        forward, backward: milliseconds, medians of the repeats after a warm-up, unwatched.
        memory: bytes, the most that tensors of one step held at once beyond weights and input.
        convolutions: how many sparse convolutions the network has.
        pairs: how often spconv looked for index pairs in one step.
        parts: its stages.
    """

    frame: str
    points: int
    network: str
    preset: str
    parameters: int
    forward: float
    backward: float
    memory: int
    convolutions: int
    pairs: int
    parts: tuple[Part, ...]

    def as_json(self) -> dict[str, Any]:
        """The row as ``--json`` prints it."""
        return {
            "frame": self.frame,
            "points": self.points,
            "network": self.network,
            "preset": self.preset,
            "parameters": self.parameters,
            "forward_milliseconds": round(self.forward, 2),
            "backward_milliseconds": round(self.backward, 2),
            "peak_memory_bytes": self.memory,
            "sparse_convolutions": self.convolutions,
            "index_pairs_built": self.pairs,
            "stages": [part.as_json() for part in self.parts],
        }


class NetworkBench(NamedTuple):
    """What ``bench_networks`` gives: networks, peers of single steps, and what a reader should know."""

    steps: list[Step]
    peers: list[Row]
    notes: list[str]


class Case(NamedTuple):
    """A batch of one sweep for one network."""

    points: Tensor
    channels: Tensor
    offsets: Tensor


def choose(network: str | None = None, preset: str | None = None, *, full: bool = False) -> list[tuple[str, str]]:
    """Networks and their presets: all, or ``network``; ``tiny``, or ``preset``, or all others where ``full``.

    Raises:
        InputError: the network is unknown, or it has no such preset.
    """
    found = []
    for name in plugins.names(plugins.NETWORK) if network is None else [network]:
        known = plugins.load(plugins.NETWORK, name).Config.presets
        found += [(name, each) for each in known if each == preset or (preset is None and (each != TINY) is full)]
    if not found:
        raise InputError(
            f"there is no preset '{preset}' of {network or 'any network'}",
            "see what there is: xmodal settings --network NAME",
        )
    return found


def choose_device(name: str | None = None) -> torch.device:
    """The device ``name``; None: a GPU, where there is one.

    Raises:
        InputError: it is no device of this machine.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise InputError(f"there is no device '{name}' here", "give cpu, or cuda where PyTorch finds a GPU")
    return torch.device(name)


def bench_networks(
    frame: Frame,
    chosen: Sequence[tuple[str, str]],
    *,
    repeat: int = 3,
    device: torch.device,
    on_step: Callable[[str], None] = lambda step: None,
) -> NetworkBench:
    """Time a training step of each network on ``frame``, and steps of them beside peers.

    Args:
        frame: a sweep.
        chosen: networks and presets.
        repeat: steps of each; the median counts.
        device: where.
        on_step: told what is measured next.
    """
    steps = []
    for name, preset in chosen:
        on_step(f"{name} {preset}")
        steps.append(time_step(frame, name, preset, repeat=repeat, device=device))
    on_step("voxelisation")
    peers = with_ratios(_voxelisation(frame, repeat, device))
    on_step("index pairs")
    peers += with_ratios(_pairs(frame, repeat, device))
    notes = [
        f"{frame.name}: {len(frame.points):,} points; on {device.type}, {torch.get_num_threads()} threads; channels "
        "that the data set has not are zeros",
        "memory: of tensors in one step, without weights and input",
        f"voxelise: voxels of {SIZE[0]:g} x {SIZE[1]:g} x {SIZE[2]:g} m, the first {PER_VOXEL} points of each, the "
        f"first {VOXELS:,} voxels",
    ]
    return NetworkBench(steps, peers, notes)


def time_step(frame: Frame, name: str, preset: str, *, repeat: int, device: torch.device) -> Step:
    """A training step of one network on ``frame``."""
    torch.manual_seed(0)
    network = load_network(name, {"preset": preset}).to(device)
    case = _batch(frame, network, device)
    memory = _peak_memory(network, case)  # warms up as well
    plain, stages = [], []
    for _ in range(repeat):
        plain.append(_step(network, case))
        stages.append(_staged_step(network, case))
    forward, backward = (median(part) * 1e3 for part in zip(*plain, strict=True))
    return Step(
        frame.name,
        len(case.points),
        name,
        preset,
        sum(parameter.numel() for parameter in network.parameters()),
        forward,
        backward,
        memory,
        sum(isinstance(module, SparseConvolution) for module in network.modules()),
        stages[0].visits[PAIRS],
        _parts(stages),
    )


def _batch(frame: Frame, network: PointNetwork, device: torch.device) -> Case:
    points = torch.from_numpy(frame.points).to(device)
    known = frame.channels
    columns = [
        torch.from_numpy(known[name]).to(device) if name in known else torch.zeros_like(points[:, 0])
        for name in network.config.channels
    ]
    channels = torch.stack(columns, dim=1) if columns else points.new_zeros(len(points), 0)
    return Case(points, channels, torch.tensor([0, len(points)], device=device))


def _step(network: PointNetwork, case: Case) -> tuple[float, float]:
    """Seconds of a forward and of a backward pass."""
    network.zero_grad()
    start = now(case.points.device)
    loss: Any = _loss(network(*case).features)
    middle = now(case.points.device)
    loss.backward()
    return middle - start, now(case.points.device) - middle


def _loss(features: Tensor) -> Tensor:
    """One number that every feature has a part in, at the least cost, so that the step's time is the network's."""
    return (features @ torch.linspace(-1, 1, features.shape[1], device=features.device)).mean()


# ---- Stages


def _staged_step(network: PointNetwork, case: Case) -> StageWatch:
    network.zero_grad()
    watch = StageWatch(case.points.device)
    with pairs_named(), watched(watch):
        loss: Any = _loss(network(*case).features)
    watch.end_forward()
    end = watch.watch_backward(loss)
    loss.backward()
    end()
    return watch


@contextmanager
def pairs_named() -> Iterator[None]:
    """Within it, each search of spconv for index pairs is a stage of its own."""
    ops = spconv.ops
    known = {name: getattr(ops, name) for name in ("get_indice_pairs", "get_indice_pairs_implicit_gemm")}
    try:
        for name, search in known.items():
            setattr(ops, name, stage(PAIRS)(search))
        yield
    finally:
        for name, search in known.items():
            setattr(ops, name, search)


def _parts(steps: Sequence[StageWatch]) -> tuple[Part, ...]:
    """The medians of ``steps``, and the share of each."""
    times = {
        name: (
            median(step.forward[name] for step in steps) * 1e3,
            median(step.backward[name] for step in steps) * 1e3,
        )
        for name in (*STAGES, OTHER)
    }
    whole = sum(map(sum, times.values()))
    return tuple(Part(name, *both, sum(both) / whole) for name, both in times.items() if sum(both))


# ---- Memory


def _peak_memory(network: PointNetwork, case: Case) -> int:
    """The most bytes that the tensors of a step held at once."""
    network.zero_grad()
    device = case.points.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        _step(network, case)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it tells the user that there is no GPU
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        _step(network, case)
    assert recorded.profiler is not None
    events = recorded.profiler.kineto_results.events()
    held = highest = 0
    changes = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
    for _, change in sorted(changes):
        held += change
        highest = max(highest, held)
    return highest


# ---- Peers


def _timed(function: Callable[[], T], repeat: int, device: torch.device) -> tuple[T, float]:
    """As ``measured``, of a device that may still be at work when a call returns."""

    def whole() -> T:
        result = function()
        now(device)
        return result

    return measured(whole, repeat)


def _voxelisation(frame: Frame, repeat: int, device: torch.device) -> Iterator[Row]:
    """Means of the points in voxels: ours, spconv's ``PointToVoxel`` with its limits, and ``torch.unique`` without."""
    points = torch.from_numpy(frame.points).to(device)
    offsets = torch.tensor([0, len(points)], device=device)

    def ours(*limits: int) -> tuple[Cells, Tensor]:
        cells = find_cells(*on_grid(points, LOW, SIZE, SHAPE), offsets, SHAPE)
        cells = cells.limited(*limits) if limits else cells
        return cells, cells.mean(points[cells.point])

    (cells, mean), milliseconds = _timed(lambda: ours(PER_VOXEL, VOXELS), repeat, device)
    yield Row("voxelise", OURS, milliseconds)
    from spconv.pytorch.utils import PointToVoxel

    high = [low + size * number for low, size, number in zip(LOW, SIZE, SHAPE, strict=True)]
    voxeliser = PointToVoxel(list(SIZE), [*LOW, *high], 3, VOXELS, PER_VOXEL, device)

    def theirs() -> tuple[Tensor, Tensor]:
        kept, index, count = voxeliser(points)
        return index.flip(1).long(), kept.sum(1) / count[:, None]

    (found, found_mean), milliseconds = _timed(theirs, repeat, device)
    order = torch.argsort((found[:, 0] * SHAPE[1] + found[:, 1]) * SHAPE[2] + found[:, 2])
    same = torch.equal(found[order], cells.index[:, 1:].long()) and torch.allclose(found_mean[order], mean, atol=1e-4)
    yield Row("voxelise", "spconv PointToVoxel", milliseconds, same)
    (cells, mean), milliseconds = _timed(ours, repeat, device)
    yield Row("voxelise, no limits", OURS, milliseconds)

    def scattered() -> tuple[Tensor, Tensor]:
        place, inside = on_grid(points, LOW, SIZE, SHAPE)
        found, cell, count = torch.unique(place[inside], dim=0, return_inverse=True, return_counts=True)
        total = points.new_zeros(len(found), 3).index_add(0, cell, points[inside])
        return found, total / count[:, None]

    (found, found_mean), milliseconds = _timed(scattered, repeat, device)
    same = torch.equal(found, cells.index[:, 1:].long()) and torch.allclose(mean, found_mean, atol=1e-4)
    yield Row("voxelise, no limits", "torch.unique, index_add", milliseconds, same)


def _pairs(frame: Frame, repeat: int, device: torch.device) -> Iterator[Row]:
    """A forward pass of ``minkunet`` with index pairs shared by the layers of a level, and built anew by each."""
    torch.manual_seed(0)
    network = load_network("minkunet", {"preset": TINY}).to(device).eval()
    case = _batch(frame, network, device)
    fit_to_device(network, device)

    @torch.no_grad()
    def forward() -> Tensor:
        features: Tensor = network(*case).features
        return features

    shared, milliseconds = _timed(forward, repeat, device)
    yield Row("minkunet forward", OURS, milliseconds)
    for module in network.modules():
        if isinstance(module, spconv.SubMConv3d):
            module.indice_key = None
    anew, milliseconds = _timed(forward, repeat, device)
    same = torch.allclose(shared, anew, atol=1e-4)
    yield Row("minkunet forward", "index pairs built by each layer", milliseconds, same)
