"""Weights of a teacher from a file: the whole network's or none."""

from __future__ import annotations

import argparse
import hashlib
import pickle
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from xmodal_core.errors import DataError

COUNTER = "num_batches_tracked"


class Taken(NamedTuple):
    """What of a file became a teacher's weights: how many tensors were taken (none is missing), and which were not."""

    file: Path
    taken: int
    left_out: tuple[str, ...]

    def line(self) -> str:
        """One line for people; tensors left out are told by the module that they are of."""
        modules = sorted({name.rpartition(".")[0] or name for name in self.left_out})
        named = ", ".join(modules[:3]) + (" …" if len(modules) > 3 else "")
        rest = f", {len(self.left_out)} left out ({named})" if modules else ""
        return f"{self.taken} tensors taken from {self.file}, none missing{rest}"


def named_tensors(checkpoint: Mapping[str, Any], wrappers: Sequence[str] = ()) -> dict[str, Tensor]:
    """The tensors under the first of ``wrappers`` that ``checkpoint`` has, else its own."""
    wrapper = next((name for name in wrappers if name in checkpoint), None)
    state = checkpoint if wrapper is None else checkpoint[wrapper]
    items = state.items() if isinstance(state, Mapping) else ()
    return {str(name): value for name, value in items if isinstance(value, Tensor)}


def without_prefixes(tensors: Mapping[str, Tensor], prefixes: Sequence[str]) -> dict[str, Tensor]:
    """``tensors`` by their names without those of ``prefixes``, in that order, that they begin with."""
    found = {}
    for name, tensor in tensors.items():
        for prefix in prefixes:
            name = name.removeprefix(prefix)
        found[name] = tensor
    return found


def read_checkpoint(file: Path) -> dict[str, Any]:
    """What ``torch.save`` wrote into ``file``, or the tensors of a ``.safetensors``; nothing in it is executed.

    Raises:
        DataError: there is no such file, or it is damaged or not a checkpoint.
    """
    if not file.is_file():
        raise DataError(f"no weights at {file}", "check the path (setting teacher.weights_file)")
    if file.suffix == ".safetensors":
        try:
            return dict(load_file(file))
        except (SafetensorError, OSError) as error:
            raise DataError(f"{file} is damaged or not a safetensors file: {error}", "copy it again") from None
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # the options that DINO and EsViT keep
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{file} is damaged or not a PyTorch checkpoint: {reason}", "copy it again") from None
    if not isinstance(content, dict):
        raise DataError(f"{file} holds no named tensors, but {type(content).__name__}", "give a state_dict")
    return content


def fill(network: nn.Module, tensors: Mapping[str, Tensor], file: Path, left_out: Sequence[str] = ()) -> Taken:
    """Load ``tensors`` into ``network``: all of them, and every one that it has.

    Args:
        network: is filled.
        tensors: by its own names.
        file: where they come from.
        left_out: names in ``file`` that ``tensors`` has nothing of, for the report.

    Raises:
        DataError: a tensor is missing, unknown or of another shape; nothing is loaded then.
    """
    # How many batches a network has been trained on plays no part in eval mode, and older files lack it.
    expected = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith(COUNTER)}
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(COUNTER)}
    missing = [name for name in expected if name not in tensors]
    surplus = [name for name in tensors if name not in expected]
    shapes = [name for name in expected if name in tensors and tensors[name].shape != expected[name].shape]
    if missing or surplus or shapes:
        named = [
            f"{len(names)} {what} ({names[0]} …)"
            for names, what in ((missing, "missing"), (surplus, "unknown"), (shapes, "of another shape"))
            if names
        ]
        raise DataError(
            f"{file} belongs to another network: of {len(expected)} tensors {', '.join(named)}",
            f"give a file of the {type(network).__name__} that this teacher is",
        )
    network.load_state_dict({**network.state_dict(), **tensors})
    return Taken(file, len(tensors), tuple(left_out))


def check_sha256(file: Path, wanted: str) -> None:
    """Raise DataError unless the SHA-256 of ``file`` begins with the hexadecimal digits ``wanted``."""
    found = sha256(file)
    if not found.startswith(wanted.lower()):
        raise DataError(
            f"{file} is not the file it should be: its SHA-256 is {found}, not {wanted}",
            "delete it and get it again; it is damaged or another version",
        )


def sha256(file: Path) -> str:
    """The SHA-256 of ``file`` as 64 hexadecimal digits; computed again only where the file has been written since."""
    state = file.stat()
    return _sha256(file, state.st_size, state.st_mtime_ns)


@cache
def _sha256(file: Path, size: int, written: int) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
