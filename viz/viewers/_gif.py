"""Animated GIF files, written picture by picture so that a film of any length needs the memory of one."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
from PIL import Image as Pictures

from viz.palette import Colours
from xmodal_core.types import Image

COLOURS = 256


class GifWriter:
    """An endlessly repeating GIF of ``size`` (width, height) on ``file``; ``close`` ends it.

    Args:
        file: where to write.
        size: pixels; larger pictures are cut at the right and at the bottom, smaller ones stand on the background.
    """

    def __init__(self, file: BinaryIO, size: tuple[int, int]) -> None:
        self.file, self.size = file, size
        file.write(b"GIF89a" + _two(size[0]) + _two(size[1]) + b"\x00\x00\x00")
        file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")  # again and again

    def add(self, picture: Image, seconds: float, fixed: Colours) -> None:
        """Show ``picture`` for ``seconds``.

        Args:
            picture: (h,w,3).
            seconds: down to hundredths.
            fixed: (K,3) colours, K below 256, that are kept just so: what is drawn with them does not flicker from
                picture to picture. The first is the background.
        """
        indexed = _indexed(self._fitted(picture, fixed[0]), fixed)
        table = np.zeros((COLOURS, 3), dtype=np.uint8)
        colours = np.array(indexed.getpalette(), dtype=np.uint8).reshape(-1, 3)
        table[: len(colours)] = colours
        hundredths = max(2, min(65_535, round(100 * seconds)))  # browsers take 0 and 1 for a tenth of a second
        self.file.write(b"\x21\xf9\x04\x04" + _two(hundredths) + b"\x00\x00")
        self.file.write(b"\x2c\x00\x00\x00\x00" + _two(self.size[0]) + _two(self.size[1]) + b"\x87" + table.tobytes())
        self.file.write(_pixels(indexed))

    def close(self) -> None:
        """Write the end; the file stays open."""
        self.file.write(b"\x3b")

    def _fitted(self, picture: Image, background: Colours) -> Image:
        width, height = self.size
        if picture.shape[:2] == (height, width):
            return picture
        whole = np.broadcast_to(background, (height, width, 3)).copy()
        part = picture[:height, :width]
        whole[: part.shape[0], : part.shape[1]] = part
        return whole


def _indexed(picture: Image, fixed: Colours) -> Pictures.Image:
    """``picture`` in the fixed colours and those that suit it best, without dither, which would triple the file."""
    shown = Pictures.fromarray(picture)
    suited = shown.quantize(COLOURS - len(fixed), dither=Pictures.Dither.NONE).getpalette() or []
    palette = Pictures.new("P", (1, 1))
    palette.putpalette([*fixed.ravel().tolist(), *suited])
    return shown.quantize(palette=palette, dither=Pictures.Dither.NONE)


def _two(number: int) -> bytes:
    return number.to_bytes(2, "little")


def _pixels(picture: Pictures.Image) -> bytes:
    """The compressed pixels of ``picture`` as they stand in a GIF file that Pillow makes of it alone."""
    buffer = io.BytesIO()
    picture.save(buffer, "GIF", optimize=False, interlace=False)
    data = buffer.getvalue()
    place = 13 + _table(data[10])
    while data[place] == 0x21:  # extensions: a label, then blocks of bytes
        place = _after_blocks(data, place + 2)
    begin = place + 10 + _table(data[place + 9])
    return data[begin : _after_blocks(data, begin + 1)]


def _table(flags: int) -> int:
    """Bytes of the colour table that ``flags`` announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, place: int) -> int:
    while data[place]:
        place += data[place] + 1
    return place + 1
