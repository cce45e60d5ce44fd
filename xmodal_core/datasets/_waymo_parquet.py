"""Waymo's parquet files: small columns read whole, large ones row after row, so that memory stays constant.

A file is one component of one segment: about 200 frames, a row for each LiDAR or camera, a few row groups of 256 rows.
A row group of ``lidar`` is a gigabyte when decoded, so it is decoded row by row, and in the order of the file; going
back means to decode its group from the start again. Columns are found by name and cast, never by place or type: the
release has files with another order, further columns and float32 transforms.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xmodal_core.datasets._files import FETCH_AGAIN, plausible
from xmodal_core.errors import DataError
from xmodal_core.types import Doubles, Ints

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

TIME = "key.frame_timestamp_micros"
NOT_THIS = "fetch the file again from version 2 of the Perception Dataset"
BUFFER = 1 << 20
"""Bytes read at once of each column; without it, or with Arrow's reading ahead, a row group's bytes are all held."""


class Component:
    """One component of one segment.

    Args:
        file: the parquet file.
        name: of the component's class in the columns' names, e.g. ``LiDARComponent``.
        large: the columns that are read row by row, without the class's name.
        keep: how many rows of them are kept when they have been read.

    Raises:
        DataError: the file is missing, cut short or otherwise damaged, or lacks a column; from every method.
    """

    def __init__(self, file: Path, name: str, large: Sequence[str] = (), keep: int = 10) -> None:
        self.file = file
        self._name = name
        self._large = tuple(f"[{name}].{column}" for column in large)
        self._keep = keep
        self._forget()

    def _forget(self) -> None:
        self._lock = RLock()
        self._streams: dict[int, _Stream] = {}
        self._recent: OrderedDict[int, pa.RecordBatch] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Open files and what was read of them do not travel to other processes."""
        return {name: self.__dict__[name] for name in ("file", "_name", "_large", "_keep")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    @cached_property
    def _parquet(self) -> pq.ParquetFile:
        import pyarrow.parquet as pq

        try:
            size = self.file.stat().st_size
        except OSError as error:
            raise DataError(f"cannot read {self.file}: {error.strerror}", FETCH_AGAIN) from None
        if not size:
            raise DataError(f"{self.file} is empty", FETCH_AGAIN)
        with self._faults():
            return pq.ParquetFile(self.file, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Whatever reading a damaged file comes to grief with, named by the file."""
        try:
            yield
        except DataError:
            raise
        except Exception as error:  # Arrow has many kinds of its own, and passes on others
            what = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(f"{self.file} is damaged or cut short: {what}", FETCH_AGAIN) from None

    def has(self, column: str) -> bool:
        """Whether there is such a column of the component's class."""
        return f"[{self._name}].{column}" in self._parquet.schema_arrow.names

    def numbers(self, column: str) -> Doubles:
        """(rows,) float64 of a column of numbers, NaN where there is none."""
        found = self._whole(f"[{self._name}].{column}")
        with self._faults():
            return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.float64)

    def transforms(self, column: str) -> Doubles:
        """(rows, 4, 4) rigid transforms of a column of 16 numbers, row after row; written in float32 a rotation is none
        in float64 yet, so it is made one."""
        stored = self._whole(f"[{self._name}].{column}")
        with self._faults():
            found = np.array(stored.to_pylist(), dtype=np.float64).reshape(-1, 4, 4)
        if len(found) != len(stored) or not plausible(found):
            raise DataError(f"{self.file}: '{column}' is no list of 16 numbers in every row", FETCH_AGAIN)
        rotation = found[:, :3, :3]
        off = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2), initial=0)
        affine = np.abs(found[:, 3] - (0, 0, 0, 1)).max(axis=1, initial=0) <= 1e-6
        if not (affine & (off < 1e-3) & (np.linalg.det(rotation) > 0)).all():
            raise DataError(f"{self.file} holds a transform that is not rigid", FETCH_AGAIN)
        left, _, right = np.linalg.svd(rotation)
        found[:, :3, :3] = left @ right
        found[:, 3] = (0, 0, 0, 1)
        return found

    def lists(self, column: str) -> list[list[float] | None]:
        """A column of lists that may be absent."""
        found = self._whole(f"[{self._name}].{column}")
        with self._faults():
            return [None if row is None else [float(value) for value in row] for row in found.to_pylist()]

    def times(self) -> Ints:
        """(rows,) microseconds: the frame that each row is of."""
        found = self._whole(TIME)
        with self._faults():
            return np.array(found.to_pylist(), dtype=np.int64)

    def keys(self, key: str, names: Sequence[str]) -> Ints:
        """(rows,) a sensor's number in each row, from 1 on; written as such, or as one of ``names``."""
        found = self._whole(f"key.{key}")
        with self._faults():
            return np.array([_number(value, names) for value in found.to_pylist()], dtype=np.int64)

    def texts(self, key: str) -> NDArray[np.str_]:
        """(rows,) a key that is text."""
        found = self._whole(f"key.{key}")
        with self._faults():
            return np.array([str(value) for value in found.to_pylist()], dtype=np.str_)

    def _whole(self, column: str) -> pa.ChunkedArray:
        self._check([column])
        with self._lock, self._faults():
            # One thread: the pool's would not live on in the processes of a loader.
            found = self._parquet.read(columns=[column], use_threads=False).column(column)
        if len(found) != self._parquet.metadata.num_rows:
            raise DataError(
                f"{self.file} is damaged: '{column}' has {len(found)} rows, not as many as others", FETCH_AGAIN
            )
        return found

    def _check(self, columns: Sequence[str]) -> None:
        for column in columns:
            if column not in self._parquet.schema_arrow.names:
                raise DataError(f"{self.file} has no column '{column}'", NOT_THIS)

    def row(self, number: int, lane: int = 0) -> pa.RecordBatch:
        """Row ``number`` with the large columns.

        Args:
            number: of the row in the file.
            lane: rows of one lane are read in rising order; where those of a frame lie far apart in the file, each
                sensor has its own.
        """
        with self._lock:
            if number not in self._recent:
                self._advance(number, lane)
            self._recent.move_to_end(number)
            return self._recent[number]

    def _advance(self, number: int, lane: int) -> None:
        group, first = self._group_of(number)
        stream = self._streams.get(lane)
        if stream is None or stream.group != group or stream.next > number:
            self._check(self._large)
            with self._faults():
                batches = self._parquet.iter_batches(
                    batch_size=1, row_groups=[group], columns=list(self._large), use_threads=False
                )
            stream = self._streams[lane] = _Stream(batches, group, first)
        while stream.next <= number:
            with self._faults():
                batch = next(stream.batches, None)
            if batch is None or batch.num_rows != 1:
                del self._streams[lane]
                raise DataError(f"{self.file} is damaged or cut short: it has fewer rows than it says", FETCH_AGAIN)
            self._recent[stream.next] = batch
            stream.next += 1
            while len(self._recent) > self._keep:
                self._recent.popitem(last=False)

    def _group_of(self, number: int) -> tuple[int, int]:
        """The row group of a row, and its first row."""
        group = int(np.searchsorted(self._group_ends, number, side="right"))
        return group, int(self._group_ends[group - 1]) if group else 0

    @cached_property
    def _group_ends(self) -> Ints:
        metadata = self._parquet.metadata
        counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        return np.cumsum(counts, dtype=np.int64)

    def image(self, number: int, column: str, channels: int, lane: int = 0) -> NDArray[Any] | None:
        """(height, width, ``channels`` or more) of the columns ``column.values`` and ``column.shape`` of a row; None
        where there is none."""
        batch = self.row(number, lane)
        with self._faults():
            values, shape = (batch.column(f"[{self._name}].{column}.{part}")[0] for part in ("values", "shape"))
            if not (values.is_valid and shape.is_valid):
                return None
            sides = [int(side) for side in shape.as_py()]
            flat = values.values.to_numpy(zero_copy_only=False)
        if len(sides) != 3 or min(sides) < 1 or sides[2] < channels or len(flat) != sides[0] * sides[1] * sides[2]:
            raise DataError(
                f"{self.file}: '{column}' of row {number} has {len(flat)} values for a shape of {sides}", FETCH_AGAIN
            )
        return np.asarray(flat).reshape(sides)

    def content(self, number: int, column: str, lane: int = 0) -> bytes:
        """The bytes in a column of a row."""
        batch = self.row(number, lane)
        with self._faults():
            content = batch.column(f"[{self._name}].{column}")[0].as_py()
        return bytes(content or b"")


class _Stream:
    """Rows of one row group, one after the other; ``next`` is the number of the row that comes."""

    def __init__(self, batches: Iterator[pa.RecordBatch], group: int, first: int) -> None:
        self.batches = batches
        self.group = group
        self.next = first


def _number(value: object, names: Sequence[str]) -> int:
    if isinstance(value, str) and value in names:
        return names.index(value) + 1
    return int(value)  # type: ignore[call-overload,no-any-return]


class Rows:
    """Which row of a component is of which frame and sensor.

    Args:
        component: with rows of ``key`` (``laser_name`` or ``camera_name``).
        key: the sensors' column.
        names: of the sensors, in the order of their numbers from 1 on.

    Raises:
        DataError: two rows are of the same frame and sensor, or a column of keys is damaged.
    """

    def __init__(self, component: Component, key: str, names: Sequence[str]) -> None:
        times, numbers = component.times(), component.keys(key, names)
        self.component = component
        self.times: Ints = np.unique(times)
        self._row = {pair: row for row, pair in enumerate(zip(times.tolist(), numbers.tolist(), strict=True))}
        if len(self._row) != len(times):
            raise DataError(f"{component.file} holds two rows of the same frame and {key}", FETCH_AGAIN)
        self._apart = _lie_apart(times, len(names))

    def find(self, time: int, number: int) -> int | None:
        """The row of a sensor at a time; None where there is none."""
        return self._row.get((time, number))

    def lane(self, number: int) -> int:
        """In which lane a sensor's rows are read."""
        return number if self._apart else 0


def _lie_apart(times: Ints, sensors: int) -> bool:
    """Whether the rows of a frame lie far apart: the file is sorted by sensor rather than by time."""
    _, first = np.unique(times, return_index=True)
    _, back = np.unique(times[::-1], return_index=True)
    span = len(times) - back - first
    return bool(len(span)) and bool(np.median(span) > 2 * sensors)
