"""The plugins that settings and options choose, where a command needs one beside the data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xmodal_core import plugins

if TYPE_CHECKING:
    from xmodal_core.config import Settings
    from xmodal_core.images import Teacher
    from xmodal_core.images._units import Standardise

TEACHER, METHOD = "efficientnet_lite0", "units"
"""As in pre-training, where nobody chose."""


def chosen(
    kind: plugins.Kind, default: str, config: Path | None, assignments: Sequence[str], wanted: str | None = None
) -> tuple[str, Settings]:
    """The name of the plugin that is ``wanted``, or else named in the settings, and its options there.

    Raises:
        InputError: there is no such plugin, an option is unknown or out of bounds.
    """
    from xmodal_core.config import CHOICES, origin_of, read_sections, validate

    written = read_sections(config, assignments, {kind.name: wanted} if wanted else None)[kind.name]
    values = {key: value for key, value in written.items() if key not in CHOICES}
    name, values = plugins.with_model(wanted or str(written.get("name") or default), values)
    origin = origin_of(config, [text.partition("=")[0] for text in assignments])
    return name, validate(plugins.load(kind, name).Config, values, kind.name, origin)


class Balance(NamedTuple):
    """How pre-training's method chooses which units stay negatives, for looking at it without training.

    Args:
        negatives, literal: L and the reading of it; see ``objectives.balance.least_similar``.
        standardise: of the image features; see ``images.unit_features``.
    """

    negatives: float
    literal: bool
    standardise: Standardise


def chosen_balance(config: Path | None, assignments: Sequence[str]) -> Balance:
    """That of the method in the settings; a method without such options looks at units as the usual one does.

    Raises:
        InputError: see ``chosen``.
    """
    method = chosen(plugins.METHOD, METHOD, config, assignments)[1]
    return Balance(
        float(getattr(method, "negatives", 0.5)),
        bool(getattr(method, "literal", False)),
        getattr(method, "standardise", "frame"),
    )


def load_on_device(name: str, options: Settings) -> Teacher:
    """The teacher with its weights, on a GPU where there is one; with a bar while they are downloaded.

    Raises:
        RunError, DataError: see ``load_teacher``.
    """
    from xmodal_cli.console import downloading, err
    from xmodal_core.images import load_teacher
    from xmodal_core.train.config import has_gpu

    with downloading(f"weights of {name}") as on_bytes:
        teacher = load_teacher(name, options.model_dump(), on_bytes)
    taken = getattr(teacher, "taken", None)
    if taken is not None and getattr(options, "weights_file", None) is not None:
        err.print(f"note: {taken.line()}", markup=False, highlight=False, soft_wrap=True)
    return teacher.to("cuda" if has_gpu() else "cpu")
