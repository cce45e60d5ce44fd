"""What is kept of tuning: a settings file, and a command that shows the same units."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote

from viz.tuner.controls import changed, value_of
from xmodal_core.config import dump_yaml
from xmodal_core.errors import InputError
from xmodal_core.files import whole_file
from xmodal_core.units.config import UnitsConfig

SUFFIXES = (".yaml", ".yml")


def save_yaml(path: Path, config: UnitsConfig) -> Path:
    """Write ``config`` as a settings file that every ``--config`` takes; gives its whole path.

    Raises:
        InputError: the name is no settings file's, or it cannot be written there.
    """
    path = path.expanduser().absolute()
    if path.suffix not in SUFFIXES:
        raise InputError(f"cannot save as '{path.name}'", f"give a name that ends in {' or '.join(SUFFIXES)}")
    with whole_file(path) as temporary:
        temporary.write_text(dump_yaml(config, "units"), encoding="utf-8")
    return path


def command_line(options: str, frame: int, config: UnitsConfig) -> str:
    """The command that shows ``frame`` of the data set that ``options`` open, with the units of ``config``."""
    parts = ["xmodal units show", options, f"--frame {frame}"]
    for path in changed(config, UnitsConfig()):
        value = value_of(config, path)
        text = value if isinstance(value, str) else json.dumps(value)
        parts.append(f"--set {quote(f'units.{path}={text}')}")
    return " ".join(part for part in parts if part)
