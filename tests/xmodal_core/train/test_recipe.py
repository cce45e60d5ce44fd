"""What is kept is known by the code that made it."""

from __future__ import annotations

import subprocess
import sys

from xmodal_core.train.recipe import CODE, _sources

NO_ARITHMETIC = {"xmodal_core", "xmodal_core.config", "xmodal_core.errors", "xmodal_core.types"}
"""What everything imports: settings are in the recipe by their values, the rest computes nothing of a unit."""


def test_all_modules_that_units_are_found_by_are_in_it() -> None:
    names = "import sys, xmodal_core.units.discovery; print(*(name for name in sys.modules if 'xmodal_core' in name))"
    found = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True, check=True).stdout.split()
    kept = {file for module in CODE for file in _sources(module)}
    assert "xmodal_core.units.ground" in found
    for name in set(found) - NO_ARITHMETIC:
        assert set(_sources(name)) <= kept, name
