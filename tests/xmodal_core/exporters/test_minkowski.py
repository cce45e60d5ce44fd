"""MinkUNet in SLidR's and Pointcept's format, against a network over MinkowskiEngine's rules, written out in loops.

Rules: of the places of a kernel the first axis runs fastest; odd kernels are centred, those of size 2 reach from 0 to
1; a voxel twice as large begins at an even multiple of absolute coordinates; a 1x1 kernel is ``rows @ kernel``.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xmodal_core.errors import InputError
from xmodal_core.exporters._minkowski import SMALL
from xmodal_core.exporters.base import Exporter
from xmodal_core.exporters.pointcept import Pointcept
from xmodal_core.exporters.slidr import Slidr
from xmodal_core.points import load_network
from xmodal_core.points.base import PointNetwork
from xmodal_core.train.backbone import Backbone

Place = tuple[int, int, int]
Rows = dict[Place, Tensor]
CASES: list[tuple[type[Exporter], dict[str, Any]]] = [
    (Slidr, {"preset": "minkunet34c"}),
    (Slidr, {"preset": "minkunet34c", "coordinates": "cartesian"}),
    (Pointcept, {"preset": "minkunet34c_pointcept", "voxel_size": 0.1}),
    (Pointcept, {"preset": "minkunet18a", "origin": "cloud", "voxel_size": 0.2}),
]


class Theirs:
    """The original's ``forward`` over the tensors of an exported file."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def __call__(self, rows: Rows) -> Rows:
        rows = self.bn(self.conv(rows, "conv0p1s1", rows, 1), "bn0", relu=True)
        skips, stride = [rows], 1
        for level in range(1, 5):
            coarse = {tuple(c // (2 * stride) * 2 * stride for c in place): torch.empty(0) for place in rows}
            rows = self.conv(rows, f"conv{level}p{stride}s2", coarse, stride)
            stride *= 2
            rows = self.stage(self.bn(rows, f"bn{level}", relu=True), f"block{level}", stride)
            skips.append(rows)
        skips.pop()
        for level in range(4, 8):
            skip = skips.pop()
            up = self.spread(rows, f"convtr{level}p{stride}s2", skip, stride // 2)
            up = self.bn(up, f"bntr{level}", relu=True)
            stride //= 2
            rows = {place: torch.cat([up[place], skip[place]]) for place in skip}
            rows = self.stage(rows, f"block{level + 1}", stride)
        return rows

    def conv(self, rows: Rows, name: str, places: Rows, stride: int) -> Rows:
        kernel = self.tensors[f"{name}.kernel"]
        steps = offsets(len(kernel), stride)
        return {
            place: sum(
                (
                    rows[moved(place, step)] @ matrix
                    for step, matrix in zip(steps, kernel, strict=True)
                    if moved(place, step) in rows
                ),
                torch.zeros(kernel.shape[2], dtype=kernel.dtype),
            )
            for place in places
        }

    def spread(self, rows: Rows, name: str, places: Rows, stride: int) -> Rows:
        kernel = self.tensors[f"{name}.kernel"]
        return {
            moved(place, step): row @ matrix
            for place, row in rows.items()
            for step, matrix in zip(offsets(8, stride), kernel, strict=True)
            if moved(place, step) in places
        }

    def bn(self, rows: Rows, name: str, relu: bool = False) -> Rows:
        weight, bias, mean, var = (
            self.tensors[f"{name}.bn.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        normed = {place: (row - mean) / (var + 1e-5).sqrt() * weight + bias for place, row in rows.items()}
        return {place: row.relu() for place, row in normed.items()} if relu else normed

    def stage(self, rows: Rows, name: str, stride: int) -> Rows:
        block = 0
        while f"{name}.{block}.conv1.kernel" in self.tensors:
            own = f"{name}.{block}"
            inner = self.bn(self.conv(rows, f"{own}.conv1", rows, stride), f"{own}.norm1", relu=True)
            inner = self.bn(self.conv(inner, f"{own}.conv2", rows, stride), f"{own}.norm2")
            if f"{own}.downsample.0.kernel" in self.tensors:
                matrix = self.tensors[f"{own}.downsample.0.kernel"]
                rows = self.bn({place: row @ matrix for place, row in rows.items()}, f"{own}.downsample.1")
            rows = {place: (inner[place] + rows[place]).relu() for place in rows}
            block += 1
        return rows


def offsets(size: int, stride: int) -> list[Place]:
    side = round(size ** (1 / 3))
    reach = [(i - side // 2 if side % 2 else i) * stride for i in range(side)]
    return [(x, y, z) for z, y, x in product(reach, reach, reach)]


def moved(place: Place, step: Place) -> Place:
    return (place[0] + step[0], place[1] + step[1], place[2] + step[2])


def trained(settings: dict[str, Any]) -> tuple[PointNetwork, Backbone]:
    torch.manual_seed(0)
    network = load_network("minkunet", {**settings, **SMALL, "intensity_scale": 0.25}).double().eval()
    for name, tensor in network.state_dict().items():
        if ("norm" in name or "shortcut.1" in name) and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    card = {"schema": 1, "network": "minkunet", "network_settings": network.config.model_dump(mode="json")}
    return network, Backbone(network.state_dict(), card)


def voxels(settings: dict[str, Any], network: PointNetwork, points: Tensor, channels: Tensor) -> tuple[Rows, Any]:
    """Means by cell, as the target feeds them, and each point's cell.

    SLidR has absolute cells and intensity as stored; Pointcept cells from the cloud's first, and strength.
    """
    size = points.new_tensor([network.config.voxel_size] * 3)  # type: ignore[attr-defined]
    place = points
    if network.config.coordinates == "cylindrical":  # type: ignore[attr-defined]
        angle = torch.atan2(points[:, 1], points[:, 0]) * 180 / torch.pi
        place, size = torch.stack([points[:, :2].norm(dim=1), angle, points[:, 2]], 1), size.clone()
        size[1] = 1.0
    absolute = (place / size).floor().long()
    slidr = settings["preset"] == "minkunet34c"
    cells = [(x, y, z) for x, y, z in (absolute if slidr else absolute - absolute.amin(0)).tolist()]
    inputs = channels if slidr else torch.cat([points, channels * network.config.intensity_scale], 1)
    gathered: dict[Place, list[Tensor]] = {}
    for cell, row in zip(cells, inputs, strict=True):
        gathered.setdefault(cell, []).append(row)
    return {cell: torch.stack(rows).mean(0) for cell, rows in gathered.items()}, cells


@pytest.mark.parametrize(("kind", "settings"), CASES)
def test_the_target_computes_the_same(kind: type[Exporter], settings: dict[str, Any], tmp_path: Path) -> None:
    network, backbone = trained(settings)
    exporter, file = kind(), tmp_path / "backbone.pth"
    exporter.export(backbone, file)
    tensors = torch.load(file, weights_only=True)[exporter.wrapper]
    draw = torch.Generator().manual_seed(1)
    points = torch.rand(40, 3, generator=draw, dtype=torch.float64) * 1.3 - 0.65
    channels = torch.rand(40, 1, generator=draw, dtype=torch.float64) * 4
    rows, cells = voxels(settings, network, points, channels)
    theirs = Theirs({name.removeprefix("backbone."): tensor for name, tensor in tensors.items()})(rows)
    expected = torch.stack([theirs[cell] for cell in cells])
    with torch.no_grad():
        found = network(points, channels, torch.tensor([0, 40])).features
    assert expected.std(0).max() > 0.01
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(("kind", "preset"), [(Slidr, "minkunet34c"), (Pointcept, "minkunet34c_pointcept")])
def test_the_published_size(kind: type[Exporter], preset: str) -> None:
    with torch.device("meta"):
        network = load_network("minkunet", {"preset": preset})
    rows = kind().rows("minkunet", network.config)
    assert len(rows) == 372
    assert {row.ours for row in rows} == set(network.state_dict())


def test_slidr_compares_its_config(tmp_path: Path) -> None:
    _, backbone = trained({"preset": "minkunet34c"})
    Slidr().export(backbone, tmp_path / "backbone.pt")
    config = torch.load(tmp_path / "backbone.pt", weights_only=True)["config"]
    assert config == {"voxel_size": 0.1, "cylindrical_coordinates": True}


@pytest.mark.parametrize("kind", [Slidr, Pointcept])
def test_a_network_that_the_target_lacks_is_refused(kind: type[Exporter]) -> None:
    with pytest.raises(InputError, match="MinkUNet takes"):
        kind().table("minkunet", {"preset": "tiny"})
    with pytest.raises(InputError, match="1 degree"):
        Slidr().table("minkunet", {"preset": "minkunet34c", "voxel_angle": 2.0})
