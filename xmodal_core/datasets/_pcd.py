"""PCD point clouds: ascii, binary and binary_compressed (pointclouds.org, "The PCD file format", version 0.7)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmodal_core.datasets._files import FETCH_AGAIN, read_bytes
from xmodal_core.errors import DataError

KINDS = {("F", 4): "<f4", ("F", 8): "<f8"} | {
    (letter, size): f"<{letter.lower()}{size}" for letter in "IU" for size in (1, 2, 4, 8)
}


class _Header(NamedTuple):
    """``fields`` as a record of the file has them, ``points``, the ``data``'s form, and where it begins in the file."""

    fields: np.dtype[np.void]
    points: int
    data: str
    start: int


def read_pcd(path: Path) -> NDArray[np.void]:
    """(N,) records with the file's own field names; a field of several values is an array in each record.

    Raises:
        DataError: the file is missing, cut short, or no PCD of the three forms.
    """
    content = read_bytes(path)
    try:
        header = _header(content)
        return _BODIES[header.data](header, content[header.start :])
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError, UnicodeDecodeError, TypeError) as error:
        words = (str(error).splitlines() or [""])[0]
        raise DataError(f"{path} is no readable PCD file: {words}", FETCH_AGAIN) from None


def _header(content: bytes) -> _Header:
    lines: dict[str, list[str]] = {}
    start = 0
    while "DATA" not in lines:
        end = content.index(b"\n", start)
        words = content[start:end].decode("ascii").split()
        start = end + 1
        if words and not words[0].startswith("#"):
            lines[words[0]] = words[1:]
    names, sizes = lines["FIELDS"], [int(size) for size in lines["SIZE"]]
    counts = [int(count) for count in lines.get("COUNT", ["1"] * len(names))]
    kinds = [KINDS[letter, size] for letter, size in zip(lines["TYPE"], sizes, strict=True)]
    # Several fields may be called "_": they are padding.
    unique = [f"_{place}" if name == "_" else name for place, name in enumerate(names)]
    shapes = zip(unique, kinds, counts, strict=True)
    fields = np.dtype([(name, kind) if count == 1 else (name, kind, (count,)) for name, kind, count in shapes])
    points = int(lines["POINTS"][0]) if "POINTS" in lines else int(lines["WIDTH"][0]) * int(lines["HEIGHT"][0])
    if points < 0 or lines["DATA"][0] not in _BODIES:
        raise ValueError(f"{points} points as '{lines['DATA'][0]}'")
    return _Header(fields, points, lines["DATA"][0], start)


def _ascii(header: _Header, body: bytes) -> NDArray[np.void]:
    words = body.split()
    columns = [(name, *np.atleast_1d(header.fields[name].shape or 1)) for name in header.fields.names or ()]
    width = int(sum(count for _, count in columns))
    if len(words) != header.points * width:
        raise ValueError(f"it has {len(words)} numbers for {header.points} points of {width}")
    values = np.array(words, dtype=np.float64).reshape(header.points, width)
    records = np.zeros(header.points, dtype=header.fields)
    at = 0
    for name, count in columns:
        part = values[:, at : at + count]
        with np.errstate(invalid="ignore"):  # nan among whole numbers
            records[name] = part if header.fields[name].shape else part[:, 0]
        at += int(count)
    return records


def _binary(header: _Header, body: bytes) -> NDArray[np.void]:
    size = header.points * header.fields.itemsize
    if len(body) < size:
        raise ValueError(f"it is cut short: {len(body)} of {size} bytes of points")
    return np.frombuffer(body[:size], dtype=header.fields)


def _compressed(header: _Header, body: bytes) -> NDArray[np.void]:
    """One column after the other, all of them compressed by LZF as one."""
    from xmodal_core.datasets._lzf import decompress  # loads numba

    packed, plain = (int(size) for size in np.frombuffer(body[:8], dtype="<u4"))
    size = header.points * header.fields.itemsize
    if plain != size or len(body) < 8 + packed:
        raise ValueError(f"it is cut short: {len(body) - 8} of {packed} bytes, for {plain} of {size}")
    columns = decompress(body[8 : 8 + packed], plain)
    records = np.zeros(header.points, dtype=header.fields)
    at = 0
    for name in header.fields.names or ():
        of = header.fields[name]
        end = at + header.points * of.itemsize
        records[name] = np.frombuffer(columns[at:end], dtype=of.base).reshape(header.points, *of.shape)
        at = end
    return records


_BODIES = {"ascii": _ascii, "binary": _binary, "binary_compressed": _compressed}
