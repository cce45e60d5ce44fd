"""A file from the network, fetched once and checked against its SHA-256 ever after."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from filelock import FileLock

from xmodal_core.errors import RunError
from xmodal_core.images._weights import check_sha256
from xmodal_core.images.base import OnProgress

TIMEOUT = 30.0
"""Seconds without a byte after which a download is given up."""

BLOCK = 1 << 18


def fetch(url: str, folder: Path, sha256: str = "", on_progress: OnProgress | None = None, name: str = "") -> Path:
    """The file of ``url`` in ``folder``, downloaded where it is not there yet; it appears whole or not at all.

    Its checksum is written beside it (as ``sha256sum`` writes it) and checked whenever the file is asked for again,
    so what was once downloaded can no longer change unseen.

    Args:
        url: its last part is the file's name, unless there is a ``name``.
        folder: made where it is missing.
        sha256: the first digits of the checksum, where they are known; a file of another is refused.
        on_progress: called with (bytes done, bytes in all); in all is 0 where the server does not say.
        name: what the file is called in ``folder``.

    Raises:
        RunError: it cannot be downloaded whole, or its checksum is another.
        DataError: the file that was downloaded before has changed.
    """
    file = folder / (name or url.rsplit("/", 1)[-1])
    try:
        if not file.exists():  # a folder that is shared and complete need not be writable
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(file.with_name(file.name + ".lock")):
                if not file.exists():
                    _download(url, file, sha256, on_progress)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = (
            f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error) or type(error).__name__
        )
        raise RunError(
            f"cannot download {url} to {folder}: {reason}",
            f"download it by hand and put it at {file}, or give it with --weights FILE; "
            "or choose --teacher efficientnet_lite0, whose weights are installed",
        ) from None
    check_sha256(file, sha256 or _recorded(file))
    return file


def _record(file: Path) -> Path:
    return file.with_name(file.name + ".sha256")


def _recorded(file: Path) -> str:
    """The checksum written beside ``file``; empty where somebody put the file there by hand."""
    record = _record(file)
    digits = record.read_text(encoding="utf-8").split() if record.is_file() else []
    return digits[0] if digits else ""


def _download(url: str, file: Path, sha256: str, on_progress: OnProgress | None) -> None:
    partial = file.with_name(file.name + ".partial")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response, partial.open("wb") as opened:
            digest, size, total = _copy(response, opened, on_progress)
        if total and size != total:
            raise RunError(f"{url} broke off after {size} of {total} bytes", "try again")
        if not digest.startswith(sha256.lower()):
            raise RunError(
                f"{url} is not the file it should be: its SHA-256 is {digest}, not {sha256}",
                "try again; if it stays so, the file there has been changed",
            )
        _record(file).write_text(f"{digest}  {file.name}\n", encoding="utf-8")
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def _copy(response: Any, opened: Any, on_progress: OnProgress | None) -> tuple[str, int, int]:
    """Copy all of ``response``; its SHA-256, its size, and the size that the server stated (0: none)."""
    total = int(response.headers.get("Content-Length") or 0)
    digest, size = hashlib.sha256(), 0
    while block := response.read(BLOCK):
        opened.write(block)
        digest.update(block)
        size += len(block)
        if on_progress is not None:
            on_progress(size, total)
    return digest.hexdigest(), size, total
