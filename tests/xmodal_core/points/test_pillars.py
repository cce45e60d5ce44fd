"""Pillars: the map read back at the points, what counts as in range, and settings that fit together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xmodal_core.errors import InputError
from xmodal_core.points import load_network
from xmodal_core.points.pillars import Pillars

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
