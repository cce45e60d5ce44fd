"""xmodal networks: every LiDAR network with its presets, their sizes, and the formats that their weights can go to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmodal_cli.options import Json

if TYPE_CHECKING:
    from xmodal_core.catalogue import Catalogue, Preset, Way
    from xmodal_core.points.base import BevGrid

PAGE = """\
# LiDAR networks

Every network and preset: how many numbers it trains, the features that it gives for a point, its bird's-eye map (edge
of a cell, cells along x and y, features of a cell), and the formats of `xmodal export-ckpt` that its weights go to:
those whose own model computes the same, and those that take `--inexact` because it does not. A data set that the
target's own loader reads in another way can make a difference more; the export says so.

`xmodal networks` shows this in a terminal, `--json` for programs; `xmodal networks --out docs/networks.md` writes this
page, which a test holds against the code.

"""


def networks(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One network; all without it.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write a page of all in Markdown.", dir_okay=False)
    ] = None,
    json: Json = False,
) -> None:
    """List the LiDAR networks: presets, parameters, features, maps, and the formats that each can go to."""
    from xmodal_cli.console import print_json
    from xmodal_core.catalogue import catalogue
    from xmodal_core.errors import InputError
    from xmodal_core.files import whole_file

    if name is not None and out is not None:
        raise InputError("the page has every network, not one alone", "give --out without NAME")
    found = catalogue(name)
    if out is not None:
        with whole_file(out) as file:
            file.write_text(page(found.presets), encoding="utf-8")
    if json:
        print_json([preset.as_json() for preset in found.presets])
    elif out is None:
        _print_table(found)


def page(presets: Sequence[Preset]) -> str:
    """The page in Markdown: a table of ``presets``, then why some formats take ``--inexact`` or are not for them."""
    lines = [
        "| network | preset | parameters | features | map | formats | with `--inexact` |",
        "|---|---|---:|---:|---|---|---|",
    ]
    for preset in presets:
        exact = ", ".join(f"`{way.format}`" + (" (part)" if way.part else "") for way in preset.exact)
        inexact = ", ".join(f"`{way.format}`" for way in preset.inexact)
        numbers = f"{preset.parameters:,} | {preset.width} | {_map(preset.bev)}"
        lines.append(
            f"| `{preset.network}` | `{preset.name}` | {numbers} | {exact} | {inexact} |".replace("|  |", "| |")
        )
    parts = {way.format: way.part for preset in presets for way in preset.ways if way.part}
    lines += ["", *(f"`{name}` carries a part: {part}." for name, part in parts.items())]
    lines += ["", "## What differs, and what is not possible", ""]
    lines += [f"- {where}: {why}" for where, why in _reasons(presets)]
    return PAGE + "\n".join(lines) + "\n"


def _reasons(presets: Sequence[Preset]) -> Iterator[tuple[str, str]]:
    """Which presets of a network to which format, and in what that differs or why it cannot be."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for preset in presets:
        for way in preset.ways:
            for why in _whys(way):
                grouped.setdefault((preset.network, way.format, why), []).append(f"`{preset.name}`")
    for (network, form, why), names in grouped.items():
        yield f"`{network}` {', '.join(names)} to `{form}`", why


def _whys(way: Way) -> Iterator[str]:
    if way.refused is not None:
        yield f"not possible: {way.refused}"
    yield from way.differences


def _map(bev: BevGrid | None) -> str:
    return "" if bev is None else f"{bev.cell:g} m, {bev.nx} x {bev.ny}, {bev.width}"


def _print_table(found: Catalogue) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from xmodal_cli.console import out

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("network", no_wrap=True)
    for title in ("parameters", "features"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("map", no_wrap=True)
    table.add_column("formats")
    network = ""
    for preset in found.presets:
        if preset.network != network:
            network = preset.network
            table.add_section()
            table.add_row(network)
        formats = [way.format + (" (part)" if way.part else "") for way in preset.exact]
        formats += [f"{way.format} (inexact)" for way in preset.inexact]
        bev = "" if preset.bev is None else f"{preset.bev.cell:g} m, {preset.bev.nx}x{preset.bev.ny}"
        table.add_row(f" {preset.name}", f"{preset.parameters:,}", str(preset.width), bev, ", ".join(formats))
    out.print(table)
    for note in found.notes:
        out.print(note, highlight=False, soft_wrap=True, markup=False)
