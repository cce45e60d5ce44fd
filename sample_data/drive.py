"""Making the drive, once: all of it or nothing, by several processes, kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from sample_data.settings import DriveSettings
from xmodal_core.cache import cache_folder
from xmodal_core.errors import InputError

GENERATION = 9
"""Counts changes of what the drive looks like: a cached drive of another generation is made anew."""
MARK = "drive.json"
Progress = Callable[[int, int], None]


def ensure_drive(
    root: Path | None = None, settings: DriveSettings | None = None, on_progress: Progress | None = None
) -> Path:
    """The folder of the generated drive in nuScenes format (version ``v1.0-sample``), made now if it is not there.

    It is made in a folder beside its own and renamed at the end, so it is complete or absent; a second process that
    asks for the same drive waits for the first. The same settings give the same bytes.

    Args:
        root: where it is to be; None: in the user's cache folder, by its settings.
        settings: how much of it; the defaults where None.
        on_progress: called with (keyframes done, keyframes in all).

    Raises:
        InputError: ``root`` holds something else, or a drive of other settings.
        RunError: a process that was making it ended early.
    """
    wanted = settings or DriveSettings()
    folder = root if root is not None else cache_folder("sample", _key(wanted))
    if _is_there(folder, wanted):
        return folder
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder.parent / f".{folder.name}.lock")):
        if not _is_there(folder, wanted):
            _make(folder, wanted, on_progress)
    return folder


def _key(settings: DriveSettings) -> str:
    described = json.dumps({"generation": GENERATION, **settings.model_dump()}, sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _mark(settings: DriveSettings) -> dict[str, int]:
    return {"generation": GENERATION, **settings.model_dump()}


def _is_there(folder: Path, settings: DriveSettings) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"{folder} is there already and is no generated drive", "name a new or empty folder, or remove it"
        ) from None
    if found != _mark(settings):
        raise InputError(f"{folder} holds a drive of other settings: {found}", "name another folder, or remove it")
    return True


def _make(folder: Path, settings: DriveSettings, on_progress: Progress | None) -> None:
    from sample_data import crew, tables
    from sample_data.rig import SENSORS

    prefix = f".{folder.name}.making-"
    for stale in folder.parent.glob(prefix + "*"):  # left by a process that was killed; we hold the lock
        shutil.rmtree(stale, ignore_errors=True)
    making = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        for mount in SENSORS:
            (making / "samples" / mount.channel).mkdir(parents=True)
        (making / "maps").mkdir()
        records = crew.work(making, settings, on_progress or (lambda done, total: None))
        tables.write(making, settings, records)
        (making / MARK).write_text(json.dumps(_mark(settings)), encoding="utf-8")
        making.chmod(0o755)
        os.replace(making, folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
