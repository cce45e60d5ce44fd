"""How the hot loops are compiled: numba, in one thread, with the machine code kept between runs.

The first call of a function on a machine compiles it (seconds); later runs load it (milliseconds). Numba keeps the code
beside the source or, where that folder cannot be written, in the user's cache folder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``function`` as machine code. A machine without any writable cache folder compiles it anew in every run."""
    try:
        return cast("F", njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return cast("F", njit(nogil=True)(function))
