"""SpUNet against dense convolutions, and its voxels against Pointcept's rule."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from xmodal_core.errors import InputError
from xmodal_core.points import load_network
from xmodal_core.points.spunet import SpUNet

SMALL = {
    "range": [-8, -8, -8, 8, 8, 8],
    "stem": 4,
    "encoder": [6, 8, 8],
    "encoder_blocks": [1, 2, 1],
    "decoder": [8, 5, 4],
    "decoder_blocks": [1, 1, 2],
}


def small(**settings: object) -> SpUNet:
    """A small network with statistics unlike those of a fresh one, in eval mode and double precision."""
    torch.manual_seed(0)
    network = load_network("spunet", {**SMALL, **settings}).double().eval()
    for name, tensor in network.state_dict().items():
        if ("norm" in name or "shortcut.1" in name) and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    assert isinstance(network, SpUNet)
    return network


def scattered(size: int = 300) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    points = torch.rand(size, 3, generator=draw, dtype=torch.float64) * torch.tensor([1.5, 1.1, 0.7]) - 0.63
    return points, torch.rand(size, 1, generator=draw, dtype=torch.float64)


def whole(points: Tensor) -> Tensor:
    return torch.tensor([0, len(points)])


def dense(network: SpUNet, grid: Tensor, occupied: Tensor) -> Tensor:
    """The same network on a dense grid (1,C,x,y,z): every place that is not ``occupied`` stays zero."""
    masks = [occupied.double()]
    for _ in network.down:
        masks.append(F.max_pool3d(masks[-1], 2))

    def norm(module: torch.nn.Module, grid: Tensor, level: int) -> Tensor:
        assert isinstance(module, torch.nn.BatchNorm1d)
        assert module.eps == 1e-3
        normed = F.batch_norm(grid, module.running_mean, module.running_var, module.weight, module.bias, eps=1e-3)
        return normed * masks[level]

    def conv(module: torch.nn.Module, grid: Tensor) -> Tensor:
        return F.conv3d(grid, module.weight.permute(0, 4, 1, 2, 3), padding=module.weight.shape[1] // 2)

    def stage(blocks: torch.nn.Module, grid: Tensor, level: int) -> Tensor:
        for block in blocks.children():
            inner = norm(block.norm1, conv(block.conv1, grid), level).relu()
            inner = norm(block.norm2, conv(block.conv2, inner), level)
            if isinstance(block.shortcut, torch.nn.Sequential):
                matrix, after = block.shortcut
                grid = norm(after, torch.einsum("bcxyz,dc->bdxyz", grid, matrix.weight), level)
            grid = (inner + grid).relu()
        return grid

    grid = norm(network.stem.norm, conv(network.stem.conv, grid), 0).relu()
    skips = [grid]
    for level, (down, blocks) in enumerate(zip(network.down, network.encoder, strict=True), start=1):
        halved = F.conv3d(grid, down.conv.weight.permute(0, 4, 1, 2, 3), stride=2)
        grid = stage(blocks, norm(down.norm, halved, level).relu(), level)
        skips.append(grid)
    skips.pop()
    for up, blocks in zip(network.up, network.decoder, strict=True):
        level = len(skips) - 1
        doubled = F.conv_transpose3d(grid, up.conv.weight.permute(4, 0, 1, 2, 3), stride=2)
        grid = stage(blocks, torch.cat([norm(up.norm, doubled, level).relu(), skips.pop()], dim=1), level)
    return grid[0]


def test_it_is_the_dense_network_on_occupied_voxels() -> None:
    network = small()
    points, channels = scattered()
    places = torch.floor(points / 0.1).long()
    places = places - places.amin(0)  # GridSample's grid_coord
    sums, counts = torch.zeros(4, 16, 16, 16, dtype=torch.float64), torch.zeros(16, 16, 16, dtype=torch.float64)
    for (x, y, z), row in zip(places.tolist(), torch.cat([points, channels], dim=1), strict=True):
        sums[:, x, y, z] += row
        counts[x, y, z] += 1
    found = dense(network, (sums / counts.clamp(min=1))[None], (counts > 0)[None, None])
    expected = torch.stack([found[:, x, y, z] for x, y, z in places.tolist()])
    assert expected.std(0).max() > 0.01
    torch.testing.assert_close(network(points, channels, whole(points)).features, expected, rtol=1e-9, atol=1e-9)


def test_the_range_does_not_move_the_voxels() -> None:
    points, channels = scattered()
    here, wider = small(), small(range=[-9.13, -20.01, -8.88, 8.37, 9.01, 10])
    torch.testing.assert_close(
        wider(points, channels, whole(points)).features, here(points, channels, whole(points)).features
    )


def test_larger_voxels_are_counted_from_each_frame_itself() -> None:
    """Moved by any number of whole voxels a frame gives the same, were it not for x, y, z among the inputs."""
    network = small()
    network.stem.conv.weight.data[..., :3] = 0
    points, channels = scattered()
    moved = points + torch.tensor([0.3, -0.5, 0.1])
    alone = network(points, channels, whole(points)).features
    both = network(torch.cat([points, moved]), torch.cat([channels, channels]), torch.tensor([0, 300, 600])).features
    torch.testing.assert_close(both, torch.cat([alone, alone]), rtol=1e-9, atol=1e-9)


def test_a_single_voxel_goes_through_in_training() -> None:
    network = small().float().train()
    found = network(torch.full((3, 3), 0.55), torch.ones(3, 1), torch.tensor([0, 3])).features
    assert torch.equal(found[0], found[2])
    found.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_the_gradient_is_that_of_finite_differences() -> None:
    network = small(encoder=[4], encoder_blocks=[1], decoder=[4], decoder_blocks=[1])
    points, channels = scattered(40)
    weight = network.up[0].conv.weight
    draw = torch.Generator().manual_seed(2)
    aim = torch.randn(40, 4, generator=draw, dtype=torch.float64)
    step = torch.randn(weight.shape, generator=draw, dtype=torch.float64)

    def loss() -> Tensor:
        total: Tensor = (network(points, channels, whole(points)).features * aim).sum()
        return total

    loss().backward()
    assert weight.grad is not None
    slope = (weight.grad * step).sum()
    with torch.no_grad():
        weight += 1e-6 * step
        above = loss()
        weight -= 2e-6 * step
        below = loss()
    torch.testing.assert_close((above - below) / 2e-6, slope, rtol=1e-5, atol=1e-8)


def test_spunet34_has_the_size_of_the_published_one() -> None:
    with torch.device("meta"):
        network = load_network("spunet", {"preset": "spunet34"})
    assert (len(network.state_dict()), network.width) == (354, 96)
    assert {(m.eps, m.momentum) for m in network.modules() if isinstance(m, torch.nn.BatchNorm1d)} == {(1e-3, 0.01)}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"encoder": [32, 64]}, "same number of entries"), ({"range": [1, 0, 0, 1, 1, 1]}, "below its partner")],
)
def test_settings_that_make_no_network_are_named(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        load_network("spunet", settings)
