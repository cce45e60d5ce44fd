"""The ``xmodal`` command. Each verb is one file in ``commands``; heavy libraries are imported inside the verbs."""

from __future__ import annotations

import sys

import typer

from xmodal_cli.commands import bench, data, demo, doctor, export_ckpt, pretrain, settings, units
from xmodal_core.errors import XmodalError

app = typer.Typer(
    name="xmodal",
    help="Find contrastive units in LiDAR sweeps, see them, pre-train a LiDAR network on them, export the weights.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(units.app, name="units")
app.add_typer(data.app, name="data")
app.add_typer(bench.app, name="bench")
app.command("pretrain")(pretrain.pretrain)
app.command("export-ckpt")(export_ckpt.export_ckpt)
app.command("settings")(settings.settings)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line; an error that a person can act on becomes two lines and an exit code."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, standalone_mode=True)
    except XmodalError as error:
        if debug:
            raise
        from xmodal_cli.console import complain

        complain(error)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
