"""What is told of networks: sizes as published, and formats as the exporters then take them."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import pytest
import torch

from xmodal_core import plugins
from xmodal_core.catalogue import Preset, catalogue
from xmodal_core.errors import InputError
from xmodal_core.points import load_network
from xmodal_core.train.backbone import Backbone


@cache
def everything() -> tuple[Preset, ...]:
    return catalogue().presets


TINY = [preset for preset in everything() if preset.name == "tiny"]
WAYS = [(preset, way) for preset in TINY for way in preset.ways if way.part is None]

PUBLISHED = {
    ("minkunet", "minkunet34c"): (37_842_976, 96),
    ("minkunet", "minkunet34c_pointcept"): (37_858_112, 96),
    ("minkunet", "minkunet18a"): (15_495_232, 96),
    ("minkunet_mmdet3d", "minkunet34"): (37_873_280, 96),
    ("spunet", "spunet34"): (39_147_904, 96),
    ("pointnet", "pointrcnn"): (3_007_632, 128),
    ("voxels", "nuscenes_0075"): (7_271_120, 512),
    ("pillars", "nuscenes_det3d"): (4_393_216, 384),
}


def test_sizes_are_the_published_ones() -> None:
    found = {(preset.network, preset.name): (preset.parameters, preset.width) for preset in everything()}
    assert {key: found[key] for key in PUBLISHED} == PUBLISHED
    assert {network for network, _ in found} == set(plugins.names(plugins.NETWORK))


def test_a_map_is_told_where_there_is_one() -> None:
    bev = {(preset.network, preset.name): preset.bev for preset in everything()}["voxels", "waymo"]
    assert bev is not None
    assert (bev.cell, bev.nx, bev.ny, bev.width) == (pytest.approx(0.8), 188, 188, 512)
    assert all(preset.bev is None for preset in everything() if preset.network == "spunet")


@pytest.mark.parametrize(("preset", "way"), WAYS, ids=[f"{preset.network} {way.format}" for preset, way in WAYS])
def test_an_export_goes_as_told(preset, way, tmp_path: Path) -> None:
    network = load_network(preset.network, {"preset": preset.name})
    card = {
        "schema": 1,
        "network": preset.network,
        "network_settings": network.config.model_dump(mode="json"),
        "dataset": None,
        "settings": {},
        "versions": {},
        "metrics": {},
    }
    backbone, exporter = Backbone(network.state_dict(), card), plugins.load(plugins.EXPORTER, way.format)()
    file = tmp_path / "weights"
    if way.refused is not None:
        with pytest.raises(InputError) as caught:
            exporter.export(backbone, file, inexact=True)
        assert caught.value.message == way.refused
        return
    if not way.exact:
        with pytest.raises(InputError, match="cannot carry this network exactly"):
            exporter.export(backbone, file)
    report = exporter.export(backbone, file, inexact=not way.exact)
    assert [difference.what for difference in report.differences] == list(way.differences)


def test_weights_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    init = torch.nn.Parameter.__new__

    def noted(kind, data=None, requires_grad=True):
        made.append(data.device.type)
        return init(kind, data, requires_grad)

    monkeypatch.setattr(torch.nn.Parameter, "__new__", noted)
    catalogue("pointnet")
    assert set(made) == {"meta"}


def test_a_format_that_lacks_a_library_is_left_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "xmodal_core.exporters.onnx", raising=False)
    found = catalogue("pillars")
    assert {way.format for way in found.presets[0].ways} == {"centerpoint", "mmdet3d", "openpcdet", "torch"}
    assert found.notes == ("exporter 'onnx' needs the library 'onnx', which is not installed: pip install onnx",)


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(InputError, match="unknown network 'voxel'"):
        catalogue("voxel")
