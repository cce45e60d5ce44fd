"""The jobs of a study, each a process of the command line with a folder of its own, which holds all there is to know.

==================  ==============================================================================
``settings.yaml``   what is run; can be given to ``--config`` of the verb
``run``             the run's folder
``log.txt``         what it said
``result.json``     the last line of its ``--json``; here once it is finished
``failed.json``     how it ended, where it failed; here until it is tried again
==================  ==============================================================================

A job that was stopped goes on from its last checkpoint; one that failed stays failed until somebody asks for it. A lock
keeps two processes from the same job; the system lifts it even where one was killed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT
from time import monotonic, sleep
from typing import IO, Any, Literal, Protocol

from filelock import FileLock, Timeout

from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.study.grid import Job, to_yaml
from xmodal_core.train.run import write_json, write_text

SETTINGS, RUN, LOG, RESULT, FAILED, LOCK = "settings.yaml", "run", "log.txt", "result.json", "failed.json", ".lock"
CHECKPOINTED = ("settings.yaml", "run.json")
"""What a run's folder has that can be gone on with."""
COMMAND = (sys.executable, "-c", "from xmodal_cli.app import main; main()")
INTERRUPTED = 130
"""The exit code of a command that was asked to stop and has saved."""
POLL = 0.5
"""Seconds between looks at the jobs that run."""

State = Literal["done", "failed", "running", "waiting"]


class StudyInterruptedError(RunError):
    """The study was asked to stop; its jobs have saved."""

    exit_code = INTERRUPTED


@dataclass(frozen=True)
class Place:
    """Where ``job`` is kept, below ``folder``, which studies share."""

    folder: Path
    job: Job

    @property
    def path(self) -> Path:
        """The job's folder."""
        return self.folder / self.job.name

    def state(self) -> State:
        """How far the job is."""
        if (self.path / RESULT).exists():
            return "done"
        if self.taken():
            return "running"
        return "failed" if (self.path / FAILED).exists() else "waiting"

    def taken(self) -> bool:
        """Whether a process is at the job."""
        if not (self.path / LOCK).exists():
            return False
        lock = FileLock(str(self.path / LOCK))
        try:
            with lock.acquire(timeout=0):
                return False
        except Timeout:
            return True

    def result(self) -> dict[str, Any]:
        """What the job came to.

        Raises:
            DataError: the file is missing or damaged.
        """
        file = self.path / RESULT
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise DataError(f"{file} is missing or damaged", "delete it and run the study again") from None
        if not isinstance(found, dict):
            raise DataError(f"{file} is damaged", "delete it and run the study again")
        return found

    def why(self) -> str:
        """Why it failed, in one line."""
        try:
            return str(json.loads((self.path / FAILED).read_text(encoding="utf-8"))["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            return "unknown"

    def prepare(self) -> list[str]:
        """Write what the job needs; the words of its command line, without the program."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / FAILED).unlink(missing_ok=True)
        settings = dict(self.job.settings)
        if self.job.needs is not None:
            source = Place(self.folder, self.job.needs).path / RUN
            settings["init"] = {**settings.get("init", {}), "source": str(source.absolute())}
        write_text(self.path / SETTINGS, to_yaml(settings))
        run = self.path / RUN
        if all((run / name).exists() for name in CHECKPOINTED):
            return [self.job.verb, "--resume", str(run), "--json"]
        shutil.rmtree(run, ignore_errors=True)
        return [self.job.verb, "--config", str(self.path / SETTINGS), "--out", str(run), "--json"]

    def finish(self, code: int, seconds: float) -> bool:
        """Write down how the job ended; whether it is done."""
        said = _last_line(self.path / LOG)
        if code == 0 and said is not None:
            facts = _facts(self.path / RUN)
            write_json(
                self.path / RESULT, {"verb": self.job.verb, "seconds": round(seconds, 1), **facts, "result": said}
            )
            return True
        if code != INTERRUPTED:
            write_json(self.path / FAILED, {"code": code, "reason": _complaint(self.path / LOG, code)})
        return False


def _last_line(log: Path) -> dict[str, Any] | None:
    """The JSON that a log ends with."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    with suppress(ValueError, IndexError):
        found = json.loads(lines[-1])
        return found if isinstance(found, dict) else None
    return None


def _facts(run: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return {"git_revision": json.loads((run / "run.json").read_text(encoding="utf-8")).get("git_revision")}
    return {}


def _complaint(log: Path, code: int) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or [f"it said nothing and ended with {code}"])[-1][:300]


class Started(Protocol):
    """A job at work."""

    def code(self) -> int | None:
        """Its exit code; None while it runs."""

    def stop(self) -> None:
        """Ask it to save and end."""


class Launcher(Protocol):
    """Starts processes, here or elsewhere."""

    def start(self, words: Sequence[str], log: Path, name: str) -> Started:
        """Run the command line ``words``, which writes to ``log``."""


@dataclass
class _Process:
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def code(self) -> int | None:
        code = self.process.poll()
        if code is not None:
            self.log.close()
        return code

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(SIGINT)


@dataclass
class Here:
    """Runs jobs as processes of this machine.

    Args:
        command: the program.
    """

    command: Sequence[str] = COMMAND

    def start(self, words: Sequence[str], log: Path, name: str) -> Started:
        """See ``Launcher``."""
        opened = log.open("wb")
        # A session of its own: Ctrl-C of the terminal reaches the study alone, which asks each job once.
        process = subprocess.Popen(
            [*self.command, *words],
            stdout=opened,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        return _Process(process, opened)


@dataclass
class Listener:
    """Does nothing; override what you want to hear of."""

    def begins(self, waiting: int, done: int, failed: int) -> None:
        """Once, with how many jobs are still to be run, are done, and failed earlier."""

    def started(self, job: Job) -> None:
        """A job begins."""

    def ended(self, job: Job, state: State, why: str, left: float | None) -> None:
        """A job is done, failed or was stopped; ``left`` seconds until all are, where that can be told."""


@dataclass
class Runner:
    """Runs what is missing of ``jobs``.

    Args:
        folder: where jobs are kept.
        jobs: what is wanted, those that others need before them.
        launcher: starts them.
        at_once: how many at most.
        retry: failed ones too.
        listener: told how it goes.
        stop: asked again and again; True ends the jobs that run, which save.
    """

    folder: Path
    jobs: Sequence[Job]
    launcher: Launcher
    at_once: int = 1
    retry: bool = False
    listener: Listener = field(default_factory=Listener)
    stop: Callable[[], bool] = lambda: False
    poll: float = POLL

    _running: dict[str, tuple[Place, Started, FileLock, float]] = field(default_factory=dict, init=False)
    _tried: set[str] = field(default_factory=set, init=False)

    def run(self) -> dict[str, State]:
        """The state of every job when nothing more can be done, by name.

        Raises:
            StudyInterruptedError: ``stop`` said so.
            InputError: the folder cannot be written.
        """
        states = self._states()
        count = {name: list(states.values()).count(name) for name in ("done", "failed")}
        self.listener.begins(len(self._missing(states)), count["done"], count["failed"])
        try:
            while True:
                if self.stop():
                    raise StudyInterruptedError(
                        "stopped; jobs at work were asked to save", "the same command goes on with them"
                    )
                self._start_what_can(states)
                if not self._running and not self._elsewhere(states):
                    return states
                sleep(self.poll)
                # While every place is taken nothing can begin, and asking for the state of each job opens files.
                if self._look() or len(self._running) < self.at_once:
                    states = self._states()
        finally:
            self._end_all()

    def _states(self) -> dict[str, State]:
        states: dict[str, State] = {}
        for job in self.jobs:
            states[job.name] = "running" if job.name in self._running else Place(self.folder, job).state()
        return states

    def _missing(self, states: Mapping[str, State]) -> list[Job]:
        """What is still to be run and can come to something: what it needs is done or is to be run itself."""
        wanted: dict[str, Job] = {}
        for job in self.jobs:
            state = states[job.name]
            again = state == "failed" and self.retry and job.name not in self._tried
            ready = job.needs is None or states[job.needs.name] in ("done", "running") or job.needs.name in wanted
            if (state == "waiting" or again) and ready:
                wanted[job.name] = job
        return list(wanted.values())

    def _elsewhere(self, states: Mapping[str, State]) -> bool:
        """Whether another process is at a job that is wanted."""
        return any(state == "running" and name not in self._running for name, state in states.items())

    def _start_what_can(self, states: dict[str, State]) -> None:
        for job in self._missing(states):
            if len(self._running) >= self.at_once:
                return
            if job.needs is None or states[job.needs.name] == "done":
                self._start(job, states)

    def _start(self, job: Job, states: dict[str, State]) -> None:
        place = Place(self.folder, job)
        try:
            place.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(str(place.path / LOCK))
            lock.acquire(timeout=0)
        except Timeout:
            states[job.name] = "running"
            return
        except OSError as error:
            raise InputError(f"cannot write {place.path}: {error.strerror}", "choose another --out") from None
        words = place.prepare()
        self._tried.add(job.name)
        self._running[job.name] = (place, self.launcher.start(words, place.path / LOG, job.name), lock, monotonic())
        states[job.name] = "running"
        self.listener.started(job)

    def _look(self) -> bool:
        """See which jobs have ended; whether one has."""
        ended = False
        for name, (place, started, lock, since) in list(self._running.items()):
            code = started.code()
            if code is None:
                continue
            del self._running[name]
            done = place.finish(code, monotonic() - since)
            lock.release()
            state: State = "done" if done else "waiting" if code == INTERRUPTED else "failed"
            self.listener.ended(place.job, state, "" if done else place.why(), self._left())
            ended = True
        return ended

    def _left(self) -> float | None:
        """Seconds until all is done, by what jobs of the same verb took."""
        taken: dict[str, list[float]] = {}
        for job in self.jobs:
            place = Place(self.folder, job)
            if (place.path / RESULT).exists():
                taken.setdefault(job.verb, []).append(float(place.result().get("seconds", 0.0)))
        means = {verb: sum(seconds) / len(seconds) for verb, seconds in taken.items()}
        states = self._states()
        missing = [job.verb for job in (*self._missing(states), *(p.job for p, *_ in self._running.values()))]
        if any(verb not in means for verb in missing):
            return None
        return sum(means[verb] for verb in missing) / self.at_once

    def _end_all(self) -> None:
        for _, started, _, _ in self._running.values():
            started.stop()
        while self._running:
            sleep(self.poll)
            self._look()
