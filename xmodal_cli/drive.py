"""From the shared options to an open data set, as every command that reads frames does it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmodal_core.errors import InputError

if TYPE_CHECKING:
    from rich.progress import Progress

    from sample_data import DriveSettings
    from xmodal_core.datasets.base import Dataset


DEFAULT = "sample"


def open_from_options(
    dataset: str | None = None,
    root: Path | None = None,
    split: str | None = None,
    config: Path | None = None,
    assignments: Sequence[str] | None = None,
    *,
    cameras: str | None = None,
    perturbation: float | None = None,
    quiet: bool = False,
) -> Dataset:
    """The data set that ``--dataset``, ``--root``, ``--split``, ``--cameras``, ``--config`` and ``--set`` describe.

    The options of the data set are the ``dataset`` section of the settings file, then ``--set dataset.…``, then
    ``--split`` and ``--cameras``; its ``name`` and ``root`` are there too where ``--dataset`` and ``--root`` are not
    given (see ``which``). Without any it is the sample drive, which is made first where it is not there yet, with a
    progress bar unless ``quiet``. How wrong its cameras' calibration is made is the ``rig`` section, with
    ``perturbation`` degrees where ``--perturb-calibration`` gives them.

    Raises:
        InputError, DataError: see ``open_dataset`` and ``config.resolve``.
    """
    from xmodal_core import plugins
    from xmodal_core.config import read_sections, resolve, validate
    from xmodal_core.datasets import open_dataset
    from xmodal_core.rig import RigConfig

    written = read_sections(config, list(assignments or ()))["dataset"]
    dataset, root = which(dataset, root, written)
    kind = plugins.load(plugins.DATASET, dataset)
    options = resolve(kind.Config, config, list(assignments or ()), "dataset").model_dump()
    if split is not None:
        options["split"] = split
    if cameras is not None:
        options["cameras"] = camera_names(cameras)
    validate(kind.Config, options, "dataset", "--cameras" if split is None else "--split")
    rig = resolve(RigConfig, config, list(assignments or ()), "rig")
    if perturbation is not None:
        rig = rig.model_copy(update={"perturb_calibration": perturbation})
    if dataset == "sample" and root is None:
        root = ensure_sample_drive(quiet=quiet)
    return open_dataset(dataset, root, options, rig)


def which(dataset: str | None, root: Path | None, written: Mapping[str, Any]) -> tuple[str, Path | None]:
    """The name of the data set and its folder, None for one that needs none.

    Where no name is given, the folder's layout tells it; where no folder is, ``XMODAL_ROOT_NAME`` in the environment.

    Args:
        dataset, root: as given by ``--dataset`` and ``--root``.
        written: the ``dataset`` section of the settings, for what is not given; its root is that of its own data set.

    Raises:
        InputError: the folder holds none of the known data sets, or may be of several.
    """
    from xmodal_core.datasets._recognise import recognise

    given = dataset or (str(written["name"]) if written.get("name") else None)
    if root is None and written.get("root") is not None and written.get("name", given) == given:
        root = Path(str(written["root"])).expanduser()
    if given is None:
        given = DEFAULT if root is None else recognise(root)
    if root is None and (named := os.environ.get(f"XMODAL_ROOT_{given.upper()}")):
        root = Path(named).expanduser()
    return given, root


def options_again(given: Mapping[str, str | Path | float | None], assignments: Sequence[str]) -> str:
    """The options that open the same data set again, from any folder, as they are typed.

    Args:
        given: the value of each option by its name without dashes; None: not given. Of ``root`` and ``config`` the
            whole path is told.
        assignments: the ``--set`` texts.
    """
    words = []
    for name, value in given.items():
        if value is not None:
            whole = name in ("root", "config")
            words += [f"--{name}", os.path.abspath(os.path.expanduser(str(value))) if whole else str(value)]
    return shlex.join([*words, *(word for text in assignments for word in ("--set", text))])


def title_of(dataset: Dataset) -> str:
    """What pictures of ``dataset`` are headed with: its name, and what was made wrong in it."""
    from xmodal_core import plugins

    name, wrong = plugins.name_of(dataset), dataset.rig.perturb_calibration
    return f"{name} · cameras turned by {wrong:g}°" if wrong else name


def camera_names(text: str) -> list[str]:
    """The cameras that ``--cameras`` names, each once.

    Raises:
        InputError: it names none.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InputError(f"'{text}' does not name cameras", "write --cameras CAM_FRONT,CAM_BACK")
    return list(dict.fromkeys(names))


def ensure_sample_drive(settings: DriveSettings | None = None, *, quiet: bool = False) -> Path:
    """The folder of the cached sample drive, of ``settings`` or the usual ones; a progress bar appears only while it
    is being made."""
    from contextlib import ExitStack

    from sample_data import ensure_drive
    from xmodal_cli.console import progress

    with ExitStack() as stack:
        bar: Progress | None = None

        def on_progress(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                bar = stack.enter_context(progress(quiet))
                bar.add_task("making the sample drive (once)", note="")
            bar.update(bar.task_ids[0], completed=done, total=total)

        return ensure_drive(settings=settings, on_progress=on_progress)
