"""Open3D at arm's length: it runs in a child process, and whatever happens there becomes one line here."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import viz
from viz.scene import Scene
from viz.viewers._open3d_drawing import Look
from viz.viewers._open3d_job import ANSWER, JOB, PICTURES, QUESTION, Job
from xmodal_core.errors import RunError, XmodalError
from xmodal_core.types import Image

COMMAND = (sys.executable, "-m", "viz.viewers._open3d_child")

PROBE_SECONDS, PICTURE_SECONDS = 90.0, 300.0
"""How long the child may take; drawing in software on a busy machine is slow, a driver that hangs never ends."""

DRIVER_HINT = (
    "Open3D draws without a display through Vulkan: apt-get install libvulkan1 mesa-vulkan-drivers libusb-1.0-0"
)

Neighbour = Callable[[int], Scene]
"""The scene some frames on, or back."""


@lru_cache(maxsize=1)
def why_not() -> str | None:
    """None where Open3D can draw off screen here, else why not; found out by letting a child draw next to nothing."""
    if find_spec("open3d") is None:
        return "open3d is not installed (pip install open3d)"
    try:
        with tempfile.TemporaryDirectory(prefix="xmodal-") as folder:
            probe = Job("probe", None, (), Look((0, 0, 1), (0, 0, 0), (0, 1, 0)), (16, 16))
            _run(probe, Path(folder), PROBE_SECONDS)
    except (XmodalError, OSError) as error:
        return error.message if isinstance(error, XmodalError) else str(error)
    return None


def draw_pictures(job: Job) -> dict[str, Image]:
    """The pictures of ``job`` by the names of their stages.

    Raises:
        RunError: the child crashed, hung or complained.
    """
    with tempfile.TemporaryDirectory(prefix="xmodal-") as folder:
        _run(job, Path(folder), PICTURE_SECONDS)
        with np.load(Path(folder) / PICTURES) as drawn:
            return {name: drawn[name] for name in drawn.files}


def show_window(job: Job, neighbour: Neighbour | None) -> None:
    """Open the window of ``job`` and wait until it is closed.

    Raises:
        RunError: the child crashed or complained.
    """
    with tempfile.TemporaryDirectory(prefix="xmodal-") as folder:
        _run(job, Path(folder), None, neighbour)


def _run(job: Job, folder: Path, seconds: float | None, neighbour: Neighbour | None = None) -> None:
    (folder / JOB).write_bytes(pickle.dumps(job))
    said = folder / "said.txt"
    # Our own packages, wherever this process found them.
    paths = [str(Path(viz.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    begun = time.monotonic()
    with (
        said.open("wb") as log,
        subprocess.Popen(
            [*COMMAND, str(folder)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        ) as child,
    ):
        try:
            while child.poll() is None:
                if seconds is not None and time.monotonic() - begun > seconds:
                    raise RunError(f"Open3D did not answer within {seconds:.0f} s", "use another --viewer")
                _answer(folder, neighbour)
                time.sleep(0.02)
        finally:
            if child.poll() is None:
                child.kill()
    if child.returncode != 0:
        raise RunError(_complaint(child.returncode, said.read_text(encoding="utf-8", errors="replace")), DRIVER_HINT)
    if job.kind != "window" and not (folder / PICTURES).is_file():
        raise RunError("Open3D ended without having drawn anything", DRIVER_HINT)


def _answer(folder: Path, neighbour: Neighbour | None) -> None:
    """Give the window the scene it asks for, or the reason why there is none."""
    question = folder / QUESTION
    if not question.is_file():
        return
    step = int(question.read_text(encoding="ascii"))
    question.unlink()
    answer: Scene | str = "there is only this frame"
    if neighbour is not None:
        try:
            answer = neighbour(step)
        except XmodalError as error:
            answer = error.message
    partial = folder / f"{ANSWER}.partial"
    partial.write_bytes(pickle.dumps(answer))
    os.replace(partial, folder / ANSWER)


def _complaint(code: int, said: str) -> str:
    if code < 0:
        return f"Open3D crashed: its process was ended by {_signal_name(-code)}, most likely in the graphics driver"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    return f"Open3D could not draw: {(errors or lines or [f'exit code {code}'])[-1]}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
