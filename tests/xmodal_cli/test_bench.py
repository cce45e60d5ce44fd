"""``xmodal bench units``: a table, or one line of JSON."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from xmodal_cli import console
from xmodal_cli.commands.bench import _print_steps, _print_table, app
from xmodal_core.bench.networks import Part, Step
from xmodal_core.bench.timing import Row
from xmodal_core.errors import InputError


@pytest.fixture
def arguments(example_root):
    root = example_root("kitti_object")
    return ["units", "--dataset", "kitti_object", "--root", str(root), "--repeat", "1", "--set", "units.seeds.count=64"]


def test_a_table_and_what_to_know_of_it(arguments):
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    for words in ("milliseconds", "ratio", "total", "64 seeds"):
        assert words in done.output
    # Every name on one line of a terminal of 80 characters.
    for name in ("scikit-learn NearestNeighbors", "scikit-learn DBSCAN", "fastest peers, summed"):
        assert name in done.output
    assert max(map(len, done.output.splitlines()[:20])) <= 80


def test_one_line_of_json(arguments):
    done = CliRunner().invoke(app, [*arguments, "--json", "--frame", "1"])
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.strip().splitlines()
    rows = json.loads(line)
    assert {row["step"] for row in rows} == {"ground", "seeds", "context", "instances", "merge", "total"}
    for row in rows:
        assert set(row) == {"step", "name", "milliseconds", "ratio_to_ours", "same_result"}


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--frame", "1000"], "frame 1000 is out of range"),
        (["--set", "units.instances.raduis=1"], "there is no setting 'units.instances.raduis'"),
        (["--set", "units.seeds.count=3"], "units.seeds.count"),
    ],
)
def test_bad_input_is_named(more, complaint, arguments):
    done = CliRunner().invoke(app, [*arguments, *more])
    assert isinstance(done.exception, InputError)
    assert complaint in done.exception.message


def test_the_tuner(example_root, monkeypatch):
    monkeypatch.setattr(console.out, "width", 120)  # it was made when the process began
    root = str(example_root("kitti_object"))
    words = ["tuner", "--dataset", "kitti_object", "--root", root, "--repeat", "1", "--set", "teacher.image_width=128"]
    done = CliRunner().invoke(app, [*words, "--set", "units.seeds.count=64"])
    assert done.exit_code == 0, done.output
    for name in ("ground.max_dist_to_line", "instances.min_flatness", "slowest"):
        assert name in done.output


def test_no_figure_is_cut_on_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setattr(console.out, "width", 80)
    parts = (Part("norms and the rest", 12345.6, 23456.7, 0.98), Part("index pairs", 34567.8, 0.0, 0.02))
    step = Step("f", 1, "minkunet_mmdet3d", "minkunet34", 37_873_280, 45678.9, 56789.1, 1_234_000_000, 42, 9, parts)
    _print_steps([step])
    _print_table([Row("minkunet forward", "index pairs built by each layer", 12345.6, True, 12.3)], [])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for figure in ("12,345.6", "23,456.7", "34,567.8", "45,678.9", "56,789.1", "98%", "1,234", "12.3x", "built 9x"):
        assert figure in text
    assert "…" not in text


def test_a_network(example_root, monkeypatch):
    monkeypatch.setattr(console.out, "width", 80)
    root = str(example_root("kitti_object"))
    words = ["networks", "--dataset", "kitti_object", "--root", root, "--repeat", "1", "--network", "minkunet"]
    done = CliRunner().invoke(app, [*words, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    for words_of_it in (
        "minkunet",  # where figures are long, the preset stands below it
        "tiny",
        "a step",
        "index pairs (built 7x)",
        "convolutions",
        "spconv PointToVoxel",
        "memory",
    ):
        assert words_of_it in done.output
    assert max(map(len, done.output.splitlines()[:15])) <= 80
    done = CliRunner().invoke(app, [*words, "--device", "cpu", "--json"])
    (line,) = done.stdout.strip().splitlines()
    found = json.loads(line)
    assert [step["network"] for step in found["networks"]] == ["minkunet"]
    assert found["networks"][0]["index_pairs_built"] == 7 < found["networks"][0]["sparse_convolutions"]
    assert all(row["same_result"] is not False for row in found["peers"])
