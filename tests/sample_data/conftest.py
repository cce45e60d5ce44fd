"""One small drive, made once, and the world it was taken in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sample_data import DriveSettings, crew, ensure_drive
from sample_data.casting import Stage
from sample_data.tables import VERSION
from sample_data.world import World, build

SMALL = DriveSettings(scenes=1, frames=3, image_width=192, image_height=108)


@pytest.fixture(scope="session")
def small() -> DriveSettings:
    return SMALL


Progress = list[tuple[int, int]]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Progress]:
    """The small drive, made by two processes, and the progress that was told meanwhile."""
    seen: Progress = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "_SMALL", 0)
        patch.setattr(crew, "_processors", lambda: 2)
        folder = tmp_path_factory.mktemp("made") / "drive"
        return ensure_drive(folder, SMALL, lambda done, total: seen.append((done, total))), seen


@pytest.fixture(scope="session")
def drive(made: tuple[Path, Progress]) -> Path:
    return made[0]


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
