"""The teacher that the page on teachers writes works as it stands there."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from xmodal_core import plugins
from xmodal_core.images import load_teacher

PAGE = Path(__file__).parents[3] / "docs" / "teachers.md"


def test_a_teacher_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    (tmp_path / "colours.py").write_text(code[1], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("colours", "colours", "xmodal.teacher")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == "xmodal.teacher" else [])
    assert plugins.summary(plugins.TEACHER, "colours") == "Mean colours of cells of 8 pixels."
    teacher = load_teacher("colours", {"image_width": 96})
    images = torch.rand(2, 3, 20, 33)
    (level,) = teacher(images)
    assert level.shape == (2, 3, 3, 5)
    torch.testing.assert_close(level[..., 0, 0], images[..., :8, :8].mean((2, 3)))
