"""``xmodal doctor``: it looks at everything, and nothing that it finds stops it."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from viz.viewers import _open3d_process as process
from xmodal_cli import checks
from xmodal_cli.app import app
from xmodal_core import plugins

CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither torch nor Open3D is started."""
    lines = '{"cuda": null, "threads": 2, "gpus": [{"name": "H99", "memory_gb": 80.0}]}', '{"computed": "cpu"}'
    monkeypatch.setattr(checks, "COMPUTE", f"print({lines[0]!r}); print({lines[1]!r})")
    monkeypatch.setattr(process, "why_not", lambda: None)


def look() -> dict[str, dict[str, object]]:
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["warnings"] == sum(not check["ok"] for check in told["checks"])
    assert told["ok"] == (told["warnings"] == 0)
    for check in told["checks"]:
        assert set(check) == {"group", "name", "found", "ok", "hint"}
        assert check["found"]
        assert check["ok"] == (not check["hint"])
    return {f"{check['group']}.{check['name']}": check for check in told["checks"]}


def test_on_this_machine() -> None:
    """Nothing is made up here: torch computes and every viewer tries, each in a child."""
    found = look()
    assert found["compute.sparse convolutions"]["ok"], found["compute.sparse convolutions"]
    assert "cpu" in str(found["compute.sparse convolutions"]["found"])
    assert found["viewers.matplotlib"]["ok"]
    assert found["viewers.plotly"]["ok"]
    assert found["packages.torch"]["found"] == importlib.metadata.version("torch")
    assert {f"viewers.{name}" for name in plugins.names(plugins.VIEWER)} <= set(found)


@pytest.mark.usefixtures("quick")
class TestWithoutTheSlowParts:
    def test_all_groups_are_looked_at(self) -> None:
        groups = {name.split(".")[0] for name in look()}
        assert groups == {"machine", "packages", "compute", "viewers", "data"}

    def test_what_was_asked_of_pip_is_looked_at(self) -> None:
        found = look()
        for name in ("numpy", "torch", "open3d", "plotly", "matplotlib", "typer"):
            assert found[f"packages.{name}"]["ok"]
        assert "packages.pytest" not in found, "that is for developers"

    def test_a_gpu_is_named(self) -> None:
        assert look()["compute.device"]["found"] == "H99, 80.0 GB"

    def test_a_missing_and_an_old_package_are_warnings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = importlib.metadata.version

        def version(name: str) -> str:
            if name == "plotly":
                raise importlib.metadata.PackageNotFoundError(name)
            return "0.19.0" if name == "open3d" else real(name)

        monkeypatch.setattr(checks.metadata, "version", version)
        found = look()
        assert found["packages.plotly"]["found"] == "not installed"
        assert "pip install 'plotly" in str(found["packages.plotly"]["hint"])
        assert found["packages.open3d"]["found"] == "0.19.0"
        assert ">=0.20" in str(found["packages.open3d"]["hint"])

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (CRASH, "crashed (signal 11)"),
            ("raise ImportError('libcudart.so.12')", "ImportError: libcudart.so.12"),
            ("import time; time.sleep(30)", "no answer"),
        ],
    )
    def test_torch_that_fails_is_a_warning(self, code: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks, "COMPUTE", code)
        monkeypatch.setattr(checks, "TORCH_SECONDS", 2.0)
        check = look()["compute.sparse convolutions"]
        assert not check["ok"]
        assert words in str(check["hint"])

    def test_a_viewer_that_cannot_draw_is_a_warning_that_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "why_not", lambda: "Open3D crashed: its process was ended by SIGSEGV")
        check = look()["viewers.open3d"]
        assert (check["found"], check["ok"]) == ("cannot draw here", False)
        assert "SIGSEGV" in str(check["hint"])

    @pytest.mark.parametrize(("display", "words"), [(None, "no display"), (":7", "a window")])
    def test_whether_a_window_opens(self, display: str | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        if display:
            monkeypatch.setenv("DISPLAY", display)
        else:
            monkeypatch.delenv("DISPLAY", raising=False)
        assert words in str(look()["viewers.open3d"]["found"])

    def test_caches(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XMODAL_CACHE", str(tmp_path / "kept"))
        assert look()["data.generated drives"]["found"] == "none yet"
        (tmp_path / "kept" / "sample").mkdir(parents=True)
        (tmp_path / "kept" / "sample" / "file").write_bytes(bytes(3_000_000))
        found = look()
        assert str(found["data.generated drives"]["found"]).startswith("3 MB")
        assert str(tmp_path / "kept") in str(found["data.cache"]["found"])

    def test_a_cache_that_cannot_be_written(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(checks.os, "access", lambda path, mode: False)
        assert "XMODAL_CACHE" in str(look()["data.cache"]["hint"])

    def test_for_people(self, monkeypatch: pytest.MonkeyPatch) -> None:
        done = CliRunner().invoke(app, ["doctor"])
        assert done.exit_code == 0
        for words in ("machine", "packages", "viewers", "python", "all is well"):
            assert words in done.stdout
        monkeypatch.setattr(process, "why_not", lambda: "the [driver] crashed")
        done = CliRunner().invoke(app, ["doctor"])
        assert "warn open3d: cannot draw here" in done.stdout
        assert "the [driver] crashed" in done.stdout
        assert done.stdout.strip().endswith("1 warning")
