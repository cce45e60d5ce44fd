"""LZF, the compression of PCD files: literals and references to what was written before (Lehmann's liblzf)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmodal_core.compiled import compiled


def decompress(packed: bytes, size: int) -> bytes:
    """The ``size`` bytes that ``packed`` stands for.

    Raises:
        ValueError: it stands for something else, or is damaged.
    """
    plain = np.zeros(size, dtype=np.uint8)
    if _unpack(np.frombuffer(packed, dtype=np.uint8), plain) != size:
        raise ValueError("its compressed data is damaged")
    return plain.tobytes()


@compiled
def _unpack(packed: NDArray[np.uint8], plain: NDArray[np.uint8]) -> int:
    """Fills ``plain``; gives how many bytes were written, -1 where a reference leads out of it."""
    at, to = 0, 0
    while at < len(packed):
        control = int(packed[at])
        at += 1
        if control < 32:
            count = control + 1
            if at + count > len(packed) or to + count > len(plain):
                return -1
            for _ in range(count):
                plain[to] = packed[at]
                at, to = at + 1, to + 1
            continue
        count = (control >> 5) + 2
        if count == 9:
            if at >= len(packed):
                return -1
            count += int(packed[at])
            at += 1
        if at >= len(packed):
            return -1
        source = to - ((control & 31) << 8) - int(packed[at]) - 1
        at += 1
        if source < 0 or to + count > len(plain):
            return -1
        for _ in range(count):  # byte by byte, since it may repeat what it is just writing
            plain[to] = plain[source]
            source, to = source + 1, to + 1
    return to
