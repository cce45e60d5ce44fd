"""The benchmark of scoring by overlap: what it reports, not how fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from xmodal_core.bench import overlaps as bench
from xmodal_core.bench.timing import OURS
from xmodal_core.bench.traffic import WAYMO, traffic
from xmodal_core.errors import InputError, RunError
from xmodal_core.metrics.waymo_detection import WaymoDetection


def pretended(vehicle: float = 0.0) -> dict[str, Any]:
    """What the official tool would say of the case that the benchmark makes, ``vehicle`` more in one figure."""
    parts = WaymoDetection().evaluate(*traffic(WAYMO, frames=4, boxes=10, seed=0), "").parts
    figures = {name: dict(part) for name, part in parts.items()}
    figures["vehicle"]["AP_L1"] += vehicle
    return {"milliseconds": 30.0, "figures": figures}


def test_without_the_official_tool_ours_is_timed_alone_and_a_note_says_so() -> None:
    rows, notes = bench.bench_overlaps(4, 10, repeat=1)
    assert [(row.step, row.name) for row in rows] == [("score Waymo boxes", OURS), ("score ONCE boxes", OURS)]
    assert "--waymo-python" in notes[1]
    assert notes[0].startswith("Waymo: 4 frames with")
    assert notes[2].startswith("ONCE: 4 frames with")


@pytest.mark.parametrize(("more", "same"), [(0.0, True), (2e-6, False)])
def test_beside_the_official_tool(more: float, same: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(bench, "_require_tool", lambda python: None)
    monkeypatch.setattr(bench, "_run_tool", lambda *arguments: pretended(more))
    rows, _ = bench.bench_overlaps(4, 10, repeat=1, python=Path("python"), on_step=told.append)
    assert [row.name for row in rows] == [OURS, bench.TOOL, OURS]
    assert rows[1].same_result is same
    assert any(step.startswith(bench.TOOL) for step in told)


def test_an_interpreter_that_cannot_do_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot run .*nowhere"):
        bench.bench_overlaps(1, 1, repeat=1, python=tmp_path / "nowhere")
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    with pytest.raises(InputError, match="has no waymo-open-dataset"):
        bench.bench_overlaps(1, 1, repeat=1, python=bare)


def test_the_tool_gets_both_files_and_its_answer_is_read(tmp_path: Path) -> None:
    """A stand-in for the interpreter that answers with the size of both files, then one that fails."""
    answers = tmp_path / "python"
    answers.write_text(
        '#!/bin/sh\n[ "$1" = -c ] && exit 0\n'
        'echo "{\\"figures\\": {}, \\"milliseconds\\": $(cat "$2" "$3" | wc -c)}" > "$4"\n'
    )
    answers.chmod(0o755)
    rows, _ = bench.bench_overlaps(4, 10, repeat=1, python=answers)
    predictions, truth = traffic(WAYMO, frames=4, boxes=10, seed=0)
    WaymoDetection().write_submission(predictions, tmp_path / "p")
    WaymoDetection().write_truth(truth, tmp_path / "t")
    assert rows[1].milliseconds == (tmp_path / "p").stat().st_size + (tmp_path / "t").stat().st_size
    fails = tmp_path / "fails"
    fails.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "no room" >&2\nexit 3\n')
    fails.chmod(0o755)
    with pytest.raises(RunError, match="waymo-open-dataset failed: no room"):
        bench.bench_overlaps(4, 10, repeat=1, python=fails)


def test_the_script_for_the_tool_needs_nothing_of_this_package() -> None:
    source = Path(bench.__file__).with_name("_waymo_tool.py").read_text()
    assert "import xmodal" not in source
    assert "from xmodal" not in source
