"""Numbers of frames as they are typed: one, or a range."""

from __future__ import annotations

import re

from xmodal_core.errors import InputError

RANGE = re.compile(r"(\d*):(\d*)(?::(\d+))?", re.ASCII)
HINT = "give one from 0 on, e.g. 120, or a range, e.g. 10:20 for 10 to 19, or 0:100:5 for every fifth"


def frame_numbers(text: str, count: int) -> range:
    """The frames that ``text`` names: ``K``, or ``FIRST:END`` with ``END`` left out, or ``FIRST:END:STEP``.

    Args:
        text: as typed; an empty first or last number of a range is the data set's.
        count: how many frames the data set has; a range may reach beyond.

    Raises:
        InputError: the text names no frame, or only such as there are not.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        number = int(text)
        if number >= count:
            raise InputError(f"there is no frame {number}", f"the data set has {count:,}: choose 0 to {count - 1}")
        return range(number, number + 1)
    found = RANGE.fullmatch(text)
    if found is None or (found[3] is not None and int(found[3]) == 0):
        raise InputError(f"'{text}' is no number of a frame", HINT)
    first, end = int(found[1] or 0), min(int(found[2] or count), count)
    numbers = range(first, end, int(found[3] or 1))
    if not numbers:
        raise InputError(f"there are no frames {text}", f"the data set has {count:,}: choose from 0 to {count - 1}")
    return numbers
