"""``xmodal export-ckpt``: a run folder in, another framework's checkpoint out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from xmodal_cli.app import app
from xmodal_core import plugins
from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.points import load_network
from xmodal_core.train.backbone import FILE_NAME, save_backbone


def write_run(folder: Path, network: str, **settings: object) -> Path:
    """A run folder with only its slim file."""
    made = load_network(network, settings)
    folder.mkdir(parents=True)
    card = {"network": network, "network_settings": made.config.model_dump(mode="json"), "metrics": {"loss": 1.0}}
    save_backbone(folder / FILE_NAME, made.state_dict(), card)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "a [run]", "pillars")


def test_a_run_becomes_a_checkpoint_and_says_how_to_load_it(run: Path) -> None:
    done = CliRunner().invoke(app, ["export-ckpt", str(run), "--format", "openpcdet"])
    assert done.exit_code == 0, done.output
    file = run / "export" / "backbone_openpcdet.pth"
    text = done.output.replace("\n", "")
    assert "60 of 60 tensors" in text
    assert str(file) in text
    assert f"--pretrained_model {file}" in text
    assert len(torch.load(file, weights_only=True)["model_state"]) == 60
    assert sorted(path.name for path in file.parent.iterdir()) == [
        "backbone_openpcdet.card.json",
        "backbone_openpcdet.pth",
        "backbone_openpcdet.yaml",
    ]


def test_one_line_of_json(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "there" / "net.safetensors"
    done = CliRunner().invoke(app, ["export-ckpt", str(run / FILE_NAME), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.strip().splitlines()
    numbers = sum(tensor.numel() for tensor in load_network("pillars").state_dict().values())
    assert json.loads(line) == {
        "file": str(out),
        "format": "torch",
        "tensors": 60,
        "of": 60,
        "parameters": numbers,
        "made_up": [],
        "left_out": {},
        "beyond": [],
        "differences": [],
        "beside": [str(out.with_name("net.card.json"))],
    }
    assert out.is_file()


def test_the_formats_are_in_the_help_without_torch_being_imported() -> None:
    code = (
        "import sys; from xmodal_cli.app import app\n"
        "try: app(['export-ckpt', '--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'spconv', 'safetensors'} & set(sys.modules), 'imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in plugins.names(plugins.EXPORTER):
        assert f"{name}: " in done.stdout


def test_a_format_for_another_network_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "minkunet")
    done = CliRunner().invoke(app, ["export-ckpt", str(run), "--format", "openpcdet"])
    assert isinstance(done.exception, InputError)
    assert "cannot carry a 'minkunet' network" in done.exception.message
    assert done.exception.hint == "formats for 'minkunet': pointcept, slidr, torch"
    assert not (run / "export").exists()


def test_half_a_match_is_refused_and_nothing_written(run: Path) -> None:
    made = load_network("pillars")
    tensors = made.state_dict()
    del tensors["ups.1.conv.weight"]
    card = {"network": "pillars", "network_settings": made.config.model_dump(mode="json")}
    save_backbone(run / FILE_NAME, tensors, card)
    done = CliRunner().invoke(app, ["export-ckpt", str(run), "--format", "openpcdet"])
    assert isinstance(done.exception, RunError)
    assert "only 59 of the target's 60 tensors match" in done.exception.message
    assert "backbone_2d.deblocks.1.0.weight" in done.exception.message
    assert not (run / "export").exists()


def test_an_unknown_format_is_named_with_those_there_are(run: Path) -> None:
    done = CliRunner().invoke(app, ["export-ckpt", str(run), "--format", "tensorrt"])
    assert isinstance(done.exception, InputError)
    assert "unknown exporter 'tensorrt'" in done.exception.message
    assert all(name in done.exception.hint for name in ("openpcdet", "torch"))


@pytest.mark.parametrize(("content", "complaint"), [(None, "no pre-trained network at"), (b"junk" * 99, "is damaged")])
def test_a_run_without_a_whole_file_is_named(content: bytes | None, complaint: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / FILE_NAME).write_bytes(content)
    done = CliRunner().invoke(app, ["export-ckpt", str(tmp_path)])
    assert isinstance(done.exception, DataError)
    assert complaint in done.exception.message


def test_an_input_and_its_output_are_written_beside(run: Path, tmp_path: Path) -> None:
    io = tmp_path / "io.npz"
    done = CliRunner().invoke(app, ["export-ckpt", str(run), "--format", "openpcdet", "--parity", str(io), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["parity"] == {"file": str(io), "input": "a made-up sweep of seed 0"}
    with np.load(io) as saved:
        assert saved["points"].shape[1] == 4
        assert saved["bev"].shape == (1, 96, 128, 128)


def test_a_made_up_input_says_why_it_is_not_the_runs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XMODAL_ROOT_NUSCENES", raising=False)
    made = load_network("pillars")
    card = {"network": "pillars", "network_settings": made.config.model_dump(mode="json"), "dataset": "nuscenes"}
    save_backbone(tmp_path / FILE_NAME, made.state_dict(), card)
    command = ["export-ckpt", str(tmp_path), "--format", "torch", "--parity", str(tmp_path / "io.npz")]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["parity"]["input"]
    assert told.startswith("a made-up sweep of seed 0 (the run's data are not at hand: ")
    done = CliRunner().invoke(app, [*command, "--root", str(tmp_path / "nowhere")])
    assert isinstance(done.exception, InputError)


def test_what_the_target_lacks_is_told_and_written_on_request_alone(run: Path) -> None:
    command = ["export-ckpt", str(run), "--format", "centerpoint"]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, InputError)
    assert "--inexact" in done.exception.hint
    done = CliRunner().invoke(app, [*command, "--inexact"])
    assert done.exit_code == 0, done.output
    assert "computed otherwise there (1):" in done.output


def test_a_part_is_told_with_what_is_left_out(run: Path) -> None:
    made = load_network("pillars")
    tensors = {name: tensor for name, tensor in made.state_dict().items() if not name.startswith("ups.")}
    card = {"network": "pillars", "network_settings": made.config.model_dump(mode="json")}
    save_backbone(run / FILE_NAME, tensors, card)
    done = CliRunner().invoke(app, ["export-ckpt", str(run), "--format", "mmdet3d", "--partial"])
    assert done.exit_code == 0, done.output
    assert "left out (18):" in done.output
    assert "pts_neck.deblocks.0.0.weight" in done.output
    assert "… and 11 more" in done.output


def test_an_order_that_the_format_has_not_is_refused(run: Path) -> None:
    done = CliRunner().invoke(app, ["export-ckpt", str(run), "--format", "mmdet3d", "--spconv", "2"])
    assert isinstance(done.exception, InputError)
    assert "--spconv 1" in done.exception.hint
