"""The ONNX file computes what the network's 2D part computes, and says what it lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from xmodal_core.errors import InputError, RunError
from xmodal_core.exporters._parity import made_up_sweep, record
from xmodal_core.exporters.onnx import Onnx
from xmodal_core.points import load_network
from xmodal_core.points._bev import BevNetwork
from xmodal_core.train.backbone import Backbone

SMALL: dict[str, dict[str, Any]] = {
    "pillars": {"range": [-16, -16, -5, 16, 16, 3]},
    "voxels": {"range": [-16, -12, -5, 16, 12, 3]},
}


def trained(network: str) -> tuple[BevNetwork, Backbone]:
    torch.manual_seed(0)
    made = load_network(network, SMALL[network]).eval()
    assert isinstance(made, BevNetwork)
    for name, tensor in made.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    settings = made.config.model_dump(mode="json")
    card = {"schema": 1, "network": network, "network_settings": settings, "dataset": "sample"}
    return made, Backbone(made.state_dict(), card)


@pytest.fixture(scope="module", params=sorted(SMALL))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[BevNetwork, Backbone, Any]:
    network, backbone = trained(request.param)
    return network, backbone, Onnx().export(backbone, tmp_path_factory.mktemp("onnx") / "dense.onnx")


def test_any_number_of_frames_gives_the_same_map(case: tuple[BevNetwork, Backbone, Any]) -> None:
    network, _, report = case
    export = json.loads(report.beside[0].read_text(encoding="utf-8"))["export"]
    session = onnxruntime.InferenceSession(str(report.file), providers=["CPUExecutionProvider"])
    for frames in (1, 3):
        canvas = torch.rand(frames, *export["input"]["canvas"][1:])
        with torch.no_grad():
            expected = network.to_map(canvas).numpy()
        (found,) = session.run(None, {"canvas": canvas.numpy()})
        assert found.shape == (frames, *export["output"]["bev"][1:])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * float(np.abs(expected).max()))


def test_what_is_recorded_of_a_sweep_can_be_repeated(case: tuple[BevNetwork, Backbone, Any]) -> None:
    network, backbone, report = case
    found = record(backbone, made_up_sweep(network.config, count=2000), as_stored=False, canvas=True)
    session = onnxruntime.InferenceSession(str(report.file), providers=["CPUExecutionProvider"])
    (bev,) = session.run(None, {"canvas": found["canvas"]})
    assert np.abs(found["canvas"]).max() > 0
    np.testing.assert_allclose(bev, found["bev"], rtol=1e-5, atol=1e-5 * float(np.abs(found["bev"]).max()))


def test_what_it_lacks_is_told(case: tuple[BevNetwork, Backbone, Any]) -> None:
    _, backbone, report = case
    assert report.beyond
    assert not report.left_out
    assert report.exported + len(report.beyond) == len(backbone.tensors)
    assert not any(name.startswith(("levels.", "ups.")) for name in report.beyond)
    card = json.loads(report.beside[0].read_text(encoding="utf-8"))
    assert card["export"]["part"] == "the 2D backbone and neck"
    assert card["export"]["opset"] == 18


def test_half_of_the_part_is_refused(tmp_path: Path) -> None:
    _, backbone = trained("pillars")
    less = {name: tensor for name, tensor in backbone.tensors.items() if name != "levels.0.0.conv.weight"}
    with pytest.raises(RunError, match=r"levels\.0\.0\.conv\.weight"):
        Onnx().export(Backbone(less, backbone.card), tmp_path / "dense.onnx")
    assert not list(tmp_path.iterdir())


def test_it_is_not_read_back(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read back"):
        Onnx().read(tmp_path / "dense.onnx")
