"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real sensor data, where there is one; else the test is skipped."""
    root = Path(os.environ.get("XMODAL_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"needs real sensor data (XMODAL_REAL_DATA, looked in {root.name}/)")
    return root
