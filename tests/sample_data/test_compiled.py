"""Compiled code is kept, never out of date, and never in the way."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sample_data import compiled, shading


def old(path: Path, age: float) -> Path:
    path.write_bytes(b"kept")
    when = time.time() - age
    os.utime(path, (when, when))
    return path


def test_what_is_older_than_any_source_is_forgotten(tmp_path: Path) -> None:
    years = 10 * 365 * 86400.0
    stale = old(tmp_path / "shading.shade-1.py311.nbi", years)
    other = old(tmp_path / "elsewhere.shade-1.py311.nbi", years)
    compiled._forget_if_stale(tmp_path, shading.shade.py_func)
    assert not stale.exists()
    assert other.exists()


def test_what_is_newer_than_all_sources_is_kept(tmp_path: Path) -> None:
    fresh = old(tmp_path / "shading.shade-1.py311.nbi", 0.0)
    compiled._forget_if_stale(tmp_path, shading.shade.py_func)
    assert fresh.exists()


def test_a_machine_without_a_cache_folder_compiles_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = compiled.njit

    def refuse(*args: Any, cache: bool = False, **options: Any) -> Any:
        if not cache:
            return njit(*args, **options)

        def decorate(_: Any) -> Any:
            raise RuntimeError("cannot cache function: no locator available")

        return decorate

    monkeypatch.setattr(compiled, "njit", refuse)

    def doubled(values: Any, out: Any) -> None:
        for n in range(len(values)):
            out[n] = 2 * values[n]

    out = np.zeros(3)
    compiled.fast(doubled)(np.arange(3.0), out)
    np.testing.assert_array_equal(out, [0.0, 2.0, 4.0])


def test_code_is_kept_where_it_can_be() -> None:
    assert shading.shade.stats.cache_path
