"""xmodal demo: the whole way on a very small drive, and what it leaves behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open
from typer.testing import CliRunner

from sample_data import DriveSettings
from sample_data import drive as making
from xmodal_cli.app import app
from xmodal_cli.commands import demo
from xmodal_core.cache import cache_folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, example_root: Callable[[str], Path]) -> Callable[..., str]:
    """Runs the demo, made small, in a folder of its own; its drive is kept from an earlier time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XMODAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo, "FRAME", 1)
    monkeypatch.setattr(demo, "EPOCHS", 1)
    drive = DriveSettings(scenes=1, frames=2, image_width=160, image_height=90)
    monkeypatch.setattr(demo, "drive_settings", lambda: drive)
    shutil.copytree(example_root("sample"), cache_folder("sample", making._key(drive)))
    monkeypatch.setattr(making, "_make", lambda *_: pytest.fail("the drive is there already"))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["demo", *arguments], env={"COLUMNS": "200"})
        if result.exception:
            raise result.exception
        return result.output

    return run


def test_the_whole_way(small: Callable[..., str], tmp_path: Path) -> None:
    said = small()
    folder = tmp_path / "demo"
    assert {path.name for path in folder.iterdir()} == {"units.html", "units.png", "run", "export"}
    assert (folder / "units.png").read_bytes()[:4] == b"\x89PNG"
    assert "<!doctype html>" in (folder / "units.html").read_text(encoding="utf-8")[:100]
    assert len((folder / "run" / "metrics.jsonl").read_text().splitlines()) == 1
    with safe_open(folder / "export" / "minkunet.safetensors", "pt") as exported:
        card = json.loads(exported.metadata()["card"])
        assert len(list(exported.keys())) > 50
    assert card["network"] == "minkunet"
    for name in ("units.html", "units.png", "run", "export"):
        assert f"demo/{name}" in said
    assert "xmodal units show --frame 120" in said


def test_each_command_it_names_is_what_a_person_could_type(tmp_path: Path) -> None:
    """What is printed and what is done must not drift apart: every option named is one that the command has."""
    import typer

    known = typer.main.get_command(app)
    for act in demo.acts(tmp_path / "drive", tmp_path / "demo"):
        words = act.command.split()
        command = known
        while words and hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context(command.name, words)


def test_nothing_is_overwritten(small: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine.txt").write_text("mine")
    assert next(demo.free_names(Path("demo"))) == Path("demo-2")
    from xmodal_core.errors import InputError

    with pytest.raises(InputError, match="demo is there already"):
        small("--out", "demo")
    assert (tmp_path / "demo" / "mine.txt").read_text() == "mine"
