"""``xmodal units show`` as a person runs it: a picture always comes out, and what cannot be is said in one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pictures
from typer.testing import CliRunner, Result

from viz.similarity import compare
from xmodal_cli.app import app
from xmodal_cli.looking import Looking
from xmodal_core.datasets import open_dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.images import load_teacher, unit_image_features
from xmodal_core.units.config import SeedsConfig, UnitsConfig
from xmodal_core.units.discovery import discover

Root = Callable[[str], Path]
KEYS = {
    "file",
    "viewer",
    "frame",
    "name",
    "stage",
    "unit",
    "points",
    "ground",
    "sensor_height",
    "seeds",
    "clusters",
    "instances",
    "units",
    "merged_seeds",
    "milliseconds",
    "notes",
}
SMALL = ("--set", "units.seeds.count=64", "--set", "teacher.image_width=128", "--set", "teacher.weights=random")


@pytest.fixture(autouse=True)
def _headless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    # Others' tests may have raised the number; small pictures need no more.
    torch.set_num_threads(1)


@pytest.fixture
def show(example_root: Root) -> Callable[..., Result]:
    def run(*words: str, dataset: str = "kitti_object") -> Result:
        where = ("--dataset", dataset, "--root", str(example_root(dataset)))
        return CliRunner().invoke(app, ["units", "show", *where, *SMALL, *words])

    return run


def last_line(done: Result) -> dict[str, object]:
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.strip().splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def complaint(done: Result, kind: type[InputError] = InputError) -> InputError:
    assert isinstance(done.exception, kind), done.output
    assert done.exception.hint
    return done.exception


def test_a_picture_and_what_it_shows(show: Callable[..., Result], tmp_path: Path) -> None:
    done = show("--frame", "1", "--out", "a.png")
    assert done.exit_code == 0, done.output
    assert Pictures.open(tmp_path / "a.png").width == pytest.approx(2148, abs=1)
    for words in ("points", "ground", "64 seeds", "kept as instances", "units", "found in", "ms", "a.png"):
        assert words in done.stdout


@pytest.mark.parametrize("dataset", ["kitti_object", "nuscenes"])
def test_one_line_of_json_with_what_was_found(dataset: str, show: Callable[..., Result], example_root: Root) -> None:
    told = last_line(show("--out", "a.pdf", "--json", "--stage", "units", dataset=dataset))
    assert set(told) == KEYS
    frame = open_dataset(dataset, example_root(dataset)).frame(0)
    units = discover(frame, UnitsConfig(seeds=SeedsConfig(count=64)))
    assert told["file"] == "a.pdf"
    assert told["viewer"] == "matplotlib"
    assert (told["stage"], told["unit"], told["frame"]) == ("units", None, 0)
    assert (told["name"], told["points"]) == (frame.name, len(frame))
    assert (told["seeds"], told["units"], told["clusters"]) == (64, units.count, len(units.reasons))
    assert told["instances"] == units.reasons.count("kept")
    assert told["ground"] == pytest.approx(units.ground.mean(), abs=1e-4)
    assert told["merged_seeds"] == np.count_nonzero(units.instance[units.seeds] >= 0)
    assert set(told["milliseconds"]) == set(units.milliseconds)  # type: ignore[call-overload]


def test_without_a_file_or_a_display_a_page(show: Callable[..., Result], tmp_path: Path) -> None:
    told = last_line(show("--json", "--stage", "ground"))
    assert (told["file"], told["viewer"]) == ("units.html", "plotly")
    assert (tmp_path / "units.html").stat().st_size > 1_000_000
    assert told["unit"] is not None, "a page compares units whatever it opens on"


@pytest.mark.parametrize("stage", ["sweep", "ground", "seeds", "instances", "units", "similarity", "all"])
def test_every_stage(stage: str, show: Callable[..., Result], tmp_path: Path) -> None:
    told = last_line(show("--json", "--stage", stage, "--out", f"{stage}.png"))
    assert (tmp_path / f"{stage}.png").stat().st_size > 20_000
    assert (told["unit"] is not None) == (stage in ("similarity", "all"))


def test_a_unit_of_ones_own_choice(show: Callable[..., Result]) -> None:
    assert last_line(show("--json", "--unit", "7", "--out", "a.svg", "--stage", "similarity"))["unit"] == 7
    assert "unit 7 against" in Path("a.svg").read_text(encoding="utf-8")


def test_units_are_compared_as_the_method_compares_them(example_root: Root) -> None:
    """The teacher's features, standardised as in training; L and the literal reading from the method's settings."""
    dataset = open_dataset("kitti_object", example_root("kitti_object"))
    assignments = ("teacher.image_width=128", "teacher.weights=random", "method.negatives=0.2", "method.literal=true")
    settings = UnitsConfig(seeds=SeedsConfig(count=64))
    look = Looking(dataset, settings, "similarity", unit=3, assignments=assignments).look(0)
    teacher = load_teacher("efficientnet_lite0", {"image_width": 128, "weights": "random"})
    expected = compare(unit_image_features(look.frame, look.units, teacher, "frame"), 3, 0.2, literal=True)
    found = look.scene.stage("similarity").caption
    others = np.delete(expected.cosine, 3)
    assert found[0].endswith(f"cosine {others.min():.2f} to {others.max():.2f}".replace("-", "−"))
    assert found[1].startswith(f"the {expected.keep:,} least similar")
    assert look.scene.similarities is not None
    assert look.scene.similarities.literal


def test_settings_from_a_file(show: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("units: {instances: {enabled: false}}\n")
    told = last_line(show("--json", "--config", "my.yaml", "--out", "a.png", "--stage", "units"))
    assert (told["instances"], told["merged_seeds"], told["units"]) == (0, 0, 64)


def test_a_frame_without_cameras_is_explained(show: Callable[..., Result]) -> None:
    told = last_line(show("--json", "--set", "dataset.cameras=[]", "--out", "a.png", dataset="nuscenes"))
    assert told["units"] == 0
    (note,) = told["notes"]  # type: ignore[misc]
    assert "has no camera" in str(note)
    done = show("--set", "dataset.cameras=[]", "--stage", "similarity", "--out", "b.png", dataset="nuscenes")
    assert "no unit to compare" in complaint(done).message
    assert not Path("b.png").exists()


def test_a_frame_without_units_is_explained(show: Callable[..., Result]) -> None:
    """Within ten metres this camera of the example sees nothing but the ground."""
    little = ("units.range.nearest=5", "units.range.farthest=10", "dataset.cameras=[CAM_BACK_LEFT]")
    words = [word for text in little for word in ("--set", text)]
    told = last_line(show("--json", *words, "--out", "a.png", dataset="nuscenes"))
    assert told["units"] == 0
    (note,) = told["notes"]  # type: ignore[misc]
    assert "see nothing but ground" in str(note)
    assert Path("a.png").is_file()
    done = show(*words, "--unit", "0", "--out", "b.png", dataset="nuscenes")
    assert "no unit to compare" in complaint(done).message


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--frame", "2"], "there is no frame 2"),
        (["--frame", "one"], "'one' is no number of a frame"),
        (["--stage", "sky"], "unknown stage 'sky'"),
        (["--viewer", "crayon"], "unknown viewer 'crayon'"),
        (["--out", "a.docx"], "no viewer can write a.docx"),
        (["--out", "a.pdf", "--viewer", "open3d"], "viewer 'open3d' cannot write a.pdf"),
        (["--out", "a.png", "--unit", "5000"], "there is no unit 5000"),
        (["--out", "a.png", "--teacher", "owl"], "unknown teacher 'owl'"),
        (["--out", "a.png", "--set", "units.instances.raduis=1"], "there is no setting 'units.instances.raduis'"),
        (["--out", "a.png", "--set", "method.negatives=-1"], "setting 'method.negatives' cannot be -1"),
        (["--out", "in the way/a.png"], "cannot write in the way/a.png"),
    ],
)
def test_bad_input_is_named_and_nothing_written(
    words: list[str], what: str, show: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "in the way").touch()
    assert what in complaint(show(*words)).message
    assert [path.name for path in tmp_path.iterdir()] == ["in the way"]


def test_bad_input_is_named_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmodal_cli.drive.open_from_options", lambda *_, **__: pytest.fail("a data set was opened"))
    for words in (["--stage", "sky"], ["--out", "a.docx"], ["--viewer", "crayon"], ["--frame", "x"]):
        complaint(CliRunner().invoke(app, ["units", "show", *words]))


def test_a_missing_picture_is_named(example_copy: Root) -> None:
    root = example_copy("kitti_object")
    for picture in root.rglob("*.png"):
        picture.unlink()
    words = ["units", "show", "--dataset", "kitti_object", "--root", str(root), "--out", "a.png", *SMALL]
    done = CliRunner().invoke(app, words)
    assert ".png" in complaint(done, DataError).message
    assert not Path("a.png").exists()


def test_the_generated_drive_is_made_where_no_data_set_is_named(
    monkeypatch: pytest.MonkeyPatch, example_root: Root
) -> None:
    monkeypatch.setattr("xmodal_cli.drive.ensure_sample_drive", lambda **_: example_root("sample"))
    told = last_line(CliRunner().invoke(app, ["units", "show", "--out", "a.png", "--json", "--stage", "units", *SMALL]))
    assert told["points"] > 10_000  # type: ignore[operator]
    assert told["units"] > 10  # type: ignore[operator]


def test_a_window_that_crashes_becomes_a_page(show: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    from viz.viewers import _open3d_process as process

    monkeypatch.setenv("DISPLAY", ":7")
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", crash))
    done = show("--json", "--set", "units.seeds.count=32")
    told = last_line(done)
    assert (told["viewer"], told["file"]) == ("plotly", "units.html")
    assert "SIGKILL" in done.stderr


def test_a_window_steps_from_where_it_has_got_to(show: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    from viz.viewers.open3d import Open3dViewer

    monkeypatch.setenv("DISPLAY", ":7")
    titles = []

    def act(self: Open3dViewer, scene: object, out: object, size: object) -> None:
        assert out is None
        assert self.neighbour is not None
        titles.append(self.neighbour(1).title)
        with pytest.raises(InputError, match="frame 1 is the last one"):
            self.neighbour(1)
        titles.append(self.neighbour(-1).title)

    monkeypatch.setattr(Open3dViewer, "show", act)
    assert last_line(show("--json"))["file"] is None
    assert titles == ["kitti_object · frame 1", "kitti_object · frame 0"]


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from xmodal_cli.app import run; code = run(['units', 'show', '--help']);"
        "sys.exit(code or sum(name in sys.modules for name in ('torch', 'open3d', 'matplotlib', 'numba')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("--stage", "similarity", "plotly", "open3d", "matplotlib", "efficientnet_lite0"):
        assert word in done.stdout


@pytest.mark.parametrize(("dataset", "root"), [("nuscenes", "nuscenes_keyframe"), ("kitti_raw", "kitti_raw")])
def test_real_sweeps(dataset: str, root: str, real_data: Path) -> None:
    words = ["--dataset", dataset, "--root", str(real_data / root), "--stage", "instances", "--out", "a.png", "--json"]
    told = last_line(CliRunner().invoke(app, ["units", "show", *words]))
    assert 0.3 < float(str(told["ground"])) < 0.8
    assert int(str(told["instances"])) > 100
    assert int(str(told["units"])) > 300


def test_only_the_cameras_asked_for_and_how_wrong_they_are(show: Callable[..., Result]) -> None:
    words = ("--cameras", "CAM_BACK,CAM_FRONT", "--perturb-calibration", "1.5", "--stage", "units", "--out", "x.html")
    done = last_line(show(*words, "--json", dataset="nuscenes"))
    assert len(done["notes"]) == 1
    assert re.fullmatch(r"miscalibration: pixels moved by \d+\.\d, \d+% of pairs still on their unit", done["notes"][0])
    page = Path("x.html").read_text()
    assert "cameras turned by 1.5°" in page
    assert "front left" not in page
    assert "unknown camera 'CAM_MOON'" in complaint(show("--cameras", "CAM_MOON", dataset="nuscenes")).message
