"""mmdetection3d's MinkUNet in its format, against a plain model of its own layout, loaded by its own rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.xmodal_core.exporters.targets import mmdet3d_minkunet as target
from xmodal_core.exporters.mmdet3d import Mmdet3d
from xmodal_core.points import load_network
from xmodal_core.points.minkunet_mmdet3d import MinkUNetMmdet3d
from xmodal_core.train.backbone import Backbone

SMALL: dict[str, Any] = {
    "preset": "minkunet34",
    "stem": 4,
    "encoder": [4, 6, 6, 8],
    "encoder_blocks": [1, 2, 1, 1],
    "decoder": [8, 6, 5, 4],
    "decoder_blocks": [1, 1, 2, 1],
}
PUBLISHED: dict[str, Any] = {
    "in_channels": 4,
    "base_channels": 32,
    "encoder_channels": [32, 64, 128, 256],
    "encoder_blocks": [2, 3, 4, 6],
    "decoder_channels": [256, 128, 96, 96],
    "decoder_blocks": [2, 2, 2, 2],
}


def trained(**settings: Any) -> tuple[MinkUNetMmdet3d, Backbone]:
    torch.manual_seed(0)
    network = load_network("minkunet_mmdet3d", {**SMALL, **settings}).double().eval()
    assert isinstance(network, MinkUNetMmdet3d)
    for name, tensor in network.state_dict().items():
        if ("norm" in name or "shortcut.1" in name) and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    settings = network.config.model_dump(mode="json")
    card = {"schema": 1, "network": "minkunet_mmdet3d", "network_settings": settings, "dataset": "semantic_kitti"}
    return network, Backbone(network.state_dict(), card)


def cloud(size: float) -> tuple[Tensor, Tensor]:
    """Points in the 16 x 16 x 16 voxels from a place that is no multiple of 16, both ends taken."""
    draw = torch.Generator().manual_seed(1)
    place = torch.randint(16, (150, 3), generator=draw, dtype=torch.float64)
    place[:2] = torch.tensor([[0.0], [15.0]])
    within = 0.98 * torch.rand(150, 3, generator=draw, dtype=torch.float64) - 0.49
    points = (place + within - torch.tensor([5.0, 9.0, 3.0])) * size
    return points, torch.rand(150, 1, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("settings", [{}, {"voxel_size": 0.1, "intensity_scale": 0.25}, {"decoder": [8, 6, 4, 6]}])
def test_mmdetection3d_computes_the_same(settings: dict[str, Any], tmp_path: Path) -> None:
    network, backbone = trained(**settings)
    report = Mmdet3d().export(backbone, tmp_path / "weights.pth")
    (fragment,) = (path for path in report.beside if path.suffix == ".py")
    config: dict[str, Any] = {}
    exec(fragment.read_text(encoding="utf-8"), config)
    model = target.built(config).double().eval()
    target.load(model, torch.load(report.file, weights_only=True))
    size = config["model"]["data_preprocessor"]["voxel_layer"]["voxel_size"][0]
    points, intensity = cloud(size)
    grid, places = target.voxelised(torch.cat([points, intensity], dim=1), size)
    assert tuple(grid.active.shape[2:]) == (16, 16, 16)
    with torch.no_grad():
        theirs = model(grid).features[0]
        found = network(points, intensity, torch.tensor([0, 150])).features
    expected = torch.stack([theirs[:, x, y, z] for x, y, z in places])
    assert expected.std(0).max() > 0.01
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_names_and_shapes_are_those_of_the_published_network() -> None:
    with torch.device("meta"):
        network = load_network("minkunet_mmdet3d", {"preset": "minkunet34"})
        model = target.MinkUNetBackbone(**PUBLISHED)
    rows = Mmdet3d().rows("minkunet_mmdet3d", network.config)
    turned = {
        name: (*t.shape[1:], t.shape[0]) if t.ndim == 5 else tuple(t.shape) for name, t in model.state_dict().items()
    }
    assert {row.theirs: row.shape for row in rows} == {f"backbone.{name}": shape for name, shape in turned.items()}
    assert len(rows) == 378
    assert {row.ours for row in rows} == set(network.state_dict())
    assert sum(tensor.numel() for tensor in network.parameters()) == sum(t.numel() for t in model.parameters())


def test_the_config_is_the_published_one() -> None:
    config = load_network("minkunet_mmdet3d", {"preset": "minkunet34"}).config
    text: dict[str, Any] = {}
    exec(Mmdet3d().settings_fragment("minkunet_mmdet3d", config)[1], text)
    backbone, voxels = text["model"]["backbone"], text["model"]["data_preprocessor"]
    assert {name: backbone[name] for name in PUBLISHED} == PUBLISHED
    assert voxels["voxel_layer"]["voxel_size"] == [0.05, 0.05, 0.05]
    assert (voxels["voxel_type"], voxels["batch_first"]) == ("minkunet", True)
