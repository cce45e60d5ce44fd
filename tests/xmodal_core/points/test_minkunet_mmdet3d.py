"""mmdetection3d's MinkUNet: where its voxels lie. What it computes is compared in ``exporters``."""

from __future__ import annotations

import torch

from xmodal_core.points import load_network
from xmodal_core.points.minkunet_mmdet3d import MinkUNetMmdet3d


def tiny() -> MinkUNetMmdet3d:
    network = load_network("minkunet_mmdet3d", {"voxel_size": 0.5, "range": [-4, -4, -2, 4, 4, 2]})
    assert isinstance(network, MinkUNetMmdet3d)
    return network


def test_points_are_rounded_to_the_nearest_voxel_counted_from_the_first() -> None:
    points = torch.tensor([[-1.3, 0.24, 0.0], [-1.2, 0.26, 0.0], [1.0, 0.75, 1.24]])
    cells = tiny().grid.cells(points, torch.tensor([0, 3]))
    place = cells.index[cells.cell][cells.point.argsort()][:, 1:]
    expected = torch.round(points / 0.5)
    assert torch.equal(place.float(), expected - expected.amin(0))


def test_points_at_both_ends_of_the_range_have_voxels_of_their_own() -> None:
    nearly = torch.nextafter(torch.tensor([4.0, 4.0, 2.0]), torch.zeros(3))
    points = torch.stack([torch.tensor([-4.0, -4.0, -2.0]), nearly, torch.tensor([4.0, 0.0, 0.0])])
    cells = tiny().grid.cells(points, torch.tensor([0, 3]))
    assert cells.point.sort()[0].tolist() == [0, 1]
    assert cells.index[:, 1:].tolist() == [[0, 0, 0], [16, 16, 8]]
    assert all(side > place for side, place in zip(tiny().grid.shape, (16, 16, 8), strict=True))
