"""How all drawing code is compiled: by numba, once, kept beside the source or, where that folder cannot be written, in
the user's cache folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit

_NEWEST = max(path.stat().st_mtime for path in Path(__file__).parent.glob("*.py"))

inner: Any = njit(fastmath=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compile what only compiled code calls: it becomes part of its caller and is kept with that."""


def fast(function: Callable[..., Any]) -> Any:
    """Compile what is called from outside. Fast maths: nothing here is ever infinite or not a number by intent.

    A machine without any writable cache folder compiles it anew in every run.
    """
    return _compiled(function, fastmath=True)


def exact(function: Callable[..., Any]) -> Any:
    """As ``fast``, with every sum rounded in the order that is written, as NumPy's are."""
    return _compiled(function, fastmath=False)


def _compiled(function: Callable[..., Any], fastmath: bool) -> Any:
    try:
        made: Any = njit(cache=True, fastmath=fastmath, error_model="numpy")(function)
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return njit(fastmath=fastmath, error_model="numpy")(function)
    _forget_if_stale(Path(made.stats.cache_path), function)
    return made


def _forget_if_stale(kept: Path, function: Callable[..., Any]) -> None:
    # Numba looks at a function's own file alone: a kept function would go on with what it calls in other files as
    # they were. So when any file of this package is newer than a kept function, that is forgotten.
    source = Path(function.__code__.co_filename).stem
    for index in kept.glob(f"{source}.{function.__name__}-*.nbi"):
        with suppress(OSError):  # another process was quicker, or the folder is not ours to write: both are fine
            if index.stat().st_mtime < _NEWEST:
                index.unlink()
