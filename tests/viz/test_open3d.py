"""Open3D at arm's length: what it is given, what a window does, and what becomes of a child that crashes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pictures

from viz.compose import compose
from viz.draw import Attempt, attempts, draw
from viz.scene import LineLayer, PointLayer, Scene, Stage
from viz.similarity import compare
from viz.viewers import _open3d_process as process
from viz.viewers._browsing import Browsing, nearest_row
from viz.viewers._chosen import choose_unit
from viz.viewers._open3d_drawing import BACK, Look, drawing, from_above, from_behind
from viz.viewers._open3d_job import Job
from viz.viewers.open3d import Open3dViewer
from xmodal_core.datasets import open_dataset
from xmodal_core.errors import InputError, RunError
from xmodal_core.units.config import SeedsConfig, UnitsConfig
from xmodal_core.units.discovery import discover

Make = Callable[..., Scene]
CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
LOOK = Look((0, 0, 1), (0, 0, 0), (0, 1, 0))


@pytest.fixture
def scene(example_scene: Make) -> Scene:
    return example_scene("nuscenes")


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the child run other code than Open3D's; its folder is ``sys.argv[1]``."""

    def becomes(code: str) -> None:
        monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", code))
        process.why_not.cache_clear()

    yield becomes
    process.why_not.cache_clear()


@pytest.fixture(autouse=True)
def _no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def _works() -> None:
    reason = process.why_not()
    if reason is not None:
        pytest.skip(f"Open3D cannot draw here: {reason}")


class TestWhatItIsGiven:
    def test_every_point_of_a_stage_once_and_nearer_ones_larger(self, scene: Scene) -> None:
        look = from_behind(scene)
        for stage in scene.stages:
            dots, _ = drawing(scene, stage, look.eye)
            assert sum(len(part.points) for part in dots) == sum(len(la.rows) for la in scene.point_layers(stage))
            given = np.concatenate([part.points for part in dots])
            wanted = np.concatenate([scene.cloud[layer.rows] for layer in scene.point_layers(stage)])
            np.testing.assert_array_equal(np.sort(given, axis=0), np.sort(wanted, axis=0))
        sweep, _ = drawing(scene, scene.stage("sweep"), look.eye)
        distance = [np.linalg.norm(part.points - np.array(look.eye), axis=1).mean() for part in sweep]
        order = np.argsort(distance)
        sizes = np.array([part.size for part in sweep])[order]
        assert (np.diff(sizes) <= 0).all()
        assert sizes[0] > sizes[-1]

    def test_near_points_have_their_own_colour_and_far_ones_fade(self, scene: Scene) -> None:
        layer = scene.layer("ground")
        assert isinstance(layer, PointLayer)
        far = np.linspace(1, 200, 50, dtype=np.float32)
        line = np.stack([far, 0 * far, 0 * far], axis=1)
        rows = np.arange(50, dtype=np.int64)
        row = replace(layer, rows=rows, code=np.zeros(50, np.uint8), emphasis="plain")
        stage = Stage("s", "S", "", (), ("ground",))
        small = replace(scene, cloud=line, layers=(row,), stages=(stage,), views=(), opening="all")
        dots, _ = drawing(small, stage, (0.0, 0.0, 0.0))
        colour = np.concatenate([part.colours for part in dots]) * 255
        place = np.concatenate([part.points for part in dots])[:, 0]
        colour = colour[np.argsort(place)]
        np.testing.assert_allclose(colour[0], layer.colours[0], atol=0.01)
        toward_back = np.abs(colour - np.array(BACK)).sum(axis=1)
        assert (np.diff(toward_back) <= 0.01).all()
        assert 20 < toward_back[-1] < 0.6 * toward_back[0]

    def test_lines_never_cross_the_gap_between_strokes(self, scene: Scene) -> None:
        _, lines = drawing(scene, scene.stages[0], (0, 0, 0))
        assert len(lines) == len(list(scene.line_layers(scene.stages[0])))
        for line, layer in zip(lines, scene.line_layers(scene.stages[0]), strict=True):
            pairs = [
                (first, first + 1)
                for first in range(len(layer.points) - 1)
                if np.isfinite(layer.points[first : first + 2]).all()
            ]
            np.testing.assert_array_equal(line.ends, pairs)
            np.testing.assert_allclose(line.points[line.ends], layer.points[line.ends])

    def test_one_looks_from_behind_and_above(self, scene: Scene) -> None:
        forward = np.array([*scene.forward, 0.0])
        for look in (from_behind(scene), from_above(scene)):
            eye, centre = np.array(look.eye), np.array(look.centre)
            assert eye @ forward < 0
            assert eye[2] > scene.floor + 5
            assert (centre - eye) @ forward > 0
        assert np.array(from_above(scene).up) @ forward == pytest.approx(1)


class TestWhatBecomesOfTheChild:
    def test_a_crash_is_one_line_that_names_the_signal(self, scene: Scene, child: Callable[[str], None]) -> None:
        child(CRASH)
        with pytest.raises(RunError, match=r"Open3D crashed: its process was ended by SIGSEGV") as caught:
            process.draw_pictures(Job("pictures", scene, ("units",), LOOK, (64, 64)))
        assert "\n" not in caught.value.message
        assert "mesa-vulkan-drivers" in caught.value.hint

    def test_a_crash_makes_it_unavailable(self, child: Callable[[str], None]) -> None:
        child(CRASH)
        reason = Open3dViewer().available()
        assert reason is not None
        assert "SIGSEGV" in reason

    def test_after_a_crash_the_next_viewer_draws(
        self, scene: Scene, child: Callable[[str], None], tmp_path: Path
    ) -> None:
        child(CRASH)
        drawn = draw(scene, tmp_path / "a.png", "open3d", (400, 300))
        assert (drawn.viewer, drawn.file) == ("matplotlib", tmp_path / "a.png")
        assert Pictures.open(tmp_path / "a.png").width == pytest.approx(400, abs=1)
        (note,) = drawn.notes
        assert note.startswith("open3d: Open3D crashed")

    def test_an_error_is_told_in_its_own_words(self, scene: Scene, child: Callable[[str], None]) -> None:
        child("raise ImportError('libusb-1.0.so.0: cannot open shared object file')")
        with pytest.raises(RunError, match=r"could not draw: ImportError: libusb-1\.0\.so\.0"):
            process.draw_pictures(Job("pictures", scene, ("units",), LOOK, (64, 64)))

    def test_one_that_hangs_is_ended(
        self, scene: Scene, child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        child(f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")
        monkeypatch.setattr(process, "PICTURE_SECONDS", 1.0)
        began = time.monotonic()
        with pytest.raises(RunError, match="did not answer within 1 s"):
            process.draw_pictures(Job("pictures", scene, ("units",), LOOK, (64, 64)))
        assert time.monotonic() - began < 10
        assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()

    def test_one_that_draws_nothing_is_found_out(self, scene: Scene, child: Callable[[str], None]) -> None:
        child("pass")
        with pytest.raises(RunError, match="without having drawn anything"):
            process.draw_pictures(Job("pictures", scene, ("units",), LOOK, (64, 64)))

    def test_a_window_gets_the_frames_it_asks_for(self, scene: Scene, child: Callable[[str], None]) -> None:
        """A child that asks for the next frame, then for one that is not there, and complains if the answers differ."""
        child(
            "import os, pathlib, pickle, sys, time\n"
            "folder = pathlib.Path(sys.argv[1])\n"
            "def ask(step):\n"
            "    (folder / 'q').write_text(str(step)); os.replace(folder / 'q', folder / 'question.txt')\n"
            "    while not (folder / 'answer.pickle').is_file(): time.sleep(0.01)\n"
            "    answer = pickle.loads((folder / 'answer.pickle').read_bytes()); (folder / 'answer.pickle').unlink()\n"
            "    return answer\n"
            "one, other = ask(1), ask(-5)\n"
            "sys.exit(0 if one.title == 'the next' and other == 'there is no such frame' else 1)\n"
        )
        asked = []

        def neighbour(step: int) -> Scene:
            asked.append(step)
            if step < 0:
                raise InputError("there is no such frame", "go on")
            return replace(scene, title="the next")

        process.show_window(Job("window", scene, (), LOOK, (64, 64)), neighbour)
        assert asked == [1, -5]

    def test_nothing_is_left_behind(
        self, scene: Scene, child: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        child(CRASH)
        with pytest.raises(RunError):
            process.draw_pictures(Job("pictures", scene, ("units",), LOOK, (64, 64)))
        assert not list(tmp_path.iterdir())


class TestChoosing:
    def test_by_the_files_ending(self) -> None:
        assert attempts(Path("a.html"))[0].viewer == "plotly"
        assert attempts(Path("a.PNG")) == [Attempt("matplotlib", Path("a.PNG")), Attempt("open3d", Path("a.PNG"))]
        assert attempts(Path("a.pdf"))[0].viewer == "matplotlib"
        assert attempts(Path("a.png"), "open3d")[0].viewer == "open3d"

    def test_without_a_file_a_window_or_a_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert attempts()[0] == Attempt("plotly", Path("units.html"))
        assert attempts(viewer="open3d")[0] == Attempt("open3d", Path("units.png"))
        monkeypatch.setenv("DISPLAY", ":7")
        assert attempts()[0] == Attempt("open3d", None)
        assert attempts()[1] == Attempt("plotly", Path("units.html"))
        assert attempts(viewer="matplotlib")[0] == Attempt("matplotlib", Path("units.png"))

    def test_what_cannot_be_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="unknown viewer 'crayon'"):
            attempts(None, "crayon")
        with pytest.raises(InputError, match=r"'open3d' cannot write a\.pdf"):
            attempts(Path("a.pdf"), "open3d")
        with pytest.raises(InputError, match="it is a folder"):
            attempts(tmp_path.with_suffix(".png") if tmp_path.with_suffix(".png").is_dir() else _folder(tmp_path))
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="no folder that can be written"):
            attempts(tmp_path / "file" / "a.png")

    def test_a_viewer_whose_library_is_missing_gives_way(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("viz.viewers.open3d.find_spec", lambda name: None)
        drawn = draw(scene, tmp_path / "a.png", "open3d", (300, 200))
        assert drawn.viewer == "matplotlib"
        assert "not installed" in drawn.notes[0]

    def test_where_nothing_can_draw_that_is_said(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, child: Callable[[str], None]
    ) -> None:
        child(CRASH)
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(RunError, match=r"nothing was drawn; matplotlib: .*; open3d: .*SIGSEGV"):
            draw(scene, tmp_path / "a.png")
        assert not (tmp_path / "a.png").exists()

    def test_a_viewer_that_writes_nothing_is_found_out(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("viz.viewers.plotly.PlotlyViewer.show", lambda self, scene, out, size: out)
        with pytest.raises(RunError, match="wrote nothing"):
            draw(scene, tmp_path / "a.html")


def _folder(parent: Path) -> Path:
    folder = parent / "folder.png"
    folder.mkdir()
    return folder


class TestAWindow:
    def test_it_opens_on_the_units_or_the_stage_asked_for(self, scene: Scene) -> None:
        assert Browsing(scene).stage == "units"
        assert Browsing(replace(scene, opening="ground")).stage == "ground"

    def test_its_keys(self, scene: Scene) -> None:
        state = Browsing(scene)
        for number, stage in enumerate(scene.stages, 1):
            assert state.press(str(number)) == "stage"
            assert state.shown == stage
        for key in ("0", "9", "x", ""):
            assert state.press(key) == "nothing"
        assert (state.press("v"), state.above) == ("look", True)
        assert state.press("q") == "close"
        assert "1-6" in state.keys

    def test_stepping(self, scene: Scene) -> None:
        state = Browsing(scene)
        assert (state.press("n"), state.step) == ("step", 1)
        assert state.press("p") == "nothing", "one at a time"
        assert not state.arrive("there is no such frame")
        assert (state.note, state.step) == ("there is no such frame", 0)
        assert (state.press("p"), state.step) == ("step", -1)
        state.unit = 3
        assert state.arrive(replace(scene, title="another"))
        assert (state.scene.title, state.unit, state.note) == ("another", -1, "")

    def test_a_stage_that_the_next_frame_lacks(self, scene: Scene) -> None:
        state = Browsing(scene, stage="similarity")
        state.arrive(replace(scene, stages=tuple(stage for stage in scene.stages if stage.name != "similarity")))
        assert state.stage == "units"

    def test_picking(self, scene: Scene) -> None:
        state = Browsing(scene)
        row = int(np.flatnonzero(scene.members["unit"] >= 0)[5])
        state.pick(row)
        assert state.unit == scene.members["unit"][row]
        assert state.note == scene.words["unit"][state.unit]
        assert set(scene.members["unit"][state.rows]) == {state.unit}
        assert state.scene.similarities is not None
        assert state.scene.similarities.unit == state.unit
        assert (state.press("s"), state.stage) == ("stage", "similarity")
        state.pick(-1)
        assert (state.unit, state.note, len(state.rows)) == (-1, "", 0)

    def test_a_picked_cluster_outside_all_units_says_why(self, scene: Scene) -> None:
        outside = np.flatnonzero((scene.members["unit"] < 0) & (scene.members["cluster"] >= 0))
        state = Browsing(scene)
        state.pick(int(outside[0]))
        assert state.unit == -1
        assert state.note == scene.words["cluster"][scene.members["cluster"][outside[0]]]

    @settings(deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def test_a_click_means_the_nearest_to_the_eye_of_those_under_it(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        cloud = rng.uniform(-5, 5, (60, 3)).astype(np.float32)
        at = rng.uniform(0, 100, 2)
        # A pinhole at the origin that looks along +x.
        transform = np.array([[0, -1, 0, 0], [0, 0, 1, 0], [1, 0, 0, -0.2], [1, 0, 0, 0]], float)
        best, depth = -1, np.inf
        for row, (x, y, z) in enumerate(cloud.astype(float)):
            if x <= 1e-6:
                continue
            u, v = (1 - y / x) / 2 * 100, (1 - z / x) / 2 * 100
            if np.hypot(u - at[0], v - at[1]) <= 12 and x < depth:
                best, depth = row, x
        assert nearest_row(cloud, transform, (100, 100), (at[0], at[1]), reach=12) == best


@pytest.mark.parametrize("literal", [False, True])
def test_another_unit_is_chosen_as_compose_would_have_it(literal: bool, example_root: Callable[[str], Path]) -> None:
    frame = open_dataset("kitti_object", example_root("kitti_object")).frame(0)
    units = discover(frame, UnitsConfig(seeds=SeedsConfig(count=64)))
    features = np.random.default_rng(1).normal(size=(units.count, 3)).astype(np.float32)
    first = compose(frame, units, compare(features, 0, 0.3, literal=literal))
    for unit in (1, units.count - 1):
        wanted = compose(frame, units, compare(features, unit, 0.3, literal=literal))
        found = choose_unit(first, unit)
        assert found.stage("similarity").caption == wanted.stage("similarity").caption
        np.testing.assert_allclose(
            found.stage("similarity").tint.astype(int), wanted.stage("similarity").tint.astype(int), atol=3
        )
        for name in ("negatives", "excluded", "chosen"):
            one, other = found.layer(name), wanted.layer(name)
            assert isinstance(one, PointLayer)
            assert isinstance(other, PointLayer)
            assert one.title == other.title
            np.testing.assert_array_equal(one.rows, other.rows)
            np.testing.assert_allclose(one.rgb().astype(int), other.rgb().astype(int), atol=6)
    assert choose_unit(first, -1) is first
    assert choose_unit(first, units.count) is first


@pytest.mark.usefixtures("_works")
class TestOpen3dItself:
    def test_colours_are_those_of_the_palette(self, scene: Scene) -> None:
        """No tone mapping, no light: what is one colour in the legend is that colour in the picture."""
        across = np.stack(np.meshgrid(np.linspace(-3, 3, 200), np.linspace(-3, 3, 200)), axis=-1).reshape(-1, 2)
        cloud = np.concatenate([across, np.zeros((len(across), 1))], axis=1).astype(np.float32)
        rows = np.arange(len(cloud), dtype=np.int64)
        colour = np.array([[75, 120, 225]], np.uint8)
        layer = PointLayer("flat", "flat", rows, np.zeros(len(rows), np.uint8), colour)
        side_by_side = [[(-4, y, 0.5), (4, y, 0.5), (np.nan,) * 3] for y in np.linspace(-0.2, 0.2, 80)]
        stroke = np.array(side_by_side, np.float32).reshape(-1, 3)
        line = LineLayer("line", "line", stroke, (195, 204, 217))
        stages = (Stage("flat", "Flat", "", (), ("flat",)), Stage("line", "Line", "", (), ("line",)))
        flat = replace(scene, cloud=cloud, layers=(layer, line), stages=stages, views=(), opening="all")
        look = Look((0, 0, 3), (0, 0, 0), (0, 1, 0))
        pictures = process.draw_pictures(Job("pictures", flat, ("flat", "line"), look, (160, 120)))
        assert pictures["flat"].shape == (120, 160, 3)
        np.testing.assert_allclose(pictures["flat"][60, 80], colour[0], atol=1)
        np.testing.assert_allclose(pictures["line"][10, 10], BACK, atol=1)
        brightest = pictures["line"].reshape(-1, 3)[pictures["line"].sum(axis=2).argmax()]
        np.testing.assert_allclose(brightest, line.colour, atol=2)

    def test_a_picture_of_every_stage_with_everything_in_it(self, example_scene: Make, tmp_path: Path) -> None:
        scene = example_scene("kitti_object")
        look = from_behind(scene)
        names = tuple(stage.name for stage in scene.stages)
        pictures = process.draw_pictures(Job("pictures", scene, names, look, (320, 180)))
        assert set(pictures) == set(names)
        # Boxes are drawn in every stage, also in the first: their colour is somewhere in each picture.
        boxes = scene.layer("boxes")
        for name, picture in pictures.items():
            off = np.abs(picture.astype(int) - np.array(boxes.colour)).sum(axis=2)  # type: ignore[union-attr]
            assert off.min() < 30, name
        assert len({picture.tobytes() for picture in pictures.values()}) == len(names)

    def test_a_window_opens_steps_and_closes(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        if not (shutil.which("Xvfb") and shutil.which("xdotool")):
            pytest.skip("needs Xvfb and xdotool")
        server = subprocess.Popen(["Xvfb", ":93", "-screen", "0", "900x700x24"], stderr=subprocess.DEVNULL)
        monkeypatch.setenv("DISPLAY", ":93")
        asked: list[int] = []
        viewer = Open3dViewer()

        def neighbour(step: int) -> Scene:
            asked.append(step)
            return replace(scene, title="arrived")

        viewer.neighbour = neighbour
        shown = threading.Thread(target=viewer.show, args=(scene, None, (600, 400)), daemon=True)
        try:
            time.sleep(1)
            shown.start()
            window = _wait_for(lambda: _find("xmodal"))
            _xdo("windowfocus", window)
            _wait_for(lambda: asked or _xdo("key", "n"))
            _wait_for(lambda: _find("arrived"))
            _wait_for(lambda: not shown.is_alive() or _xdo("key", "q"))
            shown.join(timeout=10)
            assert not shown.is_alive()
            assert asked[0] == 1
        finally:
            server.terminate()
            server.wait()


def _xdo(*words: str) -> str:
    return subprocess.run(["xdotool", *words], capture_output=True, text=True, check=False).stdout.strip()


def _find(title: str) -> str:
    return _xdo("search", "--name", title).split("\n")[-1]


def _wait_for(ready: Callable[[], object], seconds: float = 40.0) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = ready()
        if found:
            return str(found)
        time.sleep(0.5)
    raise AssertionError("nothing happened")
