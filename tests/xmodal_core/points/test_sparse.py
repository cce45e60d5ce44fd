"""spconv without its noise, and its algorithm by device."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from xmodal_core.points import load_network
from xmodal_core.points._norm import BatchNorm
from xmodal_core.points._sparse import ConvAlgo, SparseConvolution, fit_to_device, supported_precision

USE = """
import torch
from xmodal_core.points import load_network
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
