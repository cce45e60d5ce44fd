"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xmodal_core.errors import InputError


def refuse_filled(out: Path) -> None:
    """Nothing that is there already is written over.

    Raises:
        InputError: ``out`` is there and is no empty folder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already", "name a new or empty folder with --out, or remove it")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write in, which becomes ``out`` at the end, and is removed where that is not reached.

    Raises:
        InputError: ``out`` is there and not empty, or cannot be made.
    """
    refuse_filled(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        around = Path(tempfile.mkdtemp(prefix=f".{out.name}.making-", dir=out.parent))
    except OSError as error:
        raise InputError(f"cannot make {out}: {error.strerror}", "name another folder with --out") from None
    try:
        making = around / out.name
        making.mkdir()
        yield making
        os.replace(making, out)
    finally:
        shutil.rmtree(around, ignore_errors=True)
