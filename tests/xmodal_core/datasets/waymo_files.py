"""Reading and changing single columns of the files of Waymo's example."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xmodal_core.datasets import _waymo_example as written
from xmodal_core.datasets._waymo_segment import COMPONENTS

FOLDER = written.SPLIT
TIMES = (written.START, written.START + 100_000)
Change = Callable[[pa.Table], pa.Table]


def file_of(root: Path, component: str, context: str = written.CONTEXT) -> Path:
    return root / FOLDER / component / f"{context}.parquet"


def full(component: str, column: str) -> str:
    return column if column.startswith("key.") else f"[{COMPONENTS[component]}].{column}"


def edit(root: Path, component: str, change: Change, group: int = 6) -> Path:
    file = file_of(root, component)
    pq.write_table(change(pq.read_table(file)), file, row_group_size=group)
    return file


def with_column(component: str, column: str, values: list[Any], kind: pa.DataType | None = None) -> Change:
    name = full(component, column)

    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        return table.set_column(place, name, pa.array(values, kind or table.schema.field(name).type))

    return change


def column(root: Path, component: str, name: str) -> list[Any]:
    found: list[Any] = pq.read_table(file_of(root, component)).column(full(component, name)).to_pylist()
    return found


def change_value(root: Path, component: str, name: str, row: int, value: Any) -> Path:
    values = column(root, component, name)
    values[row] = value
    return edit(root, component, with_column(component, name, values))
