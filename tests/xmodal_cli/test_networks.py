"""xmodal networks: a table, one line of JSON, and the page in docs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xmodal_cli.app import app
from xmodal_core.catalogue import catalogue
from xmodal_core.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["networks", *arguments], env={"COLUMNS": "80"})
    if done.exception:
        raise done.exception
    return done.stdout


def test_the_page_says_what_the_code_says(tmp_path: Path) -> None:
    assert run("--out", str(tmp_path / "new" / "networks.md")) == ""
    assert (tmp_path / "new" / "networks.md").read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8"), (
        "write it anew: xmodal networks --out docs/networks.md"
    )


def test_the_table_fits_a_terminal() -> None:
    lines = run("voxels").splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    (row,) = (line for line in lines if "nuscenes_0075" in line)
    assert row.split()[:5] == ["nuscenes_0075", "7,271,120", "512", "0.6", "m,"]
    assert "onnx (part), openpcdet" in " ".join(word for line in lines for word in line.split())
    assert "spunet" not in "".join(lines)


def test_one_line_of_json() -> None:
    (line,) = run("pillars", "--json").splitlines()
    assert json.loads(line) == [preset.as_json() for preset in catalogue("pillars").presets]
    tiny = json.loads(line)[0]
    assert set(tiny["map"]) == {"cell_metres", "nx", "ny", "features"}
    assert {way["format"]: way["exact"] for way in tiny["formats"]}["centerpoint"] is False


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown network 'voxel'"):
        run("voxel")
    with pytest.raises(InputError, match="give --out without NAME"):
        run("voxels", "--out", str(tmp_path / "page.md"))
