"""The settings of unit discovery, one class a step. Light to import: the help and the tuner read it."""

from __future__ import annotations

from typing import Literal

from xmodal_core.config import Settings, setting


class RangeConfig(Settings):
    """Which returns take part at all: nearer ones are the vehicle itself, farther ones too thin to judge."""

    nearest: float = setting(
        2.5, "returns nearer than this are taken for the vehicle itself", unit="m", ge=0, le=5, step=0.1
    )
    farthest: float = setting(80.0, "returns farther than this are left out", unit="m", ge=10, le=250, step=5)


class GroundConfig(Settings):
    """Ground removal: Himmelsbach 2010 line fit (IROS 2024 paper, section III-B). Names as in the field's tools.

    ``level`` off and ``beam_gaps`` 0 give the line fit as it is usually run.
    """

    sensor_height: float | None = setting(
        None,
        "height of the sensor above the ground; empty: stated by the data set or else estimated from each sweep",
        unit="m",
        ge=-5,
        le=10,
        step=0.01,
    )
    level: bool = setting(True, "measure heights from a plane fitted around the vehicle, so that tilt costs nothing")
    segments: int = setting(360, "sectors of the circle, each with its own ground lines", ge=36, le=1440, step=36)
    bins: int = setting(160, "rings of a sector, each giving its lowest return to the fit", ge=20, le=500, step=10)
    max_slope: float = setting(0.2, "steepest line that is still ground", unit="m/m", ge=0.01, le=1, step=0.01)
    max_fit_error: float = setting(
        0.1, "how far the lowest returns may lie from the line fitted to them", unit="m", ge=0.01, le=0.5, step=0.01
    )
    long_threshold: float = setting(
        2.0, "a wider gap between two lowest returns is a long one", unit="m", ge=0.1, le=10, step=0.1
    )
    beam_gaps: float = setting(
        1.2, "gaps up to this many times the spacing of the beams on flat ground are not long", ge=0, le=5, step=0.1
    )
    max_long_height: float = setting(
        0.2,
        "how far a return behind a long gap may lie from the line's continuation",
        unit="m",
        ge=0.01,
        le=1,
        step=0.01,
    )
    max_start_height: float = setting(
        0.2, "how far from the last known ground a line may start", unit="m", ge=0.01, le=1, step=0.01
    )
    max_dist_to_line: float = setting(
        0.1, "returns lower than this above their line are ground", unit="m", ge=0.01, le=1, step=0.01
    )
    line_search_angle: float = setting(
        10.0, "how far to both sides a place without a line looks for its neighbour's", unit="deg", ge=0, le=90, step=1
    )


class SeedsConfig(Settings):
    """Farthest point sampling with height ignored, among points that are not ground and that a camera sees."""

    count: int = setting(2048, "how many seeds farthest point sampling chooses", unit="points", ge=16, le=8192, step=16)
    sampling: Literal["farthest", "random"] = setting(
        "farthest",
        "each seed as far from the others as it can be, or drawn from all points alike (the paper's ablation)",
    )


class ContextConfig(Settings):
    """The points around a seed whose features are averaged."""

    kind: Literal["neighbours", "pillar"] = setting(
        "neighbours", "average a seed's nearest neighbours, or all points of the pillar around it"
    )
    neighbours: int = setting(16, "how many nearest points, the seed among them", unit="points", ge=1, le=128, step=1)
    radius: float = setting(1.0, "farthest that a neighbour may be", unit="m", ge=0.05, le=5, step=0.05)
    pillar_size: float = setting(
        0.5, "side of the upright square pillar around a seed", unit="m", ge=0.1, le=4, step=0.1
    )


class InstancesConfig(Settings):
    """Klasing's radially bounded nearest neighbours and the filters on what it finds.

    The paper names no numbers. Its literal reading, one radius in all directions and at all distances, is
    ``radius_growth`` 0 and ``vertical_reach`` 1 (with a ``radius`` of about 0.5 m).
    """

    enabled: bool = setting(True, "find instances and merge their seeds; off: every seed stays a unit of its own")
    radius: float = setting(
        0.25, "returns nearer than this to one another are one object", unit="m", ge=0.1, le=2, step=0.05
    )
    radius_growth: float = setting(
        0.0225,
        "the radius is at least this share of the distance from the sensor; 0: the same everywhere",
        unit="m/m",
        ge=0,
        le=0.1,
        step=0.0025,
    )
    max_radius: float = setting(1.2, "the radius grows no further than this", unit="m", ge=0.1, le=4, step=0.05)
    vertical_reach: float = setting(
        2.0, "the radius reaches this many times farther up and down than sideways", ge=1, le=5, step=0.1
    )
    min_points: int = setting(3, "smaller clusters are rejected", unit="points", ge=1, le=200, step=1)
    min_size: float = setting(
        0.2, "clusters smaller than this in every direction are rejected", unit="m", ge=0, le=2, step=0.05
    )
    max_length: float = setting(20.0, "longer clusters are rejected", unit="m", ge=1, le=100, step=0.5)
    max_width: float = setting(6.0, "wider clusters are rejected", unit="m", ge=0.5, le=50, step=0.5)
    max_height: float = setting(5.0, "taller clusters are rejected", unit="m", ge=0.5, le=30, step=0.5)
    max_aspect: float = setting(
        10.0,
        "clusters longer than this many times their width or height, whichever is more, are rejected",
        ge=1,
        le=50,
        step=0.5,
    )
    aspect_floor: float = setting(
        0.5, "least width that the aspect ratio counts with", unit="m", ge=0.05, le=2, step=0.05
    )
    min_flatness: float = setting(
        0.05, "clusters lower than this share of their length are rejected", ge=0, le=1, step=0.01
    )


class UnitsConfig(Settings):
    """All settings of ``units.discover``, in the order of its steps."""

    range: RangeConfig = RangeConfig()
    ground: GroundConfig = GroundConfig()
    seeds: SeedsConfig = SeedsConfig()
    context: ContextConfig = ContextConfig()
    instances: InstancesConfig = InstancesConfig()
