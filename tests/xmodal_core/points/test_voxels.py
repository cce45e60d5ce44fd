"""The voxel network against dense convolutions, the box around the voxels, limits, and settings that fit together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from xmodal_core.errors import InputError
from xmodal_core.points import load_network
from xmodal_core.points.base import PointFeatures
from xmodal_core.points.voxels import VoxelNetwork

SMALL = {
    "range": [0, -4, -3, 8, 4, 3],
    "voxel_size": [0.5, 0.5, 0.5],
    "stem": 4,
    "encoder": [4, 8, 8],
    "flattened": 8,
    "blocks": [0, 0],
    "features": [8, 8],
    "up_features": [4, 4],
}
DEEP = {
    "range": [0, -8, -3, 16, 8, 3],
    "voxel_size": [0.5, 0.5, 0.25],
    "encoder": [4, 4, 8, 8],
    "encoder_blocks": [2, 1, 1, 1],
}
EXTENT = {"small": torch.tensor([8.0, 8.0, 6.0]), "deep": torch.tensor([16.0, 16.0, 6.0])}


def made(**settings: object) -> VoxelNetwork:
    """With weights and statistics that leave no layer at zero."""
    torch.manual_seed(0)
    network = load_network("voxels", {**SMALL, **settings}).double()
    assert isinstance(network, VoxelNetwork)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            for values, low in ((module.running_mean, -0.2), (module.running_var, 0.5), (module.weight, 0.5)):
                assert values is not None
                values.data.uniform_(low, low + 1)
    return network.eval()


def scattered(size: int, extent: Tensor, low: Tensor, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (torch.rand(size, 3, generator=draw) * extent + low).double()


def run(network: VoxelNetwork, *frames: Tensor) -> PointFeatures:
    points = torch.cat(frames)
    offsets = torch.tensor([0, *(len(frame) for frame in frames)]).cumsum(0)
    channels = (points[:, :1] * 1.7).sin()
    return network(points, channels, offsets)


def canvas_of(network: VoxelNetwork, *frames: Tensor) -> Tensor:
    """What the encoder hands to the 2D part."""
    caught: list[Tensor] = []
    handle = network.levels[0].register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    run(network, *frames)
    handle.remove()
    return caught[0]


class Dense:
    """The encoder on whole grids: convolutions of torch, and a mask of the cells that hold something."""

    def __init__(self, network: VoxelNetwork) -> None:
        self.network = network

    def __call__(self, points: Tensor) -> Tensor:
        """(1,C*D,ny,nx)."""
        config, network = self.network.config, self.network
        nx, ny, nz = config.grid
        inputs = torch.cat([points, (points[:, :1] * 1.7).sin()], dim=1)
        cells: dict[tuple[int, ...], list[Tensor]] = {}
        for row in inputs:
            x, y, z = (
                int((value - low) // size)
                for value, low, size in zip(row[:3].tolist(), config.range[:3], config.voxel_size, strict=True)
            )
            cells.setdefault((z, y, x), []).append(row)
        grid = torch.zeros(1, inputs.shape[1], nz + 1, ny, nx, dtype=inputs.dtype)
        mask = torch.zeros(1, 1, nz + 1, ny, nx, dtype=torch.bool)
        for place, rows in cells.items():
            grid[(0, slice(None), *place)] = torch.stack(rows).mean(0)
            mask[(0, 0, *place)] = True
        grid = self.same(grid, mask, network.stem.conv, network.stem.norm).relu()
        for level, blocks in enumerate(network.encoder):
            if level:
                last = level == len(network.encoder) - 1
                down = network.down[level - 1]
                grid, mask = self.other(grid, mask, down, stride=2, padding=(0 if last else 1, 1, 1))
            for block in blocks:
                inner = self.same(grid, mask, block.conv1, block.norm1).relu()
                grid = (self.same(inner, mask, block.conv2, block.norm2) + grid).relu()
        grid, _ = self.other(grid, mask, network.flatten, stride=(2, 1, 1), padding=0)
        return grid.flatten(1, 2)

    def same(self, grid: Tensor, mask: Tensor, conv: torch.nn.Module, norm: torch.nn.Module) -> Tensor:
        """A convolution whose output cells are its input cells."""
        return self.normed(F.conv3d(grid, conv.weight.permute(0, 4, 1, 2, 3), padding=1), mask, norm)

    def other(
        self, grid: Tensor, mask: Tensor, layer: torch.nn.Module, stride: object, padding: object
    ) -> tuple[Tensor, Tensor]:
        """A convolution with an output cell wherever its kernel covers an input cell."""
        weight = layer.conv.weight.permute(0, 4, 1, 2, 3)
        grid = F.conv3d(grid, weight, stride=stride, padding=padding)
        mask = F.conv3d(mask.double(), torch.ones_like(weight[:1, :1]), stride=stride, padding=padding) > 0
        return self.normed(grid, mask, layer.norm).relu(), mask

    def normed(self, grid: Tensor, mask: Tensor, norm: torch.nn.Module) -> Tensor:
        out = torch.zeros_like(grid).movedim(1, -1)
        held = mask[:, 0]
        out[held] = F.batch_norm(
            grid.movedim(1, -1)[held],
            norm.running_mean.clone(),
            norm.running_var.clone(),
            norm.weight,
            norm.bias,
            self.network.training,
            norm.momentum,
            norm.eps,
        )
        return out.movedim(-1, 1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("settings", "extent"), [({}, EXTENT["small"]), (DEEP, EXTENT["deep"])], ids=EXTENT)
def test_the_encoder_is_dense_convolutions_on_held_cells(
    settings: dict[str, object], extent: Tensor, training: bool
) -> None:
    network = made(**settings).train(training)
    points = scattered(150, extent, torch.tensor(network.config.range[:3]), seed=1)
    expected = Dense(network)(points)
    found = canvas_of(network, points)
    assert found.shape == expected.shape
    assert (expected != 0).double().mean() > 0.05
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_its_gradient_is_that_of_dense_convolutions() -> None:
    network = made(**DEEP).train()
    points = scattered(60, EXTENT["deep"] / 2, torch.tensor(network.config.range[:3]), seed=2)
    weights = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    encoder = [parameter for name, parameter in network.named_parameters() if not name.startswith(("levels", "ups"))]
    expected = torch.autograd.grad((Dense(network)(points) * weights).sum(), encoder)
    found = torch.autograd.grad((canvas_of(network, points) * weights).sum(), encoder)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("seed", range(12))
def test_a_box_around_the_voxels_gives_what_the_whole_grid_gives(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clumps anywhere, also at the grid's borders, where the whole grid cuts convolutions off."""
    network = made(
        range=[0, -24, -3, 48, 24, 3], voxel_size=[0.5, 0.5, 0.25], encoder=[4, 4, 8, 8], encoder_blocks=[1] * 4
    )
    draw = torch.Generator().manual_seed(seed)
    corner = (
        torch.randint(0, 92, (2,), generator=draw)
        if seed >= 4
        else torch.tensor([[0, 0], [0, 94], [94, 0], [94, 94]])[seed]
    )
    cells = torch.cat(
        [corner + torch.randint(0, 2, (6, 2), generator=draw), torch.randint(0, 24, (6, 1), generator=draw)], 1
    )
    points = ((cells + 0.5) * torch.tensor([0.5, 0.5, 0.25]) + torch.tensor([0, -24, -3])).double()
    found = canvas_of(network, points, points[:1])
    box = network._box(torch.cat([torch.zeros(6, 1), cells.flip(1)], 1).int())[1]
    assert max(box[1:]) <= 24

    def whole(index: Tensor) -> tuple[Tensor, tuple[int, int, int], Tensor]:
        return index, (25, 96, 96), torch.zeros_like(index[0])

    monkeypatch.setattr(network, "_box", whole)
    torch.testing.assert_close(found, canvas_of(network, points, points[:1]), rtol=1e-12, atol=1e-12)


def test_a_map_holds_the_features_of_each_column_from_below_upwards() -> None:
    """Channel c*D+d of the map is feature c of the d-th of the last voxels."""
    network = made(range=[0, -4, -5, 8, 4, 5])  # 20 voxels along z become 2
    low = canvas_of(network, torch.tensor([[2.2, 0.2, -4.9]]).double()).unflatten(1, (8, 2))
    high = canvas_of(network, torch.tensor([[2.2, 0.2, 4.9]]).double()).unflatten(1, (8, 2))
    assert low[:, :, 0].any()
    assert not low[:, :, 1].any()
    assert high[:, :, 1].any()
    assert not high[:, :, 0].any()


def test_a_point_at_the_centre_of_a_cell_reads_that_cell() -> None:
    network = made()
    grid = network.bev_grid
    assert grid is not None
    x, y = grid.low[0] + (3 + 0.5) * grid.cell, grid.low[1] + (1 + 0.5) * grid.cell
    found = run(network, torch.tensor([[x, y, 0.0]]).double())
    assert found.bev is not None
    assert found.bev.shape == (1, grid.width, grid.ny, grid.nx) == (1, 8, 4, 4)
    torch.testing.assert_close(found.features[0], found.bev[0, :, 1, 3])


def test_points_on_the_borders_and_beyond_them() -> None:
    """The lower end of the range is in it, the upper is not, and rounding does not carry a point over it."""
    network = made(range=[-80, -80, -3, 80, 80, 3], voxel_size=[0.25, 0.25, 0.5]).float()
    below = torch.nextafter(torch.tensor(80.0), torch.tensor(0.0)).item()
    points = torch.tensor(
        [[-80, -80, -3], [below - 1e-5, below - 1e-5, 2.999], [80, 0, 0], [0, 80, 0], [0, 0, 3], [0, 0, -3.001]]
    )
    found = run(network, torch.cat([points, torch.tensor([[below, below, 0.0]])])).features
    assert [bool(row.any()) for row in found] == [True, True, False, False, False, False, False]
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("training", [True, False])
def test_frames_with_one_voxel_or_none(training: bool) -> None:
    network = made().train(training)
    found = run(
        network, torch.zeros(0, 3).double(), torch.tensor([[1.0, 0.0, 0.0]]).double(), torch.zeros(0, 3).double()
    )
    assert found.features.shape == (1, 8)
    assert torch.isfinite(found.features).all()
    assert found.features.any()


def test_limits_are_those_of_training_or_not() -> None:
    """Three voxels far apart, the second with three points: the limits leave out what comes too late."""
    points = torch.tensor([[0.2, 0.2, 0], [4.1, 0.1, 0], [4.3, 0.1, 0], [4.2, 0.3, 0], [7.2, 3.2, 0]]).double()
    unlimited, limited = made(), made(points_per_voxel=2, max_voxels=[2, 3])
    torch.testing.assert_close(canvas_of(limited, points), canvas_of(unlimited, points[[0, 1, 2, 4]]))
    limited.train()
    unlimited.train()
    torch.testing.assert_close(canvas_of(limited, points), canvas_of(unlimited, points[:3]))
    assert not torch.allclose(canvas_of(limited, points), canvas_of(unlimited, points))


@pytest.mark.parametrize(
    ("preset", "shape", "grid"),
    [
        ("nuscenes_0075", (512, 180, 180), (1440, 1440, 40)),
        ("nuscenes_01", (512, 128, 128), (1024, 1024, 40)),
        ("waymo", (512, 188, 188), (1504, 1504, 40)),
    ],
)
def test_presets_are_centerpoints_networks(preset: str, shape: tuple[int, ...], grid: tuple[int, ...]) -> None:
    network = load_network("voxels", {"preset": preset})
    assert isinstance(network, VoxelNetwork)
    assert network.config.grid == grid
    assert network.bev_grid is not None
    assert (network.bev_grid.width, network.bev_grid.ny, network.bev_grid.nx) == shape
    # VoxelResBackBone8x (or SpMiddleResNetFHD) on five numbers a point: a convolution and its norm a term.
    norms = 2 * (16 + 4 * 16 + 32 + 4 * 32 + 64 + 4 * 64 + 128 + 4 * 128 + 128)
    encoder = 27 * (5 * 16 + 4 * 16**2 + 16 * 32 + 4 * 32**2 + 32 * 64 + 4 * 64**2 + 64 * 128 + 4 * 128**2) + 3 * 128**2
    # BaseBEVBackbone (or RPN): levels of six convolutions, then one to 256 of each, the second doubling the map.
    flat = 9 * (256 * 128 + 5 * 128**2 + 128 * 256 + 5 * 256**2) + 128 * 256 + 4 * 256**2
    norms += 2 * (6 * 128 + 6 * 256 + 2 * 256)
    biases = 4 * (16 + 32 + 64 + 128)  # theirs, which stand before a batch norm and which ours has not
    theirs = encoder + flat + norms + biases
    assert sum(parameter.numel() for parameter in network.parameters()) == theirs - biases == 7_271_120
    assert len(network.state_dict()) == 226 - 16  # OpenPCDet's and CenterPoint's entries, without those biases


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"encoder": [4, 8]}, "as many entries each"),
        ({"encoder": [8, 8, 8]}, "that of the stem"),
        ({"encoder_blocks": [1, 0, 1]}, "1 or more"),
        ({"voxel_size": [0.5, 0.25, 0.5]}, "the same along x and y"),
        ({"voxel_size": [0, 0, 0.5]}, "above zero"),
        ({"max_voxels": [0, 10]}, "1 or more"),
        ({"range": [0, -4, -3, 8, 4, 2]}, "10 voxels along z do not come out even at every halving; take 12"),
        ({"range": [0, -4, -3, 6, 4, 3]}, "12 voxels along x, but it must be a whole multiple of 8"),
        ({"range": [0, -4, 3, 8, 4, -3]}, "below its partner"),
    ],
)
def test_settings_that_make_no_network_are_named(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        load_network("voxels", {**SMALL, **settings})
    assert "settings of 'network' do not fit together" in caught.value.message
