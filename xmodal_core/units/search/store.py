"""Where trials are remembered: in memory, or in a file from which a search goes on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmodal_core.errors import InputError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial

NAME, SEARCH = "xmodal", "search"

RANDOM_TRIALS = 10
"""Trials before the sampler begins to learn from them."""


def open_study(file: Path | None, what: Mapping[str, Any], frames: int) -> Study:
    """A new study, or the one in ``file``, an Optuna journal; trials that were under way when it stopped are given up.

    Args:
        file: None: in memory.
        what: the search, as JSON values: a file of another one is refused.
        frames: of each trial; a trial is pruned where it is worse than half of those before, once it has been judged by
            a quarter of its frames.

    Raises:
        InputError: the file cannot be read or written, is no study, or is one of another search.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS // 2, n_warmup_steps=max(frames // 4, 1))
    try:
        study = optuna.create_study(
            study_name=NAME, storage=_storage(file), direction="maximize", pruner=pruner, load_if_exists=True
        )
        _claim(study, file, what)
        for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    except OSError as error:
        raise InputError(f"cannot use the study file {file}: {error.strerror or error}", "check the path") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is no file of a search, or it is damaged: {' '.join(str(error).split())}", "choose another --study"
        ) from None
    return study


def _storage(file: Path | None) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if file is None:
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(file)))


def _claim(study: Study, file: Path | None, what: Mapping[str, Any]) -> None:
    """Write into ``study`` what it searches for, or see that it is the same."""
    known = study.user_attrs.get(SEARCH)
    if known is None:
        study.set_user_attr(SEARCH, dict(what))
        return
    other = [name for name, value in what.items() if known.get(name) != value]
    if other:
        raise InputError(
            f"{file} is a search with {' and '.join(other)} other than these",
            "give the same options as before to go on with it, or another --study to begin anew",
        )


def finished(study: Study) -> list[FrozenTrial]:
    """The trials that have a score or were pruned, in order."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def sampler(seed: int, trial: int) -> BaseSampler:
    """Optuna's TPE for one trial: each has a seed of its own, so that a search that was stopped goes on as if it had
    not been."""
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ``multivariate`` and ``group`` may change one day
        return TPESampler(
            seed=(seed * 1_000_003 + trial) % 2**32, n_startup_trials=RANDOM_TRIALS, multivariate=True, group=True
        )
