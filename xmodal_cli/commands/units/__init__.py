"""xmodal units: see contrastive units and every step on the way to them, tune them by eye, and measure them."""

from __future__ import annotations

import typer

from xmodal_cli.commands.units import search, show, stats, tune

app = typer.Typer(no_args_is_help=True, help="See contrastive units, tune them by eye, and measure them.")
app.command("show")(show.show)
app.command("stats")(stats.stats)
app.command("tune")(tune.tune)
app.command("search")(search.search)


@app.callback()
def group() -> None:
    """See contrastive units, tune them by eye, and measure them."""
