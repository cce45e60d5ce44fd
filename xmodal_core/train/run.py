"""A run's folder: its settings, what it ran on, its measures and both its checkpoints.

========================  ==============================================================================
``settings.yaml``         the resolved experiment; can be given to ``--config``
``run.json``              versions, git revision, seed, command, machine
``metrics.jsonl``         one line a step
``evaluations.jsonl``     fine-tuning: one line an evaluation, with its protocol
``labelled.txt``          fine-tuning: the names of the labelled frames
``tensorboard/``          the same for TensorBoard
``checkpoint.pt``         the full state, to resume (``checkpoint``)
``backbone.safetensors``  the network alone, to use (``backbone``)
``model.safetensors``     fine-tuning: network and head as of the last checkpoint (``model``)
``best.safetensors``      fine-tuning: the same as of the evaluation that ranked highest
``summary.json``          what the whole run came to, once it is finished
========================  ==============================================================================
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from xmodal_core.config import read_sections
from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.train import backbone, checkpoint
from xmodal_core.train.config import Experiment, Pretraining, read_experiment
from xmodal_core.train.finetune_config import Finetuning, read_finetuning

SETTINGS, FACTS, SUMMARY = "settings.yaml", "run.json", "summary.json"
LOCK, OWNER = ".lock", ".pid"
MADE_BY = "give --resume a folder made by 'xmodal pretrain' or 'xmodal finetune'"
PACKAGES = ("xmodal", "torch", "spconv-cu120", "spconv-cu126", "lightning-fabric", "timm", "numpy", "scipy", "numba")


def create_run(folder: Path, experiment: Experiment, facts: Mapping[str, Any]) -> None:
    """Make the folder of a new run, with its settings and ``facts``; it is there whole or not at all.

    Raises:
        InputError: it is there already, or cannot be made.
    """
    refuse_existing(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{folder.name}.making-", dir=folder.parent))
    except OSError as error:
        raise InputError(f"cannot make {folder}: {error.strerror}", "name another folder with --out") from None
    try:
        (making / SETTINGS).write_text(experiment.to_yaml(), encoding="utf-8")
        write_json(making / FACTS, facts)
        making.chmod(0o755)
        os.replace(making, folder)
    except OSError as error:
        shutil.rmtree(making, ignore_errors=True)
        raise InputError(f"cannot make {folder}: {error.strerror}", "name another folder with --out") from None
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def refuse_existing(folder: Path) -> None:
    """Runs are never overwritten.

    Raises:
        InputError: ``folder`` is there and not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} is there already; runs are never overwritten",
            f"name another folder with --out, or go on with it: --resume {folder}",
        )


def new_folder(experiment: Experiment, parent: Path = Path("runs")) -> Path:
    """A folder in ``parent`` that is not there yet, named after the experiment and the time."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    base = f"{experiment.title}_{stamp}"
    names = (base, *(f"{base}-{number}" for number in range(2, 1000)))
    return next(parent / name for name in names if not (parent / name).exists())


def find_run(path: Path) -> Path:
    """The folder of the run to resume that ``path`` names: the folder itself, or its ``checkpoint.pt``.

    Raises:
        InputError: it is no run, or only a network for use.
    """
    if path.suffix == ".safetensors":
        raise InputError(
            f"{path} is a network for use, without optimiser and position: no run can go on from it",
            f"give --resume the run's folder, with its {checkpoint.FILE_NAME}",
        )
    folder = path.parent if path.name == checkpoint.FILE_NAME else path
    if not folder.is_dir():
        raise InputError(f"there is no run {folder}", MADE_BY)
    has_state = (folder / checkpoint.FILE_NAME).exists()
    if (folder / backbone.FILE_NAME).exists() and not has_state:
        raise InputError(
            f"{folder} holds {backbone.FILE_NAME}, a network for use, but no {checkpoint.FILE_NAME}: "
            "no run can go on from it",
            "resume where the run was trained, or start a new one",
        )
    if not (folder / SETTINGS).exists() or not (folder / FACTS).exists():
        raise InputError(f"{folder} is no run: it has no {SETTINGS}", MADE_BY)
    return folder


def read_run(folder: Path) -> Pretraining | Finetuning:
    """The experiment of the run in ``folder``."""
    file = folder / SETTINGS
    return read_finetuning(file) if read_sections(file)["task"] else read_experiment(file)


def read_facts(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says.

    Raises:
        DataError: it is damaged.
    """
    return _read_json(folder / FACTS)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else trains in ``folder`` meanwhile; the system lifts the lock even of a process that was killed.

    Raises:
        RunError: another process does already.
    """
    lock = FileLock(str(folder / LOCK))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{folder} is being trained by process {_owner(folder)}", "wait until it ends, or stop it first"
        ) from None
    except OSError as error:
        raise RunError(f"cannot write in {folder}: {error.strerror}", "check its permissions") from None
    try:
        write_text(folder / OWNER, f"{os.getpid()} on {platform.node()}")
        yield
    finally:
        (folder / OWNER).unlink(missing_ok=True)
        lock.release()


def _owner(folder: Path) -> str:
    try:
        return (folder / OWNER).read_text(encoding="utf-8")
    except OSError:
        return "(unknown)"


def facts_of_machine(seed: int) -> dict[str, Any]:
    """What a run should be known by later: versions, revision, seed, command, machine, time."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": sys.argv,
        "seed": seed,
        "git_revision": git_revision(),
        "versions": versions(),
        "machine": platform.node(),
        "platform": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Python's and those of the installed ``PACKAGES``."""
    return dict(_versions())


def differences(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What is another version now than in the ``facts`` of a run: its weights may then come out a little different."""
    then, now = facts.get("versions", {}), versions()
    changed = [f"{name} {then[name]} then, {now.get(name, 'none')} now" for name in then if now.get(name) != then[name]]
    revision = git_revision()
    if facts.get("git_revision") != revision:
        changed.append(f"code {_short(facts.get('git_revision'))} then, {_short(revision)} now")
    return tuple(changed)


def _short(revision: str | None) -> str:
    return "unknown" if revision is None else revision.replace(revision[:40], revision[:10])


@lru_cache
def _versions() -> dict[str, str]:
    installed = {(d.metadata["Name"] or "").lower(): d.version for d in metadata.distributions()}
    return {"python": platform.python_version(), **{name: installed[name] for name in PACKAGES if name in installed}}


def git_revision() -> str | None:
    """The commit that this code is from, with ``+changes`` where files differ; None outside a git checkout."""
    place = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(place), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def write_text(file: Path, text: str) -> None:
    """Write ``text`` to ``file``, whole or not at all."""
    partial = file.with_name(file.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, file)


def write_json(file: Path, values: Mapping[str, Any]) -> None:
    """Write ``values`` to ``file``, whole or not at all."""
    write_text(file, json.dumps(values, indent=2) + "\n")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is damaged: {error}", "start a new run") from None
    if not isinstance(values, dict):
        raise DataError(f"{file} is damaged", "start a new run")
    return values
