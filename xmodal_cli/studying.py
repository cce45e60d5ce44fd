"""A study as a person watches it: a bar with time left, a line a job."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from xmodal_cli.console import err
from xmodal_cli.watch import clock
from xmodal_core.study.grid import Job
from xmodal_core.study.jobs import Listener, State


class Watcher(Listener):
    """Prints to standard error."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("jobs, {task.fields[left]} left"),
            console=err,
            disable=not err.is_terminal,
        )
        self._task = TaskID(0)

    def begins(self, waiting: int, done: int, failed: int) -> None:
        before = f", {done} done before" if done else ""
        failed_before = f", {failed} failed before" if failed else ""
        self._say(f"{waiting} jobs to run{before}{failed_before}")
        self._task = self._bar.add_task("study", total=waiting, left="a while")
        self._bar.start()

    def started(self, job: Job) -> None:
        self._say(f"{job.name} begins")

    def ended(self, job: Job, state: State, why: str, left: float | None) -> None:
        words = {"done": "is done", "failed": f"failed: {why}"}.get(state, "was stopped and has saved")
        time = "" if left is None else f"; {clock(left)} left"
        self._say(f"{job.name} {words}{time}")
        self._bar.update(self._task, advance=state == "done", left="a while" if left is None else clock(left))

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _say(self, words: str) -> None:
        self._bar.console.print(words, highlight=False, soft_wrap=True, markup=False)
