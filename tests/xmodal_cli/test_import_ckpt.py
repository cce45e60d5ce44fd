"""``xmodal import-ckpt``: another framework's checkpoint in, a network of xmodal out."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from xmodal_cli.app import app
from xmodal_core.errors import DataError, InputError
from xmodal_core.exporters.mmdet3d import Mmdet3d
from xmodal_core.points import PointNetwork, load_network, restore_network
from xmodal_core.train.backbone import Backbone, load_backbone, save_backbone


class Logger:
    """An object of a trainer that is not there to be imported; making one again would be seen."""

    made = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return (_count, ())


def _count() -> Logger:
    Logger.made += 1
    return Logger()


@pytest.fixture
def network() -> PointNetwork:
    torch.manual_seed(0)
    return load_network("voxels", {"channels": ["intensity", "time_lag"], "intensity_scale": 0.25})


@pytest.fixture
def trainers_file(network: PointNetwork, tmp_path: Path) -> Path:
    """As mmdetection3d's trainer writes it: heads, an optimiser and objects beside the tensors, of spconv 2."""
    card = {"network": "voxels", "network_settings": network.config.model_dump(mode="json")}
    exporter = Mmdet3d()
    exporter.spconv = 2
    tensors = OrderedDict(exporter.convert(Backbone(network.state_dict(), card)).tensors)
    tensors["pts_bbox_head.shared_conv.conv.weight"] = torch.ones(2, 2)
    content = {
        "meta": {"epoch": 20},
        "state_dict": OrderedDict((f"module.{name}", tensor) for name, tensor in tensors.items()),
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}},
        "message_hub": {"log": Logger()},
    }
    torch.save(content, tmp_path / "epoch_20.pth")
    return tmp_path / "epoch_20.pth"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["import-ckpt", *arguments])


def test_a_trainers_file_becomes_the_network_and_runs_nothing(
    trainers_file: Path, network: PointNetwork, tmp_path: Path
) -> None:
    out = tmp_path / "backbone.safetensors"
    given = ["--set", "network.channels=[intensity, time_lag]", "--set", "network.intensity_scale=0.25"]
    done = run(str(trainers_file), "--format", "mmdet3d", "--network", "voxels", *given, "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["left_out"] == ["pts_bbox_head.shared_conv.conv.weight"]
    assert told["tensors"] == len(network.state_dict())
    assert Logger.made == 0
    found = restore_network(load_backbone(out))
    assert found.config == network.config
    for name, tensor in found.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])
    assert load_backbone(out).card["imported"] == {"file": "epoch_20.pth", "format": "mmdet3d"}


def test_what_is_left_out_is_told(trainers_file: Path, tmp_path: Path) -> None:
    given = ["--set", "network.channels=[intensity, time_lag]"]
    out = tmp_path / "new" / "backbone.safetensors"
    done = run(str(trainers_file), "--format", "mmdet3d", "--network", "voxels", *given, "--out", str(out))
    assert done.exit_code == 0, done.output
    assert "of 'voxels' from 'mmdet3d'" in done.output
    assert "left out, since they are no part of the network (1):" in done.output


def test_a_file_of_xmodal_says_itself_what_it_holds(network: PointNetwork, tmp_path: Path) -> None:
    card = {"network": "voxels", "network_settings": network.config.model_dump(mode="json"), "dataset": "nuscenes"}
    save_backbone(tmp_path / "backbone.safetensors", network.state_dict(), card)
    done = CliRunner().invoke(app, ["export-ckpt", str(tmp_path), "--format", "mmdet3d"])
    assert done.exit_code == 0, done.output
    out = tmp_path / "back.safetensors"
    done = run(str(tmp_path / "export" / "backbone_mmdet3d.pth"), "--format", "mmdet3d", "--out", str(out))
    assert done.exit_code == 0, done.output
    found = load_backbone(out)
    assert (found.network, found.card["dataset"]) == ("voxels", "nuscenes")
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in found.tensors.items())


@pytest.mark.parametrize(
    ("arguments", "kind", "complaint"),
    [
        ([], InputError, "says which network it is"),
        (["--network", "voxels"], DataError, "should be 3x3x3x4x16, but is 16x3x3x3x5"),
        (["--network", "minkunet"], InputError, "cannot carry a 'minkunet' network"),
        (["--network", "voxels", "--set", "network.stride=3"], InputError, "no setting .network.stride."),
    ],
)
def test_another_network_than_the_file_holds_is_refused(
    arguments: list[str], kind: type[Exception], complaint: str, trainers_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "backbone.safetensors"
    done = run(str(trainers_file), "--format", "mmdet3d", "--out", str(out), *arguments)
    assert isinstance(done.exception, kind)
    assert re.search(complaint, str(done.exception))
    assert not out.exists()


@pytest.mark.parametrize("content", [None, b"junk", {"epoch": 3}, [1, 2]])
def test_what_is_no_checkpoint_is_named(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    done = run(str(file), "--format", "openpcdet", "--network", "voxels", "--out", str(tmp_path / "out.safetensors"))
    assert isinstance(done.exception, DataError)
    assert "net.pth" in done.exception.message
