"""From a study's file to its jobs; and every study that is shipped, checked against the real settings."""

from __future__ import annotations

import pytest

from xmodal_core.config import validate
from xmodal_core.errors import InputError
from xmodal_core.study.grid import (
    FINETUNE,
    PRETRAIN,
    Job,
    Study,
    StudyConfig,
    check,
    lay_over,
    read_study,
    shipped,
)


def study(**values: object) -> Study:
    return Study("made up", validate(StudyConfig, values))


BASE = {
    "both": {"dataset": {"name": "sample"}, "train": {"batch_size": 2}},
    "pretrain": {"train": {"epochs": 3}},
    "finetune": {"train.epochs": 5},
    "arms": {
        "scratch": {"pretrain": False},
        "units": {},
        "no instances": {"pretrain": {"units.instances.enabled": False}, "only": {"finetune.labels.frames": [1]}},
    },
    "grid": {"finetune.labels.frames": [1, 2]},
    "seeds": [0, 1],
}


def test_every_arm_meets_every_point_and_seed_it_takes_part_in():
    cells = list(study(**BASE).cells())
    assert [(cell.arm, cell.point[0][1], cell.seed) for cell in cells] == [
        *[("scratch", frames, seed) for frames in (1, 2) for seed in (0, 1)],
        *[("units", frames, seed) for frames in (1, 2) for seed in (0, 1)],
        ("no instances", 1, 0),
        ("no instances", 1, 1),
    ]
    first, last = cells[0].job, cells[-1].job
    assert first.needs is None
    assert first.settings == {
        "dataset": {"name": "sample"},
        "train": {"batch_size": 2, "epochs": 5, "seed": 0},
        "labels": {"frames": 1},
    }
    assert last.needs.settings == {
        "dataset": {"name": "sample"},
        "train": {"batch_size": 2, "epochs": 3, "seed": 1},
        "units": {"instances": {"enabled": False}},
    }


def test_a_pre_training_that_several_need_is_one_job_and_stands_before_them():
    jobs = study(**BASE).jobs()
    assert [job.verb for job in jobs].count(PRETRAIN) == 4
    assert len({job.name for job in jobs}) == len(jobs) == 14
    for place, job in enumerate(jobs):
        assert job.needs is None or job.needs.name in {earlier.name for earlier in jobs[:place]}
    shared = study(**BASE, pretrain_seed=7).jobs()
    assert [job.settings["train"]["seed"] for job in shared if job.verb == PRETRAIN] == [7, 7]


def test_each_seed_may_label_other_frames():
    jobs = study(**BASE, label_seeds=True).jobs()
    assert all(job.settings["labels"]["seed"] == job.settings["train"]["seed"] for job in jobs if job.verb == FINETUNE)
    assert all("labels" not in job.settings for job in jobs if job.verb == PRETRAIN)


def test_values_of_the_grid_reach_the_verbs_they_are_for():
    both = study(grid={"both.network.preset": ["tiny"], "pretrain.units.seeds.count": [64]}, seeds=[0])
    (cell,) = both.cells()
    assert cell.job.settings == {"network": {"preset": "tiny"}, "train": {"seed": 0}}
    assert cell.job.needs.settings == {**cell.job.settings, "units": {"seeds": {"count": 64}}}


def test_a_jobs_name_says_what_it_is_not_where_it_runs():
    settings = {"dataset": {"name": "sample"}, "train": {"seed": 0}}
    job = Job(PRETRAIN, settings)
    elsewhere = {"dataset": {"name": "sample", "root": "/data"}, "train": {"seed": 0, "workers": 8, "device": "cuda"}}
    assert Job(PRETRAIN, elsewhere).name == job.name
    others = [
        Job(PRETRAIN, {"dataset": {"name": "sample"}, "train": {"seed": 1}}),
        Job(FINETUNE, settings),
        Job(FINETUNE, settings, job),
    ]
    assert len({each.name for each in (job, *others)}) == 4


def test_dotted_names_and_groups_are_the_same():
    tree = {"train": {"seed": 1}}
    lay_over(tree, {"train.adam.lr": 0.1, "train": {"adam": {"rising": 0.2}}, "units": {"seeds.count": 5}})
    assert tree == {"train": {"seed": 1, "adam": {"lr": 0.1, "rising": 0.2}}, "units": {"seeds": {"count": 5}}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arms: {a: {pretrian: {}}}", "pretrian"),
        ("grid: {labels.frames: [1]}", "finetune.labels"),
        ("grid: {finetune.labels.frames: []}", "no value"),
        ("seeds: [0, 0]", "each once"),
        ("seeds: []", "each once"),
        ("baseline: nobody", "no arm 'nobody'"),
        ("arms: {a: {only: {finetune.labels.frames: [1]}}}", "not in the grid"),
        ("title: [", "not YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(text, message, tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_study(file)
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_a_setting_that_is_none_is_found_before_anything_runs(tmp_path):
    with pytest.raises(InputError, match=r"units\.instances\.radios"):
        check(study(pretrain={"units.instances.radios": 1}), tmp_path)
    with pytest.raises(InputError, match=r"labels\.fraction"):
        check(study(grid={"finetune.labels.fraction": [0.5, 2]}), tmp_path)


def test_an_unknown_name_is_told_with_those_that_are_known(tmp_path):
    with pytest.raises(InputError, match="no study") as caught:
        read_study(tmp_path / "segmentation_cpu")
    assert "segmentation_cpu" in caught.value.hint


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_study_names_real_settings_within_their_bounds(name, tmp_path):
    found = read_study(shipped()[name])
    assert found.config.title
    assert found.config.baseline
    text = shipped()[name].read_text(encoding="utf-8")
    assert text.startswith("# ")
    if not name.endswith("_cpu"):
        assert "IROS 2024" in text
    # Seeds change nothing but the seed, so one is as good as all.
    one = found.config.model_copy(update={"seeds": [0]})
    check(Study(found.name, one), tmp_path)
