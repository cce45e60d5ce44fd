"""Pillars: the map read back at the points, what counts as in range, and settings that fit together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xmodal_core.errors import InputError
from xmodal_core.points import load_network
from xmodal_core.points.pillars import Pillars, PillarsConfig

SMALL = {
    "range": [0, -8, -3, 16, 8, 1],
    "pillar_size": 0.5,
    "pillar_features": [8, 8],
    "features": [8, 8, 8],
    "up_features": [4, 4, 4],
}


def small(**settings: object) -> Pillars:
    torch.manual_seed(0)
    network = load_network("pillars", {**SMALL, **settings}).double()
    points = torch.rand(500, 3).double() * 4
    network(points, torch.rand(500, 1).double(), torch.tensor([0, 500]))
    assert isinstance(network, Pillars)
    return network.eval()


def run(network: Pillars, points: Tensor) -> tuple[Tensor, Tensor]:
    points = points.double()
    channels = torch.full((len(points), 1), 0.5).double()
    features, bev = network(points, channels, torch.tensor([0, len(points)]))
    assert bev is not None
    return features, bev


@pytest.mark.parametrize("up_strides", [(1, 2, 4), (0.5, 1, 2), (2, 4, 8)])
def test_the_map_is_read_bilinearly(up_strides: tuple[float, ...]) -> None:
    network = small(up_strides=up_strides)
    points = torch.rand(300, 3) * torch.tensor([15.9, 15.9, 1]) + torch.tensor([0, -7.95, 0])
    points[:2] = torch.tensor([[0.0, -8.0, 0.0], [15.99, 7.99, 0.0]])
    features, bev = run(network, points)
    side = 0.5 * network.config.map_stride
    assert bev.shape == (1, 12, round(16 / side), round(16 / side))
    for (x, y, _), found in zip(points.double().tolist(), features, strict=True):
        column, row = x / side - 0.5, (y + 8) / side - 0.5
        expected = torch.zeros(12).double()
        for at_row in range(bev.shape[2]):
            for at_column in range(bev.shape[3]):
                # Beyond the outermost centres the map goes on as it ends.
                near_row = max(0.0, 1 - abs(min(max(row, 0), bev.shape[2] - 1) - at_row))
                near_column = max(0.0, 1 - abs(min(max(column, 0), bev.shape[3] - 1) - at_column))
                if near_row and near_column:
                    expected += near_row * near_column * bev[0, :, at_row, at_column]
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("up_strides", [(1, 2, 4), (0.5, 1, 2)])
def test_the_grid_says_where_the_maps_cells_lie(up_strides: tuple[float, ...]) -> None:
    """A point at the centre of a cell reads that cell."""
    network = small(up_strides=up_strides)
    grid = network.bev_grid
    assert grid is not None
    x = grid.low[0] + (3 + 0.5) * grid.cell
    y = grid.low[1] + (1 + 0.5) * grid.cell
    (feature,), bev = run(network, torch.tensor([[x, y, 0.0]]))
    assert bev.shape == (1, grid.width, grid.ny, grid.nx)
    torch.testing.assert_close(feature, bev[0, :, 1, 3])


def test_x_runs_along_the_maps_columns_and_y_along_its_rows() -> None:
    """One point in an empty frame: the map differs from an empty one around that point's cell and nowhere far away."""
    network = small(blocks=[0, 0, 0], up_strides=[1, 2, 4])
    _, empty = run(network, torch.zeros(0, 3))
    _, bev = run(network, torch.tensor([[13.0, -5.0, 0.0]]))
    rows, columns = torch.nonzero((bev - empty).abs().sum((0, 1)) > 1e-9).T
    assert rows.min() >= 0
    assert rows.max() <= 7
    assert columns.min() >= 8
    assert 3 - 1 <= rows.double().mean() <= 3 + 1.5
    assert 13 - 1.5 <= columns.double().mean() <= 13 + 1.5


def test_height_does_not_put_a_point_out_of_range_but_x_and_y_do() -> None:
    points = torch.tensor([[1, 0, 9.0], [1, 0, -9.0], [15.99, 0, 0], [16.0, 0, 0], [1, 8.0, 0], [-0.01, 0, 0]])
    features, _ = run(small(), points)
    assert [bool(row.any()) for row in features] == [True, True, True, False, False, False]


def test_all_points_of_a_pillar_count() -> None:
    network = small()
    crowd = torch.tensor([[4.1, 0.1, -1.0]]).repeat(200, 1)
    crowd[150, 2] = 1.0
    without = crowd.clone()
    without[150, 2] = -1.0
    assert not torch.allclose(run(network, crowd)[1], run(network, without)[1], atol=1e-4)


def by_hand(network: Pillars, points: Tensor) -> dict[tuple[int, int], Tensor]:
    """Hard pillars slot by slot: the feature of each pillar by its place (x, y)."""
    config, size = network.config, network.config.points_per_pillar
    assert size is not None
    assert config.max_pillars is not None
    held: dict[tuple[int, int], list[Tensor]] = {}
    for point in points:
        place = (int(point[0] // config.pillar_size), int((point[1] - config.range[1]) // config.pillar_size))
        if place not in held and len(held) == config.max_pillars[0 if network.training else 1]:
            continue
        kept = held.setdefault(place, [])
        if len(kept) < size:
            kept.append(point)
    rows = []
    for (x, y), kept in held.items():
        mean = torch.stack(kept).mean(0)
        centre = torch.tensor([(x + 0.5) * config.pillar_size, (y + 0.5) * config.pillar_size + config.range[1], -1.0])
        offsets = len(config.centre_offsets)
        intensity = torch.tensor([0.5])
        rows += [torch.cat([point, intensity, point - mean, (point - centre)[:offsets]]) for point in kept]
        rows += [torch.zeros_like(rows[-1])] * (size - len(kept))
    features = torch.stack(rows).double()
    for number, layer in enumerate(network.pillar_layers, start=1):
        assert isinstance(layer, torch.nn.Module)
        linear, norm = layer.get_submodule("linear"), layer.get_submodule("norm")
        features = features @ linear.get_parameter("weight").T
        mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
        if network.training:
            mean, variance = features.mean(0), features.var(0, unbiased=False)
        features = (features - mean) / (variance + 1e-3).sqrt() * norm.get_parameter("weight")
        features = (features + norm.get_parameter("bias")).clamp(min=0)
        highest = features.view(len(held), size, -1).amax(1)
        if number < len(network.pillar_layers):
            features = torch.cat([features, highest.repeat_interleave(size, 0)], dim=1)
    return dict(zip(held, highest, strict=True))


@pytest.mark.parametrize("centre_offsets", ["xyz", "xy"])
@pytest.mark.parametrize("training", [True, False])
def test_hard_pillars_slot_by_slot(centre_offsets: str, training: bool) -> None:
    """Empty slots take part in every maximum and in the statistics of training; points and pillars come too late."""
    network = small(points_per_pillar=3, max_pillars=[9, 12], centre_offsets=centre_offsets)
    assert network.pillar_layers[0].get_submodule("linear").get_parameter("weight").shape[1] == 7 + len(centre_offsets)
    for name, parameter in network.named_parameters():
        if "norm" in name and name.endswith("bias"):
            parameter.data.uniform_(-0.5, 0.5)
    draw = torch.Generator().manual_seed(3)
    points = (
        torch.rand(60, 3, generator=draw) * torch.tensor([2.0, 2.0, 3.9]) + torch.tensor([3.0, 1.0, -2.9])
    ).double()
    caught: list[Tensor] = []
    network.levels[0].register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    expected = by_hand(network.train(training), points)
    run(network, torch.cat([points, points.new_tensor([[3.5, 1.5, 1.1], [3.5, 1.5, -3.1]])]))
    (canvas,) = caught
    assert len(expected) == (9 if training else 12)
    for (x, y), feature in expected.items():
        torch.testing.assert_close(canvas[0, :, y, x], feature, rtol=1e-6, atol=1e-6)
        canvas[0, :, y, x] = 0
    assert not canvas.any()


def test_hard_pillars_leave_out_what_is_above_or_below_the_range() -> None:
    points = torch.tensor([[1, 0, 0.9], [1, 0, 1.1], [1, 0, -3.1]])
    features, _ = run(small(points_per_pillar=5), points)
    assert [bool(row.any()) for row in features] == [True, False, False]


def test_a_point_that_rounding_carries_over_the_upper_end_is_out_of_range() -> None:
    narrow = {"features": [8, 8, 8], "up_features": [4, 4, 4]}
    network = load_network("pillars", {**narrow, "range": (-80, -80, -5, 80, 80, 3), "pillar_size": 0.25}).eval()
    below = torch.nextafter(torch.tensor(80.0), torch.tensor(0.0)).item()
    points = torch.tensor([[below, below, 0.0], [79.99, 79.99, 0.0]])
    features = network(points, torch.zeros(2, 1), torch.tensor([0, 2])).features
    assert [bool(row.any()) for row in features] == [False, True]


@pytest.mark.parametrize(
    ("preset", "inputs", "layers", "ups"),
    [
        ("nuscenes", 11, (32, 64), (4, 1, 4)),
        ("nuscenes_det3d", 10, (32, 64), (4, 1, 4)),
        ("waymo", 11, (32, 64), (1, 4, 16)),
        ("waymo_hard", 11, (32, 64), (1, 4, 16)),
        ("waymo_det3d", 10, (32, 64), (1, 4, 16)),
        ("kitti", 10, (64,), (1, 4, 16)),
        ("kitti_hard", 10, (64,), (1, 4, 16)),
    ],
)
def test_presets_have_as_many_parameters_as_the_originals(
    preset: str, inputs: int, layers: tuple[int, ...], ups: tuple[int, ...]
) -> None:
    """Their tensors one by one: OpenPCDet's PillarVFE and BaseBEVBackbone, det3d's PillarFeatureNet and RPN."""
    pillar = inputs * layers[0] + sum(64 * out for out in layers[1:]) + 2 * sum(layers)
    levels = 9 * (64 * 64 + 3 * 64**2 + 64 * 128 + 5 * 128**2 + 128 * 256 + 5 * 256**2)
    norms = 2 * (4 * 64 + 6 * 128 + 6 * 256 + 3 * 128)
    neck = sum(area * width * 128 for area, width in zip(ups, (64, 128, 256), strict=True))
    network = load_network("pillars", {"preset": preset})
    assert sum(parameter.numel() for parameter in network.parameters()) == pillar + levels + norms + neck
    count = f"{pillar + levels + norms + neck:,}"
    assert any(preset in line and count in line for line in (PillarsConfig.__doc__ or "").splitlines())


@pytest.mark.parametrize(
    ("preset", "tensors", "shape"),
    [("nuscenes", 126, (384, 128, 128)), ("waymo", 126, (384, 468, 468)), ("kitti", 120, (384, 248, 216))],
)
def test_presets_are_openpcdets_networks(preset: str, tensors: int, shape: tuple[int, ...]) -> None:
    network = load_network("pillars", {"preset": preset})
    assert isinstance(network, Pillars)
    nx, ny = network.config.cells
    stride = network.config.map_stride
    assert (network.width, ny // stride, nx // stride) == shape
    assert len(network.state_dict()) == tensors


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"features": [8, 8]}, "as many entries each"),
        ({"up_strides": [1, 2, 2]}, "maps of the same size"),
        ({"up_strides": [1.5, 3, 6]}, "whole numbers, or one divided by one"),
        ({"pillar_features": [7, 8]}, "must be even"),
        ({"pillar_features": []}, "must be a pillar layer"),
        ({"max_pillars": [5, 5]}, "give points_per_pillar too"),
        ({"points_per_pillar": 5, "max_pillars": [0, 5]}, "must be 1 or more"),
        ({"strides": [0, 2, 2]}, "above zero"),
        ({"range": [0, -8, -3, 15.5, 8, 1]}, "31 pillars along x, but it must be a whole multiple of 8"),
        ({"range": [0, -8, -3, 16, 8.2, 1]}, "32.4 pillars along y"),
        ({"range": [0, -8, 1, 16, 8, -3]}, "below its partner"),
    ],
)
def test_settings_that_make_no_network_are_named(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        load_network("pillars", {**SMALL, **settings})
    assert "settings of 'network' do not fit together" in caught.value.message
