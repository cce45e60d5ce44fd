"""The OpenPCDet format: names and shapes as its own models list them, the cfg, the wrapper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from xmodal_core.exporters.openpcdet import OpenPCDet
from xmodal_core.points import load_network
from xmodal_core.points.pillars import Pillars
from xmodal_core.train.backbone import Backbone

SMALL = {"range": [0, -8, -3, 16, 8, 1], "pillar_size": 0.5, "features": [8, 12, 16], "up_features": [4, 6, 10]}


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
