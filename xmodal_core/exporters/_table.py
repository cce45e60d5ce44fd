"""A table from our tensors to a target's: its rows, and what is made of tensors by reading it forwards or backwards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from xmodal_core.errors import DataError
from xmodal_core.exporters._layouts import SAME, Layout

COUNTER = "num_batches_tracked"
NORM = ("weight", "bias", "running_mean", "running_var", COUNTER)


@dataclass(frozen=True)
class Row:
    """One tensor of the target's own model.

    Args:
        theirs: its name in the target's file.
        shape: its shape in that file, from the target's rules and not from our tensor.
        ours: the name of our tensor; None where the target has one and we have not.
        layout: how the memory differs.
        fill: what is written where ``ours`` is None.
        absorbed_by: where ``ours`` is None: our running mean, of the batch norm that follows, that takes up such a
            bias when a file is read (``running_mean - bias`` is the same network without the bias).
    """

    theirs: str
    shape: tuple[int, ...]
    ours: str | None
    layout: Layout = SAME
    fill: float = 0.0
    absorbed_by: str | None = None

    def fits(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether the target's ``tensors`` have this one, in this shape."""
        return self.theirs in tensors and tuple(tensors[self.theirs].shape) == self.shape


def norm_rows(theirs: str, ours: str, width: int) -> Iterator[Row]:
    """The five rows of a batch norm: weight, bias, running mean and variance, number of batches."""
    for part in NORM:
        yield Row(f"{theirs}.{part}", () if part == COUNTER else (width,), f"{ours}.{part}")


@dataclass(frozen=True)
class Table:
    """One network of ours in one format.

    Args:
        rows: from the network's settings and spconv's version, every tensor of the target's model in its order.
        fragment: from the network's settings, the text of the target's settings that build that model.
    """

    rows: Callable[[Any, int], Iterator[Row]]
    fragment: Callable[[Any], str]


class Converted(NamedTuple):
    """A backbone in the target's terms: ``tensors`` by its names, the ``rows`` that they were made by, and the tensors
    of either side that have no partner, each with the reason."""

    tensors: dict[str, Tensor]
    rows: tuple[Row, ...]
    left_out: dict[str, str]


@dataclass(frozen=True)
class Imported:
    """What was read.

    Args:
        tensors: by our names, all of the network's.
        left_out: tensors of the file that are none of the backbone's (heads, buffers).
        absorbed: biases of the file that were not zero and went into the running mean that follows.
    """

    tensors: Mapping[str, Tensor]
    left_out: tuple[str, ...]
    absorbed: tuple[str, ...]


def forwards(rows: Sequence[Row], ours: Mapping[str, Tensor], wanted: Collection[str]) -> Converted:
    """``ours`` in the target's names and layouts, as far as both sides have partners.

    Args:
        rows: of the table.
        ours: by our names.
        wanted: those of ``ours`` that should find a place.
    """
    dtype = next((tensor.dtype for tensor in ours.values() if tensor.is_floating_point()), torch.float32)
    tensors: dict[str, Tensor] = {}
    left_out: dict[str, str] = {}
    for row in rows:
        theirs = _made(row, ours, dtype)
        if theirs is None:
            left_out[row.theirs] = f"the target's tensor '{row.theirs}' has no counterpart"
        elif tuple(theirs.shape) != row.shape:
            left_out[row.theirs] = f"'{row.theirs}' should be {_size(row.shape)}, but is {_size(theirs.shape)}"
        else:
            tensors[row.theirs] = theirs
    named = {row.ours for row in rows}
    left_out |= {name: f"our tensor '{name}' has no place in the target" for name in wanted if name not in named}
    return Converted(tensors, tuple(row for row in rows if row.theirs in tensors), left_out)


def rounded(rows: Iterable[Row], ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of ``ours`` that come back from ``theirs`` changed in their last bits, by our names.

    Multiplying by a scale that is no power of two rounds, and some numbers round to the same one.
    """
    found: dict[str, Tensor] = {}
    for row in rows:
        if row.ours is None or row.ours not in ours or row.theirs not in theirs:
            continue
        original = ours[row.ours]
        if _becomes(row, original, theirs) and not torch.equal(row.layout.back(theirs[row.theirs]), original):
            found[row.ours] = original
    return found


def backwards(
    readings: Sequence[tuple[Row, ...]],
    theirs: Mapping[str, Tensor],
    network: str,
    originals: Mapping[str, Tensor],
) -> Imported:
    """Our tensors from the target's, all of them or none.

    Args:
        readings: of the table; each row as the target may have it, the first of them is what is named in complaints.
        theirs: by the target's names.
        network: what to call the network in complaints.
        originals: what ``rounded`` gave; one that does not become what is in ``theirs``, since that was trained
            further, is not used.

    Raises:
        DataError: a tensor of the backbone is missing or has another shape; the message names the first.
    """
    ours: dict[str, Tensor] = {}
    biases: list[Row] = []
    wrong: list[str] = []
    for reading in readings:
        row = next((row for row in reading if row.fits(theirs)), reading[0])
        fits = row.fits(theirs)
        if row.ours is None:
            biases += [row] * (fits and row.absorbed_by is not None and bool(theirs[row.theirs].any()))
        elif fits and row.ours in originals and _becomes(row, originals[row.ours], theirs):
            ours[row.ours] = originals[row.ours]
        elif fits:
            ours[row.ours] = row.layout.back(theirs[row.theirs]).contiguous()
        elif row.theirs.endswith(COUNTER):
            ours[row.ours] = torch.tensor(0)
        else:
            wrong.append(_complaint(row, theirs))
    if wrong:
        raise DataError(
            f"only {len(ours)} of {len(ours) + len(wrong)} tensors of a '{network}' are in the file; {wrong[0]}",
            "say what the file holds, by --network and its settings, e.g. --set network.preset=NAME",
        )
    for row in biases:
        assert row.absorbed_by is not None
        ours[row.absorbed_by] = ours[row.absorbed_by] - theirs[row.theirs]
    known = {reading[0].theirs for reading in readings}
    return Imported(ours, tuple(name for name in theirs if name not in known), tuple(row.theirs for row in biases))


def _made(row: Row, ours: Mapping[str, Tensor], dtype: torch.dtype) -> Tensor | None:
    """The target's tensor; ours as it is where its shape does not even allow the change of layout; None: no partner."""
    if row.ours is None:
        return torch.full(row.shape, row.fill, dtype=dtype)
    if row.ours not in ours:
        return None
    try:
        return row.layout.forth(ours[row.ours])
    except (RuntimeError, ValueError):
        return ours[row.ours]


def _becomes(row: Row, ours: Tensor, theirs: Mapping[str, Tensor]) -> bool:
    try:
        return torch.equal(row.layout.forth(ours), theirs[row.theirs])
    except (RuntimeError, ValueError):  # of another shape
        return False


def _complaint(row: Row, theirs: Mapping[str, Tensor]) -> str:
    if row.theirs not in theirs:
        return f"'{row.theirs}' is missing"
    return f"'{row.theirs}' should be {_size(row.shape)}, but is {_size(theirs[row.theirs].shape)}"


def _size(shape: Sequence[int]) -> str:
    return "x".join(str(side) for side in shape) or "a single number"
