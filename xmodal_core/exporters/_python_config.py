"""Pieces of config files that are Python, as mmdetection3d's and CenterPoint's are."""

from __future__ import annotations

import pprint
from collections.abc import Mapping
from typing import Any


class Code(str):
    """A value that stands in the file as it is written, not as text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def as_python(comments: str, names: Mapping[str, Any], imports: str = "") -> str:
    """The ``comments``, the ``imports``, then each name with its value."""
    values = (f"{name} = {pprint.pformat(value, width=110, sort_dicts=False)}\n" for name, value in names.items())
    return comments + imports + "".join(values)
