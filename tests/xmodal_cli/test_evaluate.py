"""The tables of xmodal evaluate, and what it refuses; its runs are made in the contract test of fine-tuning."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from xmodal_cli.app import run
from xmodal_cli.commands.evaluate import _tables

FIGURES = ("AP", "AP@0.5m", "AP@1m", "AP@2m", "AP@4m", "ATE", "ASE", "AOE", "AVE", "AAE")


def printed(parts: dict[str, dict[str, float]], measures: dict[str, float], width: int) -> str:
    console = Console(width=width)
    with console.capture() as said:
        for table in _tables(parts, measures, console):
            console.print(table)
    return said.get()


def test_where_a_table_is_too_wide_its_columns_go_on_below() -> None:
    parts = {
        name: {figure: row + place / 10 for place, figure in enumerate(FIGURES)}
        for row, name in enumerate(("car", "construction_vehicle"))
    }
    for width, tables in ((200, 1), (80, 2), (40, 10)):
        text = printed(parts, {}, width)
        assert text.count("construction_vehicle") == tables
        assert "…" not in text
        for name in FIGURES:
            assert text.count(f" {name} ") == 1
        assert all(f"{row + place / 10:.4f}" in text for row in (0, 1) for place in range(len(FIGURES)))


def test_the_mean_of_all_classes_stands_in_its_row_and_ranges_have_the_first_figure() -> None:
    parts = {"car": {"IoU": 0.2}, "car [0, 20)": {"IoU": 0.3}, "[0, 20)": {"mIoU": 0.4}}
    lines = [line.split("│")[1:-1] for line in printed(parts, {"mIoU": 0.5}, 80).splitlines() if "│" in line]
    car, mean = ([word.strip() for word in line] for line in lines)
    assert car == ["car", "0.2000", "0.3000"]
    assert mean == ["mean", "0.5000", "0.4000"]


def test_a_submission_is_no_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(tmp_path), "--submission", str(tmp_path / "out.zip")]) == 2
    assert f"name a folder, e.g. {tmp_path / 'out'}," in capsys.readouterr().err.replace("\n", "")
