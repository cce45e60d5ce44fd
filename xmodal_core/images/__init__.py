"""Frozen image teachers: each module but ``base`` is one; images in, feature maps at several strides out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.images.base import Teacher

__all__ = ["Teacher", "load_teacher"]


def load_teacher(name: str, settings: Mapping[str, Any] | None = None) -> Teacher:
    """The teacher ``name`` with its weights, frozen and in eval mode; ``settings`` are its own options.

    Raises:
        InputError: the name or an option is unknown, or a value is out of bounds.
        DataError: its weights are missing or damaged.
    """
    kind = plugins.load(plugins.TEACHER, name)
    config = validate(kind.Config, dict(settings or {}), "teacher", name)
    teacher: Teacher = kind(config)
    return teacher
