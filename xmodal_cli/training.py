"""What the commands that train share: the data set's place, somebody to report to, a run to go on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmodal_core.errors import InputError

if TYPE_CHECKING:
    from xmodal_cli.watch import Watcher
    from xmodal_core.train.config import Experiment
    from xmodal_core.train.metrics import Summary

Stop = Callable[[], bool]


def place(config: Path | None, assignments: Sequence[str], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The data set and its folder, found as every command finds them; the sample drive is made where it is not there.

    Args:
        config, assignments: the settings.
        chosen: options by the names of settings.
    """
    from xmodal_cli.drive import ensure_sample_drive, which
    from xmodal_core.config import read_sections
    from xmodal_core.train.config import recipes

    file = recipes().get(str(config), config) if config is not None and not config.exists() else config
    written = read_sections(file, assignments)["dataset"]
    name, root = which(chosen["dataset.name"], chosen["dataset.root"], written)
    if name == "sample" and root is None:
        root = ensure_sample_drive()
    return {"dataset.name": name, "dataset.root": root}


def given(
    chosen: Mapping[str, Any],
    options: Mapping[str, str],
    out: Path | None,
    config: Path | None,
    assignments: Sequence[str] | None,
) -> list[str]:
    """The options that the command line has, as it has them.

    Args:
        chosen: settings by their names; None where an option was not given.
        options: what the command line calls settings whose option is not named after them.
        out, config, assignments: further options.
    """
    named = [options.get(name) or _named_after(name) for name, value in chosen.items() if value is not None]
    named += [name for name, value in (("--out", out), ("--config", config)) if value]
    return [*named, *(f"--set {text}" for text in assignments or ())]


def _named_after(setting: str) -> str:
    section, _, leaf = setting.partition(".")
    return f"--{section if leaf == 'name' else leaf.replace('_', '-')}"


def go_on(
    folder: Path,
    verb: str,
    changed: Sequence[str],
    root: Path | None,
    device: str | None,
    workers: int | None,
    prepare: Callable[[Any], None] = lambda experiment: None,
) -> Summary | None:
    """Train a stopped run to its end.

    Args:
        folder: the run's.
        verb: the command that goes on with it.
        changed: options that do not go with it.
        root, device, workers: other ones than before.
        prepare: is given the run's experiment first.

    Raises:
        InputError: there are such options, or the run is another verb's.
    """
    experiment = _run_to_resume(folder, verb, changed)
    from xmodal_core.train.loop import resume

    prepare(experiment)
    return watched(
        lambda listener, stop: resume(folder, root=root, device=device, workers=workers, listener=listener, stop=stop)
    )


def _run_to_resume(folder: Path, verb: str, changed: Sequence[str]) -> Experiment:
    """The experiment of the run in ``folder``, to be gone on with by ``verb``; ``changed`` are options that do not go
    with it.

    Raises:
        InputError: there are such options, or the run is another verb's.
    """
    from xmodal_cli.console import err

    if changed:
        raise InputError(
            f"--resume goes on with the run's own settings, so it cannot be given with {changed[0]}",
            "only --root, --device, --workers and --json go with it; start a new run for other settings",
        )
    with err.status("loading"):
        from xmodal_core.train.run import find_run, read_run

        experiment = read_run(find_run(folder))
    if experiment.verb != verb:
        raise InputError(
            f"{folder} is a run of 'xmodal {experiment.verb}'",
            f"go on with: xmodal {experiment.verb} --resume {folder}",
        )
    return experiment


def watched(train: Callable[[Watcher, Stop], Summary]) -> Summary | None:
    """Run ``train`` with somebody to report to and to ask whether to stop."""
    from xmodal_cli.console import err
    from xmodal_cli.stopping import stop_when_asked
    from xmodal_cli.watch import Watcher, report

    watcher = Watcher()
    try:
        with stop_when_asked() as stop:
            train(watcher, stop)
    finally:
        watcher.close()
    if watcher.summary is not None:
        for line in report(watcher.summary):
            err.print(line, highlight=False, soft_wrap=True, markup=False)
    return watcher.summary
