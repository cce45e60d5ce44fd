"""Smaller pictures."""

from __future__ import annotations

import numpy as np
import pytest

from xmodal_core.pictures import shrink


@pytest.mark.parametrize(
    ("size", "width", "wanted"),
    [
        ((900, 1600), 800, (450, 800)),
        ((375, 1242), 800, (242, 800)),
        ((100, 100), 200, (100, 100)),
        ((3, 900), 64, (1, 64)),
    ],
)
def test_sizes_keep_the_aspect(size: tuple[int, int], width: int, wanted: tuple[int, int]) -> None:
    found = shrink(np.zeros((*size, 3), np.uint8), width)
    assert found.shape == (*wanted, 3)


@pytest.mark.parametrize("width", [320, 333, 100])
def test_what_is_finer_than_its_pixels_becomes_grey(width: int) -> None:
    """No stripes of a picket fence that are not there."""
    v, u = np.mgrid[:360, :640]
    board = np.repeat(((u + v) % 2 * 254).astype(np.uint8)[..., None], 3, axis=2)
    found = shrink(board, width)[2:-2, 2:-2].astype(int)
    assert np.abs(found - 127).max() <= 8  # nearest pixels would give 127


def test_a_picture_that_is_narrow_enough_is_given_back() -> None:
    picture = np.zeros((10, 12, 3), np.uint8)
    assert shrink(picture, 12) is picture
