"""JSON tables of any size, read row by row: nuScenes' largest are over a gigabyte of text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

from xmodal_core.errors import DataError

CHUNK = 1 << 19
"""Characters read at a time; also the longest row that is believed."""

_DECODER = json.JSONDecoder()
UNPACK_AGAIN = "unpack the tables again from their archive"


def rows(table: Path, *fields: str) -> Iterator[Any]:
    """The named ``fields`` of each row of ``table``, a JSON list of objects, as a tuple (one field: the value).

    Only one row and half a megabyte of text are held at a time.

    Raises:
        DataError: the table is missing or damaged, or a row lacks a field.
    """
    pick = itemgetter(*fields)
    row: Any = None
    try:
        for row in _objects(table):
            yield pick(row)
    except (KeyError, TypeError):
        lacking = next((name for name in fields if not isinstance(row, dict) or name not in row), "?")
        raise DataError(f"a row of {table} has no '{lacking}'", UNPACK_AGAIN) from None


@contextmanager
def reading(table: Path) -> Iterator[None]:
    """Names ``table`` where a value in it is of another kind than its column: any such error becomes a DataError."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{table} is damaged: {_first_line(error)}", UNPACK_AGAIN) from None


def _objects(table: Path) -> Iterator[Any]:
    try:
        with table.open(encoding="utf-8") as stream:
            yield from _parse(stream)
    except FileNotFoundError:
        raise DataError(f"{table} is missing", "unpack the tables beside it from their archive") from None
    except OSError as error:
        raise DataError(f"cannot read {table}: {error.strerror}", "check its permissions") from None
    except (ValueError, RecursionError) as error:  # of the JSON or of its UTF-8
        raise DataError(f"{table} is damaged: {_first_line(error)}", UNPACK_AGAIN) from None


def _parse(stream: TextIO) -> Iterator[Any]:
    text, at = _next_token(stream, "", 0)
    if text[at] != "[":
        raise ValueError("it is not a JSON list")
    text, at = _next_token(stream, text, at + 1)
    while text[at] != "]":
        row, text, at = _row(stream, text, at)
        yield row
        text, at = _next_token(stream, text, at)
        if text[at] == ",":
            text, at = _next_token(stream, text, at + 1)
        elif text[at] != "]":
            raise ValueError("a comma is missing between two rows")


def _row(stream: TextIO, text: str, at: int) -> tuple[Any, str, int]:
    """The row that begins at ``at``, with more text fetched where it is only cut by the end of the chunk."""
    try:
        row, end = _DECODER.raw_decode(text, at)
    except ValueError as error:
        more = stream.read(CHUNK) if len(text) - at < CHUNK else ""
        if not more:
            raise ValueError(f"a row is cut short or malformed ({error.args[0].split(': ')[0]})") from None
        return _row(stream, text[at:] + more, 0)
    return row, text, end


def _next_token(stream: TextIO, text: str, at: int) -> tuple[str, int]:
    """``text`` and ``at``, moved on to the next character that is not white space."""
    while True:
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        if at < len(text):
            return text, at
        text, at = stream.read(CHUNK), 0
        if not text:
            raise ValueError("it ends within the list")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
