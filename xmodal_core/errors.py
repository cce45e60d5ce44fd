"""The errors a person can act on: one line saying what is wrong, one line saying what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class XmodalError(Exception):
    """Something a user can mend. ``message`` says what is wrong and where, ``hint`` what to do about it.

    The command line prints both lines and exits with ``exit_code``; in a script they are the exception's text.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InputError(XmodalError):
    """Bad input: an unknown name, a value out of bounds, a setting that does not exist. Exit code 2."""

    exit_code = 2


class DataError(InputError):
    """A missing, damaged or inconsistent data file; the message names the path. Exit code 2."""


class RunError(XmodalError):
    """Work that was begun and cannot go on: a NaN loss, a crashed viewer, a full disk. Exit code 1."""


def known_names(known: Iterable[str], wrong: str) -> str:
    """The hint of an error about an unknown name: the ``known`` ones, the one that was probably meant first."""
    names = list(known)
    near = get_close_matches(wrong, names, n=1)
    return (f"did you mean '{near[0]}'? " if near else "") + f"known: {', '.join(names)}"
