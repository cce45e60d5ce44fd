"""Golden values of SemanticKITTI's benchmark: made-up labels and predictions, and what the official tool says.

``python tests/xmodal_core/metrics/semantickitti_official.py CHECKOUT`` with a checkout of semantic-kitti-api runs its
``evaluate_semantics.py`` and writes ``semantickitti_golden.json`` beside this file. The tests make the same files again
and compare. RandomState draws the same numbers in every version of NumPy.

The values kept were computed by the code of ``evaluate_semantics.py`` and ``auxiliary/np_ioueval.py`` copied without
what they print and the torch backend, with the label numbers of ``config/semantic-kitti.yaml`` as a fork has it; an
untouched checkout has not been run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("semantickitti_golden.json")
# Every number of the label files, those of moving things included.
ALL = (0, 1, 10, 11, 13, 15, 16, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 52, 60, 70, 71, 72, 80, 81, 99)
MOVING = (252, 253, 254, 255, 256, 257, 258, 259)


@dataclass(frozen=True)
class Case:
    """``labels`` that occur, ``guesses`` that are made, and the share ``right`` of points labelled as they are."""

    seed: int
    labels: tuple[int, ...]
    guesses: tuple[int, ...]
    right: float


CASES = {
    "all classes": Case(1, ALL + MOVING, ALL + MOVING, 0.7),
    "classes that are nowhere": Case(2, (0, 10, 40, 70, 252), (0, 10, 40, 48), 0.4),
    "never predicted as nothing": Case(3, ALL + MOVING, ALL[2:18], 0.1),
}


def write_case(root: Path, case: Case) -> None:
    """Five scans of sequence 08 with labels and predictions, both in the data set's own numbers."""
    random = np.random.RandomState(case.seed)
    for scan in range(5):
        labels = random.choice(case.labels, 1000 + scan)
        guesses = np.where(random.rand(len(labels)) < case.right, labels, random.choice(case.guesses, len(labels)))
        with_instances = labels.astype("<u4") | (random.randint(0, 500, len(labels)).astype("<u4") << 16)
        for folder, values in (("labels", with_instances), ("predictions", guesses.astype("<u4"))):
            file = root / "sequences" / "08" / folder / f"{scan:06d}.label"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(values.tobytes())


def main(checkout: Path) -> None:
    """Write the golden values."""
    import yaml

    golden = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            write_case(Path(folder), case)
            command = [sys.executable, "evaluate_semantics.py", "-d", folder, "-s", "valid", "--codalab", folder]
            subprocess.run(command, cwd=checkout, check=True, capture_output=True)
            golden[name] = yaml.safe_load((Path(folder) / "scores.txt").read_text())
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
    sys.stdout.write(f"wrote {GOLDEN.name}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
