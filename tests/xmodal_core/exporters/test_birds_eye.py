"""Networks with a bird's-eye map against plain models of the targets, built from the exported fragment alone, filled by
the target's own loading rule and given the same points."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from tests.xmodal_core.exporters.targets import centerpoint, mmdet3d, openpcdet
from xmodal_core import plugins
from xmodal_core.errors import DataError, InputError
from xmodal_core.exporters.base import Exporter, Report, settings_of
from xmodal_core.points import PointNetwork, load_network
from xmodal_core.train.backbone import Backbone

TARGETS: dict[str, ModuleType] = {"openpcdet": openpcdet, "mmdet3d": mmdet3d, "centerpoint": centerpoint}
PILLARS = {
    "range": [0, -8, -3, 16, 8, 1],
    "pillar_size": 0.5,
    "features": [8, 12, 16],
    "up_features": [4, 6, 12],
}
HARD = {"points_per_pillar": 3, "max_pillars": [90, 80]}
VOXELS = {
    "range": [0, -2, -3, 4, 2, 5],
    "voxel_size": [0.25, 0.25, 0.2],
    "features": [8, 12],
    "up_features": [6, 12],
}
FULL = {"encoder": [16, 32, 64, 128], "encoder_blocks": [2, 2, 2, 2], "flattened": 128}


class Case(NamedTuple):
    """A network, and the formats that it goes to exactly."""

    network: str
    settings: dict[str, Any]
    formats: str = "openpcdet mmdet3d centerpoint"


CASES = {
    "dynamic pillars, one layer": Case("pillars", {**PILLARS, "pillar_features": [8]}, "openpcdet mmdet3d"),
    "dynamic pillars, a halving neck": Case(
        "pillars",
        {
            **PILLARS,
            "pillar_features": [8, 6],
            "blocks": [1, 2, 0],
            "up_strides": [0.5, 1, 2],
            "features": [8, 6, 16],
            "up_features": [4, 6, 10],
            "channels": ["time_lag", "intensity", "ring"],
        },
        "openpcdet mmdet3d",
    ),
    "hard pillars": Case("pillars", {**PILLARS, **HARD, "pillar_features": [8, 6]}, "openpcdet mmdet3d"),
    "hard pillars without height": Case(
        "pillars",
        {
            **PILLARS,
            **HARD,
            "centre_offsets": "xy",
            "pillar_features": [8, 4, 6],
            "strides": [1, 2, 2],
            "up_strides": [1, 2, 4],
            "features": [4, 12, 16],
            "up_features": [4, 6, 12],
            "channels": ["intensity", "elongation"],
        },
    ),
    "voxels": Case("voxels", {**VOXELS, **FULL, "channels": ["intensity", "time_lag"]}),
    "voxels within limits": Case("voxels", {**VOXELS, **FULL, "points_per_voxel": 2, "max_voxels": [200, 150]}),
    "narrow voxels": Case(
        "voxels", {**VOXELS, "stem": 8, "encoder": [8, 6, 10, 12], "encoder_blocks": [1, 2, 1, 2]}, "mmdet3d"
    ),
}
PAIRS = [(format, name) for name, case in CASES.items() for format in case.formats.split()]


def trained(case: Case, scale: float) -> tuple[PointNetwork, Backbone]:
    """A network in double precision with random weights, and random statistics in its batch norms."""
    torch.manual_seed(0)
    network = load_network(case.network, {**case.settings, "intensity_scale": scale}).double()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if "norm" in name and tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape) + 0.25)
    card = {"network": case.network, "network_settings": network.config.model_dump(mode="json")}
    return network.eval(), Backbone(network.state_dict(), card)


def points_of(network: PointNetwork, scale: float, count: int = 300) -> tuple[Tensor, Tensor]:
    """Points in and around the range, several to a voxel, and their channels as they are stored."""
    low, high = torch.tensor(network.config.range).double().view(2, 3)  # type: ignore[attr-defined]
    spread = torch.rand(count // 3, 3).double() * (high - low + 2) + low - 1
    points = torch.cat([spread, spread + 0.02 * torch.randn(count // 3, 3), spread + 0.05 * torch.randn(count // 3, 3)])
    channels = torch.rand(len(points), len(network.config.channels)).double()
    if "intensity" in network.config.channels:
        channels[:, network.config.channels.index("intensity")] /= scale
    return points, channels


def exported(
    backbone: Backbone, exporter: Exporter, folder: Path, **options: bool
) -> tuple[Report, dict[str, Any], str]:
    """The report, what the file holds, and the fragment beside it."""
    report = exporter.export(backbone, folder / "weights.pth", **options)
    (fragment,) = (path for path in report.beside if path.suffix in (".py", ".yaml"))
    saved = torch.load(report.file, weights_only=True)
    return report, saved[exporter.wrapper], fragment.read_text(encoding="utf-8")


def maps(network: PointNetwork, model: torch.nn.Module, scale: float) -> tuple[Tensor, Tensor]:
    """Theirs and ours."""
    points, channels = points_of(network, scale)
    with torch.no_grad():
        ours = network(points, channels, torch.tensor([0, len(points)])).bev
        theirs: Tensor = model(torch.cat([points, channels], dim=1))
    assert ours is not None
    assert ours.std() > 0.05
    return theirs, ours


@pytest.mark.parametrize(("format", "name"), PAIRS)
def test_the_targets_network_gives_the_same_map(format: str, name: str, tmp_path: Path) -> None:
    case, scale = CASES[name], 1 / 255
    network, backbone = trained(case, scale)
    exporter: Exporter = plugins.load(plugins.EXPORTER, format)()
    report, tensors, text = exported(backbone, exporter, tmp_path)
    model = TARGETS[format].build(text)
    TARGETS[format].load(model, tensors)
    biases = [row for row in report.made_up if row.theirs.endswith(".bias") and row.fill == 0]
    assert len(report.made_up) == len(biases) == (0 if case.network == "pillars" or format == "mmdet3d" else 16)
    theirs, ours = maps(network, model, scale)
    torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-9)


DUMPED = {
    ("openpcdet", "pillars", "nuscenes"): 126,
    ("openpcdet", "pillars", "waymo"): 126,
    ("openpcdet", "pillars", "kitti_hard"): 120,
    ("openpcdet", "voxels", "nuscenes_01"): 226,
    ("mmdet3d", "pillars", "nuscenes_det3d"): 126,
    ("mmdet3d", "voxels", "nuscenes_01"): 210,
    ("centerpoint", "pillars", "nuscenes_det3d"): 126,
    ("centerpoint", "pillars", "waymo_det3d"): 126,
    ("centerpoint", "voxels", "nuscenes_01"): 226,
}
"""How many backbone tensors the frameworks' own models list for these networks; of mmdetection3d's pillars with a
second layer, which its config does not have."""


@pytest.mark.parametrize(("format", "name", "preset"), list(DUMPED))
def test_full_size_tensors_are_those_of_the_targets_model(format: str, name: str, preset: str) -> None:
    settings = {"preset": preset}
    exporter: Exporter = plugins.load(plugins.EXPORTER, format)()
    rows = exporter.table(name, settings)
    assert len(rows) == DUMPED[format, name, preset]
    _, text = exporter.settings_fragment(name, settings_of(name, settings))
    with torch.device("meta"):
        model = TARGETS[format].build(text).state_dict()
    if format == "mmdet3d":
        model = {key: tensor.permute(1, 2, 3, 4, 0) if tensor.ndim == 5 else tensor for key, tensor in model.items()}
    assert {row.theirs: row.shape for row in rows} == {key: tuple(tensor.shape) for key, tensor in model.items()}


@pytest.mark.parametrize("format", ["openpcdet", "centerpoint"])
def test_the_order_of_spconv_1_loads_too(format: str, tmp_path: Path) -> None:
    network, backbone = trained(CASES["voxels"], 1.0)
    _, tensors, text = exported(backbone, plugins.load(plugins.EXPORTER, format)(1), tmp_path)
    assert [tuple(tensor.shape) for tensor in tensors.values() if tensor.ndim == 5][-1] == (3, 1, 1, 128, 128)
    model = TARGETS[format].build(text)
    TARGETS[format].load(model, tensors)
    torch.testing.assert_close(*maps(network, model, 1.0), rtol=1e-9, atol=1e-9)


def test_mmdet3d_is_written_in_the_order_that_it_permutes() -> None:
    with pytest.raises(InputError, match="not written in the order of spconv 2"):
        plugins.load(plugins.EXPORTER, "mmdet3d")(2)


@pytest.mark.parametrize("name", ["dynamic pillars, one layer", "hard pillars"])
def test_centerpoint_takes_other_pillars_on_request_alone(name: str, tmp_path: Path) -> None:
    network, backbone = trained(CASES[name], 1.0)
    exporter: Exporter = plugins.load(plugins.EXPORTER, "centerpoint")()
    with pytest.raises(InputError, match="cannot carry this network exactly") as refused:
        exported(backbone, exporter, tmp_path)
    assert "centre_offsets=xy" in refused.value.hint
    assert not list(tmp_path.iterdir())
    report, tensors, text = exported(backbone, exporter, tmp_path, inexact=True)
    assert len(report.differences) == 1
    model = centerpoint.build(text)
    centerpoint.load(model, tensors)
    theirs, ours = maps(network, model, 1.0)
    assert not torch.allclose(theirs, ours, rtol=1e-5)
    assert (theirs - ours).abs().mean() < 0.2 * ours.abs().mean()


def test_without_padding_the_height_moves_into_z_exactly(tmp_path: Path) -> None:
    # A pillar that is full has no empty places, so only there the two forms are the same network.
    case = Case("pillars", {**PILLARS, "points_per_pillar": 1, "max_pillars": [900, 900]})
    network, backbone = trained(case, 1.0)
    _, tensors, text = exported(backbone, plugins.load(plugins.EXPORTER, "centerpoint")(), tmp_path, inexact=True)
    model = centerpoint.build(text)
    centerpoint.load(model, tensors)
    torch.testing.assert_close(*maps(network, model, 1.0), rtol=1e-9, atol=1e-9)


def test_a_height_that_counts_is_not_dropped(tmp_path: Path) -> None:
    _, backbone = trained(CASES["hard pillars"], 1.0)
    exporter: Exporter = plugins.load(plugins.EXPORTER, "openpcdet")()
    report, _, _ = exported(backbone, exporter, tmp_path)
    fewer = {**backbone.card["network_settings"], "centre_offsets": "xy"}
    with pytest.raises(DataError, match="height above its pillar's centre"):
        exporter.import_from(exporter.read(report.file), "pillars", fewer)


@pytest.mark.parametrize(
    ("format", "name"), [("openpcdet", "VoxelResBackBone8x"), ("centerpoint", "SpMiddleResNetFHD")]
)
def test_an_encoder_that_the_target_never_builds_is_refused(format: str, name: str, tmp_path: Path) -> None:
    _, backbone = trained(CASES["narrow voxels"], 1.0)
    with pytest.raises(InputError, match=f"{name} always has stem 16, but this network has 8"):
        exported(backbone, plugins.load(plugins.EXPORTER, format)(), tmp_path)
