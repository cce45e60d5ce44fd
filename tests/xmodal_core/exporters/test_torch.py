"""The torch format: the file is the network, for xmodal and for plain PyTorch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from xmodal_core.errors import DataError, InputError
from xmodal_core.exporters.torch import Torch
from xmodal_core.points import PointNetwork, load_network, restore_network
from xmodal_core.train.backbone import Backbone, load_backbone

POINTS = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) * 8
SETTINGS = {"minkunet": {"voxel_size": 0.25}, "pillars": {"preset": "kitti", "up_features": [16, 16, 16]}}


def trained(name: str) -> tuple[PointNetwork, Backbone]:
    torch.manual_seed(0)
    network = load_network(name, {**SETTINGS[name], "intensity_scale": 0.5})
    with torch.no_grad():
        network(POINTS, POINTS[:, :1], torch.tensor([0, 200]))
    card = {"network": name, "network_settings": network.config.model_dump(mode="json"), "metrics": {"loss": 0.25}}
    return network.eval(), Backbone(network.state_dict(), {"schema": 1, **card})


@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_network_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    network, backbone = trained(name)
    file = tmp_path / "weights.safetensors"
    Torch().export(backbone, file)
    again = restore_network(load_backbone(file)).eval()
    assert again.config == network.config
    batch = (POINTS, POINTS[:, :1], torch.tensor([0, 200]))
    assert torch.equal(again(*batch).features, network(*batch).features)


def test_plain_pytorch_reads_it_and_the_card_inside(tmp_path: Path) -> None:
    network, backbone = trained("pillars")
    file = tmp_path / "weights.safetensors"
    Torch().export(backbone, file)
    load_network("pillars", network.config.model_dump()).load_state_dict(load_file(file))
    with safe_open(file, framework="pt") as opened:
        assert json.loads(opened.metadata()["card"]) == dict(backbone.card)


def test_what_was_exported_can_be_exported_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    Torch().export(trained("minkunet")[1], first)
    Torch().export(load_backbone(first), second)
    assert first.read_bytes() == second.read_bytes()


def test_tensors_that_are_not_the_cards_network_are_not_taken() -> None:
    _, backbone = trained("pillars")
    wrong = {**backbone.card, "network_settings": {**backbone.card["network_settings"], "up_features": [8, 8, 8]}}
    with pytest.raises(DataError, match="are not those of a 'pillars'"):
        restore_network(replace(backbone, card=wrong))
    with pytest.raises(InputError, match="unknown network 'spheres'"):
        restore_network(replace(backbone, card={**backbone.card, "network": "spheres"}))
