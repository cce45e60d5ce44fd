"""``xmodal study`` and ``xmodal cache``: what they print, and a study of two jobs by the real commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xmodal_cli.commands.cache import app as cache
from xmodal_cli.commands.study import app as study
from xmodal_core.errors import DataError, InputError
from xmodal_core.study.grid import shipped


def invoke(app, *words: object):
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "160"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def file(example_root, tmp_path) -> Path:
    root = example_root("kitti_object")
    path = tmp_path / "small.yaml"
    path.write_text(
        f"""
title: a small study
both:
  dataset: {{name: kitti_object, root: {root}}}
  network: {{name: minkunet, preset: tiny, channels: [intensity], voxel_size: 0.5}}
  train: {{device: cpu, threads: 1, epochs: 1, batch_size: 1}}
pretrain:
  units.seeds.count: 64
  teacher: {{image_width: 128}}
  method: {{hidden: 32, projection: 16}}
  train: {{min_units: 4}}
finetune:
  labels: {{frames: 1}}
  evaluate: {{split: labelled, every: 0}}
  task: {{name: segmentation}}
seeds: [3]
""",
        encoding="utf-8",
    )
    return path


def test_a_study_runs_by_the_real_commands_and_is_tabulated(file, tmp_path):
    folder, picture = tmp_path / "jobs", tmp_path / "table.png"
    dry = invoke(study, "run", file, "--out", folder, "--dry")
    assert "2 waiting" in dry.output
    with pytest.raises(DataError, match="nothing of study small"):
        invoke(study, "table", file, "--out", folder)
    done = json.loads(invoke(study, "run", file, "--out", folder, "--json").stdout.splitlines()[-1])
    assert (done["done"], done["failed"], done["waiting"]) == (2, 0, 0)
    states = json.loads(invoke(study, "status", file, "--out", folder, "--json").stdout)
    assert [row["state"] for row in states] == ["done", "done"]
    shown = invoke(study, "table", file, "--out", folder, "--plot", picture).output
    assert "a small study. mIoU by " in shown
    assert picture.stat().st_size > 5000
    table = json.loads(invoke(study, "table", file, "--out", folder, "--json").stdout)
    (row,) = table["rows"]
    assert (row["arm"], row["seeds"], table["missing_jobs"]) == ("units", 1, 0)
    assert 0 <= row["mean"] <= 1
    assert r"\toprule" in invoke(study, "table", file, "--out", folder, "--latex").output
    page = tmp_path / "page.md"
    (told,) = json.loads(invoke(study, "report", file, "--out", folder, "--into", page, "--json").stdout)
    assert (told["study"], told["jobs"], told["rows"]) == ("small", 2, table["rows"])
    assert 0 <= told["pretraining"]["units"]["contrastive_accuracy"] <= 1
    assert f"| units | {100 * row['mean']:.2f} |" in page.read_text(encoding="utf-8")
    _the_cache_of_it()


def _the_cache_of_it() -> None:
    """What the pre-training kept is listed, and deleted by its name."""
    kept = json.loads(invoke(cache, "info", "--json").stdout)
    assert sum(each["frames"] for each in kept) >= 2
    name = Path(kept[0]["folder"]).name
    assert name in invoke(cache, "info").output
    with pytest.raises(InputError, match="nothing called 'another'"):
        invoke(cache, "clear", "another")
    invoke(cache, "clear", name)
    assert name not in [Path(each["folder"]).name for each in json.loads(invoke(cache, "info", "--json").stdout)]
    invoke(cache, "clear")
    assert "nothing is kept" in invoke(cache, "info").output


def test_shipped_studies_are_listed():
    assert set(json.loads(invoke(study, "list", "--json").stdout)) == set(shipped())
    assert "segmentation_cpu" in invoke(study, "list").output
