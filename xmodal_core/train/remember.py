"""What a frozen teacher sees of a frame's units, kept on disk: it has to look at the pictures of a frame only once.

A frame has a number of sets of units, its variants, which differ in the seeds that they grew from. The first time that
a frame is met, all its variants are found, the teacher looks at its pictures once, and one file takes the pooling
matrix W and the image features of each variant. From then on neither its pictures nor unit discovery nor the teacher
are needed. Points come from the data set each time: they are quickly read, and the network augments them anyway.

A file is found again by what went into it: the memory's folder is named after the ``Recipe``, the file after all that
discovery takes of the frame (points, sensor, cameras as they are calibrated or perturbed) and after name, size and time
of its pictures' files. So nothing that changed can be mistaken for what it was.

Files appear whole or not at all, so several processes may fill one memory; a damaged file is as good as none, and made
again. Where a new file finds no room in what the folder may take, recipes are forgotten, the one that was used longest
ago first, but none that was in use within the last hour. Where that does not help, nothing more is kept, since each
epoch would forget what the next one needs: frames that are not kept are looked at every time.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import time
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmodal_core.errors import InputError
from xmodal_core.files import whole_file
from xmodal_core.images import Teacher
from xmodal_core.images._units import frame_features, look, read_units
from xmodal_core.train.batch import Batch, ToKeep, to_sparse
from xmodal_core.train.forget import RECIPE, bytes_in, forgettable
from xmodal_core.train.recipe import Recipe
from xmodal_core.types import Pooling

HEADER = 512
"""Bytes of a file that an array takes beside its values, or a little more."""
HALF = 65504.0
"""The largest number in half precision."""
STAMP_EVERY = 60.0
"""Seconds after which a recipe that is in use says so again."""


class Known(NamedTuple):
    """What is kept of one variant of a frame: W, and (U,D) what the teacher sees of its units, not standardised."""

    pooling: Pooling
    seen: NDArray[Any]


def _shared_flag() -> Tensor:
    flag: Tensor = torch.zeros(1, dtype=torch.bool).share_memory_()  # type: ignore[no-untyped-call]
    return flag


@dataclass
class Memory:
    """What a teacher has seen of units, in files below ``folder``; a copy of it may be in every process that reads.

    Args:
        folder: of all recipes.
        recipe: whose files these are.
        limit: bytes that all recipes together may take.
    """

    folder: Path
    recipe: Recipe
    limit: int

    _closed: Tensor = field(default_factory=_shared_flag, init=False)
    _room: int = field(default=0, init=False)
    _stamped: float = field(default=0.0, init=False)

    @property
    def place(self) -> Path:
        """The folder of this recipe's files."""
        return self.folder / self.recipe.name

    @property
    def takes_more(self) -> bool:
        """Whether anything new is kept: known to all processes."""
        return not bool(self._closed[0])

    def find(self, entry: str, variant: int, points: int) -> Known | None:
        """What is kept as ``entry`` of a frame of ``points``; None where nothing is, or nothing whole."""
        try:
            with np.load(self._file(entry)) as kept:
                count, column = kept[f"count{variant}"].astype(np.int64), kept[f"column{variant}"].astype(np.int64)
                row = np.repeat(np.arange(len(count)), count)
                pooling = Pooling(row, column, kept[f"weight{variant}"], (len(count), points))
                return Known(pooling, kept[f"seen{variant}"])
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile):
            return None

    def keep(self, entry: str, variants: Sequence[Known]) -> None:
        """Keep all ``variants`` of a frame as ``entry``, if there is room; a disk that is full ends the keeping."""
        values = {
            f"{name}{number}": array
            for number, known in enumerate(variants)
            for name, array in {
                "count": np.bincount(known.pooling.row, minlength=known.pooling.shape[0]).astype(np.int32),
                "column": known.pooling.column.astype(np.int32),
                "weight": known.pooling.weight,
                "seen": known.seen,
            }.items()
        }
        size = sum(array.nbytes + HEADER for array in values.values())
        if not self.takes_more or not self._has_room(size):
            return
        try:
            with whole_file(self._file(entry)) as file:
                np.savez(file, **values)  # type: ignore[arg-type]
        except InputError:
            self._closed[0] = True
            return
        self._room -= size

    def stamp(self) -> None:
        """Say that the recipe is in use."""
        if time() - self._stamped < STAMP_EVERY:
            return
        self._stamped = time()
        file = self.place / RECIPE
        with suppress(OSError, InputError):
            if not file.exists():
                with whole_file(file) as making:
                    making.write_text(json.dumps(asdict(self.recipe), indent=2) + "\n", encoding="utf-8")
            os.utime(file)

    def rounded(self, features: Tensor) -> Tensor:
        """``features`` as they come back from a file."""
        return features.clamp(-HALF, HALF).half() if self.recipe.half else features.float()

    def _file(self, entry: str) -> Path:
        return self.place / entry[:2] / f"{entry}.npz"

    def _has_room(self, size: int) -> bool:
        if size > self._room:
            self._room = self.limit - bytes_in(self.folder)
            for old in forgettable(self.folder):
                if size <= self._room:
                    break
                shutil.rmtree(old, ignore_errors=True)
                self._room = self.limit - bytes_in(self.folder)
            self._closed[0] = size > self._room
        return size <= self._room


@torch.no_grad()
def recall(batch: Batch, teacher: Teacher, memory: Memory) -> Batch:
    """``batch`` with what ``teacher`` sees of all its units, and without pictures; what is new is kept in ``memory``.

    What is not kept is rounded as if it were, so that it makes no difference whether a frame found room.
    """
    memory.stamp()
    seen = []
    for number, to_keep in enumerate(batch.to_keep):
        if to_keep is None:
            seen.append(memory.rounded(frame_features(batch, number, teacher)))
            continue
        every = _all_variants(batch, number, to_keep, teacher, memory)
        kept = [
            Known(pooling, features.cpu().numpy())
            for (pooling, _), features in zip(to_keep.variants, every, strict=True)
        ]
        memory.keep(to_keep.entry, kept)
        seen.append(every[to_keep.variant][torch.from_numpy(to_keep.units).to(every[0].device)])
    nothing = batch.images[:0]
    return replace(batch, seen=tuple(seen), images=nothing, to_keep=(None,) * len(seen))


def _all_variants(batch: Batch, number: int, to_keep: ToKeep, teacher: Teacher, memory: Memory) -> list[Tensor]:
    """What ``teacher`` sees of the units of each variant of a frame, for one look at its pictures."""
    view = batch.view(number)
    maps = look(view, teacher)
    views = (
        view._replace(pooling=to_sparse(image_pooling).to(view.images.device)) for _, image_pooling in to_keep.variants
    )
    return [memory.rounded(read_units(maps, teacher, each)) for each in views]
