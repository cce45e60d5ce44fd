"""What ``xmodal doctor`` looks at. A check never stops anything: it finds what is there, and what would be missed."""

from __future__ import annotations

import importlib.metadata as metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmodal_core.errors import XmodalError

TORCH_SECONDS = 120.0
"""How long the child that computes with torch may take; loading CUDA's libraries from a slow disk is slow."""

COMPUTE = """
import json, torch
from xmodal_core.points import load_network
told = {"cuda": torch.version.cuda, "threads": torch.get_num_threads(), "gpus": []}
for number in range(torch.cuda.device_count()):
    about = torch.cuda.get_device_properties(number)
    told["gpus"].append({"name": about.name, "memory_gb": round(about.total_memory / 2**30, 1)})
print(json.dumps(told), flush=True)
network = load_network("minkunet", {"preset": "tiny"})
points, channels = torch.rand(256, 3) * 10, torch.rand(256, len(network.config.channels))
offsets = torch.tensor([0, 256])
for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
    moved = [tensor.to(device) for tensor in (points, channels, offsets)]
    network.to(device)(*moved).features.sum().backward()
    print(json.dumps({"computed": device}), flush=True)
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        group: packages, compute, viewers, data.
        name: what it is.
        found: what is there, in words.
        hint: what to do; empty where all is well.
    """

    group: str
    name: str
    found: str
    hint: str = ""

    @property
    def ok(self) -> bool:
        return not self.hint

    def as_json(self) -> dict[str, Any]:
        return {"group": self.group, "name": self.name, "found": self.found, "ok": self.ok, "hint": self.hint}


def all_checks() -> Iterator[Check]:
    """Every check, the quick ones first."""
    yield from machine()
    yield from packages()
    yield from compute()
    yield from viewers()
    yield from caches()


def machine() -> Iterator[Check]:
    """Python, the system, its processors and memory."""
    supported = (3, 10) <= sys.version_info[:2] <= (3, 13)
    hint = "" if supported else "xmodal is made for Python 3.10 to 3.13"
    yield Check("machine", "python", f"{platform.python_version()} ({sys.executable})", hint)
    yield Check("machine", "system", f"{platform.system()} {platform.release()} {platform.machine()}")
    memory = f", {memory_gb():.0f} GB memory" if memory_gb() else ""
    yield Check("machine", "processors", f"{processors()}{memory}")


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gb() -> float:
    """Of the machine, in 2^30 bytes; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return 0.0


def packages() -> Iterator[Check]:
    """Everything that xmodal asks pip for, in the version that it asks for."""
    from packaging.requirements import Requirement

    try:
        texts = metadata.requires("xmodal") or []
        yield Check("packages", "xmodal", metadata.version("xmodal"))
    except metadata.PackageNotFoundError:
        yield Check("packages", "xmodal", "not installed", "pip install -e . in the project's folder")
        return
    for text in texts:
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            yield _package(wanted)


def _package(wanted: Any) -> Check:
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return Check("packages", wanted.name, "not installed", f"pip install '{wanted.name}{wanted.specifier}'")
    fits = wanted.specifier.contains(version, prereleases=True)
    hint = "" if fits else f"xmodal asks for {wanted.specifier}: pip install '{wanted.name}{wanted.specifier}'"
    return Check("packages", wanted.name, version, hint)


def compute() -> Iterator[Check]:
    """What torch finds to compute on, and whether a sparse network runs forward and backward there; in a child, since
    a library that does not fit the driver may crash."""
    told, complaint = _ask(COMPUTE, TORCH_SECONDS)
    about = next((line for line in told if "gpus" in line), None)
    if about is not None:
        gpus = [f"{gpu['name']}, {gpu['memory_gb']} GB" for gpu in about["gpus"]]
        cuda = f"torch for CUDA {about['cuda']}" if about["cuda"] else "torch for CPUs"
        yield Check("compute", "device", "; ".join(gpus) or f"CPU ({cuda}, no GPU)")
    computed = [line["computed"] for line in told if "computed" in line]
    found = f"a LiDAR network learns on: {', '.join(computed)}" if computed else "no LiDAR network computes"
    yield Check("compute", "sparse convolutions", found, complaint)


def _ask(code: str, seconds: float) -> tuple[list[dict[str, Any]], str]:
    """The JSON lines that ``code`` prints in a child process, and what went wrong, or nothing."""
    try:
        child = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=seconds, check=False
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        return [], f"no answer: {error}"
    told = [json.loads(line) for line in child.stdout.splitlines() if line.startswith("{")]
    if child.returncode < 0:
        return told, f"a library crashed (signal {-child.returncode}): it does not fit this machine or its driver"
    lines = child.stderr.strip().splitlines()
    return told, (lines[-1] if lines else f"exit code {child.returncode}") if child.returncode else ""


def viewers() -> Iterator[Check]:
    """Which viewers can draw here, each having tried."""
    from viz.viewers._display import no_display
    from xmodal_core import plugins

    for name in plugins.names(plugins.VIEWER):
        try:
            viewer = plugins.load(plugins.VIEWER, name)()
            reason = viewer.available()
        except XmodalError as error:
            yield Check("viewers", name, "cannot be loaded", str(error))
            continue
        files = " ".join(viewer.suffixes)
        window = f"; no window: {no_display()}" if viewer.window and no_display() else "; a window"
        able = f"writes {files}{window if viewer.window else ''}"
        yield Check("viewers", name, able if reason is None else "cannot draw here", reason or "")


def caches() -> Iterator[Check]:
    """What is kept for the next time, and whether there is room."""
    from xmodal_core.cache import cache_folder

    folder = cache_folder()
    parent = next(place for place in (folder, *folder.parents) if place.is_dir())
    writable = os.access(parent, os.W_OK)
    hint = "" if writable else f"{parent} cannot be written; set XMODAL_CACHE to a folder that can"
    free = shutil.disk_usage(parent).free / 1e9
    yield Check("data", "cache", f"{folder} ({free:.0f} GB free)", hint)
    for name, words in (("sample", "generated drives"), ("weights", "downloaded weights"), ("nuscenes", "tables")):
        kept = cache_folder(name)
        if kept.is_dir():
            yield Check("data", words, f"{_size(kept) / 1e6:,.0f} MB in {kept}")
        else:
            yield Check("data", words, "none yet")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
