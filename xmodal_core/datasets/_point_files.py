"""Point files of any sensor: .bin, .npy, .pcd and .ply, read into named columns."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmodal_core.datasets._files import FETCH_AGAIN, read_bytes, read_rows
from xmodal_core.datasets._pcd import read_pcd
from xmodal_core.datasets._ply import read_ply
from xmodal_core.errors import DataError
from xmodal_core.types import Floats

SUFFIXES = (".pcd.bin", ".bin", ".npy", ".pcd", ".ply")
"""Longer ones first: ``a.pcd.bin`` is frame ``a``."""

UNUSED = "_"
"""Stands for a column that nobody wants."""


def suffix_of(name: str) -> str:
    """Which of ``SUFFIXES`` a file's name ends in; empty: none."""
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")


def read_columns(path: Path, columns: Sequence[str], fields: Mapping[str, str]) -> Floats:
    """The points of ``path``, (N, used columns) float32 in the order of ``columns``.

    Args:
        path: a file with one of ``SUFFIXES``.
        columns: what the columns of .bin and .npy files are; ``UNUSED`` ones are left out. Of .pcd, .ply and .npy files
            with names of their own, those that are wanted.
        fields: what a file with names calls a column, where that differs.

    Raises:
        DataError: the file is missing, cut short, damaged, or lacks a column.
    """
    used = [place for place, name in enumerate(columns) if name != UNUSED]
    suffix = suffix_of(path.name)
    if suffix in (".bin", ".pcd.bin"):
        return read_rows(path, len(columns))[:, used]
    if suffix == ".npy":
        records = _read_npy(path)
        if records.dtype.names is None:
            return _checked(path, records, len(columns))[:, used]
    else:
        records = read_pcd(path) if suffix == ".pcd" else read_ply(path)
    return _columns(path, records, [fields.get(columns[place], columns[place]) for place in used])


def _read_npy(path: Path) -> NDArray[Any]:
    content = read_bytes(path)
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # a damaged header is text that numpy evaluates
        words = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} is no readable .npy file: {words}", FETCH_AGAIN) from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} holds several arrays", "write it with numpy.save, one array a file")
    return array


def read_npy_numbers(path: Path, count: int) -> NDArray[np.int64]:
    """A whole number for each of ``count`` points.

    Raises:
        DataError: the file is missing or damaged, or made for another number of points, or holds no whole numbers.
    """
    array = _read_npy(path)
    if array.dtype.kind not in "iub":
        raise DataError(f"{path} holds {array.dtype}, not whole numbers", "save one whole number for each point")
    if array.size != count:
        raise DataError(f"{path} holds {array.size} labels for {count} points", FETCH_AGAIN)
    return np.asarray(array, dtype=np.int64).reshape(count)


def _checked(path: Path, array: NDArray[Any], width: int) -> Floats:
    if array.ndim != 2 or array.shape[1] != width or array.dtype.kind not in "fiu":
        shape = " x ".join(str(side) for side in array.shape)
        raise DataError(
            f"{path} holds {shape or 'one'} {array.dtype}, not points of {width} columns",
            "name every column under 'columns' of calibration.yaml, '_' for one that is not wanted",
        )
    return np.asarray(array, dtype=np.float32)


def _columns(path: Path, records: NDArray[Any], names: Sequence[str]) -> Floats:
    there = records.dtype.names or ()
    for name in names:
        if name not in there:
            raise DataError(
                f"{path} has no field '{name}'; it has {', '.join(there) or 'none'}",
                "list its own under 'columns' of calibration.yaml, and other names of theirs under 'fields'",
            )
    result = np.zeros((records.size, len(names)), dtype=np.float32)
    flat = records.reshape(-1)
    for place, name in enumerate(names):
        values = flat[name]
        if values.ndim != 1 or values.dtype.kind not in "fiu":
            raise DataError(f"field '{name}' of {path} is no single number a point", "leave it out of 'columns'")
        with np.errstate(over="ignore"):  # beyond float32: infinite, and left out as implausible
            result[:, place] = values
    return result
