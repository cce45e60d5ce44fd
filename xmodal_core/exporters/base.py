"""What an exporter is: tables from networks of ours to a format, and the checkpoints written and read by them."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import partial as bind
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.exporters._checkpoints import read_checkpoint
from xmodal_core.exporters._table import Converted, Imported, Row, backwards, forwards, rounded
from xmodal_core.points.base import NetworkSettings
from xmodal_core.train.backbone import Backbone


@dataclass(frozen=True)
class Report:
    """What was written.

    Args:
        file: the checkpoint.
        beside: further files (card, settings fragment).
        rows: the tensors in it, in order; those with ``ours`` None were made up.
        left_out: tensors of either side that are not in it, each with the reason.
        beyond: our tensors that are none of the part of a network that the format carries.
        differences: in what the target computes something else from them.
        total: how many tensors the backbone has.
        parameters: how many of the backbone's numbers went over.
        usage: what a person does to load it.
    """

    file: Path
    beside: tuple[Path, ...]
    rows: tuple[Row, ...]
    left_out: Mapping[str, str]
    beyond: tuple[str, ...]
    differences: tuple[Difference, ...]
    total: int
    parameters: int
    usage: tuple[Step, ...]

    @property
    def exported(self) -> int:
        """How many of the backbone's tensors went over."""
        return sum(row.ours is not None for row in self.rows)

    @property
    def made_up(self) -> tuple[Row, ...]:
        """The target's tensors that we have not, written as constants that change nothing."""
        return tuple(row for row in self.rows if row.ours is None)


ORIGINALS = "originals"
"""Where a file that xmodal wrote has tensors that the target's scaling rounded; no framework looks there."""


class Step(NamedTuple):
    """One thing to do in the target framework: in words, and the lines to type or to add, as they are."""

    words: str
    lines: tuple[str, ...] = ()


class Difference(NamedTuple):
    """In what the target's own model computes something else from the same weights, and what to do about it."""

    what: str
    remedy: str


class Checkpoint(NamedTuple):
    """A file of the target: its ``tensors`` by the target's names, without a ``module.`` before them, and, if xmodal
    wrote it, the ``card`` in it and the ``originals`` by our names of tensors that were rounded on the way."""

    tensors: Mapping[str, Tensor]
    card: Mapping[str, Any] | None = None
    originals: Mapping[str, Tensor] = MappingProxyType({})


class Exporter(ABC):
    """One checkpoint format.

    A plugin states ``networks`` (whose weights it can carry), ``suffix`` of its file, ``wrapper`` (the key under which
    its loader looks for the tensors), ``others`` (further keys that its own trainer's files may have instead) and
    ``versions``: those of spconv whose order of weights it can write, the usual one first, none if the order is fixed.
    ``suited`` has, for networks whose default settings it cannot carry exactly, some that it can.
    ``as_stored`` says that its network takes channels as the data set stores them, with ``intensity_scale`` in the
    first weights; else the network multiplies them itself.
    ``part`` says in words which part of a network alone the format carries; None: the whole.

    Args:
        spconv: one of ``versions``; None for the usual one.

    Raises:
        InputError: the format cannot be written in that order.
    """

    networks: ClassVar[tuple[str, ...]]
    suffix: ClassVar[str] = ".pth"
    wrapper: ClassVar[str] = "state_dict"
    others: ClassVar[tuple[str, ...]] = ()
    versions: ClassVar[tuple[int, ...]] = ()
    suited: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    as_stored: ClassVar[bool] = True
    part: ClassVar[str | None] = None

    def __init__(self, spconv: int | None = None) -> None:
        if spconv is not None and spconv not in self.versions:
            known = " or ".join(map(str, self.versions))
            raise InputError(
                f"format '{plugins.name_of(self)}' is not written in the order of spconv {spconv}",
                f"give --spconv {known}" if known else "leave --spconv out: its loader expects one fixed order",
            )
        self.spconv = spconv if spconv is not None else next(iter(self.versions), 2)

    @abstractmethod
    def rows(self, network: str, settings: NetworkSettings) -> Sequence[Row]:
        """Every tensor that the target's own model has for ``network`` (one of ``networks``) with these settings.

        Raises:
            InputError: the target has no model for a network of such settings.
        """

    @abstractmethod
    def settings_fragment(self, network: str, settings: NetworkSettings) -> tuple[str, str]:
        """Suffix and text of the settings that the target needs for these weights; ("", "") if it needs none."""

    @abstractmethod
    def usage(self, file: Path) -> tuple[Step, ...]:
        """What a person does, in order, to load ``file``, an absolute path, in the target framework."""

    def differences(self, network: str, settings: NetworkSettings) -> Sequence[Difference]:
        """In what the target computes something else than we from the same weights; usually nothing."""
        return ()

    def differences_on(self, dataset: str | None, settings: NetworkSettings) -> Sequence[Difference]:
        """In what the target's own loader of ``dataset``, on which the network was pre-trained, feeds it something else
        than we did; usually nothing."""
        return ()

    def carries(self, name: str) -> bool:
        """Whether our tensor ``name`` is of the part of a network that the format carries."""
        return True

    def facts(self, network: str, settings: NetworkSettings) -> Mapping[str, object]:
        """What else the card should say of the file."""
        return {}

    def prepared(self, network: str, settings: NetworkSettings, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Our ``tensors`` before the table is read; for changes that take more than one tensor at once."""
        return tensors

    def wrapped(self, tensors: Mapping[str, Tensor], card: str) -> dict[str, Any]:
        """What the file holds: only what ``torch.load(weights_only=True)`` takes (tensors, text, numbers, dicts)."""
        return {self.wrapper: dict(tensors), "card": card}

    def write(self, backbone: Backbone, tensors: Mapping[str, Tensor], file: Path) -> None:
        """Write the checkpoint to ``file``, which is a temporary name."""
        plain = _plain(tensors)
        content = self.wrapped(plain, json.dumps(dict(backbone.card)))
        table = self.table(backbone.network, backbone.card["network_settings"])
        originals = rounded(table, _plain(backbone.tensors), plain)
        torch.save({**content, **({ORIGINALS: originals} if originals else {})}, file)

    def convert(self, backbone: Backbone) -> Converted:
        """``backbone`` in the target's names and layouts, as far as both sides have partners.

        Raises:
            InputError: this format cannot carry that network.
        """
        rows = self.table(backbone.network, backbone.card["network_settings"])
        ours = self.prepared(backbone.network, _settings(backbone), backbone.tensors)
        return forwards(rows, ours, [name for name in ours if self.carries(name)])

    def table(self, network: str, settings: Mapping[str, Any]) -> Sequence[Row]:
        """``rows`` for a network of the settings in its card.

        Raises:
            InputError: this format cannot carry that network.
        """
        if network not in self.networks:
            own = " or ".join(self.networks)
            raise InputError(
                f"format '{plugins.name_of(self)}' cannot carry a '{network}' network, only {own}",
                f"formats for '{network}': {', '.join(formats_of(network)) or 'none'}",
            )
        return self.rows(network, settings_of(network, settings))

    def export(self, backbone: Backbone, file: Path, *, partial: bool = False, inexact: bool = False) -> Report:
        """Convert, check and write; nothing is written unless every tensor of both sides found its partner.

        Args:
            backbone: what was pre-trained.
            file: the checkpoint to write.
            partial: write also if some tensors have no partner; the report names them.
            inexact: write also if the target computes something else from them; the report says what.

        Raises:
            InputError: this format cannot carry that network, or only inexactly, or ``file`` is a folder.
            RunError: the two sides match only in part, the message names the first tensor without a partner; or the
                disk is full or cannot be written.
        """
        if file.is_dir():
            raise InputError(f"{file} is a folder", f"name the file to write, e.g. {file / ('backbone' + self.suffix)}")
        converted = self.convert(backbone)
        if converted.left_out and not partial:
            raise _half_match(self.table(backbone.network, backbone.card["network_settings"]), converted)
        settings = _settings(backbone)
        differences = (
            *self.differences(backbone.network, settings),
            *self.differences_on(backbone.card.get("dataset"), settings),
        )
        if differences and not inexact:
            raise InputError(
                f"nothing written: '{plugins.name_of(self)}' cannot carry this network exactly: {differences[0].what}",
                f"{differences[0].remedy}; or write it all the same with --inexact",
            )
        return Report(
            file=file,
            beside=self._write_all(backbone, converted, differences, file),
            rows=converted.rows,
            left_out=converted.left_out,
            beyond=tuple(name for name in backbone.tensors if not self.carries(name)),
            differences=differences,
            total=len(backbone.tensors),
            parameters=sum(converted.tensors[row.theirs].numel() for row in converted.rows if row.ours is not None),
            usage=self.usage(file.absolute()),
        )

    def _write_all(
        self, backbone: Backbone, converted: Converted, differences: Sequence[Difference], file: Path
    ) -> tuple[Path, ...]:
        """Write the texts beside ``file``, then ``file`` itself: where it is, everything is."""
        card = json.dumps(self.card(backbone, converted, differences), indent=2) + "\n"
        texts = {file.with_name(f"{file.stem}.card.json"): card}
        suffix, fragment = self.settings_fragment(backbone.network, _settings(backbone))
        if fragment:
            texts[file.with_name(f"{file.stem}{suffix}")] = fragment
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            for path, text in texts.items():
                _write_whole(path, bind(Path.write_text, data=text, encoding="utf-8"))
            _write_whole(file, bind(self.write, backbone, converted.tensors))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise RunError(f"cannot write {file}: {error}", "choose another place with --out, or make room") from error
        return tuple(texts)

    def card(self, backbone: Backbone, converted: Converted, differences: Sequence[Difference]) -> dict[str, Any]:
        """The backbone's card, and under ``export`` what one has to know of the file: its format and order, what a
        point is to the network, and which tensor is which of ours (null: made up)."""
        settings = _settings(backbone)
        scaled = settings.intensity_scale != 1 and "intensity" in settings.channels
        where = "in the first weights" if self.as_stored else "by the network, before anything else"
        sizes = {
            name: value
            for name, value in settings.model_dump(mode="json").items()
            if name in ("range", "voxel_size", "voxel_angle", "pillar_size", "coordinates")
        }
        return {
            **backbone.card,
            "export": {
                "format": plugins.name_of(self),
                "spconv": self.spconv if self.versions else None,
                "point": ["x", "y", "z", *settings.channels],
                "frame": "the data set's own LiDAR frame, metres",
                "normalisation": f"intensity times {settings.intensity_scale:g}, {where}" if scaled else "none",
                **sizes,
                **self.facts(backbone.network, settings),
                **({} if self.part is None else {"part": self.part}),
                "differences": [difference.what for difference in differences],
                "left_out": converted.left_out,
                "tensors": {row.theirs: row.ours for row in converted.rows},
            },
        }

    def read(self, file: Path) -> Checkpoint:
        """A checkpoint of this format, also one that the framework's own trainer wrote.

        Raises:
            DataError: the file is missing, damaged, or holds no tensors where this format has them.
        """
        content = read_checkpoint(file)
        originals = _tensors(content.get(ORIGINALS))
        card = json.loads(content["card"]) if isinstance(content.get("card"), str) else None
        for key in (self.wrapper, *self.others):
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
        tensors = _tensors(content)
        if not tensors:
            keys = ", ".join(repr(key) for key in (self.wrapper, *self.others))
            raise DataError(f"{file} holds no tensors under {keys}", "say with --format which framework wrote the file")
        return Checkpoint({name.removeprefix("module."): tensor for name, tensor in tensors.items()}, card, originals)

    def import_from(self, checkpoint: Checkpoint, network: str, settings: Mapping[str, Any]) -> Imported:
        """The table read backwards: a network of ours from a checkpoint of the target, all of it or nothing.

        Sparse kernels may be in the order of either version of spconv, whatever ``self.spconv`` is: their shape tells.

        Args:
            checkpoint: as ``read`` gives it.
            network: one of ``networks``.
            settings: of that network.

        Raises:
            InputError: this format cannot carry that network.
            DataError: a tensor of the backbone is missing or has another shape; the message names the first.
        """
        return backwards(list(self._readings(network, settings)), checkpoint.tensors, network, checkpoint.originals)

    def _readings(self, network: str, settings: Mapping[str, Any]) -> Iterator[tuple[Row, ...]]:
        """Each row of the table, first as this exporter writes it, then in other orders of spconv."""
        readers = [self]
        for version in (1, 2):
            if self.versions and version != self.spconv:
                readers.append(copy(self))
                readers[-1].spconv = version
        return zip(*(reader.table(network, settings) for reader in readers), strict=True)


def formats_of(network: str) -> list[str]:
    """The formats that carry a network of that name, at some of its settings at least; one whose library is not
    installed is left out."""
    found = []
    for name in plugins.names(plugins.EXPORTER):
        with suppress(InputError):
            if network in plugins.load(plugins.EXPORTER, name).networks:
                found.append(name)
    return found


def settings_of(network: str, settings: Mapping[str, Any]) -> NetworkSettings:
    """The settings in a card, checked.

    Raises:
        InputError: the network or an option is unknown, or a value is out of bounds.
    """
    config: type[NetworkSettings] = plugins.load(plugins.NETWORK, network).Config
    return validate(config, dict(settings), "network_settings", "the network's card")


def _settings(backbone: Backbone) -> NetworkSettings:
    return settings_of(backbone.network, backbone.card["network_settings"])


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that share no memory with anything."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }


def _tensors(content: object) -> dict[str, Tensor]:
    """The tensors among what a file has under a key, which may be anything."""
    items = content.items() if isinstance(content, Mapping) else ()
    return {str(name): value for name, value in items if isinstance(value, Tensor)}


def _write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write ``file``, whole or not at all."""
    unfinished = file.with_name(file.name + ".partial")
    try:
        write(unfinished)
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


def _half_match(table: Sequence[Row], converted: Converted) -> RunError:
    first = next(iter(converted.left_out.values()))
    return RunError(
        f"nothing written: only {len(converted.rows)} of the target's {len(table)} tensors match; {first}",
        "export to a format made for this network, pre-train with a preset that this format knows, or write what "
        "matches with --partial",
    )
