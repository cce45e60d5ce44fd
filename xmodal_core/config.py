"""Settings: one place that the command's help, the README's table, the YAML file and the tuner's sliders come from.

Every settings class extends ``Settings``; every number in it is made with ``setting``, which asks for bounds, a unit
and a line of plain words. ``resolve`` lays a YAML file and ``--set a.b=value`` over the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from xmodal_core.errors import InputError, known_names


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys forbidden, numbers finite, defaults checked too."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)
Origin = Callable[[str], str]

SECTIONS = (
    "dataset",
    "rig",
    "units",
    "labels",
    "augment",
    "teacher",
    "network",
    "init",
    "method",
    "cache",
    "task",
    "train",
    "evaluate",
)
"""The parts of an experiment's settings file, in the order of the way through; pre-training has some of them,
fine-tuning has some."""

CHOICES = ("name", "root")
"""Keys of a section that are no options of its plugin: they say which plugin, and where its files are."""
PLUGIN_SECTIONS = ("dataset", "teacher", "network", "method", "task")
ONE_PLUGINS_OPTIONS = ("teacher", "network", "method", "task")
"""Those whose options mean nothing to another plugin, or something else; data sets share theirs."""


def setting(
    default: Any,
    words: str,
    *,
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    step: float | None = None,
) -> Any:
    """A field of a settings class.

    Args:
        default: the value without any settings file.
        words: what it does, in one plain line.
        unit: ``m``, ``deg``, ``points`` …; empty for a pure number or a switch.
        ge, le: bounds, both included; for a number they are also the ends of its slider.
        step: the slider's step.
    """
    return Field(default, description=words, ge=ge, le=le, json_schema_extra={"unit": unit, "step": step})


@dataclass(frozen=True)
class Entry:
    """One leaf of a settings tree, as the help, the README table and the tuner show it."""

    path: str
    kind: Any
    default: Any
    words: str
    unit: str
    ge: float | None
    le: float | None
    step: float | None


def entries(kind: type[Settings], prefix: str = "", defaults: Settings | None = None) -> Iterator[Entry]:
    """Every leaf of a settings class, nested ones with dotted paths, in the order they are written.

    ``defaults`` are those of a class that has ``kind`` within it and gives it others than its own.
    """
    for name, field in kind.model_fields.items():
        default = getattr(defaults, name) if defaults else field.get_default(call_default_factory=True)
        if isinstance(default, Settings):
            yield from entries(type(default), f"{prefix}{name}.", default)
        else:
            yield _entry(f"{prefix}{name}", field, default)


def _entry(path: str, field: FieldInfo, default: Any) -> Entry:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    bounds: dict[str, Any] = {}
    for constraint in field.metadata:
        bounds.update({end: getattr(constraint, end) for end in ("ge", "le") if hasattr(constraint, end)})
    return Entry(
        path=path,
        kind=field.annotation,
        default=default,
        words=field.description or "",
        unit=str(extra.get("unit") or ""),
        ge=bounds.get("ge"),
        le=bounds.get("le"),
        step=extra.get("step"),  # type: ignore[arg-type]
    )


def resolve(kind: type[S], file: Path | None = None, assignments: Sequence[str] = (), section: str = "") -> S:
    """Defaults, then a YAML ``file``, then ``name=value`` assignments, in that order of growing weight.

    Args:
        kind: the settings class.
        file: a YAML file; None for none.
        assignments: ``--set`` texts such as ``units.instances.radius=0.6``; values are read as YAML.
        section: where ``kind`` stands in the file and in the assignments, e.g. ``units``: other parts of both are
            left to whoever owns them, and so are the ``CHOICES`` of a plugin's section. Empty: the file is all
            ``kind``.

    Raises:
        InputError: the file is missing or not YAML, a key is unknown, a value is out of bounds.
    """
    origin = origin_of(file, [text.partition("=")[0] for text in assignments])
    if not section:
        return validate(kind, _lay_over(file, assignments), "", origin)
    part = read_sections(file, assignments)[section]
    if section in PLUGIN_SECTIONS:
        part = {name: value for name, value in part.items() if name not in CHOICES}
    return validate(kind, part, section, origin)


def read_sections(
    file: Path | None = None, assignments: Sequence[str] = (), named: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """An experiment's settings as they are written, not yet validated: each of ``SECTIONS``, empty where absent.

    Args:
        file, assignments: see ``resolve``.
        named: plugins that were chosen by other means, by section, e.g. with ``--teacher``. Where they or the
            ``assignments`` name another plugin than the file, the file's options of that one have no say.

    Raises:
        InputError: the file is missing or not YAML, or there is no such section.
    """
    tree = _lay_over(file, assignments, named)
    for name, part in tree.items():
        if name not in SECTIONS:
            origin = origin_of(file, [text.partition("=")[0] for text in assignments])
            raise InputError(
                f"there is no group of settings '{name}' (from {origin(str(name))})", known_names(SECTIONS, str(name))
            )
        if part is not None and not isinstance(part, dict):
            raise InputError(f"'{name}' is a group of settings, not {part!r}", "write 'key: value' lines below it")
    return {name: dict(tree.get(name) or {}) for name in SECTIONS}


def _lay_over(file: Path | None, assignments: Sequence[str], named: Mapping[str, str] | None = None) -> dict[str, Any]:
    tree = _read_yaml(file) if file is not None else {}
    given: dict[str, Any] = {}
    for text in assignments:
        _assign(given, text)
    for section in ONE_PLUGINS_OPTIONS:
        part, ours = tree.get(section), given.get(section)
        name = (named or {}).get(section) or (ours.get("name") if isinstance(ours, dict) else None)
        if name and isinstance(part, dict) and part.get("name") and _plugin(part["name"]) != _plugin(name):
            tree[section] = {"name": part["name"]}
    for text in assignments:
        _assign(tree, text)
    return tree


def _plugin(name: object) -> str:
    """``timm:resnet18`` is ``timm`` with an option."""
    return str(name).partition(":")[0]


def origin_of(file: Path | None, assigned: Iterable[str]) -> Origin:
    """Tells of a setting's path where its value came from: the command line, which ``assigned`` some, or ``file``."""
    paths = [path.strip() for path in assigned]

    def origin(where: str) -> str:
        by_hand = any(f"{where}.".startswith(f"{path}.") or path.startswith(f"{where}.") for path in paths)
        return str(file) if file and not by_hand else "the command line"

    return origin


def validate(kind: type[S], values: Any, section: str = "", origin: str | Origin = "") -> S:
    """``values`` as settings of ``kind``; raises InputError naming the first wrong key, its bounds and its origin."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _first_complaint(kind, error, section, origin) from None


def dump_yaml(settings: Settings, section: str = "") -> str:
    """The YAML text that ``resolve`` reads back to the same settings."""
    values: dict[str, Any] = settings.model_dump(mode="json")
    return yaml.safe_dump({section: values} if section else values, sort_keys=False)


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the settings file {file}: {error.strerror}", "check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{file}{place} is not YAML: {what}", "write it as 'key: value' lines") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InputError(f"{file} holds no settings, but {type(tree).__name__}", "write it as 'key: value' lines")
    return tree


def _assign(tree: dict[str, Any], text: str) -> None:
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise InputError(f"cannot read the setting '{text}'", "write it as name=value, e.g. units.instances.radius=0.6")
    *parents, leaf = path.strip().split(".")
    for parent in parents:
        if tree.get(parent) is None:  # absent, or a group's name with nothing below it
            tree[parent] = {}
        tree = tree[parent]
        if not isinstance(tree, dict):
            raise InputError(f"'{parent}' in '{text}' is a value, not a group of settings", "shorten the name")
    try:
        tree[leaf] = yaml.safe_load(value)
    except yaml.YAMLError:
        tree[leaf] = value


def _group_at(kind: type[Settings], place: Sequence[str | int]) -> type[Settings] | None:
    """The class of the group of settings at ``place`` within ``kind``; None where it lies in a list."""
    found: type[Settings] | None = kind
    for part in place:
        field = found.model_fields.get(str(part)) if found is not None else None
        of = (field.annotation, *get_args(field.annotation)) if field is not None else ()
        found = next((one for one in of if isinstance(one, type) and issubclass(one, Settings)), None)
    return found


def _first_complaint(kind: type[Settings], error: ValidationError, section: str, origin: str | Origin) -> InputError:
    complaint, *others = error.errors()
    if complaint["type"] == "missing":  # perhaps only misspelt
        complaint = next((other for other in others if other["type"] == "extra_forbidden"), complaint)
    where = ".".join(str(part) for part in ((section,) if section else ()) + complaint["loc"])
    origin = origin if isinstance(origin, str) else origin(where)
    source = f" (from {origin})" if origin else ""
    if complaint["type"] == "extra_forbidden":
        group = _group_at(kind, complaint["loc"][:-1])
        parents = where.rpartition(".")[0] if group is not None else section
        known = [entry.path for entry in entries(group or kind, f"{parents}." if parents else "")]
        return InputError(f"there is no setting '{where}'{source}", known_names(known, where))
    if complaint["type"] == "missing":
        parent = _group_at(kind, complaint["loc"][:-1])
        about = parent.model_fields[str(complaint["loc"][-1])].description if parent is not None else ""
        return InputError(f"setting '{where}' is missing{source}", f"add it: {about or 'it has no default'}")
    words = complaint["msg"].removeprefix("Value error, ").replace("Input", "it").strip()
    if complaint["type"] == "value_error" and isinstance(complaint["input"], dict):
        return InputError(f"settings of '{where or kind.__name__}' do not fit together{source}", words)
    return InputError(f"setting '{where}' cannot be {complaint['input']!r}{source}", words)
