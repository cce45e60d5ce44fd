"""The table of a study: over seeds, under the same rules, and not otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from xmodal_core.config import validate
from xmodal_core.errors import DataError, InputError
from xmodal_core.study.grid import Study, StudyConfig
from xmodal_core.study.jobs import RESULT, Place
from xmodal_core.study.results import Figure, draw, kind_of_rule, plot, tabulate, to_latex

SCORES = {("scratch", 1): [0.1, 0.12, 0.11], ("scratch", 5): [0.4, 0.5, 0.45]}
SCORES |= {("units", 1): [0.2, 0.22, 0.21], ("units", 5): [0.41, 0.52, 0.46]}
STUDY = Study(
    "made_up",
    validate(
        StudyConfig,
        {
            "title": "few labels",
            "baseline": "scratch",
            "arms": {"scratch": {"pretrain": False}, "units": {}},
            "grid": {"finetune.labels.frames": [1, 5]},
        },
    ),
)


def fill(folder: Path, change: Any = lambda result, cell: result) -> None:
    for cell in STUDY.cells():
        score = SCORES[cell.arm, cell.point[0][1]][cell.seed]
        result = {
            "task": "segmentation",
            "protocol": "plain",
            "split": "val",
            "rule": "1 frame, evenly spread" if cell.point[0][1] == 1 else "5 frames, evenly spread",
            "metrics": {"mIoU": score, "accuracy": None},
            "metrics_first_epoch": {"mIoU": score / 2},
        }
        result = change(result, cell)
        if result is not None:
            place = Place(folder, cell.job).path
            place.mkdir(parents=True, exist_ok=True)
            (place / RESULT).write_text(json.dumps({"git_revision": "0123456789abc", "seconds": 1.0, "result": result}))


def test_means_and_deviations_are_over_seeds(tmp_path):
    fill(tmp_path)
    table = tabulate(STUDY, tmp_path)
    assert table.metric == "mIoU"
    for (arm, frames), scores in SCORES.items():
        figure = table.figures[arm, (1, 5).index(frames)]
        assert figure.mean == pytest.approx(mean(scores))
        assert figure.deviation == pytest.approx(stdev(scores))
        assert table.first[arm, (1, 5).index(frames)].mean == pytest.approx(mean(scores) / 2)
    assert [table.is_ahead(arm, column) for arm in ("scratch", "units") for column in (0, 1)] == [
        False,
        False,
        True,
        False,
    ]
    assert table.caption == (
        "few labels. mIoU by plain on val. labelled: 1 frame, evenly spread; 5 frames, evenly spread. "
        "mean ± standard deviation over 3 seeds"
    )
    assert table.gain("units", 1).values == pytest.approx((0.01, 0.02, 0.01))
    assert table.gain("scratch", 1) is None
    assert table.missing == 3  # the pre-training runs
    assert table.revisions == ("0123456789",)


def test_the_revision_of_pre_training_is_told_too(tmp_path):
    fill(tmp_path)
    place = next(tmp_path / job.name for job in STUDY.jobs() if job.verb == "pretrain")
    place.mkdir(parents=True)
    kept = {"git_revision": "fedcba9876543", "seconds": 1.0, "result": {}}
    (place / RESULT).write_text(json.dumps(kept))
    table = tabulate(STUDY, tmp_path)
    assert table.missing == 2
    assert table.revisions == ("0123456789", "fedcba9876")
    rows = table.as_json()["rows"]
    assert len(rows) == 4
    assert rows[2]["settings"] == {"finetune.labels.frames": 1}
    assert (rows[2]["arm"], rows[2]["ahead"], rows[2]["seeds"]) == ("units", True, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "another"}, "protocol is another and plain"),
        ({"split": "rest"}, "split is rest and val"),
        ({"task": "detection"}, "task is"),
        ({"rule": "slidr, 1 %"}, "the rule of labelled frames"),
    ],
)
def test_rules_are_not_mixed(change, message, tmp_path):
    fill(tmp_path, lambda result, cell: {**result, **change} if (cell.arm, cell.seed) == ("units", 2) else result)
    with pytest.raises(DataError) as caught:
        tabulate(STUDY, tmp_path)
    assert message in caught.value.message


def test_shares_by_one_rule_are_of_one_kind():
    assert kind_of_rule("slidr, 1 %") == kind_of_rule("slidr, 10 %, subset 3") == "slidr"
    assert kind_of_rule("frames, 1 %") == "frames"
    assert kind_of_rule("5 frames, evenly spread") == kind_of_rule("20 frames, evenly spread, subset 1")
    assert kind_of_rule("1 frame, evenly spread") == kind_of_rule("5 frames, evenly spread")
    assert kind_of_rule("5 frames, evenly spread") != kind_of_rule("frames, 5 %")


def test_results_of_earlier_versions_say_one_frame_otherwise_and_are_the_same(tmp_path):
    def older(result, cell):
        return {**result, "rule": "1 frames, evenly spread"} if cell.arm == "units" else result

    fill(tmp_path, lambda result, cell: older(result, cell) if cell.point[0][1] == 1 else result)
    assert tabulate(STUDY, tmp_path).labelled == ("1 frame, evenly spread", "5 frames, evenly spread")


def test_what_is_not_done_yet_is_told(tmp_path):
    with pytest.raises(DataError, match="nothing of study made_up"):
        tabulate(STUDY, tmp_path)
    fill(tmp_path, lambda result, cell: result if (cell.arm, cell.seed) == ("units", 0) else None)
    table = tabulate(STUDY, tmp_path)
    assert table.figures["units", 0] == Figure({0: 0.2}, 3)
    assert table.figures["units", 0].deviation is None
    assert table.figures["scratch", 0].mean is None
    assert not table.is_ahead("units", 0)
    latex = to_latex(table)
    assert "units & 20.00 (1 of 3) & 41.00 (1 of 3)" in latex
    assert "scratch & -- & --" in latex


def test_latex_has_what_is_ahead_in_bold(tmp_path):
    fill(tmp_path)
    rows = to_latex(tabulate(STUDY, tmp_path)).splitlines()
    assert r"units & \textbf{21.00 $\pm$ 1.00} & 46.33 $\pm$ 5.51 \\" in rows
    assert r" & frames 1 & frames 5 \\" in rows


def test_another_figure_and_one_that_is_none(tmp_path):
    fill(tmp_path, lambda result, cell: {**result, "metrics": {"mIoU": 0.5, "IoU/car": 0.1 * cell.seed}})
    assert tabulate(STUDY, tmp_path, "IoU/car").figures["units", 1].mean == pytest.approx(0.1)
    with pytest.raises(DataError, match="no figure 'IoU/cat'"):
        tabulate(STUDY, tmp_path, "IoU/cat")


def test_a_damaged_result_is_named(tmp_path):
    fill(tmp_path)
    place = Place(tmp_path, next(STUDY.cells()).job).path / RESULT
    place.write_text("{")
    with pytest.raises(DataError, match=r"result\.json"):
        tabulate(STUDY, tmp_path)


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_it_is_drawn(ending, tmp_path):
    fill(tmp_path)
    out = tmp_path / f"table.{ending}"
    plot(tabulate(STUDY, tmp_path), out)
    assert out.stat().st_size > 5000
    with pytest.raises(InputError, match="unknown ending"):
        plot(tabulate(STUDY, tmp_path), tmp_path / "table.docx")


def test_arms_are_drawn_side_by_side_at_their_means(tmp_path):
    fill(tmp_path)
    (axes,) = draw(tabulate(STUDY, tmp_path)).axes
    lines = {of.get_label(): of.lines[0].get_xydata() for of in axes.containers}
    assert list(lines) == ["scratch", "units"]
    for column, frames in enumerate((1, 5)):
        left, right = (lines[arm][column, 0] for arm in ("scratch", "units"))
        assert left < frames < right
        assert right / left < 1.1
        for arm in lines:
            assert lines[arm][column, 1] == pytest.approx(100 * mean(SCORES[arm, frames]))


def test_a_long_title_lies_within_the_picture(tmp_path):
    fill(tmp_path)
    whole = tabulate(STUDY, tmp_path)
    picture = draw(replace(whole, title=f"{whole.title}, " * 12))
    picture.draw_without_rendering()
    (title,) = (text for text in picture.texts if text.get_text().startswith(whole.title))
    box, paper = title.get_window_extent(), picture.bbox
    assert paper.x0 <= box.x0 < box.x1 <= paper.x1
    assert paper.y0 <= box.y0 < box.y1 <= paper.y1


def test_of_a_single_point_each_arm_has_its_name_beside_its_bar(tmp_path):
    fill(tmp_path)
    whole = tabulate(STUDY, tmp_path)
    figures = {(arm, 0): figure for (arm, column), figure in whole.figures.items() if column == 1}
    (axes,) = draw(replace(whole, points=whole.points[1:], figures=figures)).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["scratch", "units"]
    assert axes.get_xlabel().endswith("; frames 5")
    assert [bar.get_y() + bar.get_height() / 2 for bar in axes.patches] == pytest.approx(list(axes.get_yticks()))
    lengths = [100 * mean(SCORES[arm, 5]) for arm in ("scratch", "units")]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(lengths)


def test_differences_are_of_seeds_that_both_have():
    mine, other = Figure({0: 0.3, 2: 0.5}, 3), Figure({1: 0.9, 2: 0.1}, 3)
    assert mine.minus(other) == Figure({2: 0.4}, 3)
