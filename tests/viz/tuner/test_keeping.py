"""What is kept: a file that ``--config`` takes, a command that can be typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given

from tests.viz.tuner.test_controls import CONFIGS
from viz.tuner.keeping import command_line, save_yaml
from xmodal_core.config import resolve
from xmodal_core.errors import InputError
from xmodal_core.units.config import UnitsConfig


@given(config=CONFIGS)
def test_the_file_and_the_command_give_the_same_settings_again(
    config: UnitsConfig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = save_yaml(tmp_path_factory.mktemp("saved") / "deep" / "tuned.yaml", config)
    assert resolve(UnitsConfig, path, (), "units") == config
    words = shlex.split(command_line("--dataset x --root '/a b'", 7, config))
    assert words[:9] == ["xmodal", "units", "show", "--dataset", "x", "--root", "/a b", "--frame", "7"]
    assert words[9::2] == ["--set"] * (len(words[9:]) // 2)
    assert resolve(UnitsConfig, None, words[10::2], "units") == config


@pytest.mark.parametrize("name", ["", "tuned", "tuned.txt", "folder"])
def test_a_name_that_is_none(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError):
        save_yaml(tmp_path / name, UnitsConfig())
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
