"""Extension points: a folder with a ``base.py`` whose other modules are its plugins.

A plugin's module name is its name on the command line, the first line of its docstring its help, and the one public
subclass of the folder's base class defined in it is what ``load`` gives. Nothing is imported until it is chosen. A
package outside this tree registers a module of the same form under the entry point group ``xmodal.<kind>``.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin

from xmodal_core.errors import InputError, known_names


@dataclass(frozen=True)
class Kind:
    """One extension point: ``name`` for people, ``package`` its folder, ``base`` the class that its plugins extend."""

    name: str
    package: str
    base: str


DATASET = Kind("dataset", "xmodal_core.datasets", "Dataset")
TEACHER = Kind("teacher", "xmodal_core.images", "Teacher")
NETWORK = Kind("network", "xmodal_core.points", "PointNetwork")
METHOD = Kind("method", "xmodal_core.methods", "Method")
EXPORTER = Kind("exporter", "xmodal_core.exporters", "Exporter")
VIEWER = Kind("viewer", "viz.viewers", "Viewer")
PEER = Kind("peer", "xmodal_core.units.peers", "Peer")
PROTOCOL = Kind("protocol", "xmodal_core.metrics", "Protocol")
TASK = Kind("task", "xmodal_core.tasks", "Task")
KINDS = (DATASET, TEACHER, NETWORK, METHOD, EXPORTER, VIEWER, PEER, PROTOCOL, TASK)


@cache
def entry_points(*, group: str) -> tuple[metadata.EntryPoint, ...]:
    """Those of ``group``, looked for once: every installed package has to be opened for it."""
    return tuple(metadata.entry_points(group=group))


def _folder(kind: Kind) -> Path:
    spec = importlib.util.find_spec(kind.package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


def _modules(kind: Kind) -> dict[str, str]:
    own = {
        module.name: f"{kind.package}.{module.name}"
        for module in pkgutil.iter_modules([str(_folder(kind))])
        if module.name != "base" and not module.name.startswith("_")
    }
    foreign = {point.name: point.value for point in entry_points(group=f"xmodal.{kind.name}")}
    return {**foreign, **own}


def _module(kind: Kind, name: str) -> str:
    modules = _modules(kind)
    if name not in modules:
        raise InputError(f"unknown {kind.name} '{name}'", known_names(sorted(modules), name))
    return modules[name]


def names(kind: Kind) -> list[str]:
    """The names of all plugins of ``kind``, sorted; imports none of them."""
    return sorted(_modules(kind))


def with_model(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """``NAME:MODEL`` is the plugin NAME with its setting ``model``, whatever ``options`` say of that; any other name
    and its options stay as they are."""
    plugin, colon, model = name.partition(":")
    return plugin, {**options, **({"model": model} if colon else {})}


def name_of(plugin: object) -> str:
    """The name that a plugin, a class or an instance of one, has on the command line."""
    kind = plugin if inspect.isclass(plugin) else type(plugin)
    return kind.__module__.rsplit(".", 1)[-1]


def summary(kind: Kind, name: str) -> str:
    """The first docstring line of a plugin, read without importing it; empty where its file cannot be found.

    Raises:
        InputError: there is no plugin of that name.
    """
    source = _source(kind, _module(kind, name))
    doc = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) if source else None
    return (doc or "").split("\n", 1)[0]


def _source(kind: Kind, module: str) -> Path | None:
    package, _, name = module.rpartition(".")
    if package == kind.package:
        # Not asked of the import system, which would import the package, and torch with some of them.
        single, nested = _folder(kind) / f"{name}.py", _folder(kind) / name / "__init__.py"
        return single if single.is_file() else nested
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def load(kind: Kind, name: str) -> type[Any]:
    """The class of plugin ``name``; its module is imported now.

    Raises:
        InputError: there is no plugin of that name, a library that it needs is not installed, or its module does not
            define exactly one.
    """
    module = _import(kind, name, _module(kind, name))
    base = getattr(importlib.import_module(f"{kind.package}.base"), kind.base)
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and get_origin(value) is None  # for Python 3.10 ``list[int]`` is a class too
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
        and not inspect.isabstract(value)
    ]
    if len(found) != 1:
        raise InputError(
            f"{module.__name__} defines {len(found)} public {kind.base} classes", "a plugin module defines exactly one"
        )
    return found[0]


def _import(kind: Kind, name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        library, _, part = (error.name or "").partition(".")
        if not library or (part and library == module.split(".")[0]):
            raise  # a mistake in the plugin itself
        raise InputError(
            f"{kind.name} '{name}' needs the library '{library}', which is not installed", f"pip install {library}"
        ) from error
