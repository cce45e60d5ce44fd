"""A stage in perspective, against a pinhole camera written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from viz.palette import table
from viz.scene import LineLayer, PointLayer, Scene, Stage
from viz.viewers._open3d_drawing import BACK, Look, from_behind
from viz.viewers._perspective import draw_perspective

SIZE = (200, 120)
LOOK = Look(eye=(0.0, 0.0, 2.0), centre=(10.0, 0.0, 2.0), up=(0.0, 0.0, 1.0), field=60.0)
"""Along +x at a height of two metres; left is +y."""


def pixel(point: tuple[float, float, float]) -> tuple[float, float]:
    """Column and row, by hand."""
    focal = SIZE[1] / 2 / np.tan(np.radians(30))
    x, y, z = point
    return SIZE[0] / 2 - focal * y / x, SIZE[1] / 2 - focal * (z - 2) / x


def scene_of(points: list[tuple[float, float, float]], colours: list[str], lines: list[tuple[float, ...]]) -> Scene:
    cloud = np.array(points, dtype=np.float32).reshape(-1, 3)
    rows = np.arange(len(cloud))
    layers = (
        PointLayer("dots", "dots", rows, rows.astype(np.uint8), table(*colours), "strong"),
        LineLayer("lines", "lines", np.array(lines, dtype=np.float32).reshape(-1, 3), (255, 255, 255)),
    )
    stage = Stage("one", "One", "", (), ("dots", "lines"))
    none = np.full(len(cloud), -1, dtype=np.int32)
    members, words = {"unit": none, "cluster": none}, {"unit": (), "cluster": ()}
    return Scene("", "", (), cloud, len(cloud), (1.0, 0.0), 0.0, members, words, layers, (), (stage,))


def draw(scene: Scene, look: Look = LOOK) -> np.ndarray:
    return draw_perspective(scene, scene.stages[0], look, SIZE)


def test_points_lie_where_a_pinhole_camera_sees_them() -> None:
    points = [(8.0, 2.0, 2.5), (12.0, -4.0, 1.0), (20.0, 6.0, 5.0)]
    picture = draw(scene_of(points, ["#ff0000", "#00ff00", "#0000ff"], []))
    for number, point in enumerate(points):
        others = [channel for channel in range(3) if channel != number]
        share = picture[..., number].astype(float) - picture[..., others].max(axis=2)
        rows, columns = np.nonzero(share > 60)
        expected = pixel(point)
        assert len(rows) > 1
        # A pixel's middle is half a pixel from its edge.
        assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(expected, abs=0.6)


def test_what_is_nearer_hides_what_is_behind_it_in_any_order() -> None:
    near, far = (6.0, 0.0, 2.0), (30.0, 0.0, 2.0)
    for points, colours in (((near, far), ["#ff0000", "#00ff00"]), ((far, near), ["#00ff00", "#ff0000"])):
        picture = draw(scene_of(list(points), colours, []))
        assert tuple(picture[60, 100]) == (255, 0, 0)
    line = [(20.0, -3.0, 2.0), (20.0, 3.0, 2.0), (np.nan, np.nan, np.nan)]
    picture = draw(scene_of([near], ["#ff0000"], line))
    assert tuple(picture[60, 100]) == (255, 0, 0)
    assert picture[60, 90].min() > 100, "the line is seen beside the point"


def test_lines_are_straight_and_cut_off_where_they_pass_the_eye() -> None:
    start, end = (10.0, 3.0, 1.0), (-10.0, 3.0, 1.0)
    picture = draw(scene_of([], ["#ff0000"], [start, end, (np.nan, np.nan, np.nan)]))
    bright = picture.astype(int).sum(axis=2) - sum(BACK) > 60
    rows, columns = np.nonzero(bright)
    # From its far end down to the left: what lies behind the eye is not mirrored to the right.
    first = pixel(start)
    assert columns.max() == pytest.approx(first[0], abs=1.5)
    assert columns.min() == 0
    slope = (pixel((5.0, 3.0, 1.0))[1] - first[1]) / (pixel((5.0, 3.0, 1.0))[0] - first[0])
    np.testing.assert_allclose(rows, first[1] + slope * (columns - first[0]), atol=1.6)


def test_nothing_to_draw_is_the_background() -> None:
    assert (draw(scene_of([], ["#ff0000"], [])) == np.array(BACK)).all()
    behind = scene_of([(-5.0, 0.0, 2.0)], ["#ff0000"], [(-1.0, 0, 2), (-9.0, 0, 2), (np.nan, np.nan, np.nan)])
    assert (draw(behind) == np.array(BACK)).all()


def test_every_stage_of_a_frame_is_seen(scene: Scene) -> None:
    drawn = [draw_perspective(scene, stage, from_behind(scene), (320, 200)) for stage in scene.stages]
    for picture in drawn:
        assert picture.shape == (200, 320, 3)
        assert 0.01 < (np.abs(picture.astype(int) - np.array(BACK)).max(axis=2) > 20).mean() < 0.9
    assert len({picture.tobytes() for picture in drawn}) == len(drawn)
    turned = draw_perspective(scene, scene.stages[0], replace(from_behind(scene), field=30.0), (320, 200))
    assert not np.array_equal(turned, drawn[0])
