"""The slim file of a pre-trained network: its tensors and a card that says what they are.

It is for use (export, fine-tuning); resuming a run needs the full state in ``checkpoint.pt``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from xmodal_core.errors import DataError

FILE_NAME = "backbone.safetensors"
SCHEMA = 1
TRUNK = "network."
"""What the names of the network's tensors begin with in a fine-tuned model."""


@dataclass(frozen=True)
class Backbone:
    """A network's tensors, by the names of its ``state_dict``, and their card.

    The card has ``schema``, ``network`` (plugin name), ``network_settings``, ``dataset``, ``classes`` (what the data's
    ``boxes`` and ``semantic`` labels are called, where it has them), ``settings`` (the whole resolved experiment but
    the data's folder), ``versions``, ``metrics``; perhaps ``intensity_max``, the greatest intensity of that data.
    """

    tensors: Mapping[str, Tensor]
    card: Mapping[str, Any]

    @property
    def network(self) -> str:
        return str(self.card["network"])


def save_backbone(file: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write ``tensors`` and ``card`` to ``file``, whole or not at all."""
    # safetensors refuses tensors that share memory, hence the copies.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    partial = file.with_name(file.name + ".partial")
    # Written as bytes, since safetensors' own files are readable for their maker alone.
    partial.write_bytes(save(plain, metadata={"card": json.dumps({"schema": SCHEMA, **card})}))
    os.replace(partial, file)


def load_backbone(source: Path) -> Backbone:
    """Read the slim file at ``source``, a run folder or the file itself; of a fine-tuned model (``model``) the network.

    Raises:
        DataError: there is no such file, it is damaged, or another program wrote it.
    """
    found = read_slim(source / FILE_NAME if source.is_dir() else source, "pre-trained network", "pretrain")
    if "task" not in found.card:
        return found
    tensors = {name: tensor for name, tensor in found.tensors.items() if name.startswith(TRUNK)}
    return Backbone({name.removeprefix(TRUNK): tensor for name, tensor in tensors.items()}, found.card)


def read_slim(file: Path, what: str, verb: str) -> Backbone:
    """The tensors and the card in ``file``, which should be ``what``, written by ``verb``.

    Raises:
        DataError: there is no such file, it is damaged, or another program wrote it.
    """
    if not file.is_file():
        hint = f"give a run folder made by 'xmodal {verb}' that reached a checkpoint, or a file of its weights"
        raise DataError(f"no {what} at {file}", hint)
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{file} is damaged or not a safetensors file: {error}", "copy it again or re-run") from None
    card = json.loads(metadata.get("card", "{}"))
    if card.get("schema") != SCHEMA:
        raise DataError(
            f"{file} has no xmodal card of schema {SCHEMA} (found {card.get('schema')})",
            f"use a file written by 'xmodal {verb}' or 'xmodal export-ckpt --format torch'",
        )
    return Backbone(tensors, card)
