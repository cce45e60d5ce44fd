"""The search itself: trial after trial, frame after frame, the best so far at hand at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xmodal_core.config import Entry
from xmodal_core.errors import InputError
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.search.objective import Case, Measures, Objective, average
from xmodal_core.units.search.space import changes, neighbour, parameters, read, suggest, value_of, with_values
from xmodal_core.units.search.store import finished, open_study, sampler
from xmodal_core.units.statistics import FrameStatistics, Summary, measure
from xmodal_core.units.statistics import average as summarise

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial


IDLE = 0.05
"""Changes that bring less than this share of the gain are not worth explaining."""


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Args:
        settings: the best; those of the start where nothing is better.
        score, start_score: of the best and of the start; see ``objective``.
        trials: how many are done, the start among them, also of earlier sittings.
        pruned: how many of them were given up after some frames.
        stopped: before all were done.
    """

    settings: UnitsConfig
    score: float
    start_score: float
    trials: int
    pruned: int
    stopped: bool


@dataclass(frozen=True)
class Standing:
    """How far a search is: trials ``done``, the ``score`` of the best and of the start."""

    done: int
    score: float
    start_score: float


def search(
    cases: Sequence[Case],
    objective: Objective,
    space: Sequence[Entry],
    *,
    trials: int = 60,
    seed: int = 0,
    file: Path | None = None,
    on_trial: Callable[[Standing], None] = lambda standing: None,
    stop: Callable[[], bool] = lambda: False,
) -> Found:
    """Try ``trials`` settings on the frames of ``cases``; the same arguments give the same result.

    The first trial is the start, so the result is never worse than it on these frames. Then turn by turn a few settings
    of the best so far move a little, and Optuna's TPE chooses all of them, at first at random. (On a dozen frames that
    came farther in 40 trials than TPE alone.) At the end every change that brings next to nothing is taken back.

    Args:
        cases: frames, all with the same start.
        objective: what to look for.
        space: the settings that are varied.
        trials: how many in all, those of earlier sittings among them.
        seed: of the choices.
        file: where to remember trials, to go on from; None: nowhere.
        on_trial: told how far it is.
        stop: asked before each frame whether to end now, with the best so far.

    Raises:
        InputError: no frame can be judged by ``objective``, nothing is varied, or ``file`` is that of another search.
    """
    if not cases or not all(objective.can_judge(case) for case in cases):
        raise InputError(f"a frame has nothing to judge by: {objective.words}", "leave it out")
    if not space:
        raise InputError("no setting is varied", "name some with --vary")
    judge = _Judge(cases, objective, cases[0].start)
    what = {
        "objective": type(objective).__name__,
        "frames": [case.frame.name for case in cases],
        "settings to vary": [entry.path for entry in space],
        "settings to begin with": cases[0].start.model_dump(mode="json"),
        "seed": seed,
    }
    study = open_study(file, what, len(cases))
    best = _best(study, judge, space)
    while (done := len(finished(study))) < trials and not stop():
        _try(study, judge, space, seed, done, stop)
        best = _best(study, judge, space)
        on_trial(Standing(len(finished(study)), best[1], judge.start_score))
    if best[0] != judge.start and not stop():
        best = _without_idle_changes(judge, best, space)
    ended = finished(study)
    pruned = sum(trial.state.name == "PRUNED" for trial in ended)
    return Found(*best, judge.start_score, len(ended), pruned, len(ended) < trials)


class _Judge:
    """Scores settings on the frames of ``cases``, beside the ``start``."""

    def __init__(self, cases: Sequence[Case], objective: Objective, start: UnitsConfig) -> None:
        self.cases, self.objective, self.start = cases, objective, start
        self._start = [self.look(case, start) for case in cases]
        self.start_score = objective.score(self._start, self._start)

    def look(self, case: Case, settings: UnitsConfig) -> Measures:
        return self.objective.look(case, case.units(settings))

    def score(self, frames: Sequence[Measures]) -> float:
        """By the measures of the first frames, as many as there are."""
        return self.objective.score(frames, self._start[: len(frames)])

    def whole(self, settings: UnitsConfig) -> float:
        """By all frames."""
        return self.score([self.look(case, settings) for case in self.cases])


def _try(study: Study, judge: _Judge, space: Sequence[Entry], seed: int, number: int, stop: Callable[[], bool]) -> None:
    """One trial; given up where ``stop`` says so, and where it is hopeless."""
    from optuna.trial import TrialState

    study.sampler = sampler(seed, number)
    if number == 0:
        _enqueue(study, parameters(judge.start, space))
    elif number % 2:
        _enqueue(study, neighbour(_best(study, judge, space)[0], space, np.random.default_rng((seed, number))))
    trial = study.ask()
    try:
        values = suggest(trial, space)
        settings = judge.start if number == 0 else with_values(judge.start, values)
    except InputError:  # they do not fit together
        study.tell(trial, state=TrialState.PRUNED)
        return
    _judge_frames(study, trial, judge, settings, prunable=number > 0, stop=stop)


def _enqueue(study: Study, values: dict[str, Any]) -> None:
    from optuna.trial import TrialState

    # One may be left from a search that was killed between two lines of its file.
    if not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(values)


def _judge_frames(
    study: Study, trial: Trial, judge: _Judge, settings: UnitsConfig, *, prunable: bool, stop: Callable[[], bool]
) -> None:
    from optuna.trial import TrialState

    frames: list[Measures] = []
    for number, case in enumerate(judge.cases):
        if stop():
            study.tell(trial, state=TrialState.FAIL)
            return
        frames.append(judge.look(case, settings))
        trial.report(judge.score(frames), number)
        if prunable and number + 1 < len(judge.cases) and trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return
    study.tell(trial, judge.score(frames))


def _best(study: Study, judge: _Judge, space: Sequence[Entry]) -> tuple[UnitsConfig, float]:
    """The best settings so far and their score; of equals the first, the start before all."""
    whole: list[FrozenTrial] = [trial for trial in finished(study) if trial.state.name == "COMPLETE"]
    best = max(whole, key=lambda trial: (trial.value, -trial.number), default=None)
    if best is None or best.value is None or best.value <= judge.start_score:
        return judge.start, judge.start_score
    return with_values(judge.start, read(space, best.params)), best.value


def _without_idle_changes(
    judge: _Judge, best: tuple[UnitsConfig, float], space: Sequence[Entry]
) -> tuple[UnitsConfig, float]:
    """``best`` with changes undone, one after the other, as long as all of them together cost no more than ``IDLE`` of
    what it gained."""
    settings, score = best
    enough = score - IDLE * (score - judge.start_score)
    paths = changes(judge.start, settings)
    for entry in (entry for entry in space if entry.path in paths):
        plainer = with_values(settings, {entry.path: value_of(judge.start, entry)})
        if (plain := judge.whole(plainer)) >= enough:
            settings, score = plainer, plain
    return settings, score


@dataclass(frozen=True)
class Comparison:
    """Two settings side by side.

    Args:
        frames: on how many.
        before, after: the numbers of the units that each finds, as ``xmodal units stats`` gives them.
        score_before, score_after: by the objective, on the frames that it can judge, whether or not guards hold; NaN
            where it can judge none.
        broken: the guards that do not hold, in words.
    """

    frames: int
    before: Summary
    after: Summary
    score_before: float
    score_after: float
    broken: tuple[str, ...] = ()


def compare(cases: Iterable[Case], objective: Objective, settings: UnitsConfig) -> Comparison:
    """``settings`` beside those that at least one of ``cases`` started with; one case is in memory at a time."""
    before: list[FrameStatistics] = []
    after: list[FrameStatistics] = []
    looks_before: list[Measures] = []
    looks_after: list[Measures] = []
    for case in cases:
        for config, numbers, looks in ((case.start, before, looks_before), (settings, after, looks_after)):
            units = case.units(config)
            numbers.append(measure(case.frame, units, config, labels=case.labels))
            if objective.can_judge(case):
                looks.append(objective.look(case, units))
    if not looks_before:
        return Comparison(len(before), summarise(before), summarise(after), float("nan"), float("nan"))
    first, second = average(looks_before), average(looks_after)
    broken = [guard.in_words(second, first) for guard in objective.guards if guard.beyond(second, first) > 0]
    scores = (objective.value(first), objective.value(second))
    return Comparison(len(before), summarise(before), summarise(after), *scores, tuple(broken))
