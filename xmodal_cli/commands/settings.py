"""xmodal settings: every setting with its default, bounds and meaning; as a table, as YAML, or as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer

from xmodal_core import plugins
from xmodal_core.config import SECTIONS

if TYPE_CHECKING:
    from xmodal_core.config import Entry
    from xmodal_core.train.config import Experiment


class Form(str, Enum):
    """How the settings are written."""

    TABLE = "table"
    YAML = "yaml"
    MARKDOWN = "markdown"


def settings(
    section: Annotated[
        str | None, typer.Argument(metavar="[SECTION]", help=f"One of {', '.join(SECTIONS)}; all without it.")
    ] = None,
    dataset: Annotated[str, typer.Option("--dataset", metavar="NAME", help="Whose options to show.")] = "sample",
    network: Annotated[str, typer.Option("--network", metavar="NAME", help="Whose options to show.")] = "minkunet",
    teacher: Annotated[
        str, typer.Option("--teacher", metavar="NAME", help="Whose options to show.")
    ] = "efficientnet_lite0",
    method: Annotated[str, typer.Option("--method", metavar="NAME", help="Whose options to show.")] = "units",
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="NAME", help="Show what fine-tuning on this task takes, not pre-training."),
    ] = None,
    form: Annotated[
        Form, typer.Option("--as", help="A table, YAML for --config, or Markdown.", case_sensitive=False)
    ] = Form.TABLE,
) -> None:
    """Show what can be set, by the names that --set and --config take."""
    from xmodal_core.errors import InputError
    from xmodal_core.train.config import Pretraining, read_experiment
    from xmodal_core.train.finetune_config import read_finetuning

    if section is not None and section not in SECTIONS:
        raise InputError(f"there is no group of settings '{section}'", f"known: {', '.join(SECTIONS)}")
    experiment: Experiment
    if task is None and (section is None or section in Pretraining.sections):
        chosen = {"dataset": dataset, "network": network, "teacher": teacher, "method": method}
        experiment = read_experiment(options={f"{name}.name": plugin for name, plugin in chosen.items()})
    else:
        chosen = {"dataset": dataset, "network": network} | ({} if task is None else {"task": task})
        experiment = read_finetuning(options={f"{name}.name": plugin for name, plugin in chosen.items()})
    if section is not None and section not in experiment.sections:
        raise InputError(
            f"'xmodal {experiment.verb}' has no settings '{section}'", f"it has: {', '.join(experiment.sections)}"
        )
    sections = experiment.sections if section is None else (section,)
    if form is Form.YAML:
        _print_yaml(experiment, sections)
    elif form is Form.MARKDOWN:
        typer.echo("\n".join(markdown(experiment, sections)))
    else:
        _print_table(experiment, sections)


def rows(experiment: Experiment, sections: tuple[str, ...]) -> Iterator[tuple[str, str, str, str]]:
    """Name, default, bounds and meaning of every setting of ``sections``."""
    from xmodal_core.config import entries

    for section in sections:
        part: Any = getattr(experiment, section)
        options = getattr(part, "options", part)
        for entry in entries(type(options)):
            # What is set where nobody chose may depend on the data set, so it is read from the experiment.
            value = reduce(getattr, entry.path.split("."), options)
            yield f"{section}.{entry.path}", _value(value, entry.unit), _bounds(entry), entry.words


def markdown(experiment: Experiment, sections: tuple[str, ...]) -> Iterator[str]:
    """The lines of a Markdown table of ``sections``."""
    yield "| setting | default | from … to | what it does |"
    yield "|---|---|---|---|"
    for name, default, bounds, words in rows(experiment, sections):
        yield f"| `{name}` | {default} | {bounds} | {words} |".replace("  ", " ")


def _value(value: Any, unit: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        value = f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        value = "[" + ", ".join(str(part) for part in value) + "]"
    return f"{value} {unit}".strip() if value != "" else "–"


def _bounds(entry: Entry) -> str:
    if entry.ge is not None or entry.le is not None:
        ends = ["…" if end is None else f"{end:g}" for end in (entry.ge, entry.le)]
        return " to ".join(ends)
    names = [str(name) for name in _names(entry.kind)]
    return ", ".join(names)


def _names(kind: Any) -> Iterator[Any]:
    """The values that a ``Literal`` allows, also inside an optional one."""
    from typing import Literal

    if get_origin(kind) is Literal:
        yield from get_args(kind)
    else:
        for part in get_args(kind):
            yield from _names(part)


def _print_yaml(experiment: Experiment, sections: tuple[str, ...]) -> None:
    import yaml

    tree = experiment.tree()
    typer.echo(yaml.safe_dump({name: tree[name] for name in sections}, sort_keys=False, allow_unicode=True), nl=False)


def _print_table(experiment: Experiment, sections: tuple[str, ...]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from xmodal_cli.console import out

    table = Table()
    table.add_column("setting", no_wrap=True)
    for title in ("default", "from … to", "what it does"):
        table.add_column(title)
    for section in sections:
        for row in rows(experiment, (section,)):
            table.add_row(*(escape(text) for text in row))
        table.add_section()
    out.print(table)
    known = "; ".join(
        f"{kind.name}: {', '.join(plugins.names(kind))}"
        for kind in (plugins.DATASET, plugins.NETWORK, plugins.TEACHER, plugins.METHOD, plugins.TASK)
    )
    out.print(f"plugins – {known}", soft_wrap=True, highlight=False)
