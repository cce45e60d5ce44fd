"""xmodal cache: what is kept of the frozen teacher's looks at pictures, and how to get rid of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmodal_cli.options import Json

app = typer.Typer(no_args_is_help=True, help="Show or delete what is kept of the teacher's looks at pictures.")

Folder = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Where it is kept. Default: in the user's cache folder."),
]


@app.callback()
def group() -> None:
    """Show or delete what is kept of the teacher's looks at pictures."""


@app.command("info")
def info(cache: Folder = None, json: Json = False) -> None:
    """List what is kept: of which teacher, how many frames, how large, when it was last used."""
    from datetime import datetime

    from rich.table import Table

    from xmodal_cli.console import err, out, print_json
    from xmodal_core.train.forget import kept_in, memories

    folder = cache or memories()
    kept = kept_in(folder)
    if json:
        print_json(
            [
                {"folder": str(each.folder), "teacher": each.recipe.get("teacher"), "frames": each.frames}
                | {"bytes": each.bytes, "used": each.used}
                for each in kept
            ]
        )
        return
    if not kept:
        err.print(f"nothing is kept in {folder}", highlight=False, soft_wrap=True, markup=False)
        return
    out.print(str(folder), highlight=False, soft_wrap=True, markup=False)
    table = Table()
    table.add_column("name", no_wrap=True)
    table.add_column("teacher", no_wrap=True)
    for title in ("frames", "variants", "MB", "last used"):
        table.add_column(title, justify="right", no_wrap=True)
    for each in kept:
        used = datetime.fromtimestamp(each.used).strftime("%Y-%m-%d %H:%M")
        recipe = each.recipe
        table.add_row(
            each.folder.name,
            str(recipe.get("teacher", "?")),
            f"{each.frames:,}",
            str(recipe.get("variants", "?")),
            f"{each.bytes / 1e6:,.1f}",
            used,
        )
    out.print(table)


@app.command("clear")
def clear(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of the names 'cache info' lists.")] = None,
    cache: Folder = None,
) -> None:
    """Delete what is kept; all of it, or the part called NAME. A run that uses it looks at pictures again."""
    from xmodal_cli.console import err
    from xmodal_core.errors import InputError, known_names
    from xmodal_core.train.forget import forget, kept_in, memories

    folder = cache or memories()
    found = kept_in(folder)
    chosen = [kept for kept in found if name in (None, kept.folder.name)]
    if name is not None and not chosen:
        raise InputError(
            f"nothing called '{name}' is kept in {folder}", known_names([k.folder.name for k in found], name)
        )
    for kept in chosen:
        forget(kept)
    freed = sum(kept.bytes for kept in chosen)
    err.print(f"deleted {freed / 1e6:,.1f} MB from {folder}", highlight=False, soft_wrap=True, markup=False)
