"""xmodal data: look at a data set, check it, convert it, make one to start from."""

from __future__ import annotations

import typer

from xmodal_cli.commands.data import check, convert, example, info, sample

app = typer.Typer(no_args_is_help=True, help="Look at data, check it, convert it, make some to start from.")
app.command("info")(info.info)
app.command("check")(check.check)
app.command("convert")(convert.convert)
app.command("example")(example.example)
app.command("sample")(sample.sample)


@app.callback()
def group() -> None:
    """Look at data, check it, convert it, make some to start from."""
