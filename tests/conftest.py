"""Fixtures that every room's tests share."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import typer
import typer.testing
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

    from viz.scene import Scene

# The first call of a compiled function compiles it: a deadline would measure the compiler, or the machine's other work.
# Examples are the same in every run, so that a failure is of the change at hand; XMODAL_RANDOM_TESTS=1 draws others.
settings.register_profile("xmodal", deadline=None, derandomize=not os.environ.get("XMODAL_RANDOM_TESTS"))
settings.load_profile("xmodal")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Whole files to each process, and the files about the generated drive all to one: they share a street and a drive,
    which take longer to make than to look at."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return file.rpartition("/")[0] if "/sample_data/" in file else file

    return Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XMODAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _commands_made_once() -> Iterator[None]:
    """Typer makes all commands anew each time that one is run, which tests do hundreds of times in a process."""
    made = cache(typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.main.get_command", made)
        patch.setattr("typer.testing._get_command", made)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real sensor data, where there is one; else the test is skipped."""
    root = Path(os.environ.get("XMODAL_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"needs real sensor data (XMODAL_REAL_DATA, looked in {root.name}/)")
    return root


@pytest.fixture(scope="session")
def example_root(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The root of a data set's own small example, by the data set's name; made once for all processes of the run, to be
    read only."""
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "examples"
    shared.mkdir(exist_ok=True)

    def root_of(name: str) -> Path:
        root, making = shared / name / "root", shared / f"{name}.making"
        with FileLock(shared / f"{name}.lock"):
            if not root.exists():
                importlib.import_module(f"xmodal_core.datasets.{name}").example(making / "root", frames=2)
                making.rename(shared / name)
        return root

    return root_of


@pytest.fixture
def example_copy(example_root: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a data set's example, to be damaged."""

    def copy_of(name: str) -> Path:
        return Path(shutil.copytree(example_root(name), tmp_path / name, dirs_exist_ok=True))

    return copy_of


@pytest.fixture(scope="session")
def example_scene(example_root: Callable[[str], Path]) -> Callable[..., Scene]:
    """The scene of the first frame of a data set's example, by the data set's name; units compared by made-up features.

    Further arguments go to ``compose``.
    """
    from viz.compose import compose
    from viz.similarity import compare
    from xmodal_core.datasets import open_dataset
    from xmodal_core.units.config import SeedsConfig, UnitsConfig
    from xmodal_core.units.discovery import discover

    def scene_of(name: str, **more: Any) -> Scene:
        frame = open_dataset(name, example_root(name)).frame(0)
        units = discover(frame, UnitsConfig(seeds=SeedsConfig(count=128)))
        features = np.random.default_rng(0).normal(size=(units.count, 4)).astype(np.float32)
        return compose(frame, units, compare(features, 0, 0.5), **more)

    return scene_of
