"""PointNet++: what the original's layers are, what is drawn, what settings are refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from xmodal_core.errors import InputError
from xmodal_core.points import _neighbours, load_network
from xmodal_core.points._neighbours import Cloud
from xmodal_core.points.pointnet import PointNet


def made(**settings: Any) -> PointNet:
    network = load_network("pointnet", settings)
    assert isinstance(network, PointNet)
    return network


def parameters(levels: list[list[list[int]]], back: list[list[int]]) -> int:
    """Numbers in matrices without bias and in their batch norms, from the widths of each chain of layers."""
    chains = [layers for scales in levels for layers in scales] + back
    return sum(w * out + 2 * out for layers in chains for w, out in pairwise(layers))


def test_pointrcnn_is_as_large_as_the_original() -> None:
    """Widths of OpenPCDet's tools/cfgs/kitti_models/pointrcnn.yaml, with what PointNet2MSG puts before them."""
    network = made(preset="pointrcnn")
    levels = [
        [[4, 16, 16, 32], [4, 32, 32, 64]],
        [[99, 64, 64, 128], [99, 64, 96, 128]],
        [[259, 128, 196, 256], [259, 128, 196, 256]],
        [[515, 256, 256, 512], [515, 256, 384, 512]],
    ]
    back = [[257, 128, 128], [608, 256, 256], [768, 512, 512], [1536, 512, 512]]
    assert sum(p.numel() for p in network.parameters()) == parameters(levels, back) == 3_007_632
    assert (network.width, network.bev_grid) == (128, None)


def test_points_beyond_are_drawn_first_unless_they_are_too_many() -> None:
    network = made(sample=4, keep_beyond=40.0)
    far, near = torch.tensor([[50.0, 0, 0]]), torch.tensor([[10.0, 0, 0]])
    frames = [torch.cat([near, far] * 3), torch.cat([near, *[far] * 5, near]), near.expand(2, 3)]
    sizes = torch.tensor([0, *map(len, frames)]).cumsum(0)
    drawn, offsets = network._draw(Cloud(torch.cat(frames), sizes))
    assert drawn.tolist() == [0, 1, 3, 5, 6, 7, 8, 9, 13, 14]
    assert offsets.tolist() == [0, 4, 8, 10]


def test_compiled_loops_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and backward, on a batch of two frames, bit for bit."""
    points = torch.randn(700, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([15.0, 15.0, 1.0])
    batch = points, torch.ones(700, 1), torch.tensor([0, 400, 700])
    found = []
    for compiled in (("cpu",), ()):
        monkeypatch.setattr(_neighbours, "COMPILED", compiled)
        torch.manual_seed(0)
        network = made(sample=256, centres=[64, 32, 8])
        features = network(*batch).features
        features.square().mean().backward()
        found.append([features, *(parameter.grad for parameter in network.parameters())])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*found, strict=True))


def test_a_point_that_is_not_drawn_is_like_its_neighbours() -> None:
    torch.manual_seed(0)
    network = made(sample=64, centres=[32, 16, 8]).eval()
    points = torch.rand(500, 3) * 20
    points = torch.cat([points, points + 1e-4])
    features = network(points, torch.ones(1000, 1), torch.tensor([0, 1000])).features
    torch.testing.assert_close(features[:500], features[500:], rtol=0, atol=1e-3)
    assert features.std(0).mean() > 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"centres": [10, 5]}, "as many entries each"),
        ({"radii": [[1.0], [1.0, 2.0], [2.0, 4.0]]}, "within a level"),
        ({"neighbours": [[8, 0], [8, 16], [8, 16]]}, "above zero"),
        ({"propagation": [[64], [], [64]]}, "a layer at least"),
        ({"centres": [64, 128, 16]}, "must not grow"),
        ({"range": [0, 0, 0, 1, 0, 1]}, "below its partner"),
    ],
)
def test_settings_that_make_no_network_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(**settings)
