"""What is written beside an export: put into the target's model, its input gives its output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.xmodal_core.exporters.targets import openpcdet, parts
from tests.xmodal_core.exporters.test_birds_eye import CASES, exported, trained
from xmodal_core.exporters._parity import made_up_sweep, write_parity
from xmodal_core.exporters.openpcdet import OpenPCDet


@pytest.mark.parametrize("name", ["dynamic pillars, one layer", "hard pillars", "voxels within limits"])
def test_the_input_gives_the_output_in_the_target(name: str, tmp_path: Path) -> None:
    network, backbone = trained(CASES[name], 1 / 255)
    single = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in backbone.tensors.items()}
    backbone = type(backbone)(single, backbone.card)
    exporter = OpenPCDet()
    _, tensors, text = exported(backbone, exporter, tmp_path)
    sweep = made_up_sweep(network.config, count=400)
    write_parity(tmp_path / "io.npz", backbone, sweep, as_stored=exporter.as_stored)
    with np.load(tmp_path / "io.npz") as opened:
        saved: dict[str, Any] = dict(opened)
    assert json.loads(str(saved["about"]))["input"] == "a made-up sweep of seed 0"
    model = openpcdet.build(text)
    openpcdet.load(model, tensors)
    with torch.no_grad():
        found = model.backbone_2d(canvas(model, saved))
    torch.testing.assert_close(found.float(), torch.from_numpy(saved["bev"]), rtol=1e-4, atol=1e-5)


def canvas(model: Any, saved: dict[str, Any]) -> torch.Tensor:
    """What the target's encoder makes of the arrays that a file has for its kind."""
    points = torch.from_numpy(saved["points"]).double()
    if "voxel_features" in saved:
        encoder = model.backbone_3d
        rows = {
            tuple(place): torch.from_numpy(feature).double()
            for (_, *place), feature in zip(saved["voxel_coords"].tolist(), saved["voxel_features"], strict=True)
        }
        grid = parts.grid_of(rows, (41, 16, 16))
        for stage in (encoder.conv_input, encoder.conv1, encoder.conv2, encoder.conv3, encoder.conv4, encoder.conv_out):
            grid = stage(grid)
        return parts.flattened(grid)
    if "voxels" in saved:
        kept = torch.cat(
            [
                torch.from_numpy(rows[:number])
                for rows, number in zip(saved["voxels"], saved["voxel_num_points"], strict=True)
            ]
        )
        assert (saved["voxel_num_points"] >= 1).all()
        assert len(saved["voxel_coords"]) == len(saved["voxels"])
        return model.vfe(kept.double())  # type: ignore[no-any-return]
    return model.vfe(points)  # type: ignore[no-any-return]


def test_a_made_up_sweep_lies_in_range_and_is_the_same_every_time() -> None:
    config = trained(CASES["voxels"], 1.0)[0].config
    first, again = made_up_sweep(config), made_up_sweep(config)
    low, high = np.array(config.range).reshape(2, 3)  # type: ignore[attr-defined]
    assert ((first.points >= low) & (first.points < high)).all()
    assert np.array_equal(first.points, again.points)
    assert first.channels.shape == (len(first.points), 2)
