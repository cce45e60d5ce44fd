"""What ``units stats`` measured, as tables for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

if TYPE_CHECKING:
    from xmodal_core.units.statistics import Summary
    from xmodal_core.units.ways import Way

Form = Callable[[float], str]
Row = tuple[str, str, str, str]


def count(value: float) -> str:
    """``1,234``, and with a decimal where it is a small mean."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def share(value: float) -> str:
    """In percent, to three digits, however small."""
    hundredths = value * 100
    if hundredths >= 9.995 or hundredths == 0:
        return f"{hundredths:.1f} %" if hundredths else "0 %"
    return f"{float(f'{hundredths:.3g}'):.6f}".rstrip("0").rstrip(".") + " %" if hundredths >= 1e-4 else "< 0.0001 %"


def percent(value: float) -> str:
    """As ``share``, without the sign."""
    return share(value).removesuffix(" %")


def metres(value: float) -> str:
    """``1.84 m``."""
    return f"{value:.2f} m"


FOUND: Mapping[str, tuple[str, Form]] = {
    "points": ("points", count),
    "ground": ("ground", share),
    "sensor_height": ("sensor height", metres),
    "seeds": ("seeds", count),
    "merged_seeds": ("of them merged in instances", count),
    "clusters": ("clusters", count),
    "instances": ("of them kept as instances", count),
    "units": ("units", count),
    "coverage": ("coverage", share),
}
QUALITY = {
    "instance_recall": "instance recall",
    "mean_iou": "mean IoU",
    "over_segmentation": "over-segmentation",
    "under_segmentation": "under-segmentation",
    "purity": "purity",
    "ground_precision": "ground precision",
    "ground_recall": "ground recall",
    "false_negative_object": "false negatives, same object",
    "false_negative_class": "false negatives, same class",
}
"""What the rows are called, in their order."""


def numbers_table(summary: Summary, miscalibration: Mapping[str, float]) -> Table:
    """Found, quality and time, one group below the other; ``miscalibration`` may be empty."""
    several = summary.frames > 1
    table = Table(
        title=f"units of {summary.frames:,} frames" if several else "units of one frame", title_justify="left"
    )
    table.add_column("")
    table.add_column("mean of frames" if several else "", justify="right")
    if several:
        table.add_column("least", justify="right", style="dim")
        table.add_column("most", justify="right", style="dim")
    groups = {
        "found": _found(summary),
        "quality": _quality(summary),
        "calibration": _miscalibration(miscalibration),
        "time, medians": _time(summary),
    }
    for heading, group in groups.items():
        rows = list(group)
        if rows:
            table.add_row(f"[bold]{heading}[/]")
        for title, *values in rows:
            table.add_row(f"  {title}", *(values if several else values[:1]))
        table.add_section()
    return table


def _found(summary: Summary) -> Iterator[Row]:
    for name, (title, form) in FOUND.items():
        yield _row(title, form, summary.means[name], summary.ends.get(name))
        if name == "instances":
            for reason, clusters in summary.reasons.items():
                if reason != "kept":
                    yield _row(f"rejected: {reason.replace('_', ' ')}", count, clusters)
    for camera, part in summary.cameras.items():
        yield _row(f"seen by {camera}", share, part)


def _quality(summary: Summary) -> Iterator[Row]:
    for name, title in QUALITY.items():
        if name in summary.quality:
            form: Form = (lambda value: f"{value:.3f}") if name == "mean_iou" else share
            yield _row(title, form, summary.quality[name], summary.ends.get(name))


def _miscalibration(found: Mapping[str, float]) -> Iterator[Row]:
    if found:
        yield _row("pixels moved by miscalibration", lambda value: f"{value:.1f} px", found["moved"])
        yield _row("pairs still on their unit", share, found["kept"])


def _time(summary: Summary) -> Iterator[Row]:
    def milliseconds(value: float) -> str:
        return f"{value:,.1f} ms"

    for step, value in summary.milliseconds.items():
        yield _row(step, milliseconds, value)
    yield _row("all steps", milliseconds, sum(summary.milliseconds.values()))


def _row(title: str, form: Form, value: float, ends: tuple[float, float] | None = None) -> Row:
    low, high = ("", "") if ends is None else (_shown(form, ends[0]), _shown(form, ends[1]))
    return title, _shown(form, value), low, high


def _shown(form: Form, value: float) -> str:
    return "–" if value != value else form(value)


def ways_table(ways: Sequence[Way]) -> Table:
    """The ways to units side by side."""
    table = Table(title="false negative pairs, by what a unit is", title_justify="left", box=SIMPLE_HEAD)
    table.padding, table.pad_edge, table.collapse_padding = (0, 1), False, True
    table.add_column("", min_width=20)
    for title in ("units", "same\nobject %", "same\nclass %", "recall\n%", "coverage\n%", "purity\n%", "ms a\nframe"):
        table.add_column(title, justify="right", no_wrap=True)
    forms: tuple[Form, ...] = (count, percent, percent, percent, percent, percent, lambda value: f"{value:,.0f}")
    for way in ways:
        values = (
            way.units,
            way.false_negative_object,
            way.false_negative_class,
            way.instance_recall,
            way.coverage,
            way.purity,
            way.milliseconds,
        )
        table.add_row(way.title, *(_shown(form, value) for form, value in zip(forms, values, strict=True)))
    return table
