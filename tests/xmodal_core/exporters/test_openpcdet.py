"""The OpenPCDet format against a network written from OpenPCDet's rules, built from the exported cfg alone."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from xmodal_core.exporters.openpcdet import OpenPCDet
from xmodal_core.points import load_network
from xmodal_core.points.pillars import Pillars
from xmodal_core.train.backbone import Backbone

SMALL = {
    "range": [0, -8, -3, 16, 8, 1],
    "pillar_size": 0.5,
    "features": [8, 12, 16],
    "up_features": [4, 6, 10],
}
NETWORKS = {
    "one pillar layer, a point's last column": {"pillar_features": [8]},
    "two pillar layers, a halving neck": {
        "pillar_features": [8, 6],
        "blocks": [1, 2, 0],
        "up_strides": [0.5, 1, 2],
        "channels": ["time_lag", "intensity", "ring"],
    },
    "Waymo's strides": {"strides": [1, 2, 2], "up_strides": [1, 2, 4], "channels": ["intensity", "elongation"]},
}


class PillarLayer(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out, bias=False)
        self.norm = nn.BatchNorm1d(out, eps=1e-3, momentum=0.01)


class Encoder(nn.Module):
    """OpenPCDet's dynamic pillar encoder as a loop over pillars: raw features, offsets from the pillar's mean and from
    its centre; each layer but the last has half of its filters, and the pillar's maximum beside them."""

    def __init__(self, cfg: dict[str, Any]) -> None:
        super().__init__()
        self.range = cfg["DATA_CONFIG"]["POINT_CLOUD_RANGE"]
        self.size = cfg["DATA_CONFIG"]["DATA_PROCESSOR"][-1]["VOXEL_SIZE"]
        widths = [len(cfg["DATA_CONFIG"]["POINT_FEATURE_ENCODING"]["used_feature_list"]) + 6]
        widths += cfg["MODEL"]["VFE"]["NUM_FILTERS"]
        last = len(widths) - 2
        self.pfn_layers = nn.ModuleList(
            PillarLayer(width, out if number == last else out // 2)
            for number, (width, out) in enumerate(pairwise(widths))
        )

    def forward(self, points: Tensor) -> Tensor:
        nx, ny = (round((self.range[axis + 3] - self.range[axis]) / self.size[axis]) for axis in (0, 1))
        members: dict[tuple[int, int], list[Tensor]] = {}
        for point in points:
            x, y = (int((point[axis] - self.range[axis]) // self.size[axis]) for axis in (0, 1))
            if 0 <= x < nx and 0 <= y < ny:
                members.setdefault((x, y), []).append(point)
        canvas = torch.zeros(1, self.pfn_layers[-1].linear.out_features, ny, nx, dtype=points.dtype)
        for (x, y), rows in members.items():
            pillar = torch.stack(rows)
            centre = [(place + 0.5) * self.size[axis] + self.range[axis] for axis, place in enumerate((x, y, 0))]
            mean = pillar[:, :3].mean(0)
            features = torch.cat([pillar, pillar[:, :3] - mean, pillar[:, :3] - torch.tensor(centre).double()], dim=1)
            for number, layer in enumerate(self.pfn_layers):
                features = layer.norm(layer.linear(features)).relu()
                highest = features.max(0, keepdim=True)[0]
                if number < len(self.pfn_layers) - 1:
                    features = torch.cat([features, highest.expand_as(features)], dim=1)
            canvas[0, :, y, x] = highest[0]
        return canvas


class Backbone2d(nn.Module):
    def __init__(self, cfg: dict[str, Any]) -> None:
        super().__init__()
        part = cfg["MODEL"]["BACKBONE_2D"]
        self.blocks, self.deblocks = nn.ModuleList(), nn.ModuleList()
        width = cfg["MODEL"]["MAP_TO_BEV"]["NUM_BEV_FEATURES"]
        levels = zip(part["LAYER_NUMS"], part["LAYER_STRIDES"], part["NUM_FILTERS"], strict=True)
        for layers, stride, out in levels:
            row: list[nn.Module] = [nn.ZeroPad2d(1), nn.Conv2d(width, out, 3, stride, 0, bias=False), *norm(out)]
            for _ in range(layers):
                row += [nn.Conv2d(out, out, 3, padding=1, bias=False), *norm(out)]
            self.blocks.append(nn.Sequential(*row))
            width = out
        ups = zip(part["NUM_FILTERS"], part["UPSAMPLE_STRIDES"], part["NUM_UPSAMPLE_FILTERS"], strict=True)
        for width, stride, out in ups:
            if stride >= 1:
                up: nn.Module = nn.ConvTranspose2d(width, out, stride, stride, bias=False)
            else:
                up = nn.Conv2d(width, out, round(1 / stride), round(1 / stride), bias=False)
            self.deblocks.append(nn.Sequential(up, *norm(out)))

    def forward(self, canvas: Tensor) -> Tensor:
        parts = []
        for block, deblock in zip(self.blocks, self.deblocks, strict=True):
            canvas = block(canvas)
            parts.append(deblock(canvas))
        return torch.cat(parts, dim=1)


def norm(width: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(width, eps=1e-3, momentum=0.01), nn.ReLU()]


class Detector(nn.Module):
    def __init__(self, cfg: dict[str, Any]) -> None:
        super().__init__()
        self.vfe = Encoder(cfg)
        self.backbone_2d = Backbone2d(cfg)

    def forward(self, points: Tensor) -> Tensor:
        found: Tensor = self.backbone_2d(self.vfe(points))
        return found


def trained(settings: dict[str, Any]) -> tuple[Pillars, Backbone]:
    torch.manual_seed(0)
    network = load_network("pillars", settings).double()
    assert isinstance(network, Pillars)
    for name, tensor in network.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape) + 0.25)
    card = {"schema": 1, "network": "pillars", "network_settings": network.config.model_dump(mode="json")}
    return network.eval(), Backbone(network.state_dict(), {**card, "dataset": "nuscenes"})


def export(backbone: Backbone, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the file and the fragment beside it hold."""
    report = OpenPCDet().export(backbone, folder / "weights.pth")
    (fragment,) = (path for path in report.beside if path.suffix == ".yaml")
    return torch.load(report.file, weights_only=True), yaml.safe_load(fragment.read_text(encoding="utf-8"))


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
@pytest.mark.parametrize("settings", list(NETWORKS.values()), ids=list(NETWORKS))
def test_openpcdets_network_gives_the_same_map(settings: dict[str, Any], scale: float, tmp_path: Path) -> None:
    network, backbone = trained({**SMALL, **settings, "intensity_scale": scale})
    saved, cfg = export(backbone, tmp_path)
    theirs = Detector(cfg).double().eval()
    theirs.load_state_dict(saved["model_state"], strict=True)
    points = torch.rand(300, 3).double() * torch.tensor([18, 18, 6]) - torch.tensor([1, 9, 4])
    names = network.config.channels
    channels = torch.rand(300, len(names)).double()
    if "intensity" in names:
        channels[:, names.index("intensity")] /= scale
    with torch.no_grad():
        _, ours = network(points, channels, torch.tensor([0, 300]))
        map_of_theirs = theirs(torch.cat([points, channels], dim=1))
    assert ours is not None
    assert ours.std() > 0.1
    torch.testing.assert_close(map_of_theirs, ours, rtol=1e-9, atol=1e-9)


NORMS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def with_norms(rows: list[tuple[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    """Names and shapes, a norm written as its name and width."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in rows:
        if name.endswith("weight"):
            shapes[name] = shape
        else:
            shapes |= {f"{name}.{part}": () if part == NORMS[-1] else shape for part in NORMS}
    return shapes


def dumped(first: list[tuple[str, tuple[int, ...]]], deblocks: list[tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """As OpenPCDet's own models list them: the pillar layers, the three blocks that all have, the neck."""
    rows = list(first)
    for level, (width, out, last) in enumerate([(64, 64, 10), (64, 128, 16), (128, 256, 16)]):
        for place in range(1, last + 1, 3):
            rows.append((f"backbone_2d.blocks.{level}.{place}.weight", (out, width if place == 1 else out, 3, 3)))
            rows.append((f"backbone_2d.blocks.{level}.{place + 1}", (out,)))
    for level, shape in enumerate(deblocks):
        rows += [(f"backbone_2d.deblocks.{level}.0.weight", shape), (f"backbone_2d.deblocks.{level}.1", (128,))]
    return with_norms(rows)


TWO_LAYERS: list[tuple[str, tuple[int, ...]]] = [
    ("vfe.pfn_layers.0.linear.weight", (32, 11)),
    ("vfe.pfn_layers.0.norm", (32,)),
    ("vfe.pfn_layers.1.linear.weight", (64, 64)),
    ("vfe.pfn_layers.1.norm", (64,)),
]
ONE_LAYER: list[tuple[str, tuple[int, ...]]] = [
    ("vfe.pfn_layers.0.linear.weight", (64, 10)),
    ("vfe.pfn_layers.0.norm", (64,)),
]
DUMPED = {
    "nuscenes": dumped(TWO_LAYERS, [(128, 64, 2, 2), (128, 128, 1, 1), (256, 128, 2, 2)]),
    "waymo": dumped(TWO_LAYERS, [(64, 128, 1, 1), (128, 128, 2, 2), (256, 128, 4, 4)]),
    "kitti": dumped(ONE_LAYER, [(64, 128, 1, 1), (128, 128, 2, 2), (256, 128, 4, 4)]),
}


@pytest.mark.parametrize("preset", list(DUMPED))
def test_names_and_shapes_are_those_of_openpcdets_models(preset: str, tmp_path: Path) -> None:
    network = load_network("pillars", {"preset": preset})
    card = {"network": "pillars", "network_settings": network.config.model_dump(mode="json")}
    saved, _ = export(Backbone(network.state_dict(), card), tmp_path)
    assert {name: tuple(tensor.shape) for name, tensor in saved["model_state"].items()} == DUMPED[preset]


def test_a_cfg_that_says_what_the_preset_is() -> None:
    network, _ = trained({"preset": "nuscenes", "intensity_scale": 1 / 255})
    _, text = OpenPCDet().settings_fragment("pillars", network.config)
    cfg = yaml.safe_load(text)
    data = cfg["DATA_CONFIG"]
    assert data["POINT_CLOUD_RANGE"] == [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
    assert data["POINT_FEATURE_ENCODING"]["used_feature_list"] == ["x", "y", "z", "intensity", "timestamp"]
    assert data["DATA_PROCESSOR"][-1]["VOXEL_SIZE"] == [0.2, 0.2, 8.0]
    assert cfg["MODEL"]["VFE"]["NAME"] == "DynPillarVFE"
    backbone = cfg["MODEL"]["BACKBONE_2D"]
    assert backbone["UPSAMPLE_STRIDES"] == [0.5, 1, 2]
    assert [type(stride) for stride in backbone["UPSAMPLE_STRIDES"]] == [float, int, int]
    assert "intensity_scale is in the weights" in text
    assert "np.int" in text


def test_the_wrapper_is_what_openpcdet_reads(tmp_path: Path) -> None:
    _, backbone = trained(SMALL)
    saved, _ = export(backbone, tmp_path)
    assert set(saved) == {"epoch", "it", "model_state", "optimizer_state", "version", "card"}
    assert json.loads(saved["card"]) == dict(backbone.card)
    assert all(tensor.is_contiguous() for tensor in saved["model_state"].values())
