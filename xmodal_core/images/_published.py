"""Weights that others publish: where they are, and the file of them, given or downloaded once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from pydantic import field_validator

from xmodal_core.cache import cache_folder
from xmodal_core.config import setting
from xmodal_core.images._download import fetch
from xmodal_core.images._timm import TimmConfig
from xmodal_core.images._weights import check_sha256
from xmodal_core.images.base import OnProgress


class Published(NamedTuple):
    """A file of weights on the network.

    Args:
        url: its address.
        sha256: the first digits of its checksum, where they are published.
        name: what it is called in the cache, where the address ends in a name that says nothing.
    """

    url: str
    sha256: str = ""
    name: str = ""


class PublishedConfig(TimmConfig):
    """What the settings of teachers with published weights share."""

    weights_file: Path | None = setting(None, "file to take the weights from; empty: downloaded once")
    weights_sha256: str = setting("", "SHA-256 of that file or its first digits (8 or more); empty: not checked")

    @field_validator("weights_sha256")
    @classmethod
    def _hexadecimal(cls, digits: str) -> str:
        if digits and not re.fullmatch(r"[0-9a-fA-F]{8,64}", digits):
            raise ValueError("give 8 to 64 hexadecimal digits")
        return digits.lower()


def given_or_fetched(config: PublishedConfig, published: Published, on_progress: OnProgress | None = None) -> Path:
    """The file of the weights that ``config`` asks for, its checksum checked; downloaded where none is given.

    Raises:
        DataError: the file has another checksum.
        RunError: it cannot be downloaded.
    """
    file = config.weights_file
    if file is None:
        sha256 = config.weights_sha256 or published.sha256
        return fetch(published.url, cache_folder("weights"), sha256, on_progress, published.name)
    if config.weights_sha256 and file.is_file():
        check_sha256(file, config.weights_sha256)
    return file
