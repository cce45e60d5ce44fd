"""spconv without its noise, and its algorithm by device."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from xmodal_core.errors import InputError
from xmodal_core.points import _sparse, load_network
from xmodal_core.points._norm import BatchNorm
from xmodal_core.points._sparse import ConvAlgo, SparseConvolution, fit_to_device, supported_precision

USE = """
import torch
from xmodal_core.errors import InputError
from xmodal_core.points import _sparse, load_network
network = load_network("minkunet")
network(torch.rand(50, 3), torch.rand(50, 1), torch.tensor([0, 50])).features.sum().backward()
"""


def algorithms(network: torch.nn.Module) -> set[ConvAlgo]:
    return {module.algo for module in network.modules() if isinstance(module, SparseConvolution)}


def test_importing_and_using_it_prints_nothing_and_warns_of_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", USE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""


def test_the_algorithm_follows_the_device() -> None:
    network = load_network("minkunet", {"stem_kernel": 5})
    spconvs_own = algorithms(network)
    assert ConvAlgo.MaskImplicitGemm in spconvs_own
    for _ in range(2):
        fit_to_device(network, torch.device("cpu"))
        assert algorithms(network) == {ConvAlgo.Native}
        fit_to_device(network, torch.device("cuda"))
        assert algorithms(network) == spconvs_own


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_no_mixed_precision_on_a_cpu(kind: torch.dtype) -> None:
    with torch.autocast("cpu", kind):
        with supported_precision(torch.device("cpu")):
            assert not torch.is_autocast_enabled("cpu")
        assert torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("rows", [0, 1])
def test_batch_norm_of_too_few_rows_uses_what_it_knows(rows: int) -> None:
    torch.manual_seed(0)
    norm = BatchNorm(4)
    norm(torch.randn(50, 4) * 3 + 1)
    known = norm.running_mean.clone()
    few = torch.randn(rows, 4)
    expected = (few - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(norm(few), expected)
    assert torch.equal(norm.running_mean, known)


def test_batch_norm_of_many_rows_is_pytorchs() -> None:
    torch.manual_seed(0)
    norm, own = BatchNorm(4), torch.nn.BatchNorm1d(4)
    rows = torch.randn(50, 4)
    assert torch.equal(norm(rows), own(rows))
    assert torch.equal(norm.eval()(rows), own.eval()(rows))


def wide_frame(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A clump between two points that are 1024 voxels of 0.1 m apart along each axis."""
    draw = torch.Generator().manual_seed(seed)
    points = torch.rand(400, 3, generator=draw) * 2
    points[0], points[1] = -51.19, 51.19
    return points, torch.rand(400, 1, generator=draw)


def test_a_batch_of_more_cells_than_spconv_can_tell_apart() -> None:
    """Frames of 2^30 cells: to 32 bits, the fifth lies where the first does, and would be mixed up with it."""
    torch.manual_seed(0)
    network = load_network("minkunet", {"range": [-60, -60, -60, 60, 60, 60]})
    frames = [wide_frame(seed) for seed in range(6)]
    points, channels = (torch.cat(part) for part in zip(*frames, strict=True))
    with torch.no_grad():
        network(*frames[0], torch.tensor([0, 400]))
        network.eval()
        together = network(points, channels, torch.arange(7) * 400).features.split(400)
        for frame, among in zip(frames, together, strict=True):
            torch.testing.assert_close(among, network(*frame, torch.tensor([0, 400])).features)


@pytest.mark.parametrize("cells", [1, 2, 5])
def test_a_batch_in_parts_is_the_batch_in_one(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward, backward and batch norm's statistics, with frames among them that have no voxel."""
    draw = torch.Generator().manual_seed(1)
    points, channels = torch.rand(300, 3, generator=draw) * 3, torch.rand(300, 1, generator=draw)
    offsets = torch.tensor([0, 0, 100, 130, 130, 130, 300, 300])

    def run() -> list[torch.Tensor]:
        torch.manual_seed(0)
        network = load_network("minkunet").double()
        found = network(points.double(), channels.double(), offsets).features
        found.square().sum().backward()
        return [found.detach(), *network.buffers(), *(p.grad for p in network.parameters() if p.grad is not None)]

    whole = run()
    monkeypatch.setattr(_sparse, "MOST_CELLS", cells * 32**3)
    for one, other in zip(whole, run(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-8, atol=1e-8)


def test_a_frame_of_more_cells_than_spconv_can_tell_apart_is_refused() -> None:
    network = load_network("minkunet", {"voxel_size": 0.05, "range": [-60, -60, -60, 60, 60, 60]})
    with pytest.raises(InputError, match=r"a grid of 2048 x 2048 x 2048 voxels is more than spconv can take on a CPU"):
        network(*wide_frame(0), torch.tensor([0, 400]))
