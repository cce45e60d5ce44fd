"""What an exporter is: an ordered table from our tensors to another framework's, read forwards and backwards."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from torch import Tensor

from xmodal_core import plugins
from xmodal_core.config import validate
from xmodal_core.errors import DataError, InputError, RunError
from xmodal_core.exporters._layouts import SAME, Layout
from xmodal_core.points.base import NetworkSettings
from xmodal_core.train.backbone import Backbone

__all__ = ["Exporter", "Imported", "Layout", "Report", "Row", "Table", "norm_rows"]

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Row:
    """One tensor of the target's own model.

    Args:
        theirs: its name in the target's file.
        shape: its shape in that file, from the target's rules and not from our tensor.
        ours: the name of our tensor; None where the target has one and we have not.
        layout: how the memory differs.
        fill: what is written where ``ours`` is None.
        absorbed_by: where ``ours`` is None: our running mean, of the batch norm that follows, that takes up such a
            bias when a file is read (``running_mean - bias`` is the same network without the bias).
    """

    theirs: str
    shape: tuple[int, ...]
    ours: str | None
    layout: Layout = SAME
    fill: float = 0.0
    absorbed_by: str | None = None


def norm_rows(theirs: str, ours: str, width: int) -> Iterator[Row]:
    """The five rows of a batch norm: weight, bias, running mean and variance, number of batches."""
    for part in NORM:
        yield Row(f"{theirs}.{part}", () if part == "num_batches_tracked" else (width,), f"{ours}.{part}")


@dataclass(frozen=True)
class Table:
    """One network of ours in one format.

    Args:
        rows: from the network's settings and spconv's version, every tensor of the target's model in its order.
        fragment: from the network's settings, the text of the target's settings that build that model.
    """

    rows: Callable[[Any, int], Iterator[Row]]
    fragment: Callable[[Any], str]


@dataclass(frozen=True)
class Report:
    """What was written.

    Args:
        file: the checkpoint.
        beside: further files (card, settings fragment).
        rows: the tensors in it, in order; those with ``ours`` None were made up.
        left_out: tensors of either side that are not in it, each with the reason.
        total: how many tensors the backbone has.
        parameters: how many of the backbone's numbers went over.
        usage: the lines a person types or adds in the target framework.
    """

    file: Path
    beside: tuple[Path, ...]
    rows: tuple[Row, ...]
    left_out: Mapping[str, str]
    total: int
    parameters: int
    usage: tuple[str, ...]

    @property
    def exported(self) -> int:
        """How many of the backbone's tensors went over."""
        return sum(row.ours is not None for row in self.rows)

    @property
    def made_up(self) -> tuple[Row, ...]:
        """The target's tensors that we have not, written as constants that change nothing."""
        return tuple(row for row in self.rows if row.ours is None)


@dataclass(frozen=True)
class Imported:
    """What was read.

    Args:
        tensors: by our names, all of the network's.
        rows: the table that they were read by.
        left_out: tensors of the file that are none of the backbone's (heads, buffers).
        absorbed: biases of the file that were not zero and went into the running mean that follows.
    """

    tensors: Mapping[str, Tensor]
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    absorbed: tuple[str, ...]


class Exporter(ABC):
    """One checkpoint format.

    A plugin states ``networks`` (whose weights it can carry), ``suffix`` of its file, ``wrapper`` (the key under which
    its loader looks for the tensors), ``others`` (further keys that its own trainer's files may have instead) and
    ``versions``: those of spconv whose order of weights it can write, the usual one first, none if the order is fixed.

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
            InputError: the format cannot carry a network of such settings exactly.
        """

    @abstractmethod
    def settings_fragment(self, network: str, settings: NetworkSettings) -> tuple[str, str]:
        """Suffix and text of the settings that the target needs for these weights; ("", "") if it needs none."""

    @abstractmethod
    def usage(self, file: Path) -> tuple[str, ...]:
        """The lines that load ``file`` in the target framework."""

    def prepared(self, network: str, settings: NetworkSettings, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Our ``tensors`` before the table is read; for changes that take more than one tensor at once."""
        return tensors

    def wrapped(self, tensors: Mapping[str, Tensor], card: str) -> dict[str, Any]:
        """What the file holds: only what ``torch.load(weights_only=True)`` takes (tensors, text, numbers, dicts)."""
        return {self.wrapper: dict(tensors), "card": card}

    def write(self, backbone: Backbone, tensors: Mapping[str, Tensor], file: Path) -> None:
        """Write the checkpoint to ``file``, which is a temporary name."""
        plain = {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
        }
        torch.save(self.wrapped(plain, json.dumps(dict(backbone.card))), file)

    def convert(self, backbone: Backbone) -> tuple[dict[str, Tensor], tuple[Row, ...], dict[str, str]]:
        """``backbone`` in the target's names and layouts, the rows that found their tensor, and what has no partner.

        Raises:
            InputError: this format cannot carry that network.
        """
        rows = self.table(backbone.network, backbone.card["network_settings"])
        settings = settings_of(backbone.network, backbone.card["network_settings"])
        ours = self.prepared(backbone.network, settings, backbone.tensors)
        tensors: dict[str, Tensor] = {}
        left_out: dict[str, str] = {}
        like = next(iter(ours.values()))
        for row in rows:
            if row.ours is None:
                tensors[row.theirs] = torch.full(row.shape, row.fill, dtype=like.dtype)
            elif row.ours not in ours:
                left_out[row.theirs] = f"the target's tensor '{row.theirs}' has no counterpart"
            else:
                tensors[row.theirs] = _laid_out(row, ours[row.ours])
                found = tuple(tensors[row.theirs].shape)
                if found != row.shape:
                    left_out[row.theirs] = f"'{row.theirs}' should be {_size(row.shape)}, but is {_size(found)}"
                    del tensors[row.theirs]
        named = {row.ours for row in rows}
        left_out |= {name: f"our tensor '{name}' has no place in the target" for name in ours if name not in named}
        return tensors, tuple(row for row in rows if row.theirs in tensors), left_out

    def table(self, network: str, settings: Mapping[str, Any]) -> Sequence[Row]:
        """``rows`` for a network of the settings in its card.

        Raises:
            InputError: this format cannot carry that network.
        """
        if network not in self.networks:
            raise InputError(
                f"format '{plugins.name_of(self)}' cannot carry a '{network}' network",
                f"it carries: {', '.join(self.networks)}",
            )
        return self.rows(network, settings_of(network, settings))

    def export(self, backbone: Backbone, file: Path, *, partial: bool = False) -> Report:
        """Convert, check and write; nothing is written unless every tensor of both sides found its partner.

        Args:
            backbone: what was pre-trained.
            file: the checkpoint to write.
            partial: write also if some tensors have no partner; the report names them.

        Raises:
            InputError: this format cannot carry that network, or ``file`` is a folder.
            RunError: the two sides match only in part, the message names the first tensor without a partner; or the
                disk is full or cannot be written.
        """
        if file.is_dir():
            raise InputError(f"{file} is a folder", f"name the file to write, e.g. {file / ('backbone' + self.suffix)}")
        tensors, rows, left_out = self.convert(backbone)
        if left_out and not partial:
            raise _half_match(self.table(backbone.network, backbone.card["network_settings"]), rows, left_out)
        return Report(
            file=file,
            beside=self._write_all(backbone, tensors, file),
            rows=rows,
            left_out=left_out,
            total=len(backbone.tensors),
            parameters=sum(tensors[row.theirs].numel() for row in rows if row.ours is not None),
            usage=self.usage(file),
        )

    def _write_all(self, backbone: Backbone, tensors: Mapping[str, Tensor], file: Path) -> tuple[Path, ...]:
        """Write the texts beside ``file``, then ``file`` itself: where it is, everything is."""
        texts = self._texts(backbone, file)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            for path, text in texts.items():
                _write_whole(path, partial(Path.write_text, data=text, encoding="utf-8"))
            _write_whole(file, partial(self.write, backbone, tensors))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise RunError(f"cannot write {file}: {error}", "choose another place with --out, or make room") from error
        return tuple(texts)

    def _texts(self, backbone: Backbone, file: Path) -> dict[Path, str]:
        texts = {file.with_name(f"{file.stem}.card.json"): json.dumps(backbone.card, indent=2) + "\n"}
        settings = settings_of(backbone.network, backbone.card["network_settings"])
        suffix, fragment = self.settings_fragment(backbone.network, settings)
        if fragment:
            texts[file.with_name(f"{file.stem}{suffix}")] = fragment
        return texts

    def read(self, file: Path) -> Mapping[str, Tensor]:
        """The tensors of a checkpoint of this format, by the target's names, without a ``module.`` before them.

        Raises:
            DataError: the file is missing, damaged, or holds no tensors where this format has them.
        """
        if not file.is_file():
            raise DataError(f"no checkpoint at {file}", "give the file that the other framework wrote")
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise DataError(f"{file} cannot be read: {error}", "copy it again") from error
        for key in (self.wrapper, *self.others):
            if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
                content = content[key]
                break
        tensors = {name.removeprefix("module."): value for name, value in content.items() if isinstance(value, Tensor)}
        if not tensors:
            raise DataError(f"{file} holds no tensors under '{self.wrapper}'", "check which framework wrote it")
        return tensors

    def import_from(self, theirs: Mapping[str, Tensor], network: str, settings: Mapping[str, Any]) -> Imported:
        """The table read backwards: a network of ours from a checkpoint of the target, all of it or nothing.

        Args:
            theirs: as ``read`` gives them.
            network: one of ``networks``.
            settings: of that network.

        Raises:
            InputError: this format cannot carry that network.
            DataError: a tensor of the backbone is missing or has another shape; the message names the first.
        """
        rows = tuple(self.table(network, settings))
        ours: dict[str, Tensor] = {}
        wrong: list[str] = []
        for row in rows:
            if row.ours is None:
                continue
            if row.theirs not in theirs:
                wrong.append(f"'{row.theirs}' is missing")
            elif tuple(theirs[row.theirs].shape) != row.shape:
                wrong.append(f"'{row.theirs}' should be {_size(row.shape)}, but is {_size(theirs[row.theirs].shape)}")
            else:
                ours[row.ours] = row.layout.back(theirs[row.theirs]).contiguous()
        if wrong:
            raise DataError(
                f"only {len(ours)} of {len(ours) + len(wrong)} tensors of a '{network}' are in the file; {wrong[0]}",
                "give the settings of the network that the file holds, e.g. --set network.preset=…",
            )
        absorbed = tuple(row.theirs for row in rows if _is_bias(row, theirs))
        for row in rows:
            if row.absorbed_by is not None and row.theirs in absorbed:
                ours[row.absorbed_by] = ours[row.absorbed_by] - theirs[row.theirs]
        known = {row.theirs for row in rows}
        return Imported(ours, rows, tuple(name for name in theirs if name not in known), absorbed)


def settings_of(network: str, settings: Mapping[str, Any]) -> NetworkSettings:
    """The settings in a card, checked.

    Raises:
        InputError: the network or an option is unknown, or a value is out of bounds.
    """
    config: type[NetworkSettings] = plugins.load(plugins.NETWORK, network).Config
    return validate(config, dict(settings), "network_settings", "the network's card")


def _laid_out(row: Row, ours: Tensor) -> Tensor:
    """``ours`` as the target has it; as it is, where its shape does not even allow that."""
    try:
        return row.layout.forth(ours)
    except (RuntimeError, ValueError):
        return ours


def _is_bias(row: Row, theirs: Mapping[str, Tensor]) -> bool:
    return row.absorbed_by is not None and row.theirs in theirs and bool(theirs[row.theirs].any())


def _write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write ``file``, whole or not at all."""
    unfinished = file.with_name(file.name + ".partial")
    try:
        write(unfinished)
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


def _half_match(table: Sequence[Row], rows: Sequence[Row], left_out: Mapping[str, str]) -> RunError:
    first = next(iter(left_out.values()))
    return RunError(
        f"nothing written: only {len(rows)} of the target's {len(table)} tensors match; {first}",
        "export to a format made for this network, pre-train with a preset that this format knows, or write what "
        "matches with --partial",
    )


def _size(shape: Sequence[int]) -> str:
    return "x".join(str(side) for side in shape) or "a single number"
