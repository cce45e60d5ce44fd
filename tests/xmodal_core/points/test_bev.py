"""The bird's-eye map read at points, against PyTorch's ``grid_sample``."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from xmodal_core.points import load_network
from xmodal_core.points._bev import BevNetwork

SETTINGS = {"preset": "tiny", "range": (-8.0, -16.0, -5.0, 8.0, 16.0, 3.0), "pillar_size": 1.0}


def by_grid_sample(network: BevNetwork, bev: Tensor, points: Tensor, inside: Tensor, offsets: Tensor) -> Tensor:
    low, high = (points.new_tensor(network.config.range[first : first + 2]) for first in (0, 3))
    place = (points[:, :2] - low) / (high - low) * 2 - 1
    rows = [
        nn.functional.grid_sample(one[None], own[None, None], padding_mode="border", align_corners=False)[0, :, 0].T
        for one, own in zip(bev, torch.tensor_split(place, offsets[1:-1]), strict=True)
    ]
    return torch.where(inside[:, None], torch.cat(rows), 0.0)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])  # what the compiled loop takes, and what it does not
def test_a_map_is_read_bilinearly_forwards_and_backwards(kind: torch.dtype) -> None:
    network = load_network("pillars", SETTINGS)
    assert isinstance(network, BevNetwork)
    assert network.bev_grid is not None
    torch.manual_seed(0)
    # To the edge and beyond it, where the border counts; one frame of the three is empty.
    points = torch.rand(500, 3, dtype=kind) * torch.tensor([17.0, 33.0, 4.0]) - torch.tensor([8.5, 16.5, 2.0])
    points[0] = torch.tensor([-8.0, -16.0, 0.0])
    offsets, inside = torch.tensor([0, 200, 200, 500]), torch.rand(500) < 0.9
    shape = (3, 5, network.bev_grid.ny, network.bev_grid.nx)
    bev = torch.randn(shape, dtype=kind, requires_grad=True)
    ours, theirs = (
        read(bev, points, inside, offsets) for read in (network.read, lambda *args: by_grid_sample(network, *args))
    )
    near = 1e-9 if kind == torch.float64 else 1e-4  # grid_sample places points in another scale, with its rounding
    assert torch.allclose(ours, theirs, atol=near)
    weights = torch.randn_like(ours)
    gradient, expected = (torch.autograd.grad((read * weights).sum(), bev)[0] for read in (ours, theirs))
    assert torch.allclose(gradient, expected, atol=near)


def test_points_outside_get_zeros_whatever_they_are_and_none_is_no_trouble() -> None:
    network = load_network("pillars", SETTINGS)
    assert isinstance(network, BevNetwork)
    assert network.bev_grid is not None
    bev = torch.ones(1, 4, network.bev_grid.ny, network.bev_grid.nx)
    points = torch.tensor([[float("nan"), 0.0, 0.0], [1e30, 0.0, 0.0], [0.0, 0.0, 0.0]])
    inside = torch.tensor([False, False, True])
    read = network.read(bev, points, inside, torch.tensor([0, 3]))
    assert torch.allclose(read, torch.tensor([[0.0], [0.0], [1.0]]).expand(3, 4))
    assert network.read(bev, points[:0], inside[:0], torch.tensor([0, 0])).shape == (0, 4)
