"""Bars of downloads: one that appears with the first bytes, or a line in the one that is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from xmodal_cli import chosen, console
from xmodal_core import images
from xmodal_core.config import Settings


def test_a_download_has_a_bar_from_its_first_bytes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with console.downloading("weights of a network"):
        pass
    assert capsys.readouterr().err == "", "nothing was downloaded"
    with console.downloading("weights of a network") as on_bytes:
        assert not console._open_bars
        on_bytes(3_000_000, 51_200_000)
        (bar,) = console._open_bars
        (task,) = bar.tasks
        assert task.description == "weights of a network (once), MB"
        assert (task.completed, task.total) == (3, 52)
        on_bytes(51_200_000, 0)
        assert task.completed == pytest.approx(51.2)
        bar.refresh()
    assert not console._open_bars


def test_within_another_bar_it_is_a_line_of_that() -> None:
    with console.progress() as bar:
        bar.add_task("finding units", total=5, note="")
        with console.downloading("weights") as on_bytes:
            on_bytes(1, 2)
            on_bytes(2, 2)
            assert [task.description for task in bar.tasks] == ["finding units", "weights (once), MB"]
        assert [task.description for task in bar.tasks] == ["finding units"]


def test_a_download_that_fails_leaves_no_bar() -> None:
    def cut_off() -> None:
        with console.downloading("weights") as on_bytes:
            on_bytes(1, 2)
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        cut_off()
    assert not console._open_bars


def test_a_teacher_is_brought_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[float, float | None]] = []

    class Network:
        def to(self, device: str) -> Network:
            return self

    def load(name: str, options: dict[str, Any], on_progress: Callable[[int, int], None]) -> Network:
        on_progress(2_000_000, 4_000_000)
        (task,) = console._open_bars[0].tasks
        told.append((task.completed, task.total))
        return Network()

    monkeypatch.setattr(images, "load_teacher", load)
    assert isinstance(chosen.load_on_device("resnet50", Settings()), Network)
    assert told == [(2.0, 4)]
