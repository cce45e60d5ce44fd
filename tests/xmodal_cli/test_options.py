"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmodal_cli.options import with_weights
from xmodal_core.config import read_sections


@pytest.mark.parametrize("name", ["a: b #1.pth", 'it\'s "quoted".pth', "ein Größe 😀.pth", "{x}.pth", "a\\b.pth"])
def test_a_path_of_weights_stays_whole(tmp_path: Path, name: str) -> None:
    written = read_sections(None, with_weights(["teacher.seed=3"], tmp_path / name, "timm:resnet18"))["teacher"]
    assert written == {"seed": 3, "name": "timm:resnet18", "weights_file": str(tmp_path / name)}


def test_without_a_file_nothing_is_added() -> None:
    assert with_weights(None, None, "resnet50") == []
