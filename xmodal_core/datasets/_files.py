"""Reading the flat files that sensors leave behind: point files and pictures, with every fault named by its path."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmodal_core.errors import DataError
from xmodal_core.types import Bools, Camera, Floats, Image

FETCH_AGAIN = "fetch the file again, or leave the frame out"
LARGEST = 1e9
"""No length, angle or pixel in a data set is greater; what is read beyond it is damage."""


def plausible(values: ArrayLike) -> bool:
    """Whether all numbers are finite and none is absurd, so that float32 and projections stay finite too."""
    return bool((np.abs(np.asarray(values, dtype=np.float64)) < LARGEST).all())


def plausible_rows(values: Floats) -> Bools:
    """(N,) bool: the rows of a point file (N,C) whose numbers are all plausible."""
    return np.asarray((np.abs(values) < LARGEST).all(axis=1), dtype=np.bool_)


def unless_all(kept: Bools) -> Bools | None:
    """``kept`` as ``Frame.stored`` takes it: None where every row is."""
    return None if kept.all() else kept


def read_bytes(path: Path, hint: str = FETCH_AGAIN) -> bytes:
    """All of a file; ``hint`` is what to do where it is missing.

    Raises:
        DataError: it is missing, empty, or cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing", hint) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "check its permissions") from None
    if not content:
        raise DataError(f"{path} is empty", FETCH_AGAIN)
    return content


def read_text(path: Path) -> str:
    """All of a text file.

    Raises:
        DataError: it is missing, empty, cannot be read or is not text.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file", FETCH_AGAIN) from None


def read_rows(path: Path, columns: int, hint: str = FETCH_AGAIN) -> Floats:
    """A file of little-endian float32 rows without a header, (N, columns); ``hint`` is for a missing file.

    Raises:
        DataError: it is missing, empty, or ends within a row.
    """
    content = read_bytes(path, hint)
    if len(content) % (4 * columns):
        raise DataError(
            f"{path} is cut short: {len(content)} bytes are no whole number of rows of {columns} float32", FETCH_AGAIN
        )
    return np.frombuffer(content, dtype="<f4").reshape(-1, columns).astype(np.float32)


def read_labels(path: Path, count: int) -> NDArray[np.uint8]:
    """One uint8 for each of ``count`` points.

    Raises:
        DataError: it is missing, empty, or made for another number of points.
    """
    content = read_bytes(path)
    if len(content) != count:
        raise DataError(f"{path} holds {len(content)} labels for {count} points", FETCH_AGAIN)
    return np.frombuffer(content, dtype=np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture, read from its header alone.

    Raises:
        DataError: it is missing, empty or no picture.
    """
    from PIL import Image as Pictures

    try:
        with Pictures.open(path) as picture:
            return picture.width, picture.height
    except FileNotFoundError:
        raise DataError(f"{path} is missing", FETCH_AGAIN) from None
    except Exception as error:  # each decoder of Pillow has its own kinds
        raise DataError(f"{path} is no readable picture: {_first_line(error)}", FETCH_AGAIN) from None


def read_image(path: Path, width: int, height: int) -> Image:
    """A picture as (height, width, 3) uint8 RGB, grey ones with three equal channels.

    Raises:
        DataError: it is missing, empty, damaged, cut short, or of another size than the calibration is made for.
    """
    return decode_image(read_bytes(path), str(path), width, height)


def decode_image(content: bytes, name: str, width: int, height: int) -> Image:
    """The picture in the bytes of a file as (height, width, 3) uint8 RGB; ``name`` tells in errors which it is.

    Raises:
        DataError: it is empty, damaged, cut short, or of another size than the calibration is made for.
    """
    from PIL import Image as Pictures
    from PIL import UnidentifiedImageError

    if not content:
        raise DataError(f"{name} is empty", FETCH_AGAIN)
    try:
        with Pictures.open(BytesIO(content)) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except UnidentifiedImageError:
        raise DataError(f"{name} is no readable picture: no known format", FETCH_AGAIN) from None
    except Exception as error:  # each decoder of Pillow has its own kinds
        raise DataError(f"{name} is no readable picture: {_first_line(error)}", FETCH_AGAIN) from None
    if pixels.shape[:2] != (height, width):
        raise DataError(
            f"{name} is {pixels.shape[1]}x{pixels.shape[0]} pixels, its calibration is for {width}x{height}",
            "use the pictures in their published size",
        )
    return pixels


def picture_file(camera: Camera) -> Path | None:
    """The file that holds just the picture of ``camera``; None where it is no file of its own, or is not read as is."""
    of = camera.read
    is_file = isinstance(of, partial) and of.func is read_image and of.args[0].is_file()
    return Path(of.args[0]) if is_file else None  # type: ignore[attr-defined]


def picture_source(camera: Camera) -> Path | None:
    """The file that the picture of ``camera`` is in, alone or with others; None where that is unknown."""
    of = camera.read
    first = of.args[0] if isinstance(of, partial) and of.args else None
    file = first if isinstance(first, Path) else getattr(first, "file", None)
    return file if isinstance(file, Path) else None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
