"""Files that appear whole or not at all, and places that are refused before the work on them is done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xmodal_core.errors import InputError


def refuse_unwritable(out: Path) -> None:
    """Complain now about a file that could not be written when all the work is done; makes nothing.

    Raises:
        InputError: ``out`` is a folder, or what is to hold it is none, or none that can be written to.
    """
    nearest = next(place for place in out.absolute().parents if place.exists())
    if out.is_dir() or not nearest.is_dir() or not os.access(nearest, os.W_OK):
        reason = "it is a folder" if out.is_dir() else f"{nearest} is no folder that can be written to"
        raise InputError(f"cannot write {out}: {reason}", "choose another --out")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; on success it becomes ``path``, on failure it is gone.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}", "choose another --out") from None
    finally:
        with suppress(OSError):  # it is not there, or nothing can be
            temporary.unlink()
