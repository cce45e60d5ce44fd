"""What a picture shows: ordered named layers and the stages that group them. No word of any viewer, NumPy only.

A scene is plain data: it can be pickled, sent to another process, and drawn there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from viz.palette import Codes, Colours, Ramp
from xmodal_core.types import Floats, Image, Ints

Emphasis = Literal["quiet", "plain", "strong", "marker"]
"""How much a layer asks to be seen: surroundings, what is shown, what it is about, and single marked points."""

Kind = Literal["cluster", "unit"]
"""What points belong to: raw clusters (kept or rejected), or units."""

ALL = "all"


@dataclass(frozen=True)
class PointLayer:
    """Points of the scene's cloud, coloured.

    Args:
        name: unique in the scene.
        title: its entry in the legend.
        rows: (n,) int64 rows of ``Scene.cloud``.
        code: (n,) uint8, the row of ``colours`` of each point.
        colours: (K,3) uint8.
        emphasis: how loud it is.
        ramp: where colours stand for a measure, the measure.
        on_images: drawn on the camera images as dots too.
    """

    name: str
    title: str
    rows: Ints
    code: Codes
    colours: Colours
    emphasis: Emphasis = "plain"
    ramp: Ramp | None = None
    on_images: bool = True

    def __post_init__(self) -> None:
        if self.rows.shape != self.code.shape or self.code.max(initial=0) >= len(self.colours):
            raise ValueError(f"layer {self.name}: {len(self.rows)} points, {len(self.code)} codes, too few colours")

    def rgb(self) -> Colours:
        """(n,3) uint8."""
        return self.colours[self.code]

    @property
    def swatch(self) -> tuple[int, int, int] | None:
        """The layer's one colour; None where it has several."""
        if len(self.colours) != 1:
            return None
        red, green, blue = self.colours[0].tolist()
        return red, green, blue


@dataclass(frozen=True)
class LineLayer:
    """Wireframes and guides.

    Args:
        name, title: as a point layer's.
        points: (P,3) float32 metres; a row of NaN ends a stroke.
        colour: (red, green, blue).
        words: (P,) what the stroke through each point is, or empty.
        emphasis: how loud it is.
    """

    name: str
    title: str
    points: Floats
    colour: tuple[int, int, int]
    words: tuple[str, ...] = ()
    emphasis: Emphasis = "plain"


@dataclass(frozen=True)
class View:
    """One camera's picture, as it is shown, and what lies on it. Pixels are those of the shown picture.

    Args:
        name: the data set's name of the camera.
        title: for people, e.g. ``front left``.
        image: (h,w,3) uint8 RGB.
        place: (row, column) in the rig seen from the vehicle: ahead above, behind below, left at the left.
        rows: (R,) int64 rows of ``Scene.cloud`` that it sees.
        uv: (R,2) float32.
        masks: for each kind, (h,w) int32: the cluster or unit that a pixel shows, or -1.
        strokes: for each line layer drawn on it, (P,2) float32 with rows of NaN between strokes.
    """

    name: str
    title: str
    image: Image
    place: tuple[int, int]
    rows: Ints
    uv: Floats
    masks: Mapping[Kind, NDArray[np.int32]]
    strokes: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the shown picture."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True)
class Stage:
    """One step of the way: the layers that show it, and how the camera images are tinted.

    Args:
        name: as on the command line.
        title: for people.
        words: one sentence on what is seen.
        caption: counts, one short line each.
        layers: names of its layers, drawn in this order.
        kind: which masks tint the images; None: none do.
        tint: (G,4) uint8 red, green, blue, opacity for each cluster or unit; (0,4) without ``kind``.
    """

    name: str
    title: str
    words: str
    caption: tuple[str, ...]
    layers: tuple[str, ...]
    kind: Kind | None = None
    tint: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 4), dtype=np.uint8))


@dataclass(frozen=True)
class Similarities:
    """What is needed to compare any unit with all others where the picture is looked at.

    Args:
        unit: the one chosen now.
        features: (U,d) float32; the inner product of two rows is the units' cosine similarity.
        keep: L, how many least similar units stay negatives; all as similar as the L-th do.
        low, high: the cosines at the ends of the colour scale; its middle is the highest kept cosine.
        literal: those as similar as the L-th, it included, do not.
    """

    unit: int
    features: Floats
    keep: int
    low: float
    high: float
    literal: bool = False


@dataclass(frozen=True)
class Scene:
    """Everything a viewer draws.

    Args:
        title: what it shows, e.g. the data set and the frame.
        subtitle: where it comes from, in small print.
        facts: (number, what it counts) pairs for the head of the page.
        cloud: (M,3) float32 metres, the points that are drawn.
        total: how many points the sweep has, M or more.
        forward: unit vector of the vehicle's forward direction in the plane.
        floor: height of the ground below the sensor, metres in the cloud's z (negative for a sensor above it).
        members: for each kind, (M,) int32: the cluster or unit of each drawn point, or -1.
        words: for each kind, G lines that say what cluster or unit each is.
        layers: all layers, by name unique.
        views: the cameras.
        stages: in the order of the method.
        opening: the stage to open on or to draw, or ``all``.
        similarities: for comparing units, where image features were given.
        thing: what the groups of kind ``unit`` are called: what a person points at and chooses.
    """

    title: str
    subtitle: str
    facts: tuple[tuple[str, str], ...]
    cloud: Floats
    total: int
    forward: tuple[float, float]
    floor: float
    members: Mapping[Kind, NDArray[np.int32]]
    words: Mapping[Kind, tuple[str, ...]]
    layers: tuple[PointLayer | LineLayer, ...]
    views: tuple[View, ...]
    stages: tuple[Stage, ...]
    opening: str = ALL
    similarities: Similarities | None = None
    thing: str = "unit"

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ValueError(f"layer names are not unique: {names}")
        for stage in self.stages:
            if missing := set(stage.layers) - set(names):
                raise ValueError(f"stage {stage.name} names layers that are not there: {sorted(missing)}")

    @property
    def shown(self) -> str:
        """How much of the sweep is drawn, in words."""
        return f"showing {len(self.cloud):,} of {self.total:,} points"

    def layer(self, name: str) -> PointLayer | LineLayer:
        """The layer called ``name``."""
        return next(layer for layer in self.layers if layer.name == name)

    def stage(self, name: str) -> Stage:
        """The stage called ``name``."""
        return next(stage for stage in self.stages if stage.name == name)

    def point_layers(self, stage: Stage) -> Iterator[PointLayer]:
        """The point layers of ``stage``, in drawing order."""
        for name in stage.layers:
            layer = self.layer(name)
            if isinstance(layer, PointLayer):
                yield layer

    def line_layers(self, stage: Stage) -> Iterator[LineLayer]:
        """The line layers of ``stage``, in drawing order."""
        for name in stage.layers:
            layer = self.layer(name)
            if isinstance(layer, LineLayer):
                yield layer

    def drawn_stages(self) -> tuple[Stage, ...]:
        """The stages a still picture shows: the opening one, or all."""
        return self.stages if self.opening == ALL else (self.stage(self.opening),)
