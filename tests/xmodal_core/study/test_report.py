"""A page of studies: their blocks are written anew, prose around them stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.xmodal_core.study.test_results import SCORES, STUDY, fill
from xmodal_core.errors import DataError
from xmodal_core.study.jobs import RESULT, Place
from xmodal_core.study.report import markdown, report, write


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A folder of jobs that are all done; accuracies of the pre-training runs are 0.5, 0.6, 0.7."""
    folder = tmp_path / "jobs"
    fill(folder)
    for seed, job in enumerate(job for job in STUDY.jobs() if job.verb == "pretrain"):
        place = Place(folder, job).path
        place.mkdir(parents=True)
        said = {"contrastive_accuracy": 0.5 + seed / 10, "alignment": None, "loss_last": 2.0}
        (place / RESULT).write_text(json.dumps({"git_revision": "0123456789abc", "seconds": 61.0, "result": said}))
    return folder


def test_a_block_has_every_figure_and_what_it_took(finished: Path) -> None:
    found = report(STUDY, finished)
    assert (found.jobs, found.seconds) == (len(SCORES) * 3 + 3, len(SCORES) * 3 + 183)
    assert found.pretraining == {"scratch": {}, "units": {"contrastive_accuracy": pytest.approx(0.6), "loss_last": 2.0}}
    lines = markdown(found, "results/made_up.png").splitlines()
    assert lines[0].startswith("few labels. mIoU by plain on val.")
    assert "| scratch | 11.00 ± 1.00 | 45.00 ± 5.00 |" in lines
    assert "| units | 21.00 ± 1.00 \\* | 46.33 ± 5.51 |" in lines
    assert "| units | 10.50 ± 0.50 \\* | 23.17 ± 2.75 |" in lines  # after the first epoch
    assert "| units | 10.00 ± 0.00 | 1.33 ± 0.58 |" in lines  # seed by seed
    assert "| units | 0.600 | – | 2.000 |" in lines
    assert "![few labels](results/made_up.png)" in lines
    assert lines[-1] == "15 jobs, one after the other 3 minutes. Revision 0123456789."


def test_an_arm_that_has_not_begun_has_no_row(tmp_path: Path) -> None:
    fill(tmp_path, lambda result, cell: result if cell.arm == "scratch" else None)
    text = markdown(report(STUDY, tmp_path))
    assert "| scratch |" in text
    assert "| units |" not in text
    assert "; 9 are not done" in text


def test_prose_around_a_block_stays_and_the_block_is_replaced(finished: Path, tmp_path: Path) -> None:
    page = tmp_path / "docs" / "results.md"
    write(page, [report(STUDY, finished)])
    first = page.read_text()
    assert first.startswith("# Results\n\n## made_up\n\n<!-- study made_up -->\n")
    assert (tmp_path / "docs" / "results" / "made_up.png").read_bytes().startswith(b"\x89PNG")
    page.write_text(first.replace("# Results", "# What came out\n\nProse.").replace("21.00 ± 1.00", "99") + "\nMore.\n")
    write(page, [report(STUDY, finished)])
    again = page.read_text()
    assert again == first.replace("# Results", "# What came out\n\nProse.") + "\nMore.\n"


def test_a_mark_without_end_loses_nothing(finished: Path, tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text("<!-- study made_up -->\nmine\n")
    with pytest.raises(DataError, match="no '<!-- end of study made_up -->'"):
        write(page, [report(STUDY, finished)])
    assert page.read_text() == "<!-- study made_up -->\nmine\n"
