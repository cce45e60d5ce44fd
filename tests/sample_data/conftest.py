"""One small drive, made once, and the world it was taken in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sample_data import DriveSettings, ensure_drive
from sample_data.casting import Stage
from sample_data.tables import VERSION
from sample_data.world import World, build

SMALL = DriveSettings(scenes=1, frames=3, image_width=192, image_height=108)


@pytest.fixture(scope="session")
def small() -> DriveSettings:
    return SMALL


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_drive(tmp_path_factory.mktemp("made") / "drive", SMALL)


@pytest.fixture(scope="session")
def table(drive: Path) -> Callable[[str], list[dict[str, Any]]]:
    def read(name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads((drive / VERSION / f"{name}.json").read_text())
        return rows

    return read


@pytest.fixture(scope="session")
def world() -> World:
    return build(SMALL.seed, 0, SMALL.frames)


@pytest.fixture(scope="session")
def stage(world: World) -> Stage:
    return world.stage()
