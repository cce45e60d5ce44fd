"""SpUNet in Pointcept's format, against a plain model of Pointcept's own layout; what its config and data sets ask for.

MinkUNet in the same format is in ``test_minkowski``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.xmodal_core.exporters.targets import pointcept
from xmodal_core.errors import InputError
from xmodal_core.exporters.pointcept import Pointcept
from xmodal_core.points import load_network
from xmodal_core.points.spunet import SpUNet
from xmodal_core.train.backbone import Backbone

SMALL: dict[str, Any] = {
    "preset": "spunet34",
    "stem": 4,
    "encoder": [4, 6, 6, 8],
    "encoder_blocks": [1, 2, 1, 1],
    "decoder": [8, 6, 5, 4],
    "decoder_blocks": [1, 1, 2, 1],
}
STRENGTH = 1 / 255
PUBLISHED = {
    "in_channels": 4,
    "channels": (32, 64, 128, 256, 256, 128, 96, 96),
    "layers": (2, 3, 4, 6, 2, 2, 2, 2),
}


def trained(**settings: Any) -> tuple[SpUNet, Backbone]:
    torch.manual_seed(0)
    network = load_network("spunet", {**SMALL, "intensity_scale": STRENGTH, **settings}).double().eval()
    assert isinstance(network, SpUNet)
    for name, tensor in network.state_dict().items():
        if ("norm" in name or "shortcut.1" in name) and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    card = {"schema": 1, "network": "spunet", "network_settings": network.config.model_dump(mode="json")}
    return network, Backbone(network.state_dict(), {**card, "dataset": "nuscenes"})


def exported(backbone: Backbone, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the file and the fragment beside it hold."""
    report = Pointcept().export(backbone, folder / "weights.pth")
    (fragment,) = (path for path in report.beside if path.suffix == ".py")
    config: dict[str, Any] = {}
    exec(fragment.read_text(encoding="utf-8"), config)
    return torch.load(report.file, weights_only=True), config


@pytest.mark.parametrize("settings", [{}, {"voxel_size": 0.1}, {"decoder": [8, 6, 4, 6]}])
def test_pointcept_computes_the_same(settings: dict[str, Any], tmp_path: Path) -> None:
    network, backbone = trained(**settings)
    checkpoint, config = exported(backbone, tmp_path)
    model = pointcept.built(config).double().eval()
    assert pointcept.loaded(model, checkpoint) == []
    draw = torch.Generator().manual_seed(1)
    points = torch.rand(150, 3, generator=draw, dtype=torch.float64) * torch.tensor([1.3, 0.9, 0.5]) - 0.65
    intensity = torch.rand(150, 1, generator=draw, dtype=torch.float64) * 255
    size = config["grid_sample"]["grid_size"]
    grid, places = pointcept.sampled(points, intensity / 255, size, len(network.config.encoder))
    with torch.no_grad():
        theirs = model(grid).features[0]
        found = network(points, intensity, torch.tensor([0, 150])).features
    expected = torch.stack([theirs[:, x, y, z] for x, y, z in places])
    assert expected.std(0).max() > 0.01
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_names_and_shapes_are_those_of_the_published_network() -> None:
    with torch.device("meta"):
        network = load_network("spunet", {"preset": "spunet34"})
        model = pointcept.SpUNet(**PUBLISHED)  # type: ignore[arg-type]
    rows = Pointcept().rows("spunet", network.config)
    assert {row.theirs: row.shape for row in rows} == {
        f"backbone.{name}": tuple(tensor.shape) for name, tensor in model.state_dict().items()
    }
    assert len(rows) == 354
    assert {row.ours for row in rows} == set(network.state_dict())
    assert [row.theirs for row in rows] == [f"backbone.{name}" for name in model.state_dict()]
    assert sum(tensor.numel() for tensor in network.parameters()) == sum(t.numel() for t in model.parameters())


def test_the_config_is_the_published_one() -> None:
    config = load_network("spunet", {"preset": "spunet34"}).config
    text: dict[str, Any] = {}
    exec(Pointcept().settings_fragment("spunet", config)[1], text)
    backbone = text["model"]["backbone"]
    assert {name: backbone[name] for name in PUBLISHED} == PUBLISHED
    assert (backbone["type"], backbone["base_channels"]) == ("SpUNet-v1m1", 32)
    assert text["grid_sample"]["grid_size"] == 0.05
    assert text["collect"]["feat_keys"] == ("coord", "strength")


@pytest.mark.parametrize(
    ("dataset", "scale", "complaint"),
    [
        ("nuscenes", 1.0, "by 0.00392157, this network took it times 1"),
        ("semantic_kitti", 0.5, "by 1, this network took it times 0.5"),
        ("waymo", 0.5, "by 1, this network took it times 0.5"),
    ],
)
def test_another_strength_than_pointcept_feeds_is_refused(
    dataset: str, scale: float, complaint: str, tmp_path: Path
) -> None:
    _, backbone = trained(intensity_scale=scale)
    other = Backbone(backbone.tensors, {**backbone.card, "dataset": dataset})
    with pytest.raises(InputError, match=complaint):
        Pointcept().export(other, tmp_path / "weights.pth")
    report = Pointcept().export(other, tmp_path / "weights.pth", inexact=True)
    assert len(report.differences) == 1


@pytest.mark.parametrize(
    ("dataset", "scale"), [("nuscenes", 0.003921568627), ("semantic_kitti", 1.0), ("waymo", 1.0), ("once", 0.1)]
)
def test_the_strength_that_pointcept_feeds_is_taken(dataset: str, scale: float, tmp_path: Path) -> None:
    _, backbone = trained(intensity_scale=scale)
    other = Backbone(backbone.tensors, {**backbone.card, "dataset": dataset})
    assert Pointcept().export(other, tmp_path / "weights.pth").differences == ()


def test_other_channels_than_strength_are_refused() -> None:
    network = load_network("spunet", {"channels": ["intensity", "ring"]})
    (found,) = Pointcept().differences("spunet", network.config)
    assert "intensity, ring" in found.what


def test_a_minkunet_that_counts_from_the_sensor_is_refused() -> None:
    settings = {"preset": "minkunet34c_pointcept", "stem": 4, "encoder": [4] * 4, "encoder_blocks": [1] * 4}
    settings |= {"decoder": [4] * 4, "decoder_blocks": [1] * 4}
    assert not Pointcept().differences("minkunet", load_network("minkunet", settings).config)
    (found,) = Pointcept().differences("minkunet", load_network("minkunet", {**settings, "origin": "sensor"}).config)
    assert "from the sensor" in found.what
