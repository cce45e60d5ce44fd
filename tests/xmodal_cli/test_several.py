"""``xmodal units show`` with several frames: one film, files that lead to one another, a window that steps."""

from __future__ import annotations

import gc
import json
import re
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as Pictures
from typer.testing import CliRunner, Result

from xmodal_cli.app import app
from xmodal_cli.looking import Look, Looking
from xmodal_cli.several import Several, numbered
from xmodal_core.datasets import kitti_raw
from xmodal_core.datasets._kitti_example import STEP
from xmodal_core.errors import InputError

FRAMES = 4
SMALL = ("--set", "units.seeds.count=32", "--set", "teacher.image_width=128", "--set", "teacher.weights=random")


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kitti_raw.example(tmp_path_factory.mktemp("drive") / "root", frames=FRAMES)


@pytest.fixture
def show(drive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Result:
        return CliRunner().invoke(
            app, ["units", "show", "--dataset", "kitti_raw", "--root", str(drive), *SMALL, *words]
        )

    return run


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Complains where a frame is read while an earlier one is still held; the numbers of those read."""
    alive: list[weakref.ref[object]] = []
    read: list[int] = []
    look = Looking.look

    def watched(self: Looking, number: int) -> Look:
        gc.collect()
        assert not [True for other in alive if other() is not None], "a frame is kept that has been drawn"
        found = look(self, number)
        alive.extend((weakref.ref(found.frame), weakref.ref(found.scene)))
        read.append(number)
        return found

    monkeypatch.setattr(Looking, "look", watched)
    return read


def last_line(done: Result) -> dict[str, object]:
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_a_film_of_a_range(show: Callable[..., Result], one_at_a_time: list[int]) -> None:
    told = last_line(show("--frame", "1:4", "--out", "film.gif", "--json"))
    assert one_at_a_time == [1, 2, 3]
    film = Pictures.open("film.gif")
    assert (film.n_frames, film.width) == (3, 1200)
    assert film.info["duration"] == pytest.approx(1000 * 0.1 * STEP, abs=10)
    assert (told["file"], told["viewer"], told["stage"]) == ("film.gif", "gif", "all")
    frames = told["frames"]
    assert [frame["frame"] for frame in frames] == [1, 2, 3]
    assert {frame["unit"] for frame in frames} == {None}, "a film of units compares none"
    assert all(frame["units"] > 5 for frame in frames)
    assert [path.name for path in Path().iterdir()] == ["film.gif"]


def test_pages_lead_to_one_another(show: Callable[..., Result], one_at_a_time: list[int]) -> None:
    done = show("--frame", "0:4:2", "--out", "pages/page.html", "--stage", "ground")
    assert done.exit_code == 0, done.output
    assert one_at_a_time == [0, 2]
    assert sorted(path.name for path in Path("pages").iterdir()) == ["page_0000.html", "page_0002.html"]
    links = [re.search(r'"links":(\[[^]]*\])', path.read_text()) for path in sorted(Path("pages").iterdir())]
    assert [json.loads(found[1]) for found in links if found] == [[None, "page_0002.html"], ["page_0000.html", None]]
    assert "2 frames" in done.stdout
    assert "page_0000.html" in done.stdout


def test_pictures_are_numbered(show: Callable[..., Result]) -> None:
    told = last_line(show("--frame", "2:", "--out", "a.png", "--stage", "units", "--json"))
    assert [frame["file"] for frame in told["frames"]] == ["a_0002.png", "a_0003.png"]
    assert sorted(path.name for path in Path().iterdir()) == ["a_0002.png", "a_0003.png"]
    assert (told["file"], told["viewer"]) == (None, "matplotlib")


def test_without_a_file_or_a_display_pages(show: Callable[..., Result]) -> None:
    told = last_line(show("--frame", "0:2", "--stage", "ground", "--json"))
    assert [frame["file"] for frame in told["frames"]] == ["units_0000.html", "units_0001.html"]


def test_frames_without_units_do_not_stop_it(show: Callable[..., Result]) -> None:
    words = ("--set", "units.range.farthest=10", "--set", "units.range.nearest=5", "--set", "dataset.cameras=[]")
    told = last_line(show("--frame", "0:3", "--out", "film.gif", *words, "--json"))
    assert [frame["units"] for frame in told["frames"]] == [0, 0, 0]
    assert len(told["notes"]) == 3
    assert "frame 0: frame" in told["notes"][0]
    assert Pictures.open("film.gif").n_frames == 3


def test_a_window_steps_within_the_range(show: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    from viz.viewers.open3d import Open3dViewer

    monkeypatch.setenv("DISPLAY", ":7")
    titles = []

    def act(self: Open3dViewer, scene: object, out: object, size: object) -> None:
        assert self.neighbour is not None
        titles.append(self.neighbour(1).title)
        with pytest.raises(InputError, match="frame 3 is the last one"):
            self.neighbour(1)
        titles.append(self.neighbour(-1).title)
        with pytest.raises(InputError, match="frame 1 is the first one"):
            self.neighbour(-1)

    monkeypatch.setattr(Open3dViewer, "show", act)
    assert last_line(show("--frame", "1:4:2", "--json"))["file"] is None
    assert titles == ["kitti_raw · frame 3", "kitti_raw · frame 1"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--frame", "4:9"], "there are no frames 4:9"),
        (["--frame", "3:1"], "there are no frames 3:1"),
        (["--frame", "1:x"], "'1:x' is no number of a frame"),
        (["--frame", "0:2", "--unit", "1"], "--unit chooses a unit of one frame"),
        (["--frame", "0:2", "--viewer", "matplotlib"], "viewer 'matplotlib' cannot write a.gif"),
    ],
)
def test_what_cannot_be_is_named(words: list[str], what: str, show: Callable[..., Result]) -> None:
    done = show(*words, "--out", "a.gif")
    assert isinstance(done.exception, InputError), done.output
    assert what in done.exception.message
    assert not list(Path().iterdir())


def test_names_of_files_sort_as_their_frames_do() -> None:
    assert numbered(Path("a/page.html"), 7, range(5, 20)) == Path("a/page_0007.html")
    long = range(9_998, 10_003)
    names = [numbered(Path("p.png"), number, long).name for number in long]
    assert names == sorted(names)
    assert names[0] == "p_09998.png"


def test_notes_say_which_frames_they_are_of() -> None:
    several = Several(frames=[{}, {}, {}])
    for number in (4, 5, 6):
        several.note(number, ["torch is not installed"])
    several.note(5, ["no camera"])
    several.note(6, ["no camera"])
    assert several.lines() == ["torch is not installed", "frame 5 and 1 more: no camera"]
