"""The processes that share the work. A worker is this module run as a script: it takes jobs as lines of JSON on its
standard input and answers each frame it has made with one on its standard output. It ends when its input does."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sample_data.settings import DriveSettings
from xmodal_core.errors import RunError

Job = tuple[int, list[int]]
"""A scene and frames of it."""
_SMALL = 8_000_000  # rays; less than this is done without a second process
_MOST = 8


def work(folder: Path, settings: DriveSettings, on_progress: Callable[[int, int], None]) -> list[dict[str, Any]]:
    """Make all frames of a drive under ``folder``; gives their notes in any order."""
    count = 1 if _rays(settings) < _SMALL else max(min(_processors(), _MOST, settings.total), 1)
    records: list[dict[str, Any]] = []
    answers = _alone(folder, settings) if count == 1 else _together(folder, settings, count)
    on_progress(0, settings.total)
    for record in answers:
        records.append(record)
        on_progress(len(records), settings.total)
    return records


def jobs(settings: DriveSettings, workers: int) -> list[Job]:
    """The drive cut into jobs: whole scenes where they spread evenly, else each scene once for every worker."""
    even = settings.scenes % workers == 0 or settings.scenes >= 4 * workers
    parts = 1 if even else min(workers, settings.frames)
    frames = list(range(settings.frames))
    return [(scene, frames[part::parts]) for scene in range(settings.scenes) for part in range(parts)]


def _rays(settings: DriveSettings) -> int:
    return settings.total * 6 * settings.image_width * settings.image_height


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _alone(folder: Path, settings: DriveSettings) -> Iterator[dict[str, Any]]:
    for job in jobs(settings, 1):
        yield from _do(folder, settings, job)


def _do(folder: Path, settings: DriveSettings, job: Job) -> Iterator[dict[str, Any]]:
    from sample_data import frames, maps, world

    scene, numbers = job
    place = world.build(settings.seed, scene, settings.frames)
    stage = place.stage()
    if 0 in numbers:
        maps.draw(place.roads, place.bounds, place.to_global, folder / maps.filename(settings.seed, scene))
    for number in numbers:
        yield frames.make(place, stage, folder, settings, scene, number)


def _together(folder: Path, settings: DriveSettings, count: int) -> Iterator[dict[str, Any]]:
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs(settings, count):
        waiting.put(job)
    answers: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()
    workers = [_start(folder, settings, number) for number in range(count)]
    try:
        for worker in workers:
            threading.Thread(target=_feed, args=(worker, waiting, answers), daemon=True).start()
        running = count
        while running:
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            if answer is None:
                running -= 1
            else:
                yield answer
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _start(folder: Path, settings: DriveSettings, number: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    environment.setdefault("OMP_NUM_THREADS", "1")
    return subprocess.Popen(
        [sys.executable, "-m", "sample_data.crew", str(folder), settings.model_dump_json(), str(number)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def _feed(
    worker: subprocess.Popen[str],
    waiting: queue.SimpleQueue[Job],
    answers: queue.SimpleQueue[dict[str, Any] | BaseException | None],
) -> None:
    # One thread a worker: hand out a job, pass on as many answers as it has frames, again until no job is left.
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                break
            worker.stdin.write(json.dumps(job) + "\n")
            worker.stdin.flush()
            for _ in job[1]:
                line = worker.stdout.readline()
                if not line:
                    raise RunError(
                        f"a process making the sample drive ended early (exit code {worker.wait()})",
                        "its last words are above; try again, or ask for fewer frames",
                    )
                answers.put(json.loads(line))
        answers.put(None)
    except (OSError, ValueError, RunError) as error:
        answers.put(
            error if isinstance(error, RunError) else RunError(f"a process making the sample drive failed: {error}")
        )


def main() -> None:
    """A worker's whole life; arguments: the folder, the settings as JSON and the worker's number.

    On the first run of all, code has to be compiled. Every second worker begins with the shading while the others,
    building their streets, come upon the rest: each finds the other's part on the disk then.
    """
    folder, settings = Path(sys.argv[1]), DriveSettings.model_validate_json(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    if int(sys.argv[3]) % 2:
        from sample_data.cameras import compile_shading

        compile_shading()
    for line in sys.stdin:
        scene, numbers = json.loads(line)
        for record in _do(folder, settings, (scene, numbers)):
            answers.write(json.dumps(record) + "\n")
            answers.flush()


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)
