"""xmodal settings: names, defaults and bounds as --set and --config take them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from xmodal_cli.app import app
from xmodal_core.config import entries, resolve
from xmodal_core.errors import InputError
from xmodal_core.train.config import Pretraining
from xmodal_core.train.finetune_config import Finetuning, read_finetuning
from xmodal_core.units.config import UnitsConfig


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["settings", *arguments], env={"COLUMNS": "200"})
    if result.exception:
        raise result.exception
    return result.stdout


def test_every_setting_is_listed_by_the_name_that_set_takes() -> None:
    listed = re.findall(r"`(units\.[a-z_.]+)`", run("units", "--as", "markdown"))
    assert listed == [entry.path for entry in entries(UnitsConfig, "units.")]


def test_the_table_shows_default_and_bounds() -> None:
    row = next(line for line in run("units").splitlines() if "units.instances.max_height" in line)
    assert "5 m" in row
    assert "0.5 to 30" in row


def test_yaml_can_be_given_back(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(run("--as", "yaml"), encoding="utf-8")
    assert tuple(yaml.safe_load(file.read_text())) == Pretraining.sections
    assert resolve(UnitsConfig, file, section="units") == UnitsConfig()


def test_options_of_the_chosen_plugin() -> None:
    assert "mocov3_epochs" in run("teacher", "--teacher", "resnet50")
    assert "mocov3_epochs" not in run("teacher")


def test_those_of_fine_tuning(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(run("--task", "segmentation", "--as", "yaml"), encoding="utf-8")
    assert tuple(yaml.safe_load(file.read_text())) == Finetuning.sections
    assert read_finetuning(file) == read_finetuning()
    assert "labels.fraction" in run("labels")
    with pytest.raises(InputError, match="'xmodal finetune' has no settings 'units'"):
        run("units", "--task", "segmentation")


def test_unknown_section() -> None:
    with pytest.raises(InputError, match="no group of settings 'unit'"):
        run("unit")


def test_the_readme_has_the_table_of_unit_settings() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert run("units", "--as", "markdown").strip() in readme, "paste: xmodal settings units --as markdown"
