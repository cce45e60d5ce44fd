"""Where trials are remembered: in memory, or in a file from which a search goes on."""

from __future__ import annotations

import json
import os
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
        if file is not None and _holds_a_study(file):
            study = optuna.load_study(study_name=NAME, storage=_storage(file), pruner=pruner)
        else:
            study = optuna.create_study(study_name=NAME, storage=_storage(file), direction="maximize", pruner=pruner)
        _claim(study, file, what)
        for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    except OSError as error:
        raise InputError(
            f"cannot use the study file {file}: {error.strerror or error}", "choose another file"
        ) from None
    except (ValueError, KeyError, TypeError, AssertionError) as error:  # Optuna reads what it finds, and trusts it
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{file} is no file of a search, or it is damaged: {reason}", "choose another file for --study"
        ) from None
    return study


def _holds_a_study(file: Path) -> bool:
    """Whether there is a file with something in it.

    Raises:
        ValueError: it is no journal of Optuna's, or ends amid a line. (Optuna would go on writing behind it.)
    """
    if not file.exists() or file.stat().st_size == 0:
        return False
    with file.open("rb") as lines:
        first = json.loads(lines.readline())
        lines.seek(-1, os.SEEK_END)
        whole = lines.read() == b"\n"
    if not isinstance(first, dict) or first.get("study_name") != NAME:
        raise ValueError("its first line is not that of a study")
    if not whole:
        raise ValueError("its last line is unfinished; delete that line to go on")
    return True


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
