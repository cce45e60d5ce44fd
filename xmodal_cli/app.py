"""The ``xmodal`` command. Each verb is one file in ``commands``; heavy libraries are imported inside the verbs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from xmodal_cli.commands import (
    bench,
    cache,
    data,
    demo,
    doctor,
    evaluate,
    export_ckpt,
    finetune,
    import_ckpt,
    networks,
    pretrain,
    settings,
    show_predictions,
    study,
    units,
)
from xmodal_core.errors import XmodalError

MISUSE: tuple[type, ...] = (typer.BadParameter.__mro__[2],)
"""ClickException of whichever click: newer versions of typer bring their own."""

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
app.add_typer(cache.app, name="cache")
app.add_typer(study.app, name="study")
app.command("pretrain")(pretrain.pretrain)
app.command("finetune")(finetune.finetune)
app.command("evaluate")(evaluate.evaluate)
app.command("show-predictions")(show_predictions.show_predictions)
app.command("export-ckpt")(export_ckpt.export_ckpt)
app.command("import-ckpt")(import_ckpt.import_ckpt)
app.command("networks")(networks.networks)
app.command("settings")(settings.settings)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"xmodal {version('xmodal')}")
        raise typer.Exit


@app.callback()
def _every_command(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; also behind a command.")
    ] = False,
) -> None:
    pass  # both are dealt with before


def main() -> None:
    """The console script."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    raise SystemExit(run(arguments, debug="--debug" in sys.argv[1:]))


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Run the command line and give its exit code: 2 for bad input, 1 for failure, 130 for Ctrl-C, else 0.

    An error that a person can act on becomes two lines on standard error; ``debug`` shows its traceback instead.
    """
    try:
        code = app(arguments, prog_name="xmodal", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # Who reads the output has seen enough (``| head``); Python's last flush must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _failed(error, arguments, debug)
    return code if isinstance(code, int) else 0


def _failed(error: Exception, arguments: list[str], debug: bool) -> int:
    from xmodal_cli.console import complain

    if debug:
        traceback.print_exception(error)
    elif isinstance(error, XmodalError):
        complain(error.message, error.hint)
    elif isinstance(error, MISUSE):
        _misused(error, arguments)
    else:
        complain(_what_broke(error), _where_the_traceback_is(error))
    return int(getattr(error, "exit_code", 1))


def _misused(error: Any, arguments: list[str]) -> None:
    """Two lines about a wrong option or command; a command without its subcommand shows its help."""
    from xmodal_cli.console import complain

    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        complain(error.format_message(), f"see: {' '.join(_command(arguments))} --help")


def _command(arguments: list[str]) -> Iterator[str]:
    """The words of ``arguments`` that name the command."""
    yield "xmodal"
    command: Any = typer.main.get_command(app)
    for word in arguments:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            return
        yield word


def _what_broke(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{what} ({os.path.basename(place.filename)}, line {place.lineno})"


def _where_the_traceback_is(error: Exception) -> str:
    """Keep the traceback, which hours of work may have led to, and tell where; show it where it cannot be kept."""
    from xmodal_core.cache import cache_folder

    lines = "".join(traceback.format_exception(error))
    file = cache_folder("traceback.txt")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(lines, encoding="utf-8")
    except OSError:
        sys.stderr.write(lines)
        return "a mistake in xmodal, please report it"
    return f"a mistake in xmodal, please report it with {file}; --debug shows it at once"
