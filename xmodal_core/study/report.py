"""A page of studies: prose by hand, and between marks what a study came to, written anew whenever it is asked for.

What lies between ``<!-- study NAME -->`` and ``<!-- end of study NAME -->`` is the study's; the rest of the page is
never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from xmodal_core.errors import DataError
from xmodal_core.files import whole_file
from xmodal_core.study.grid import PRETRAIN, Study, label
from xmodal_core.study.jobs import Place
from xmodal_core.study.results import Table, plot, row_in_words, tabulate

MEASURES = {"contrastive_accuracy": "contrastive accuracy", "alignment": "alignment", "loss_last": "loss"}
"""What is told of pre-training, means over its last epoch."""

MARK = "\\*"
"""Of what is ahead of the baseline; an asterisk that Markdown leaves as it is."""


@dataclass(frozen=True)
class Report:
    """What one study came to.

    Args:
        name: the study's.
        table: its figures.
        pretraining: by arm, the mean over its pre-training runs of each of ``MEASURES``.
        seconds: that its finished jobs took, one after the other.
        jobs: how many those are.
    """

    name: str
    table: Table
    pretraining: Mapping[str, Mapping[str, float]]
    seconds: float
    jobs: int


def report(study: Study, folder: Path) -> Report:
    """What ``study`` came to, of the jobs in ``folder`` that are done.

    Raises:
        DataError: as ``tabulate``.
    """
    table = tabulate(study, folder)
    done = [place.result() for job in study.jobs() if (place := Place(folder, job)).state() == "done"]
    return Report(
        name=study.name,
        table=table,
        pretraining={arm: _pretraining(study, folder, arm) for arm in table.arms},
        seconds=sum(float(result.get("seconds", 0.0)) for result in done),
        jobs=len(done),
    )


def _pretraining(study: Study, folder: Path, arm: str) -> dict[str, float]:
    needed = {cell.job.needs.name: cell.job.needs for cell in study.cells() if cell.arm == arm and cell.job.needs}
    places = [place for job in needed.values() if (place := Place(folder, job)).state() == "done"]
    results = [place.result()["result"] for place in places if place.job.verb == PRETRAIN]
    return {
        measure: fmean(float(result[measure]) for result in results)
        for measure in MEASURES
        if results and all(result.get(measure) is not None for result in results)
    }


def write(page: Path, reports: Sequence[Report]) -> None:
    """Put ``reports`` into ``page``, each where its marks are, else at the end; draws their pictures beside it.

    Raises:
        DataError: the page cannot be read, or a mark has no end.
        InputError: it cannot be written.
    """
    try:
        text = page.read_text(encoding="utf-8") if page.exists() else "# Results\n"
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {page}: {error}", "name another page") from None
    for found in reports:
        picture = page.with_suffix("") / f"{found.name}.png"
        text = _laid_in(text, found.name, markdown(found, f"{page.stem}/{picture.name}"), page)
        plot(found.table, picture)
    with whole_file(page) as file:
        file.write_text(text, encoding="utf-8")


def _laid_in(text: str, name: str, block: str, page: Path) -> str:
    begin, end = f"<!-- study {name} -->", f"<!-- end of study {name} -->"
    written = f"{begin}\n{block}\n{end}"
    before, mark, rest = text.partition(begin)
    if not mark:
        return f"{text.rstrip()}\n\n## {name}\n\n{written}\n"
    if end not in rest:
        raise DataError(f"{page} has '{begin}' and no '{end}'", "write it behind what is to be replaced")
    return before + written + rest.partition(end)[2]


def markdown(found: Report, picture: str = "") -> str:
    """The block of a study: its tables, under which rules they stand, and what it took.

    Args:
        found: what it came to.
        picture: address of its picture; empty: none.
    """
    table = found.table
    after_first = replace(table, figures=table.first, metric=f"{table.metric} after the first epoch")
    parts = [f"{table.caption}.", *_rows(table)]
    if any(figure.values for figure in table.first.values()):
        parts += ["", *_rows(after_first)]
    if table.baseline:
        gains = {key: gain for key in table.figures if (gain := table.gain(*key)) is not None and gain.values}
        others = tuple(arm for arm in table.arms if arm != table.baseline)
        ahead = replace(
            table, figures=gains, arms=others, baseline="", metric=f"ahead of {table.baseline}, seed by seed"
        )
        parts += ["", *_rows(ahead)]
    if any(found.pretraining.values()):
        parts += ["", *_rows_of_pretraining(found.pretraining)]
    if picture:
        parts += ["", f"![{table.title}]({picture})"]
    return "\n".join([parts[0], "", *parts[1:], "", *_notes(found)])


def _rows(table: Table) -> Iterator[str]:
    heads = [label(point) or table.metric for point in table.points]
    yield from _header([f"{table.metric} (%)", *heads])
    for arm in (arm for arm in table.arms if _begun(table, arm)):
        yield f"| {' | '.join([arm, *row_in_words(table, arm, MARK)])} |"


def _begun(table: Table, arm: str) -> bool:
    return any(figure.values for (row, _), figure in table.figures.items() if row == arm)


def _rows_of_pretraining(measures: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    yield from _header(["pre-training, last epoch", *MEASURES.values()])
    for arm, known in measures.items():
        if known:
            entries = [f"{known[measure]:.3f}" if measure in known else "–" for measure in MEASURES]
            yield f"| {' | '.join([arm, *entries])} |"


def _header(titles: Sequence[str]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield "|---" + "|---:" * (len(titles) - 1) + "|"


def _notes(found: Report) -> Iterator[str]:
    table = found.table
    if table.baseline:
        yield f"{MARK}: ahead of {table.baseline} by more than twice the larger of the two deviations."
    missing = f"; {table.missing} are not done" if table.missing else ""
    took = f"{found.jobs} jobs, one after the other {found.seconds / 60:.0f} minutes{missing}"
    yield f"{took}. Revision {', '.join(table.revisions)}."


def as_json(found: Report) -> dict[str, Any]:
    """The report as ``--json`` prints it."""
    return {
        "study": found.name,
        **found.table.as_json(),
        "pretraining": {arm: dict(known) for arm, known in found.pretraining.items()},
        "jobs": found.jobs,
        "seconds": found.seconds,
    }
