"""All of the drive or nothing of it, the same bytes each time."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_data import DriveSettings, crew, drive, ensure_drive
from sample_data.world import World
from xmodal_core.config import validate
from xmodal_core.errors import InputError, RunError


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def ready(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The street is there already: only its sensors are still to be cast."""
    monkeypatch.setattr("sample_data.world.build", lambda *_: world)


@pytest.mark.usefixtures("ready")
def test_one_process_makes_the_same_bytes_as_two(drive: Path, small: DriveSettings, tmp_path: Path) -> None:
    other = ensure_drive(tmp_path / "again", small)
    assert digests(other) == digests(drive)
    assert len(digests(other)) > 7 * small.total


def test_progress_is_told_frame_by_frame(made: tuple[Path, list[tuple[int, int]]], small: DriveSettings) -> None:
    assert made[1] == [(done, small.total) for done in range(small.total + 1)]


def test_what_is_there_is_not_made_again(drive: Path, small: DriveSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sample_data.drive._make", lambda *_: pytest.fail("made again"))
    assert ensure_drive(drive, small) == drive


@pytest.mark.usefixtures("ready")
def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    tiny = DriveSettings(scenes=1, frames=2, image_width=64, image_height=36)
    with pytest.raises(KeyboardInterrupt):
        ensure_drive(tmp_path / "drive", tiny, stop)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


@pytest.mark.usefixtures("ready")
def test_a_killed_process_leaves_no_drive_and_the_next_one_clears_up(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from sample_data import DriveSettings, crew, ensure_drive\n"
        "def work(folder, settings, on_progress):\n"
        "    (folder / 'samples' / 'LIDAR_TOP' / 'half.pcd.bin').write_bytes(b'1234')\n"
        "    print('one', flush=True); time.sleep(60)\n"
        "crew.work = work\n"
        "ensure_drive(Path(sys.argv[1]), DriveSettings(scenes=1, frames=2, image_width=64, image_height=36))\n"
    )
    root = tmp_path / "drive"
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", script, str(root)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"one"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    left = [path.name for path in tmp_path.iterdir() if path.is_dir()]
    assert left
    assert not root.exists()
    tiny = DriveSettings(scenes=1, frames=1, image_width=64, image_height=36)
    ensure_drive(root, tiny)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["drive"]


def test_a_worker_that_dies_ends_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "_SMALL", 0)
    monkeypatch.setattr(crew, "_processors", lambda: 2)
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(RunError, match="sample drive"):
        ensure_drive(tmp_path / "drive", DriveSettings(scenes=2, frames=1))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="no generated drive"):
        ensure_drive(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_drive_of_other_settings_is_left_alone(drive: Path) -> None:
    before = digests(drive)
    with pytest.raises(InputError, match="other settings"):
        ensure_drive(drive, DriveSettings(scenes=1, frames=3, image_width=192, image_height=108, seed=1))
    assert digests(drive) == before


def test_the_cache_is_named_by_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def make(folder: Path, *_: object) -> None:
        made.append(folder)

    monkeypatch.setenv("XMODAL_CACHE", str(tmp_path))
    monkeypatch.setattr(drive, "_make", make)
    first, second = ensure_drive(), ensure_drive(settings=DriveSettings(seed=1))
    assert first != second
    assert ensure_drive(settings=DriveSettings(seed=0)) == first
    assert {path.parent for path in made} == {tmp_path / "sample"}


def test_two_at_once_make_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def make(folder: Path, settings: DriveSettings, *_: object) -> None:
        time.sleep(0.2)
        folder.mkdir()
        (folder / drive.MARK).write_text(json.dumps(drive._mark(settings)))
        made.append(folder)

    monkeypatch.setattr(drive, "_make", make)
    threads = [threading.Thread(target=ensure_drive, args=(tmp_path / "drive",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [tmp_path / "drive"]


@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 8))
def test_jobs_hold_each_frame_once(scenes: int, frames: int, workers: int) -> None:
    settings = DriveSettings(scenes=scenes, frames=frames)
    found = [(scene, frame) for scene, part in crew.jobs(settings, workers) for frame in part]
    assert sorted(found) == [(scene, frame) for scene in range(scenes) for frame in range(frames)]


@pytest.mark.parametrize(
    ("name", "value"), [("scenes", 0), ("frames", 0), ("image_width", 1601), ("image_height", 20), ("seed", -1)]
)
def test_settings_out_of_bounds_are_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(InputError, match=name):
        validate(DriveSettings, {name: value})
