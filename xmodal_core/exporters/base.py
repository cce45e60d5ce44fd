"""What an exporter is: a rule from our tensors to the names, shapes and layout of another framework's checkpoint."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from safetensors import SafetensorError
from torch import Tensor

from xmodal_core import plugins
from xmodal_core.errors import InputError, RunError
from xmodal_core.train.backbone import Backbone


@dataclass(frozen=True)
class Converted:
    """A backbone in another framework's terms.

    Args:
        tensors: by the target's names.
        origin: the name of our tensor that each of them was made from.
        expected: name and shape of every backbone tensor that the target's own model has, written down from the
            target's rules and not from ``tensors``.
    """

    tensors: Mapping[str, Tensor]
    origin: Mapping[str, str]
    expected: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Report:
    """What was written.

    Args:
        file: the checkpoint.
        beside: further files (card, settings fragment).
        exported: how many of the backbone's tensors went over, of ``total``.
        parameters: how many numbers those are.
        usage: the lines a person types or adds in the target framework.
    """

    file: Path
    beside: tuple[Path, ...]
    exported: int
    total: int
    parameters: int
    usage: tuple[str, ...]


class Exporter(ABC):
    """One checkpoint format. A plugin states ``networks`` (whose weights it can carry) and ``suffix`` of its file."""

    networks: ClassVar[tuple[str, ...]]
    suffix: ClassVar[str]

    @abstractmethod
    def convert(self, backbone: Backbone) -> Converted:
        """``backbone`` in the target's names and layout; what cannot go over is simply not in it."""

    @abstractmethod
    def write(self, backbone: Backbone, converted: Converted, file: Path) -> None:
        """Write the checkpoint to ``file``, which is a temporary name."""

    @abstractmethod
    def settings_fragment(self, backbone: Backbone) -> tuple[str, str]:
        """Suffix and text of the settings that the target needs for these weights; ("", "") if it needs none."""

    @abstractmethod
    def usage(self, file: Path) -> tuple[str, ...]:
        """The lines that load ``file`` in the target framework."""

    def export(self, backbone: Backbone, file: Path) -> Report:
        """Convert, check and write; nothing is written unless every tensor of both sides found its partner.

        Raises:
            InputError: this format cannot carry that network, or ``file`` is a folder.
            RunError: the two sides match only in part, the message names the first tensor without a partner; or the
                disk is full or cannot be written.
        """
        if backbone.network not in self.networks:
            raise InputError(
                f"format '{plugins.name_of(self)}' cannot carry a '{backbone.network}' network",
                f"it carries: {', '.join(self.networks)}",
            )
        if file.is_dir():
            raise InputError(f"{file} is a folder", f"name the file to write, e.g. {file / ('backbone' + self.suffix)}")
        converted = self.convert(backbone)
        refuse_half_match(backbone, converted)
        return Report(
            file=file,
            beside=self._write_all(backbone, converted, file),
            exported=len(set(converted.origin.values())),
            total=len(backbone.tensors),
            parameters=sum(tensor.numel() for tensor in converted.tensors.values()),
            usage=self.usage(file),
        )

    def _write_all(self, backbone: Backbone, converted: Converted, file: Path) -> tuple[Path, ...]:
        """Write the texts beside ``file``, then ``file`` itself: where it is, everything is."""
        texts = self._texts(backbone, file)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            for path, text in texts.items():
                _write_whole(path, partial(Path.write_text, data=text, encoding="utf-8"))
            _write_whole(file, partial(self.write, backbone, converted))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise RunError(f"cannot write {file}: {error}", "choose another place with --out, or make room") from error
        return tuple(texts)

    def _texts(self, backbone: Backbone, file: Path) -> dict[Path, str]:
        texts = {file.with_name(f"{file.stem}.card.json"): json.dumps(backbone.card, indent=2) + "\n"}
        suffix, fragment = self.settings_fragment(backbone)
        if fragment:
            texts[file.with_name(f"{file.stem}{suffix}")] = fragment
        return texts


def _write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write ``file``, whole or not at all."""
    unfinished = file.with_name(file.name + ".partial")
    try:
        write(unfinished)
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


def refuse_half_match(backbone: Backbone, converted: Converted) -> None:
    """Compare both sides tensor by tensor.

    Raises:
        RunError: a tensor that the target expects is missing or has another shape, or one of ours got lost.
    """
    for name, shape in converted.expected.items():
        if name not in converted.tensors:
            raise _half_match(f"the target's tensor '{name}' has no counterpart", converted)
        found = tuple(converted.tensors[name].shape)
        if found != tuple(shape):
            raise _half_match(f"'{name}' should be {_size(shape)}, but is {_size(found)}", converted)
    surplus = [name for name in converted.tensors if name not in converted.expected]
    if surplus:
        raise _half_match(f"the target has no tensor '{surplus[0]}'", converted)
    carried = set(converted.origin.values())
    lost = [name for name in backbone.tensors if name not in carried]
    if lost:
        raise _half_match(f"our tensor '{lost[0]}' has no place in the target", converted)


def _half_match(what: str, converted: Converted) -> RunError:
    good = sum(
        name in converted.tensors and tuple(converted.tensors[name].shape) == tuple(shape)
        for name, shape in converted.expected.items()
    )
    return RunError(
        f"nothing written: only {good} of the target's {len(converted.expected)} tensors match; {what}",
        "export to a format made for this network, or pre-train with a preset that this format knows",
    )


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape) or "a single number"


def channel_names(backbone: Backbone) -> list[str]:
    """The per-point channels that the network takes after x, y, z, in order."""
    settings: Any = backbone.card["network_settings"]
    return list(settings["channels"])
