"""How all drawing code is compiled: by numba, once, kept beside the source."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit

_FOLDER = Path(__file__).parent

fast: Any = njit(cache=True, fastmath=True, error_model="numpy")
"""Compile what is called from outside. Fast maths: nothing here is ever infinite or not a number by intent."""
inner: Any = njit(fastmath=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compile what only compiled code calls: it becomes part of its caller and is kept with that."""


def _forget_what_is_stale() -> None:
    # numba looks at a function's own file alone: a kept function would go on with what it calls in other files as
    # they were. So whenever any file is newer than a kept function, that is forgotten.
    newest = max(path.stat().st_mtime for path in _FOLDER.glob("*.py"))
    for index in (_FOLDER / "__pycache__").glob("*.nbi"):
        with suppress(OSError):  # another process was quicker, or the folder is not ours to write: both are fine
            if index.stat().st_mtime < newest:
                index.unlink()


_forget_what_is_stale()
