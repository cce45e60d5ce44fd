"""The sheet of points on pictures: dots where the camera sees points, in the colour of their depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from viz.palette import spread
from viz.projection import DEPTH, FAR, NEAR, draw_projection
from xmodal_core.datasets import open_dataset
from xmodal_core.errors import DataError, InputError
from xmodal_core.types import Frame

Root = Callable[[str], Path]


@pytest.fixture
def frame(example_root: Root) -> Frame:
    """Three points at known pixels and depths of a camera, nothing else."""
    whole = open_dataset("folder", example_root("folder")).frame(0)
    camera = replace(whole.cameras[1], lidar_to_camera=np.eye(4), intrinsics=np.diag([100.0, 100.0, 1.0]))
    points = np.array([[3.0, 2.4, 4.0], [20.0, 8.0, 20.0], [60.0, 100.0, 100.0]], dtype=np.float32)
    return replace(whole, points=points, channels={}, cameras=(camera,), boxes=None, semantic=None)


def test_each_point_is_a_dot_in_the_colour_of_its_depth(frame: Frame, tmp_path: Path) -> None:
    draw_projection(frame, tmp_path / "sheet.png", "title")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png")).astype(int)
    ramp = spread(DEPTH).astype(int)
    scale = 2  # of 320 pixels, less than LEAST_PICTURE
    for x, y, depth in frame.points.tolist():
        share = np.log(np.clip(depth, NEAR, FAR) / NEAR) / np.log(FAR / NEAR)
        colour = ramp[round(share * (len(ramp) - 1))]
        row, column = np.nonzero(np.abs(sheet[60:-60] - colour).sum(axis=2) < 6)
        assert np.abs(column - 10 - scale * (100 * x / depth + 0.5)).min() < 2
        assert np.ptp(row) < 5
        assert row.min() + 60 == pytest.approx(66 + scale * (100 * y / depth + 0.5), abs=3)


def test_it_is_whole_or_not_there(frame: Frame, tmp_path: Path) -> None:
    def broken() -> np.ndarray:
        raise DataError("a.jpg is damaged", "fetch it")

    with pytest.raises(DataError):
        draw_projection(replace(frame, cameras=(replace(frame.cameras[0], read=broken),)), tmp_path / "a.png", "")
    with pytest.raises(InputError, match="has no camera"):
        draw_projection(replace(frame, cameras=()), tmp_path / "a.png", "")
    assert list(tmp_path.iterdir()) == []
