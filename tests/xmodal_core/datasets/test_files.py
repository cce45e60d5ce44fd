"""Reading flat files: what is read, and every fault named by its path with what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pictures

from xmodal_core.datasets._files import FETCH_AGAIN, image_size, read_image, read_labels, read_rows, read_text
from xmodal_core.errors import DataError

READERS: dict[str, Callable[[Path], object]] = {
    "text": read_text,
    "rows": lambda path: read_rows(path, 4),
    "labels": lambda path: read_labels(path, 3),
    "size": image_size,
    "image": lambda path: read_image(path, 4, 3),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_or_empty_file_or_a_folder_is_named_with_what_to_do(reader: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(DataError) as caught:
        READERS[reader](path)
    assert caught.value.message == f"{path} is missing"
    assert caught.value.hint == FETCH_AGAIN
    path.write_bytes(b"")
    with pytest.raises(DataError, match=rf"{path} is (empty|no readable picture)"):
        READERS[reader](path)
    with pytest.raises(DataError, match=str(tmp_path)) as caught:
        READERS[reader](tmp_path)
    assert caught.value.hint


def test_rows_are_little_endian_float32(tmp_path: Path) -> None:
    path = tmp_path / "points.bin"
    path.write_bytes(bytes.fromhex("0000803f 000000c0 00000000 0000003f".replace(" ", "")))
    rows = read_rows(path, 4)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1.0, -2.0, 0.0, 0.5]]
    rows[0, 0] = 3.0  # and one's own
    path.write_bytes(b"\0" * 18)
    with pytest.raises(DataError, match="cut short: 18 bytes are no whole number of rows of 4 float32"):
        read_rows(path, 4)


def test_a_hint_of_ones_own_is_for_the_missing_file_only(tmp_path: Path) -> None:
    path = tmp_path / "points.bin"
    with pytest.raises(DataError, match="unpack the sweeps"):
        read_rows(path, 4, "unpack the sweeps")
    path.write_bytes(b"\0" * 3)
    with pytest.raises(DataError, match=FETCH_AGAIN):
        read_rows(path, 4, "unpack the sweeps")


def test_labels_are_one_byte_a_point(tmp_path: Path) -> None:
    path = tmp_path / "labels.bin"
    path.write_bytes(bytes([0, 7, 255]))
    assert read_labels(path, 3).tolist() == [0, 7, 255]
    with pytest.raises(DataError, match="holds 3 labels for 4 points"):
        read_labels(path, 4)


def test_text_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "calib.txt"
    path.write_bytes(b"P2: \xff\xfe")
    with pytest.raises(DataError, match=rf"{path} is not a text file"):
        read_text(path)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_every_picture_is_given_as_three_channels(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) % 6 * 51  # levels that a palette has too
    Pictures.fromarray(np.stack([grey] * 3, axis=2)).convert(mode).save(path)
    assert image_size(path) == (4, 3)
    pixels = read_image(path, 4, 3)
    assert pixels.shape == (3, 4, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - grey[..., None]).max() <= 1


def test_a_picture_of_another_size_than_its_calibration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Pictures.new("RGB", (8, 6)).save(path)
    with pytest.raises(DataError, match=r"is 8x6 pixels, its calibration is for 16x12.*published size"):
        read_image(path, 16, 12)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "points.bin"
    path.write_bytes(b"\0" * 16)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=rf"cannot read {path}: Permission denied.*check its permissions"):
        read_rows(path, 4)
