"""Frozen image teachers: each module but ``base`` is one; images in, feature maps at several strides out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.images._negatives import negatives_by, unit_negatives
from xmodal_core.images._units import FrameFeatures, unit_features, unit_image_features
from xmodal_core.images.base import OnProgress, Teacher

__all__ = [
    "FrameFeatures",
    "OnProgress",
    "Teacher",
    "load_teacher",
    "negatives_by",
    "unit_features",
    "unit_image_features",
    "unit_negatives",
]


def load_teacher(
    name: str, settings: Mapping[str, Any] | None = None, on_progress: OnProgress | None = None
) -> Teacher:
    """The teacher ``name`` with its weights, frozen and in eval mode; ``settings`` are its own options.

    Args:
        name: of the plugin; ``NAME:MODEL`` sets its option ``model`` too, as in ``timm:resnet18``.
        settings: its options.
        on_progress: called with (bytes done, bytes in all) while weights are downloaded for the first time.

    Raises:
        InputError: the name or an option is unknown, or a value is out of bounds.
        DataError: its weights are missing, damaged or another network's.
        RunError: its weights cannot be downloaded.
    """
    name, options = plugins.with_model(name, settings or {})
    kind = plugins.load(plugins.TEACHER, name)
    config = validate(kind.Config, options, "teacher", name)
    kind.prepare(config, on_progress)
    teacher: Teacher = kind(config)
    return teacher
