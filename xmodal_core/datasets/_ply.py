"""PLY point clouds: ascii and binary little endian, their ``vertex`` element (format: G. Turk, "The PLY polygon file
format", 1994)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmodal_core.datasets._files import FETCH_AGAIN, read_bytes
from xmodal_core.errors import DataError

KINDS = {
    "char": "<i1", "uchar": "<u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4", "float": "<f4",
    "double": "<f8", "int8": "<i1", "uint8": "<u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4",
    "float32": "<f4", "float64": "<f8",
}  # fmt: skip
FORMATS = ("ascii", "binary_little_endian")


class _Header(NamedTuple):
    """``fields`` of a vertex, how many ``points`` there are, the file's ``form``, where its data begins."""

    fields: np.dtype[np.void]
    points: int
    form: str
    start: int


def read_ply(path: Path) -> NDArray[np.void]:
    """(N,) records of the vertices, with the file's own property names.

    Raises:
        DataError: the file is missing, cut short, or no PLY of the two forms whose first element is ``vertex``.
    """
    content = read_bytes(path)
    try:
        header = _header(content)
        body = content[header.start :]
        return _ascii(header, body) if header.form == "ascii" else _binary(header, body)
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError, UnicodeDecodeError, TypeError) as error:
        words = (str(error).splitlines() or [""])[0]
        raise DataError(f"{path} is no readable PLY file: {words}", FETCH_AGAIN) from None


def _header(content: bytes) -> _Header:
    if not content.startswith(b"ply"):
        raise ValueError("it does not begin with 'ply'")
    form, element, points = "", "", 0
    fields: list[tuple[str, str]] = []
    start = 0
    while True:
        end = content.index(b"\n", start)
        words = content[start:end].decode("ascii").split() or [""]
        start = end + 1
        if words[0] == "format":
            form = words[1]
        elif words[0] == "element":
            if not element and words[1] != "vertex":
                raise ValueError(f"its first element is '{words[1]}', not 'vertex'")
            element = words[1]
            points = int(words[2]) if element == "vertex" else points
        elif words[0] == "property" and element == "vertex":
            fields.append((words[2], KINDS[words[1]]))  # a list has no place among points: KeyError
        elif words[0] == "end_header":
            break
    if form not in FORMATS or points < 0:
        raise ValueError(f"{points} points as '{form}', which is none of {', '.join(FORMATS)}")
    return _Header(np.dtype(fields), points, form, start)


def _binary(header: _Header, body: bytes) -> NDArray[np.void]:
    size = header.points * header.fields.itemsize
    if len(body) < size:
        raise ValueError(f"it is cut short: {len(body)} of {size} bytes of points")
    return np.frombuffer(body[:size], dtype=header.fields)


def _ascii(header: _Header, body: bytes) -> NDArray[np.void]:
    names = header.fields.names or ()
    words = body.split(maxsplit=header.points * len(names))[: header.points * len(names)]
    if len(words) < header.points * len(names):
        raise ValueError(f"it is cut short: {len(words)} numbers for {header.points} points of {len(names)}")
    values = np.array(words, dtype=np.float64).reshape(header.points, len(names))
    records = np.zeros(header.points, dtype=header.fields)
    for place, name in enumerate(names):
        with np.errstate(invalid="ignore"):  # nan among whole numbers
            records[name] = values[:, place]
    return records
