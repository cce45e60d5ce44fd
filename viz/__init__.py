"""Pictures of contrastive units: a scene is composed, and a viewer draws it. Imports neither torch nor a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viz.similarity import Similarity
    from xmodal_core.types import Frame, Units

__all__ = ["figure"]


def figure(frame: Frame, units: Units, similarity: Similarity | None = None, *, stage: str = "units") -> Any:
    """One stage of ``frame`` and its ``units`` in 3D, a ``plotly.graph_objects.Figure`` for a notebook.

    Args:
        frame, units: what to show.
        similarity: needed for the stage ``similarity``; see ``viz.similarity.compare``.
        stage: ``sweep``, ``ground``, ``seeds``, ``instances``, ``units`` or ``similarity``.

    Raises:
        InputError: there is no such stage, or ``similarity`` is missing.
    """
    from viz.compose import STAGES, compose
    from viz.viewers._figure import make_figure
    from xmodal_core.errors import InputError

    if stage not in STAGES:
        raise InputError(f"unknown stage '{stage}'", f"known: {', '.join(STAGES)}")
    scene = compose(frame, units, similarity, stage, pictures=False)
    return make_figure(scene, scene.stage(stage))
