"""Converting: frame by frame into a folder beside the one that is wanted, which takes its name once it is whole.

Each frame that is done leaves a note, so that a conversion that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from xmodal_core import plugins
from xmodal_core.conversion.base import Place, Row, Source, Target
from xmodal_core.conversion.folder import FolderTarget
from xmodal_core.conversion.nuscenes import NuScenesTarget
from xmodal_core.datasets.base import Dataset
from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.types import Frame

TARGETS: dict[str, type[Target]] = {target.name: target for target in (NuScenesTarget, FolderTarget)}
NOTES, JOB, STATE, LOCK = ".notes", ".job.json", ".state.json", ".lock"


@dataclass
class Converted:
    """What came of it.

    Args:
        frames: how many are in the new data set.
        before: how many of them were done in an earlier sitting.
        skipped: number and reason of those that could not be read.
        notes: what the format cannot hold, and in how many frames that was so.
        interrupted: it was stopped; what is done is kept.
    """

    frames: int = 0
    before: int = 0
    skipped: list[tuple[int, str]] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    interrupted: bool = False


def convert(
    dataset: Dataset,
    to: str,
    out: Path,
    numbers: Sequence[int],
    *,
    skip_bad: bool = False,
    rename: Mapping[str, str] | None = None,
    on_frame: Callable[[int], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
) -> Converted:
    """Write frames ``numbers`` of ``dataset`` as a data set of format ``to`` at ``out``, whole or not at all.

    Args:
        dataset: opened.
        to: one of ``TARGETS``.
        out: a folder that is not there yet.
        numbers: of the frames, ascending.
        rename: other names for classes of boxes and points.
        skip_bad: leave damaged frames out; else the first one ends it, and what is done is kept.
        on_frame: told how many are done.
        stop: asked before each frame.

    Raises:
        InputError: ``out`` is there, or what was begun there is another conversion.
        DataError: a frame is damaged, or all are.
        RunError: the disk is full, or another process converts to the same folder.
    """
    refuse_existing(out)
    making = out.parent / f".{out.name}.converting"
    name = plugins.name_of(dataset)
    scenes = list(dict.fromkeys(dataset.scene(number) for number in numbers))
    source = Source(name, str(getattr(dataset.config, "split", "all")), dataset.sensor, scenes)
    try:
        making.mkdir(parents=True, exist_ok=True)
        with _locked(making):
            _same_job(making, {**_job(dataset, name, to, numbers), "rename": dict(rename or {})})
            done = _frames(
                Renamed(dataset, rename or {}), TARGETS[to](source), making, numbers, skip_bad, on_frame, stop
            )
            if done.interrupted:
                return done
            rows = [_read_note(making, number) for number in numbers]
            found = [row for row in rows if row is not None]
            TARGETS[to](source).finish(making, found, _read(making / STATE))
            done.notes = dict(Counter(note for row in found for note in dict.fromkeys(row["notes"])))
            for leftover in (JOB, STATE):
                (making / leftover).unlink()
            shutil.rmtree(making / NOTES)
        (making / LOCK).unlink(missing_ok=True)
        os.replace(making, out)
    except OSError as error:
        raise RunError(
            f"cannot write {making}: {error.strerror or error}", "make room there; the same command then goes on"
        ) from error
    return done


def refuse_existing(out: Path) -> None:
    """Nothing is written over.

    Raises:
        InputError: ``out`` is there and not an empty folder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already", "name a folder that is not there yet with --out, or remove it")


@dataclass(frozen=True)
class Renamed:
    """Frames of ``dataset`` whose classes have other names."""

    dataset: Dataset
    names: Mapping[str, str]

    def frame(self, number: int) -> Frame:
        """Frame ``number``; see ``Dataset.frame``."""
        frame = self.dataset.frame(number)
        boxes, semantic = frame.boxes, frame.semantic
        return replace(
            frame,
            boxes=None if boxes is None else replace(boxes, classes=self._of(boxes.classes)),
            semantic=None if semantic is None else replace(semantic, classes=self._of(semantic.classes)),
        )

    def _of(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.names.get(name, name) for name in classes)


def _frames(
    frames: Renamed,
    target: Target,
    making: Path,
    numbers: Sequence[int],
    skip_bad: bool,
    on_frame: Callable[[int], None],
    stop: Callable[[], bool],
) -> Converted:
    done = Converted()
    first_error: DataError | None = None
    scenes = {name: number for number, name in enumerate(target.source.scenes)}
    for count, number in enumerate(numbers):
        on_frame(count)
        if _note(making, number).exists():
            done.before += 1
            done.frames += 1
            continue
        if stop():
            done.interrupted = True
            return done
        try:
            _write(frames, target, making, Place(number, scenes[frames.dataset.scene(number)]))
        except DataError as error:
            if not skip_bad:
                raise DataError(
                    error.message,
                    f"{error.hint}; then the same command goes on, or with --skip-bad, without such frames",
                ) from error
            first_error = first_error or error
            done.skipped.append((number, error.message))
        else:
            done.frames += 1
    on_frame(len(numbers))
    if first_error is not None and not done.frames:
        raise first_error
    return done


def _write(frames: Renamed, target: Target, making: Path, place: Place) -> None:
    frame = frames.frame(place.number)
    if not (making / STATE).exists():
        _put(making / STATE, target.begin(frame))
    row = target.write(making, place, frame, _read(making / STATE))
    (making / NOTES).mkdir(exist_ok=True)
    _put(_note(making, place.number), row)


def _job(dataset: Dataset, name: str, to: str, numbers: Sequence[int]) -> Row:
    """What makes two conversions the same."""
    return {
        "dataset": name,
        "root": str(dataset.root.resolve()),
        "options": dataset.config.model_dump(mode="json"),
        "rig": dataset.rig.model_dump(mode="json"),
        "to": to,
        "frames": [int(number) for number in numbers],
    }


def _same_job(making: Path, job: Row) -> None:
    if (making / JOB).exists():
        begun = _read(making / JOB)
        if begun != job:
            different = ", ".join(key for key in job if begun.get(key) != job[key])
            raise InputError(
                f"{making} holds a conversion that was begun with another: {different}",
                "run that one to its end, name another --out, or remove that folder",
            )
    else:
        _put(making / JOB, job)


@contextmanager
def _locked(making: Path) -> Iterator[None]:
    lock = FileLock(str(making / LOCK))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"another process converts to {making}", "wait until it ends, or stop it first") from None
    try:
        yield
    finally:
        lock.release()


def _note(making: Path, number: int) -> Path:
    return making / NOTES / f"{number:08d}.json"


def _read_note(making: Path, number: int) -> Row | None:
    file = _note(making, number)
    return _read(file) if file.exists() else None


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise DataError(f"{file} is damaged", f"remove {file.parent} and begin again") from None


def _put(file: Path, values: Row) -> None:
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(json.dumps(values), encoding="utf-8")
    os.replace(partial, file)
