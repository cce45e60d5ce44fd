"""Where things that can be made again are kept."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from xmodal_core.cache import cache_folder


def test_the_environment_decides_and_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMODAL_CACHE", str(tmp_path / "mine"))
    assert cache_folder("drives", "a") == tmp_path / "mine" / "drives" / "a"
    assert cache_folder() == tmp_path / "mine"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [None, ""])
def test_else_it_is_the_users_cache_folder(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XMODAL_CACHE")
    if value is not None:
        monkeypatch.setenv("XMODAL_CACHE", value)
    assert cache_folder("nuscenes") == Path(platformdirs.user_cache_dir("xmodal"), "nuscenes")
    assert cache_folder().is_absolute()


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XMODAL_CACHE", "~/kept")
    assert cache_folder("a") == tmp_path / "kept" / "a"
