"""Jobs handed to SLURM by submitit, which is not installed by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xmodal_core.errors import InputError
from xmodal_core.study.jobs import COMMAND, INTERRUPTED, Started


@dataclass
class Slurm:
    """Hands jobs to a cluster; see ``jobs.Launcher``.

    Args:
        folder: where submitit keeps its own files; seen by all machines.
        options: of submitit's executor, e.g. ``{"slurm_partition": "gpu", "gpus_per_node": 1, "timeout_min": 600}``.
        cluster: ``slurm``, or another one of submitit's.
        command: the program.

    Raises:
        InputError: submitit is not installed, SLURM is not there, or an option is unknown to them.
    """

    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    cluster: str = "slurm"
    command: Sequence[str] = COMMAND

    def __post_init__(self) -> None:
        try:
            import submitit
        except ImportError:
            raise InputError("jobs go to SLURM by 'submitit', which is not installed", "pip install submitit") from None
        try:
            self._executor = submitit.AutoExecutor(folder=self.folder / "slurm", cluster=self.cluster)
            self._executor.update_parameters(**self.options)
        except (RuntimeError, ValueError, NameError, TypeError) as error:
            raise InputError(f"SLURM cannot be used: {error}", "see --slurm in 'xmodal study run --help'") from None

    def start(self, words: Sequence[str], log: Path, name: str) -> Started:
        """See ``jobs.Launcher``."""
        self._executor.update_parameters(name=name)
        return _Submitted(self._executor.submit(run_command, [*self.command, *words], str(log)))


def run_command(words: Sequence[str], log: str) -> int:
    """Run a command line on the machine that the job was given; its exit code."""
    import subprocess

    with Path(log).open("wb") as opened:
        return subprocess.run(words, stdout=opened, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode


@dataclass
class _Submitted:
    job: Any
    stopped: bool = False

    def code(self) -> int | None:
        if not self.job.done():
            return None
        if self.stopped:
            return INTERRUPTED
        try:
            return int(self.job.result())
        except Exception:  # it was cancelled, ran out of time, or its machine failed: submitit has kinds for each
            return 1

    def stop(self) -> None:
        self.stopped = True
        self.job.cancel()
