"""What a study came to: mean and standard deviation over seeds, and under which rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from xmodal_core.errors import DataError, InputError
from xmodal_core.files import whole_file
from xmodal_core.study.grid import Point, Study, label
from xmodal_core.study.jobs import Place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

RULES = ("task", "protocol", "split")
"""What has to be the same of all figures in a table."""
BESIDE = 1.025
"""How far an arm is drawn from the next one along a logarithmic axis, as a factor, so that neither hides the other."""


@dataclass(frozen=True)
class Figure:
    """One entry of the table.

    Args:
        by_seed: the figures of the seeds that are done.
        wanted: how many seeds there are.
    """

    by_seed: Mapping[int, float]
    wanted: int

    @property
    def values(self) -> tuple[float, ...]:
        """Those of the seeds that are done, in the order of the seeds."""
        return tuple(self.by_seed.values())

    @property
    def mean(self) -> float | None:
        """Of the seeds that are done."""
        return fmean(self.values) if self.values else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over seeds; None where there are not two."""
        return stdev(self.values) if len(self.values) > 1 else None

    def minus(self, other: Figure) -> Figure:
        """The differences to ``other``, seed by seed; of the seeds that are done in both."""
        both = {seed: value - other.by_seed[seed] for seed, value in self.by_seed.items() if seed in other.by_seed}
        return Figure(both, min(self.wanted, other.wanted))

    def ahead_of(self, other: Figure) -> bool:
        """Whether the mean is above that of ``other`` by more than two of the larger deviation."""
        if self.mean is None or other.mean is None or self.deviation is None or other.deviation is None:
            return False
        return self.mean - other.mean > 2 * max(self.deviation, other.deviation)


@dataclass(frozen=True)
class Table:
    """A study's table.

    Args:
        title: what it is of.
        metric: the figure shown.
        rules: task, protocol and split, the same of all.
        labelled: how labelled frames were chosen, in words, each once.
        label_seeds: whether each seed has other ones.
        arms: the rows.
        points: the columns.
        figures: by row and number of column; absent where an arm does not take part.
        first: the same after the first epoch of fine-tuning.
        baseline: the row that others are compared with; empty: none.
        missing: how many jobs are not done.
        revisions: of the code of all jobs that are done.
    """

    title: str
    metric: str
    rules: Mapping[str, str]
    labelled: tuple[str, ...]
    label_seeds: bool
    arms: tuple[str, ...]
    points: tuple[Point, ...]
    figures: Mapping[tuple[str, int], Figure]
    first: Mapping[tuple[str, int], Figure]
    baseline: str
    missing: int
    revisions: tuple[str, ...]

    @property
    def caption(self) -> str:
        """What a reader has to know to compare the figures with others."""
        seeds = sorted({figure.wanted for figure in self.figures.values()})
        others = ", for each seed others" if self.label_seeds else ""
        words = [
            self.title or "study",
            f"{self.metric} by {self.rules['protocol']} on {self.rules['split']}",
            f"labelled: {'; '.join(self.labelled)}{others}",
            f"mean ± standard deviation over {', '.join(map(str, seeds))} seeds",
        ]
        return ". ".join(words)

    def gain(self, arm: str, column: int) -> Figure | None:
        """How far an entry is ahead of the baseline, seed by seed; None where there is nothing to compare."""
        mine, base = self.figures.get((arm, column)), self.figures.get((self.baseline, column))
        return None if mine is None or base is None or arm == self.baseline else mine.minus(base)

    def is_ahead(self, arm: str, column: int) -> bool:
        """Whether an entry is ahead of the baseline by more than two deviations."""
        mine, base = self.figures.get((arm, column)), self.figures.get((self.baseline, column))
        return mine is not None and base is not None and arm != self.baseline and mine.ahead_of(base)

    def as_json(self) -> dict[str, Any]:
        """The table as ``--json`` prints it."""
        return {
            "title": self.title,
            "metric": self.metric,
            **self.rules,
            "labelled": list(self.labelled),
            "baseline": self.baseline,
            "missing_jobs": self.missing,
            "git_revisions": list(self.revisions),
            "rows": [
                {
                    "arm": arm,
                    "settings": dict(self.points[column]),
                    **_numbers(figure),
                    "ahead": self.is_ahead(arm, column),
                    "gain": None if (gain := self.gain(arm, column)) is None else _numbers(gain),
                }
                | {"first_epoch": _numbers(self.first[arm, column])}
                for (arm, column), figure in self.figures.items()
            ],
        }


def _numbers(figure: Figure) -> dict[str, Any]:
    return {
        "mean": figure.mean,
        "std": figure.deviation,
        "seeds": len(figure.values),
        "values": list(figure.values),
    }


def tabulate(study: Study, folder: Path, metric: str = "") -> Table:
    """The table of ``study``, of the jobs in ``folder`` that are done.

    Args:
        study: what is wanted.
        folder: where jobs are kept.
        metric: the figure shown; empty: the study's own choice, else the first.

    Raises:
        DataError: nothing is done yet, a result is damaged, figures come from different rules, or there is no such
            metric.
    """
    done: dict[tuple[str, int], dict[int, Mapping[str, Any]]] = {}
    wanted: dict[tuple[str, int], int] = {}
    for cell in study.cells():
        key = (cell.arm, study.points.index(cell.point))
        wanted[key] = wanted.get(key, 0) + 1
        found = done.setdefault(key, {})
        place = Place(folder, cell.job)
        if place.state() == "done":
            found[cell.seed] = place.result()["result"]
    results = [result for found in done.values() for result in found.values()]
    if not results:
        raise DataError(f"nothing of study {study.name} is done in {folder}", "run it: xmodal study run")
    rules = dict(_rules(results))
    shown = metric or study.config.metric or next(iter(results[0]["metrics"]))
    places = [Place(folder, job) for job in study.jobs()]
    finished = [place for place in places if place.state() == "done"]
    # Of pre-training too: it may be older than the fine-tuning whose figures are shown.
    revisions = {str(place.result().get("git_revision"))[:10] for place in finished}
    return Table(
        title=study.config.title,
        metric=shown,
        rules=rules,
        labelled=tuple(dict.fromkeys(_without_subset(str(result.get("rule", ""))) for result in results)),
        label_seeds=study.config.label_seeds,
        arms=tuple(study.config.arms),
        points=tuple(study.points),
        figures={key: Figure(_values(found, "metrics", shown), wanted[key]) for key, found in done.items()},
        first={key: Figure(_values(found, "metrics_first_epoch", shown), wanted[key]) for key, found in done.items()},
        baseline=study.config.baseline,
        missing=len(places) - len(finished),
        revisions=tuple(sorted(revisions)),
    )


def _rules(results: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule, _the_same(rule, (str(result.get(rule)) for result in results))
    # Shares of scenes, of frames and of listed scans do not compare, even where they are the same share.
    _the_same("the rule of labelled frames", (kind_of_rule(str(result.get("rule", ""))) for result in results))


def _the_same(what: str, values: Iterable[str]) -> str:
    found = sorted(set(values))
    if len(found) > 1:
        raise DataError(
            f"these figures cannot stand in one table: {what} is {' and '.join(found)}", "make a study of each"
        )
    return found[0]


def kind_of_rule(rule: str) -> str:
    """``rule``, as a run tells it, without how much is labelled and which subset of that size."""
    return re.sub(r"[\d.]+ ?(%|frames?)?", "", _without_subset(rule)).strip(" ,")


def _without_subset(rule: str) -> str:
    # Results of earlier versions say "1 frames".
    return re.sub(r"^1 frames\b", "1 frame", rule.partition(", subset")[0])


def _values(results: Mapping[int, Mapping[str, Any]], part: str, metric: str) -> dict[int, float]:
    known = {name for result in results.values() for name in result["metrics"]}
    if results and metric not in known:
        raise DataError(f"there is no figure '{metric}'", f"there are: {', '.join(sorted(known))}")
    found = {seed: result.get(part, {}).get(metric) for seed, result in results.items()}
    return {seed: float(value) for seed, value in found.items() if value is not None}


def in_words(figure: Figure | None, *, latex: bool = False) -> str:
    """An entry as it is read: percent where the figure is a share."""
    if figure is None or figure.mean is None:
        return "--" if latex else "–"
    plus = r" $\pm$ " if latex else " ± "
    text = f"{100 * figure.mean:.2f}"
    if figure.deviation is not None:
        text += f"{plus}{100 * figure.deviation:.2f}"
    short = len(figure.values) < figure.wanted
    return f"{text} ({len(figure.values)} of {figure.wanted})" if short else text


def row_in_words(table: Table, arm: str, mark: str) -> list[str]:
    """The entries of ``arm``, one a column; ``mark`` behind those that are ahead of the baseline."""
    return [
        in_words(table.figures.get((arm, column))) + (f" {mark}" if table.is_ahead(arm, column) else "")
        for column in range(len(table.points))
    ]


def to_latex(table: Table) -> str:
    """The table for a paper: booktabs, entries ahead of the baseline in bold."""
    heads = [_escaped(label(point)) or _escaped(table.metric) for point in table.points]
    rows = []
    for arm in table.arms:
        entries = [
            rf"\textbf{{{text}}}" if table.is_ahead(arm, column) else text
            for column in range(len(table.points))
            if (text := in_words(table.figures.get((arm, column)), latex=True))
        ]
        rows.append(" & ".join([_escaped(arm), *entries]) + r" \\")
    caption = _escaped(table.caption).replace("±", r"$\pm$")
    bold = f" Bold: ahead of {_escaped(table.baseline)} by more than two deviations." if table.baseline else ""
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}.{bold}}}",
            rf"\begin{{tabular}}{{l{'r' * len(heads)}}}",
            r"\toprule",
            " & ".join(["", *heads]) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _escaped(text: str) -> str:
    return "".join("\\" + letter if letter in "_%&#$" else letter for letter in text)


def plot(table: Table, out: Path) -> None:
    """Draw the table into ``out`` (.png, .pdf, .svg), as ``draw`` does.

    Raises:
        InputError: the file cannot be written, or its ending is unknown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    picture = draw(table)
    if out.suffix.lstrip(".") not in FigureCanvasAgg(picture).get_supported_filetypes():
        raise InputError(f"cannot draw into {out}: unknown ending", "give a .png, .pdf or .svg")
    with whole_file(out) as file:
        picture.savefig(file, dpi=150)


def draw(table: Table) -> Picture:
    """A line for each arm over the grid's numbers; where the grid is not of one number, a bar for each arm at each
    point; where it is a single point, a bar beside each arm's name."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(7, 4.5), layout="constrained")
    axes = picture.subplots()
    axes.set_axisbelow(True)
    picture.suptitle(table.title, fontsize="medium", wrap=True)  # over the whole picture: titles are long
    measure = f"{table.metric} (%), {table.rules['protocol']}"
    if len(table.points) == 1:
        _draw_names(axes, table)
        axes.set_xlabel(f"{measure}; {label(table.points[0])}")
        axes.grid(axis="x", alpha=0.3)
        return picture
    numbers = [point[0][1] for point in table.points if len(point) == 1]
    if len(numbers) == len(table.points) and all(isinstance(number, int | float) for number in numbers):
        _draw_lines(axes, table, numbers)
    else:
        _draw_bars(axes, table)
    picture.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    axes.set_ylabel(measure)
    axes.grid(axis="y", alpha=0.3)
    return picture


def _draw_lines(axes: Axes, table: Table, numbers: Sequence[float]) -> None:
    for place, arm in enumerate(table.arms):
        if drawn := _drawn(table, arm):
            columns, heights, spread = zip(*drawn, strict=True)
            places = [numbers[column] * BESIDE ** _aside(table, place) for column in columns]
            axes.errorbar(places, heights, spread, marker="o", capsize=3, label=arm)
    axes.set_xscale("log")
    axes.set_xticks(numbers, [str(number) for number in numbers], minor=False)
    axes.minorticks_off()
    axes.set_xlabel(table.points[0][0][0])


def _draw_bars(axes: Axes, table: Table) -> None:
    width = 0.8 / len(table.arms)
    for place, arm in enumerate(table.arms):
        if drawn := _drawn(table, arm):
            columns, heights, spread = zip(*drawn, strict=True)
            middle = [column + _aside(table, place) * width for column in columns]
            axes.bar(middle, heights, 0.9 * width, yerr=spread, capsize=3, label=arm)
    axes.set_xticks(range(len(table.points)), [label(point) for point in table.points])


def _draw_names(axes: Axes, table: Table) -> None:
    for place, arm in enumerate(table.arms):
        for _, length, spread in _drawn(table, arm):
            axes.barh(place, length, 0.7, xerr=spread, capsize=3)
    axes.set_yticks(range(len(table.arms)), table.arms)
    axes.invert_yaxis()


def _aside(table: Table, place: int) -> float:
    """How many places beside the middle of all arms one of them is drawn."""
    return place - (len(table.arms) - 1) / 2


def _drawn(table: Table, arm: str) -> list[tuple[int, float, float]]:
    """Number of the point, mean and deviation in % where ``arm`` has any."""
    return [
        (column, 100 * figure.mean, 100 * (figure.deviation or 0.0))
        for column in range(len(table.points))
        if (figure := table.figures.get((arm, column))) is not None and figure.mean is not None
    ]
