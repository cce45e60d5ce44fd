"""Frames as they are typed."""

from __future__ import annotations

import pytest

from xmodal_cli.frames import frame_numbers
from xmodal_core.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", [0]),
        (" 9 ", [9]),
        ("2:5", [2, 3, 4]),
        (":3", [0, 1, 2]),
        ("8:", [8, 9]),
        (":", list(range(10))),
        ("0:10:4", [0, 4, 8]),
        ("::5", [0, 5]),
        ("7:99", [7, 8, 9]),
    ],
)
def test_a_number_or_a_range(text, expected):
    assert list(frame_numbers(text, 10)) == expected


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1.5", "1:2:0", "1:-2", "a:b", "1:2:3:4", "²", "10", "5:5", "12:", "3,4"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(InputError):
        frame_numbers(text, 10)
