"""MinkUNet against dense convolutions, and MinkUNet34C against the layout that publications use."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from xmodal_core.errors import InputError
from xmodal_core.points import load_network
from xmodal_core.points.minkunet import MinkUNet

OFFSETS = torch.tensor([0, 400])


def tiny(**settings: object) -> MinkUNet:
    """A small network with statistics unlike those of a fresh one, in eval mode and double precision."""
    torch.manual_seed(0)
    network = load_network("minkunet", settings).double().eval()
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    for name, parameter in network.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(parameter, -0.5, 1.5)
    assert isinstance(network, MinkUNet)
    return network


def scattered(low: float = 0.0, high: float = 1.6, size: int = 400) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    points = low + (high - low) * torch.rand(size, 3, generator=draw, dtype=torch.float64)
    return points, torch.rand(size, 1, generator=draw, dtype=torch.float64)


class Dense:
    """The same network on a dense grid: every site that is not occupied stays zero."""

    def __init__(self, network: MinkUNet, occupied: Tensor) -> None:
        self.network = network
        self.masks = [occupied.double()]
        for _ in network.down:
            self.masks.append(F.max_pool3d(self.masks[-1], 2))

    def __call__(self, grid: Tensor) -> Tensor:
        network = self.network
        grid = self.convolution(network.stem, grid, 0)
        skips = [grid]
        for level, (down, blocks) in enumerate(zip(network.down, network.encoder, strict=True), start=1):
            grid = F.conv3d(grid, down.conv.weight.permute(0, 4, 1, 2, 3), stride=2)
            grid = self.blocks(blocks, self.norm(down.norm, grid, level).relu(), level)
            skips.append(grid)
        skips.pop()
        for up, blocks in zip(network.up, network.decoder, strict=True):
            level = len(skips) - 1
            grid = F.conv_transpose3d(grid, up.conv.weight.permute(4, 0, 1, 2, 3), stride=2)
            grid = torch.cat([self.norm(up.norm, grid, level).relu(), skips.pop()], dim=1)
            grid = self.blocks(blocks, grid, level)
        return grid

    def convolution(self, module: torch.nn.Module, grid: Tensor, level: int) -> Tensor:
        return self.norm(module.norm, self.conv(module.conv, grid), level).relu()

    def conv(self, module: torch.nn.Module, grid: Tensor) -> Tensor:
        return F.conv3d(grid, module.weight.permute(0, 4, 1, 2, 3), padding=module.weight.shape[1] // 2)

    def norm(self, norm: torch.nn.Module, grid: Tensor, level: int) -> Tensor:
        normed = F.batch_norm(grid, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-5)
        return normed * self.masks[level]

    def blocks(self, blocks: torch.nn.Module, grid: Tensor, level: int) -> Tensor:
        for block in blocks:
            inner = self.norm(block.norm1, self.conv(block.conv1, grid), level).relu()
            inner = self.norm(block.norm2, self.conv(block.conv2, inner), level)
            shortcut = grid
            if isinstance(block.shortcut, torch.nn.Sequential):
                matrix, norm = block.shortcut
                shortcut = self.norm(norm, torch.einsum("bcxyz,dc->bdxyz", grid, matrix.weight), level)
            grid = (inner + shortcut).relu()
        return grid


@pytest.mark.parametrize("stem_kernel", [3, 5])
def test_it_is_the_dense_network_on_occupied_voxels(stem_kernel: int) -> None:
    network = tiny(inputs=["occupied", "channels", "height", "xyz"], stem_kernel=stem_kernel, encoder_blocks=[1, 2, 1])
    points, channels = scattered()
    places = torch.floor(points / 0.1).long()
    sums, counts = torch.zeros(6, 16, 16, 16, dtype=torch.float64), torch.zeros(16, 16, 16, dtype=torch.float64)
    for (x, y, z), point, channel in zip(places.tolist(), points, channels, strict=True):
        sums[:, x, y, z] += torch.cat([torch.ones(1), channel, point[2:], point])
        counts[x, y, z] += 1
    grid = (sums / counts.clamp(min=1))[None]
    dense = Dense(network, (counts > 0)[None, None])(grid)[0]
    expected = torch.stack([dense[:, x, y, z] for x, y, z in places.tolist()])
    found = network(points, channels, OFFSETS).features
    assert expected.abs().mean() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_the_range_does_not_move_the_voxels() -> None:
    here = tiny(range=[-8, -8, -8, 8, 8, 8])
    wider = tiny(range=[-33.33, -20.01, -8.88, 8.37, 9.01, 10])
    points, channels = scattered(-7.9, 7.9)
    torch.testing.assert_close(
        wider(points, channels, OFFSETS).features, here(points, channels, OFFSETS).features, rtol=1e-9, atol=1e-9
    )


def test_points_of_a_voxel_share_a_feature_and_those_of_a_cylindrical_one_too() -> None:
    network = tiny(coordinates="cylindrical", voxel_size=0.5, voxel_angle=2.0)

    def at(distance: float, degrees: float, height: float) -> list[float]:
        angle = math.radians(degrees)
        return [distance * math.cos(angle), distance * math.sin(angle), height]

    alike = [at(10.1, 30.1, 0.1), at(10.4, 31.9, 0.4), at(10.1, -179.9, 0.1), at(10.1, 179.9, 0.1)]
    others = [at(10.6, 30.1, 0.1), at(10.1, 32.1, 0.1), at(10.1, 30.1, 0.6), at(10.1, 29.9, 0.1)]
    points = torch.tensor(alike + others, dtype=torch.float64)
    found = network(points, torch.rand(8, 1, dtype=torch.float64), torch.tensor([0, 8])).features
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[2], found[3])
    assert all(not torch.equal(found[0], other) for other in found[2:])


def test_the_far_corner_of_a_cylinder_is_on_the_grid() -> None:
    network = tiny(coordinates="cylindrical", range=[-10, -20, -3, 15, 5, 3])
    points = torch.tensor(
        [[14.999, -19.999, 2.999], [-10.0, -20.0, -3.0], [-5.0, 0.0, 0.0], [-5.0, -0.0, 0.0]]
    ).double()
    found = network(points, torch.rand(4, 1).double(), torch.tensor([0, 4])).features
    assert (found.abs().sum(1) > 0).all()


@pytest.mark.parametrize(
    ("inside", "point"), [(True, [-1.0, 0, 0]), (False, [2.0, 0, 0]), (False, [0, 0, 2.0]), (True, [1.99, 0, -2.0])]
)
def test_the_range_is_half_open(inside: bool, point: list[float]) -> None:
    network = tiny(range=[-1, -1, -2, 2, 2, 2])
    points = torch.tensor([point, [0.5, 0.5, 0.5]]).double()
    found = network(points, torch.rand(2, 1).double(), torch.tensor([0, 2])).features
    assert bool(found[0].abs().sum() > 0) is inside


PLANES = (32, 64, 128, 256, 256, 128, 96, 96)
LAYERS = (2, 3, 4, 6, 2, 2, 2, 2)


def slidr_kernels() -> list[tuple[int, int, int]]:
    """(volume, in, out) of every kernel of SLidR's MinkUNet34C without its last layer."""
    kernels = [(27, 1, 32)]
    width, skips = 32, [32]
    for stage, (planes, layers) in enumerate(zip(PLANES, LAYERS, strict=True)):
        if stage < 4:
            kernels.append((8, width, width))
        else:
            skips.pop()
            kernels.append((8, width, planes))
            width = planes + skips[-1]
        for _ in range(layers):
            kernels += [(27, width, planes), (27, planes, planes)]
            kernels += [(1, width, planes)] if width != planes else []
            width = planes
        if stage < 4:
            skips.append(planes)
    return kernels


def test_minkunet34c_is_the_published_one() -> None:
    network = load_network("minkunet", {"preset": "minkunet34c"})
    shapes = [tuple(p.shape) for p in network.parameters() if p.ndim > 1]
    kernels = [(math.prod(s[1:4]), s[4], s[0]) if len(s) == 5 else (1, s[1], s[0]) for s in shapes]
    assert sorted(kernels) == sorted(slidr_kernels())
    assert len(network.state_dict()) == 372
    assert network.width == 96
    assert sum(p.numel() for p in network.parameters()) == 37_842_976
    assert {module.momentum for module in network.modules() if isinstance(module, torch.nn.BatchNorm1d)} == {0.05}
    assert not any("bias" in name and "norm" not in name and "shortcut" not in name for name in network.state_dict())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"encoder": [32, 64]}, "same number of entries"),
        ({"encoder": [], "encoder_blocks": [], "decoder": [], "decoder_blocks": []}, "same number of entries"),
        ({"decoder_blocks": [1, 0, 1]}, "must be 1 or more"),
        ({"range": [1, 0, 0, 1, 1, 1]}, "below its partner"),
        ({"inputs": ["channels"], "channels": []}, "nothing is left to feed"),
        ({"inputs": ["colour"]}, "inputs"),
        ({"voxel_size": 0}, "voxel_size"),
    ],
)
def test_settings_that_make_no_network_are_named(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        load_network("minkunet", settings)


def test_points_without_any_channel() -> None:
    network = load_network("minkunet", {"channels": []})
    found = network(torch.rand(50, 3), torch.zeros(50, 0), torch.tensor([0, 50])).features
    assert found.shape == (50, network.width)
