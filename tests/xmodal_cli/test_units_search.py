"""``xmodal units search`` as a person runs it: a file of settings comes out, and what cannot be is said in one line."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from xmodal_cli.app import app
from xmodal_cli.commands.units.search import OBJECTIVES
from xmodal_cli.searching import SPREAD, caveats, spread
from xmodal_core.config import resolve
from xmodal_core.datasets import kitti_object
from xmodal_core.errors import InputError
from xmodal_core.types import Frame, Units
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.search import objective as objectives
from xmodal_core.units.search.objective import Case
from xmodal_core.units.search.search import Comparison
from xmodal_core.units.statistics import Summary

Root = Callable[[str], Path]
Search = Callable[..., Result]


@pytest.fixture
def search(example_root: Root, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Search:
    """Runs the command on a data set's example in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, dataset: str = "kitti_object") -> Result:
        where = ("--dataset", dataset, "--root", str(example_root(dataset)))
        small = ("--set", "units.seeds.count=64", "--set", "units.instances.radius=1.5")
        return CliRunner().invoke(app, ["units", "search", *where, *small, *words])

    return run


def last_line(done: Result, code: int = 0) -> dict[str, Any]:
    assert done.exit_code == code, done.output
    (line,) = done.stdout.strip().splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_it_writes_what_it_found(search: Search, tmp_path: Path) -> None:
    told = last_line(search("--frame", "0", "--check", "1", "--trials", "8", "--json", "--out", "new/best.yaml"))
    assert set(told) == {
        *("file", "objective", "score", "trials", "pruned", "stopped", "changed", "searched", "checked", "notes")
    }
    assert told["score"]["best"] > told["score"]["start"]
    assert (told["trials"], told["stopped"], told["objective"]) == (8, False, "recall")
    start = resolve(UnitsConfig, None, ["units.seeds.count=64", "units.instances.radius=1.5"], "units")
    found = resolve(UnitsConfig, tmp_path / "new" / "best.yaml", (), "units")
    assert told["changed"]
    for name, (before, after) in told["changed"].items():
        _, group, leaf = name.split(".")
        assert before == getattr(getattr(start, group), leaf) != after == getattr(getattr(found, group), leaf)
        assert f"# {name}: " in (tmp_path / "new" / "best.yaml").read_text()
    assert found.seeds.count == 64, "what it began with is in the file too"
    for name in ("searched", "checked"):
        assert told[name]["frames"] == 1
        assert told[name]["start"]["units"] > 0
        assert 0 <= told[name]["best"]["instance_recall"] <= 1
    assert told["searched"]["best"]["score"] == pytest.approx(told["score"]["best"], rel=1e-3)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["best.yaml"]


def test_the_numbers_are_those_of_stats(search: Search, example_root: Root, tmp_path: Path) -> None:
    told = last_line(search("--trials", "4", "--json"))
    where = ["--dataset", "kitti_object", "--root", str(example_root("kitti_object")), "--config", "units_best.yaml"]
    done = CliRunner().invoke(app, ["units", "stats", *where, "--no-teacher", "--json"])
    stats = last_line(done)
    best = told["searched"]["best"]
    assert told["searched"]["frames"] == stats["frames"] == 2
    assert (best["units"], best["coverage"], best["ground"]) == (stats["units"], stats["coverage"], stats["ground"])
    assert best["instance_recall"] == stats["quality"]["instance_recall"]
    assert best["false_negative_object"] == stats["quality"]["false_negative_object"]


def test_what_a_person_reads(search: Search) -> None:
    done = search("--trials", "8", "--frame", "0", "--check", "1")
    assert done.exit_code == 0, done.output
    for words in (
        "recall: 8 trials",
        "settings that changed",
        "units.",
        "1 searched and 1 checked",
        "instance recall",
        "mean IoU",
        "units_best.yaml",
        "xmodal units show --config units_best.yaml",
    ):
        assert words in done.stdout
    assert "8/8" in done.stderr
    assert "MB each" in done.stderr


def test_it_says_whether_the_result_holds(search: Search) -> None:
    told = last_line(search("--trials", "8", "--frame", "0", "--json"))
    assert told["notes"] == ["whether this holds on other frames is not known: give some with --check"]
    # Right for one frame and wrong for the other: what a search over one frame leads to.
    numbers = Summary(1, {}, {}, (), {}, {})
    better = Comparison(1, numbers, numbers, 0.5, 0.6)
    worse = Comparison(1, numbers, numbers, 0.5, 0.4, ("units is 0.5 times what it was, not at least 0.8 times",))
    assert list(caveats({"searched": better, "checked": worse})) == [
        "on the frames checked, units is 0.5 times what it was, not at least 0.8 times, as the search asks for",
        "on the frames checked the score falls, 0.5000 to 0.4000: search on more frames, or vary less",
    ]
    assert list(caveats({"searched": better, "checked": better})) == []


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective(search: Search, name: str, tmp_path: Path) -> None:
    told = last_line(search("--objective", name, "--trials", "3", "--json", dataset="nuscenes"))
    assert told["score"]["best"] >= told["score"]["start"]
    resolve(UnitsConfig, tmp_path / "units_best.yaml", (), "units")
    assert set(OBJECTIVES) == set(objectives.OBJECTIVES)


def test_where_nothing_is_better_the_settings_stay(search: Search, tmp_path: Path) -> None:
    done = search("--vary", "units.range.farthest", "--trials", "2", "--frame", "0")
    assert "no other settings were better" in done.stdout
    found = resolve(UnitsConfig, tmp_path / "units_best.yaml", (), "units")
    assert found == resolve(UnitsConfig, None, ["units.seeds.count=64", "units.instances.radius=1.5"], "units")


def test_it_goes_on_from_a_file(search: Search) -> None:
    whole = last_line(search("--trials", "7", "--json"))
    assert last_line(search("--trials", "4", "--json", "--study", "study.log"))["trials"] == 4
    again = last_line(search("--trials", "7", "--json", "--study", "study.log"))
    for told in (whole, again):
        for side in ("start", "best"):
            assert told["searched"][side].pop("milliseconds") > 0
    assert again == whole
    done = search("--trials", "7", "--frame", "0", "--study", "study.log")
    assert isinstance(done.exception, InputError)
    assert "study.log is a search with frames other than these" in done.exception.message


def test_ctrl_c_keeps_the_best_so_far(search: Search, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked, plain = [0], Case.units

    def units(case: Case, config: UnitsConfig) -> Units:
        asked[0] += 1
        if asked[0] == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(case, config)

    monkeypatch.setattr(Case, "units", units)
    told = last_line(search("--trials", "50", "--json"), code=130)
    assert told["stopped"]
    assert 1 < told["trials"] < 8
    resolve(UnitsConfig, tmp_path / "units_best.yaml", (), "units")
    asked[0] = 6  # amid the first trial
    (tmp_path / "units_best.yaml").unlink()
    done = search("--trials", "50")
    assert done.exit_code == 130
    assert "nothing is written" in done.stderr
    assert not (tmp_path / "units_best.yaml").exists()


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("--objective", "recal"), "unknown objective 'recal'", "did you mean 'recall'?"),
        (("--vary", "units.instance"), "there is no setting or group 'units.instance'", "'units.instances'?"),
        (("--vary", ","), "--vary names no setting", "units.ground"),
        (("--out", "best.json"), "settings are not written as 'best.json'", ".yaml"),
        (("--out", "taken/best.yaml"), "cannot write taken/best.yaml", "another --out"),
        (("--frame", "0:2", "--check", "1:2"), "frame 1 is both searched and checked", "--check"),
        (("--frame", "9:12"), "there are no frames 9:12", "2"),
        (("--objective", "ground"), "none of the 2 frames has what 'ground' is judged by", "coverage"),
        (("--set", "units.instances.radius=9"), "setting 'units.instances.radius' cannot be 9", "less than"),
    ],
)
def test_bad_input_is_one_line(search: Search, tmp_path: Path, words: tuple[str, ...], message: str, hint: str) -> None:
    (tmp_path / "taken").write_text("")
    done = search(*words)
    assert isinstance(done.exception, InputError), done.output
    assert done.exception.message.startswith(message)
    assert hint in done.exception.hint
    assert not list(tmp_path.glob("*.yaml"))


def test_frames_without_labels_are_left_out(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = kitti_object.KittiObject._read

    def read(dataset: kitti_object.KittiObject, index: int) -> Frame:
        frame = plain(dataset, index)
        return replace(frame, boxes=None) if index in without else frame

    monkeypatch.setattr(kitti_object.KittiObject, "_read", read)
    without = {1}
    told = last_line(search("--trials", "2", "--json"))
    assert told["notes"][0] == "1 of 2 frames left out, without boxes of 20 returns or more"
    without = {0, 1}
    done = search("--trials", "2")
    assert isinstance(done.exception, InputError)
    assert done.exception.message.startswith("none of the 2 frames has what 'recall' is judged by: boxes of 20")
    told = last_line(search("--trials", "2", "--objective", "coverage", "--json"))
    assert told["searched"]["frames"] == 2
    assert "instance_recall" not in told["searched"]["best"]


@pytest.mark.parametrize("count", [1, 2, 11, 12, 13, 23, 24, 160, 28130])
def test_a_dozen_frames_evenly_spread(count: int) -> None:
    frames = spread(count)
    assert len(frames) == min(count, SPREAD)
    assert frames[0] == 0
    gaps = [later - earlier for earlier, later in zip(frames, [*frames[1:], count], strict=True)]
    assert max(gaps) - min(gaps) <= 1
