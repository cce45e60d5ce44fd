"""What every viewer promises: it says what it can, writes whole files or none, and never takes the caller with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from viz.draw import attempts
from viz.scene import Scene
from viz.viewers.base import Viewer
from xmodal_core import plugins
from xmodal_core.errors import InputError, RunError

NAMES = plugins.names(plugins.VIEWER)
BEGINNINGS = {
    ".png": b"\x89PNG\r\n\x1a\n",
    ".pdf": b"%PDF-",
    ".svg": b"<?xml",
    ".html": b"<!doctype html>",
    ".htm": b"<!doctype html>",
    ".gif": b"GIF89a",
}
ENDINGS = {
    ".png": b"IEND\xaeB`\x82",
    ".pdf": b"%%EOF",
    ".svg": b"</svg>",
    ".html": b"</html>",
    ".htm": b"</html>",
    ".gif": b"\x00;",
}


@pytest.fixture(autouse=True)
def _no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def scene(example_scene: Callable[..., Scene]) -> Scene:
    return example_scene("nuscenes")


@pytest.fixture(params=NAMES)
def viewer(request: pytest.FixtureRequest) -> Viewer:
    made: Viewer = plugins.load(plugins.VIEWER, request.param)()
    return made


def able(viewer: Viewer) -> None:
    reason = viewer.available()
    if reason is not None:
        pytest.skip(f"cannot draw here: {reason}")


class TestEveryViewer:
    def test_it_says_whether_it_can_draw_here(self, viewer: Viewer) -> None:
        reason = viewer.available()
        assert reason is None or (reason and "\n" not in reason)

    def test_it_states_its_files(self, viewer: Viewer) -> None:
        assert viewer.suffixes
        for suffix in viewer.suffixes:
            assert suffix in BEGINNINGS, "a new kind of file: say here how one begins and ends"

    def test_it_writes_every_file_that_it_states(self, viewer: Viewer, scene: Scene, tmp_path: Path) -> None:
        able(viewer)
        for suffix in viewer.suffixes:
            out = tmp_path / f"new folder{suffix}" / f"picture{suffix}"
            assert viewer.show(scene, out, (700, 500)) == out
            content = out.read_bytes()
            assert content.lower().startswith(BEGINNINGS[suffix].lower())
            assert content.rstrip().endswith(ENDINGS[suffix])
            assert len(content) > 20_000
            assert [path.name for path in out.parent.iterdir()] == [out.name]

    def test_a_file_that_cannot_be_written_is_named(self, viewer: Viewer, scene: Scene, tmp_path: Path) -> None:
        able(viewer)
        (tmp_path / "file").write_text("in the way")
        out = tmp_path / "file" / f"picture{viewer.suffixes[0]}"
        with pytest.raises(InputError, match=r"cannot write .*picture"):
            viewer.show(scene, out, (300, 200))

    def test_a_picture_that_fails_leaves_the_old_one(self, viewer: Viewer, scene: Scene, tmp_path: Path) -> None:
        able(viewer)
        out = tmp_path / f"picture{viewer.suffixes[0]}"
        out.write_bytes(b"old")
        broken = replace(scene, views=(replace(scene.views[0], image=np.zeros((0, 0, 3), np.uint8)),))
        with pytest.raises(Exception):  # noqa: B017, PT011 (whatever a broken scene leads to)
            viewer.show(broken, out, (300, 200))
        assert out.read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir()] == [out.name]

    def test_without_a_display_a_window_says_so(self, viewer: Viewer, scene: Scene) -> None:
        if not viewer.window:
            pytest.skip("it has no window")
        with pytest.raises(RunError, match="no display") as caught:
            viewer.show(scene, None, (300, 200))
        assert "--out" in caught.value.hint

    def test_an_unknown_ending_is_refused_with_the_known_ones(self, viewer: Viewer) -> None:
        name = type(viewer).__module__.rsplit(".", 1)[-1]
        with pytest.raises(InputError, match=r"cannot write picture\.xyz") as caught:
            attempts(Path("picture.xyz"), name)
        for suffix in viewer.suffixes:
            assert suffix in caught.value.hint

    def test_its_library_is_not_imported_before_it_draws(self, viewer: Viewer) -> None:
        module = type(viewer).__module__
        code = (
            f"import sys, {module}, viz.draw; "
            "heavy = {'open3d', 'matplotlib', 'plotly', 'torch', 'dash'} & set(sys.modules); "
            "sys.exit(f'imported {heavy}' if heavy else 0)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name in NAMES if name != "open3d"])
@pytest.mark.parametrize("data", ["nuscenes", "kitti_object"])
def test_every_stage_can_be_drawn(name: str, data: str, example_scene: Callable[..., Scene], tmp_path: Path) -> None:
    """(Open3D draws in a process of its own, which takes seconds: its stages are drawn together.)"""
    viewer: Viewer = plugins.load(plugins.VIEWER, name)()
    able(viewer)
    whole = example_scene(data)
    sizes = set()
    for stage in ["all", *(stage.name for stage in whole.stages)]:
        out = tmp_path / f"{stage}{viewer.suffixes[0]}"
        viewer.show(replace(whole, opening=stage), out, (420, 300))
        sizes.add(out.read_bytes())
    assert len(sizes) == len(whole.stages) + 1, "two stages look the same"
