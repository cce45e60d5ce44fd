"""PointNet++ in OpenPCDet's format, against a network built from the exported cfg by the rules of ``PointNet2MSG``.

Rules: pcdet/ops/pointnet2/pointnet2_batch of open-mmlab/OpenPCDet. Sampling begins at a frame's first point; a ball
takes the first points nearer than the radius, and the first of them again; interpolation is over the three nearest by
the inverse of the distance.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from xmodal_core.exporters._parity import Sweep, record
from xmodal_core.exporters.openpcdet import OpenPCDet
from xmodal_core.points import load_network
from xmodal_core.points._neighbours import shuffled
from xmodal_core.points.pointnet import PointNet
from xmodal_core.train.backbone import Backbone

SMALL = {
    "sample": 200,
    "centres": [60, 20],
    "radii": [[1.0, 2.5], [2.0, 6.0]],
    "neighbours": [[4, 9], [6, 12]],
    "scales": [[[6, 8], [5, 7]], [[12], [10, 11]]],
    "propagation": [[16, 9], [14, 13]],
}


def chain(widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, out in pairwise(widths):
        layers += [nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(*layers)


class Abstraction(nn.Module):
    def __init__(self, count: int, radii: list[float], sizes: list[int], widths: list[list[int]]) -> None:
        super().__init__()
        self.count, self.radii, self.sizes = count, radii, sizes
        self.mlps = nn.ModuleList(chain(row) for row in widths)

    def forward(self, points: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N,3) and features (C,N) to those of the centres."""
        nearest, chosen = torch.full((len(points),), 1e10), [0]
        for _ in range(self.count - 1):
            nearest = torch.minimum(nearest, (points - points[chosen[-1]]).square().sum(1).float())
            chosen.append(int(nearest.argmax()))
        centres, found = points[chosen], []
        for radius, size, mlp in zip(self.radii, self.sizes, self.mlps, strict=True):
            ball = torch.zeros(len(centres), size, dtype=torch.long)
            for row, centre in enumerate(centres):
                near = [i for i in range(len(points)) if float((points[i] - centre).square().sum()) < radius**2][:size]
                if near:
                    ball[row] = near[0]
                    ball[row, : len(near)] = torch.tensor(near)
            steps = (points[ball] - centres[:, None]).permute(2, 0, 1)
            found.append(mlp(torch.cat([steps, features[:, ball]])[None])[0].amax(2))
        return centres, torch.cat(found)


class Propagation(nn.Module):
    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.mlp = chain(widths)

    def forward(self, points: Tensor, known: Tensor, features: Tensor, known_features: Tensor) -> Tensor:
        distance, index = (points[:, None] - known).norm(dim=2).sort(dim=1, stable=True)
        inverse = 1 / (distance[:, :3] + 1e-8)
        weight = inverse / inverse.sum(1, keepdim=True)
        between = (known_features[:, index[:, :3]] * weight).sum(2)
        found: Tensor = self.mlp(torch.cat([between, features])[None, :, :, None])[0, :, :, 0]
        return found


class PointNet2MSG(nn.Module):
    def __init__(self, cfg: dict[str, Any]) -> None:
        super().__init__()
        part = cfg["MODEL"]["BACKBONE_3D"]
        levels = part["SA_CONFIG"]
        width = len(cfg["DATA_CONFIG"]["POINT_FEATURE_ENCODING"]["used_feature_list"]) - 3
        skips = [width]
        self.SA_modules, self.FP_modules = nn.ModuleList(), nn.ModuleList()
        for count, radii, sizes, mlps in zip(
            *(levels[key] for key in ("NPOINTS", "RADIUS", "NSAMPLE", "MLPS")), strict=True
        ):
            self.SA_modules.append(Abstraction(count, radii, sizes, [[width + 3, *row] for row in mlps]))
            width = sum(row[-1] for row in mlps)
            skips.append(width)
        back = part["FP_MLPS"]
        for level, row in enumerate(back):
            below = back[level + 1][-1] if level + 1 < len(back) else width
            self.FP_modules.append(Propagation([below + skips[level], *row]))

    def forward(self, points: Tensor) -> Tensor:
        places, features = [points[:, :3]], [points[:, 3:].T]
        for module in self.SA_modules:
            centres, seen = module(places[-1], features[-1])
            places.append(centres)
            features.append(seen)
        found = features[-1]
        for level in reversed(range(len(self.FP_modules))):
            found = self.FP_modules[level](places[level], places[level + 1], features[level], found)
        return found.T


class Detector(nn.Module):
    def __init__(self, cfg: dict[str, Any]) -> None:
        super().__init__()
        self.backbone_3d = PointNet2MSG(cfg)


def trained(settings: dict[str, Any]) -> tuple[PointNet, Backbone]:
    torch.manual_seed(0)
    network = load_network("pointnet", settings)
    assert isinstance(network, PointNet)
    for name, tensor in network.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape) + 0.25)
    card = {"schema": 1, "network": "pointnet", "network_settings": network.config.model_dump(mode="json")}
    return network.eval(), Backbone(network.state_dict(), {**card, "dataset": "kitti_object"})


def exported(backbone: Backbone, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    report = OpenPCDet().export(backbone, folder / "weights.pth")
    (fragment,) = (path for path in report.beside if path.suffix == ".yaml")
    return torch.load(report.file, weights_only=True), yaml.safe_load(fragment.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "settings",
    [{}, {"channels": ["ring", "intensity"], "intensity_scale": 1 / 255}, {"channels": []}],
    ids=["intensity", "two channels, one scaled", "no channel"],
)
def test_openpcdets_network_gives_every_point_the_same(settings: dict[str, Any], tmp_path: Path) -> None:
    network, backbone = trained({**SMALL, **settings})
    saved, cfg = exported(backbone, tmp_path)
    theirs = Detector(cfg).eval()
    theirs.load_state_dict(saved["model_state"], strict=True)
    points = torch.rand(200, 3) * torch.tensor([20.0, 20, 4]) - torch.tensor([0.0, 10, 3])
    points = points[torch.argsort(shuffled(points))]  # OpenPCDet draws lots before the network, ours within it
    channels = torch.rand(200, len(network.config.channels))
    if "intensity" in network.config.channels:
        channels[:, network.config.channels.index("intensity")] /= network.config.intensity_scale
    with torch.no_grad():
        ours = network(points, channels, torch.tensor([0, 200])).features
        expected = theirs.backbone_3d(torch.cat([points, channels], dim=1))
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_the_input_for_comparing_is_what_openpcdet_would_draw(tmp_path: Path) -> None:
    network, backbone = trained({**SMALL, "intensity_scale": 1 / 255})
    saved, cfg = exported(backbone, tmp_path)
    theirs = Detector(cfg).eval()
    theirs.load_state_dict(saved["model_state"], strict=True)
    low = np.array(network.config.range[:3])
    draw = np.random.default_rng(0)
    points = draw.uniform(low - 1, low + np.array([8, 8, 3]), size=(800, 3)).astype(np.float32)
    sweep = Sweep(points, draw.uniform(0, 255, size=(800, 1)).astype(np.float32), "a corner of the range and beyond")
    recorded = record(backbone, sweep, as_stored=True)
    assert recorded["points"].shape == (SMALL["sample"], 4)
    with torch.no_grad():
        expected = theirs.backbone_3d(torch.from_numpy(recorded["points"]))
    torch.testing.assert_close(torch.from_numpy(recorded["point_output"]), expected, rtol=1e-4, atol=1e-5)


def test_names_and_shapes_are_those_of_the_whole_pointrcnn(tmp_path: Path) -> None:
    _, backbone = trained({"preset": "pointrcnn"})
    saved, cfg = exported(backbone, tmp_path)
    Detector(cfg).load_state_dict(saved["model_state"], strict=True)
    shapes = {name: tuple(tensor.shape) for name, tensor in saved["model_state"].items()}
    assert len(shapes) == 6 * (8 * 3 + 4 * 2)
    assert shapes["backbone_3d.SA_modules.2.mlps.1.3.weight"] == (196, 128, 1, 1)
    assert shapes["backbone_3d.FP_modules.0.mlp.0.weight"] == (128, 257, 1, 1)
    assert cfg["DATA_CONFIG"]["DATA_PROCESSOR"][1]["NUM_POINTS"] == {"train": 16384, "test": 16384}
    assert cfg["MODEL"]["BACKBONE_3D"]["SA_CONFIG"]["RADIUS"][0] == [0.1, 0.5]
