"""``xmodal data sample``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sample_data import DriveSettings
from xmodal_cli.app import app
from xmodal_core.errors import InputError

runner = CliRunner()


def words(drive: Path, small: DriveSettings) -> list[str]:
    return [
        "data", "sample", "--out", str(drive), "--scenes", str(small.scenes), "--frames", str(small.frames),
        "--width", str(small.image_width), "--height", str(small.image_height),
    ]  # fmt: skip


def test_it_names_the_folder_in_json(drive: Path, small: DriveSettings) -> None:
    result = runner.invoke(app, [*words(drive, small), "--json"])
    assert result.exit_code == 0
    answer = json.loads(result.stdout.strip().splitlines()[-1])
    assert answer["root"] == str(drive)
    assert answer["frames"] == small.frames
    assert answer["seconds"] >= 0


def test_it_says_how_to_go_on(drive: Path, small: DriveSettings) -> None:
    result = runner.invoke(app, words(drive, small))
    assert result.exit_code == 0
    assert "xmodal units show" in result.stdout


@pytest.mark.parametrize("option", ["--scenes", "--frames", "--width", "--height"])
def test_a_senseless_number_is_refused_by_name(option: str, tmp_path: Path) -> None:
    result = runner.invoke(app, ["data", "sample", "--out", str(tmp_path / "d"), option, "0"])
    assert isinstance(result.exception, InputError)
    assert option.strip("-") in result.exception.message
    assert not (tmp_path / "d").exists()


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("keep me")
    result = runner.invoke(app, ["data", "sample", "--out", str(tmp_path)])
    assert isinstance(result.exception, InputError)
    assert str(tmp_path) in result.exception.message
