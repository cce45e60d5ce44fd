"""From the shared options to a search: frames read once, trials with a bar, the result written and compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmodal_core import plugins
from xmodal_core.errors import InputError

if TYPE_CHECKING:
    from xmodal_core.config import Entry
    from xmodal_core.datasets.base import Dataset
    from xmodal_core.types import Frame
    from xmodal_core.units.config import UnitsConfig
    from xmodal_core.units.search.objective import Case, Objective
    from xmodal_core.units.search.search import Comparison, Found, Standing

SPREAD = 12
"""Frames that are searched where nobody chose some."""


def spread(count: int) -> list[int]:
    """``SPREAD`` of ``count`` frames, evenly; all where there are fewer."""
    chosen = min(count, SPREAD)
    return [place * count // chosen for place in range(chosen)]


@dataclass
class Searching:
    """A search over some frames of a data set.

    Args:
        dataset: opened.
        start: the settings to begin with.
        name: of the objective.
        objective: what to look for.
        seed: of discovery and of the choices.
        notes: what is left out and why, one line each.
    """

    dataset: Dataset
    start: UnitsConfig
    name: str
    objective: Objective
    seed: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The data set's name."""
        return plugins.name_of(self.dataset)

    def space(self, vary: str | None) -> tuple[Entry, ...]:
        """The settings to vary, as typed or as the objective has them."""
        from xmodal_core.units.config import UnitsConfig
        from xmodal_core.units.search.space import varied

        names = self.objective.vary if vary is None else [name for name in vary.split(",") if name.strip()]
        if not names:
            raise InputError("--vary names no setting", "e.g. --vary units.ground,units.instances.radius")
        return varied(UnitsConfig, names)

    def frames(self, numbers: Iterable[int]) -> Iterator[Frame]:
        """The frames ``numbers``, read one after the other."""
        return (self.dataset.frame(number) for number in numbers)

    def cases(self, numbers: Sequence[int]) -> list[Case]:
        """Frames ``numbers``, as far as the objective can judge them, in memory without their pictures.

        Raises:
            InputError: it can judge none.
            DataError: a file is missing or damaged.
        """
        from xmodal_cli.console import progress
        from xmodal_core.units.search.objective import make_cases

        cases = []
        with progress() as bar:
            task = bar.add_task("reading frames", total=len(numbers), note="")
            for case in make_cases(self.frames(numbers), self.start, self.seed):
                if self.objective.can_judge(case):
                    cases.append(case)
                bar.update(task, advance=1, note=f"{case.nbytes / 1e6:.0f} MB each")
        without = len(numbers) - len(cases)
        lack = f"{self.objective.needs or 'a point of an object that a camera sees'}"
        if not cases:
            raise InputError(
                f"none of the {len(numbers)} frames has what '{self.name}' is judged by: {lack}",
                "choose other frames, or --objective coverage, which needs no labels",
            )
        if without:
            self.notes.append(f"{without} of {len(numbers)} frames left out, without {lack}")
        return cases

    def search(self, cases: Sequence[Case], space: Sequence[Entry], trials: int, file: Path | None) -> Found:
        """Run the trials, with a bar; Ctrl-C ends them with the best so far."""
        from xmodal_cli.console import progress
        from xmodal_cli.stopping import stop_when_asked
        from xmodal_core.units.search.search import search

        with progress() as bar, stop_when_asked() as stop:
            task = bar.add_task("trials", total=trials, note="")

            def on_trial(standing: Standing) -> None:
                note = f"best {standing.score:.4f}, before {standing.start_score:.4f}"
                bar.update(task, completed=standing.done, note=note)

            return search(
                cases, self.objective, space, trials=trials, seed=self.seed, file=file, on_trial=on_trial, stop=stop
            )

    def write(self, file: Path, found: Found, frames: int) -> None:
        """The settings that were found, as ``--config`` takes them, headed by what they are.

        Raises:
            InputError: the file cannot be written.
        """
        from xmodal_core.config import dump_yaml
        from xmodal_core.files import whole_file
        from xmodal_core.units.search.space import changes, shown

        where = f"{frames} frame{'' if frames == 1 else 's'} of {self.title}"
        head = [
            f"xmodal units search: {self.name} {found.start_score:.4f} -> {found.score:.4f} on {where}, "
            f"{found.trials} trials, seed {self.seed}.",
            *(f"{name}: {before} -> {after}" for name, before, after in shown(changes(self.start, found.settings))),
        ]
        text = "".join(f"# {line}\n" for line in head) + dump_yaml(found.settings, "units")
        with whole_file(file) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def compare(self, cases: Iterable[Case], found: Found, frames: int, words: str) -> Comparison:
        """What was found beside the start, with a bar."""
        from xmodal_cli.console import progress
        from xmodal_core.units.search.search import compare

        with progress() as bar:
            task = bar.add_task(words, total=frames, note="")

            def counted() -> Iterator[Case]:
                for case in cases:
                    yield case
                    bar.update(task, advance=1)

            return compare(counted(), self.objective, found.settings)

    def check(self, numbers: Sequence[int], found: Found) -> Comparison:
        """The same on other frames, one in memory at a time."""
        from xmodal_core.units.search.objective import make_cases

        cases = make_cases(self.frames(numbers), self.start, self.seed)
        return self.compare(cases, found, len(numbers), "checking on other frames")


def caveats(compared: Mapping[str, Comparison]) -> Iterator[str]:
    """What should be known of a result, one line each; ``compared`` by what was done with the frames."""
    for name, comparison in compared.items():
        for words in comparison.broken:
            yield f"on the frames {name}, {words}, as the search asks for"
    checked = compared.get("checked")
    if checked is None:
        yield "whether this holds on other frames is not known: give some with --check"
    elif checked.score_after < checked.score_before:
        fall = f"{checked.score_before:.4f} to {checked.score_after:.4f}"
        yield f"on the frames checked the score falls, {fall}: search on more frames, or vary less"


def rows(comparison: Comparison) -> dict[str, tuple[float, float]]:
    """The measures of a comparison by name: before and after. ``score`` comes first."""
    before, after = comparison.before, comparison.after
    result = {"score": (comparison.score_before, comparison.score_after)}
    result |= {name: (value, after.quality[name]) for name, value in before.quality.items() if name in after.quality}
    result |= {name: (before.means[name], after.means[name]) for name in ("units", "instances", "coverage", "ground")}
    times = (sum(summary.milliseconds.values()) for summary in (before, after))
    return result | {"milliseconds": (next(times), next(times))}


def told(comparison: Comparison) -> dict[str, Any]:
    """A comparison as values that JSON can hold."""
    from xmodal_core.units.statistics import rounded

    return {
        "frames": comparison.frames,
        "start": {name: rounded(pair[0]) for name, pair in rows(comparison).items()},
        "best": {name: rounded(pair[1]) for name, pair in rows(comparison).items()},
        "broken": list(comparison.broken),
    }
