"""The benchmark of networks: what it reports, not how fast; and how often index pairs are built."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
import torch

from xmodal_core import plugins
from xmodal_core.bench import networks as bench
from xmodal_core.bench.timing import OURS
from xmodal_core.errors import InputError
from xmodal_core.points import load_network
from xmodal_core.points._sparse import SparseConvolution, spconv
from xmodal_core.points._stages import DENSE, LAYERS, PAIRS, READ, STAGES, VOXELISE, stage, watched
from xmodal_core.types import Frame, Sensor

CPU = torch.device("cpu")


def small_frame() -> Frame:
    rng = np.random.default_rng(0)
    points = rng.uniform([-12, -12, -1.5], [12, 12, 1.5], (3000, 3)).astype(np.float32)
    intensity = rng.uniform(0, 1, 3000).astype(np.float32)
    return Frame("small", "s", 0.0, points, {"intensity": intensity}, Sensor("made-up", 32, (1.0, 0.0), None, 1.0))


def sparse_networks() -> list[str]:
    return [name for name in plugins.names(plugins.NETWORK) if name not in ("pillars", "pointnet")]


@pytest.mark.parametrize("name", sparse_networks())
def test_index_pairs_are_built_once_a_level_and_shared(name: str) -> None:
    network = load_network(name, {"preset": "tiny"})
    case = bench._batch(small_frame(), network, CPU)
    watch = bench.StageWatch(CPU)
    with bench.pairs_named(), watched(watch), torch.no_grad():
        network(*case)
    layers = [one for one in network.modules() if isinstance(one, SparseConvolution)]
    levels_and_kernels = {(one.indice_key, tuple(one.kernel_size)) for one in layers if one.subm}
    halvings = [one for one in layers if not one.subm and not one.inverse]
    assert watch.visits[PAIRS] == len(levels_and_kernels) + len(halvings)
    assert len(levels_and_kernels) <= len(halvings) + 2  # every level, and the stem where its kernel is another
    assert watch.visits[PAIRS] < len(layers)


def test_parts_are_shares_of_a_step() -> None:
    step = bench.time_step(small_frame(), "voxels", "tiny", repeat=1, device=CPU)
    names = [part.stage for part in step.parts]
    assert names == [name for name in (*STAGES, bench.OTHER) if name in names]
    assert {VOXELISE, PAIRS, DENSE, READ, "convolutions", bench.OTHER} == set(names)
    assert sum(part.share for part in step.parts) == pytest.approx(1)
    by_name = {part.stage: part for part in step.parts}
    assert by_name[VOXELISE].backward == by_name[PAIRS].backward == 0  # nothing there depends on weights
    assert all(by_name[name].backward > 0 for name in (DENSE, READ, "convolutions", bench.OTHER))
    weights = 4 * step.parameters
    assert step.memory > weights  # gradients alone take as much
    assert step.as_json()["stages"][0] == by_name[VOXELISE].as_json()


class _Sleeper(torch.autograd.Function):
    @staticmethod
    def forward(context, values, seconds):
        context.seconds = seconds
        time.sleep(seconds)
        return values * 2

    @staticmethod
    def backward(context, *gradients):
        time.sleep(context.seconds * 2)
        return gradients[0] * 2, None


def test_time_belongs_to_the_inner_stage_forwards_and_backwards() -> None:
    watch = bench.StageWatch(CPU)
    values = torch.ones(3, requires_grad=True)
    with watched(watch):
        with stage(DENSE):
            values = _Sleeper.apply(values, 0.02)
            with stage(LAYERS):
                values = _Sleeper.apply(values, 0.05)
            values = _Sleeper.apply(values, 0.02)
        values = _Sleeper.apply(values, 0.03)
        loss = values.sum()
        watch.end_forward()
    end = watch.watch_backward(loss)
    loss.backward()
    end()
    for found, times in ((watch.forward, 1), (watch.backward, 2)):
        for name, seconds in ((DENSE, 0.04), (LAYERS, 0.05), (bench.OTHER, 0.03)):
            assert found[name] >= seconds * times * 0.99
        assert found[LAYERS] < 0.09 * times  # its own alone, with room for a busy machine
    assert watch.visits == {DENSE: 1, LAYERS: 1}


def test_nobody_is_told_where_nobody_watches_and_failure_ends_a_stage() -> None:
    told: list[tuple[str, str]] = []

    class Ear:
        def enter(self, name: str) -> None:
            told.append(("enter", name))

        def leave(self, name: str) -> None:
            told.append(("leave", name))

    @stage(READ)
    def broken() -> None:
        raise ValueError("broken")

    with watched(Ear()), pytest.raises(ValueError, match="broken"):
        broken()
    with pytest.raises(ValueError, match="broken"):
        broken()
    assert told == [("enter", READ), ("leave", READ)]


def test_peers_give_the_same_result_and_a_wrong_one_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    found = bench.bench_networks(small_frame(), [], repeat=1, device=CPU, on_step=told.append)
    assert told == ["voxelisation", "index pairs"]
    assert [(row.name == OURS, row.same_result) for row in found.peers] == [(True, None), (False, True)] * 3
    monkeypatch.setattr(bench, "PER_VOXEL", 1)
    unlimited = bench.find_cells
    monkeypatch.setattr(bench, "find_cells", lambda place, *rest: unlimited(place + 1, *rest))
    rows = list(bench._voxelisation(small_frame(), 1, CPU))
    assert [row.same_result for row in rows] == [None, False, None, False]


def test_search_for_pairs_is_left_as_it_was() -> None:
    before = spconv.ops.get_indice_pairs
    with bench.pairs_named():
        assert spconv.ops.get_indice_pairs is not before
    assert spconv.ops.get_indice_pairs is before


def test_what_is_chosen() -> None:
    every = plugins.names(plugins.NETWORK)
    assert bench.choose() == [(name, "tiny") for name in every]
    full = bench.choose(full=True)
    assert {name for name, _ in full} == set(every)
    assert all(preset != "tiny" for _, preset in full)
    assert bench.choose("pillars", "waymo") == [("pillars", "waymo")]
    assert ("voxels", "waymo") in bench.choose(preset="waymo")
    assert all(a <= b for (a, _), (b, _) in pairwise(full))
    with pytest.raises(InputError, match="no preset 'moon' of pillars"):
        bench.choose("pillars", "moon")
    with pytest.raises(InputError):
        bench.choose("nonesuch")
    with pytest.raises(InputError, match="no device"):
        bench.choose_device("abacus")
    assert bench.choose_device("cpu") == CPU
