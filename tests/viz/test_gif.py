"""Films: what another program reads out of the file, how long each picture stays, and how little is kept in memory."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pictures

from viz.scene import Scene
from viz.viewers._film import rig_rows
from viz.viewers._gif import GifWriter
from viz.viewers.base import Shot
from viz.viewers.gif import LONGEST, SHORTEST, UNRELATED, GifViewer, Still, timed

FIXED = np.array([[10, 20, 30], [255, 0, 0], [1, 2, 3]], dtype=np.uint8)


def read(file: Path | io.BytesIO) -> list[tuple[np.ndarray, float]]:
    """The pictures and their seconds, as Pillow reads them."""
    film = Pictures.open(file)
    found = []
    for number in range(getattr(film, "n_frames", 1)):
        film.seek(number)
        found.append((np.asarray(film.convert("RGB")), film.info["duration"] / 1000))
    return found


def test_pictures_are_read_back_with_their_colours_and_times() -> None:
    rng = np.random.default_rng(0)
    few = FIXED[rng.integers(0, 3, (40, 70))]
    many = rng.integers(0, 255, (40, 70, 3)).astype(np.uint8)
    many[:5] = FIXED[2]
    buffer = io.BytesIO()
    writer = GifWriter(buffer, (70, 40))
    writer.add(few, 0.4, FIXED)
    writer.add(many, 1.234, FIXED)
    writer.close()
    (first, short), (second, long) = read(buffer)
    np.testing.assert_array_equal(first, few)
    assert (second[:5] == FIXED[2]).all()
    assert np.abs(second.astype(int) - many).mean() < 30  # 253 colours for a picture of noise
    assert (short, long) == (0.4, 1.23)
    assert Pictures.open(buffer).info["loop"] == 0


def test_smaller_pictures_stand_on_the_background_and_larger_ones_are_cut() -> None:
    buffer = io.BytesIO()
    writer = GifWriter(buffer, (30, 20))
    writer.add(np.broadcast_to(FIXED[1], (10, 40, 3)).copy(), 1, FIXED)
    writer.add(np.broadcast_to(FIXED[1], (50, 30, 3)).copy(), 1, FIXED)
    writer.close()
    (small, _), (large, _) = read(buffer)
    assert (small[:10] == FIXED[1]).all()
    assert (small[10:] == FIXED[0]).all()
    assert large.shape == (20, 30, 3)
    assert (large == FIXED[1]).all()


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ([5.0, 5.1, 5.5], [0.1, 0.4, 0.4]),
        ([0.0, 0.0, 0.0], [UNRELATED] * 3),  # scenes that have no time
        ([100.0, 100.5, 20.0, 20.5], [0.5, UNRELATED, 0.5, 0.5]),  # another drive
        ([0.0, 0.001, 30.0], [SHORTEST, LONGEST, LONGEST]),
        ([7.0], [UNRELATED]),
        ([], []),
    ],
)
def test_a_picture_stays_until_the_next_was_recorded(times: list[float], seconds: list[float]) -> None:
    still = Still(np.zeros((1, 1, 3), np.uint8), FIXED)
    assert [stay for _, stay in timed((still, time) for time in times)] == pytest.approx(seconds)


def test_one_frame_shows_its_stages_in_turn(scene: Scene, tmp_path: Path) -> None:
    GifViewer().show(scene, tmp_path / "a.gif", (500, 300))
    pictures = read(tmp_path / "a.gif")
    assert len(pictures) == len(scene.stages)
    assert {picture.shape for picture, _ in pictures} == {(pictures[0][0].shape[0], 500, 3)}
    assert len({picture.tobytes() for picture, _ in pictures}) == len(pictures)
    GifViewer().show(replace(scene, opening="ground"), tmp_path / "b.gif", (500, 300))
    assert len(read(tmp_path / "b.gif")) == 1


def test_a_film_is_drawn_one_frame_at_a_time(scene: Scene, tmp_path: Path) -> None:
    alive: list[weakref.ref[Scene]] = []

    def shots() -> Iterator[Shot]:
        for number in range(4):
            gc.collect()
            assert not [True for other in alive if other() is not None], "a scene is kept that has been drawn"
            shot = Shot(replace(scene, title=f"frame {number}"), 0.2 * number)
            alive.append(weakref.ref(shot.scene))
            yield shot
            del shot

    out = tmp_path / "new" / "film.gif"
    assert GifViewer().film(shots(), out, (400, 300)) == out
    pictures = read(out)
    assert [seconds for _, seconds in pictures] == [0.2] * 4
    assert len({picture.tobytes() for picture, _ in pictures}) == 4, "each is headed with its own name"


def test_a_film_that_fails_leaves_nothing(scene: Scene, tmp_path: Path) -> None:
    def shots() -> Iterator[Shot]:
        yield Shot(scene, 0.0)
        raise RuntimeError("damaged")

    with pytest.raises(RuntimeError, match="damaged"):
        GifViewer().film(shots(), tmp_path / "film.gif", (300, 200))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("data", "rows"), [("nuscenes", [1, 2, 3]), ("kitti_object", [1])])
def test_the_camera_ahead_comes_first(data: str, rows: list[int], example_scene: Callable[..., Scene]) -> None:
    found = rig_rows(example_scene(data).views)
    assert [len(row) for row in found] == rows
    assert found[0][0].title in ("front", "image 2")
    assert rig_rows(()) == []


def test_a_frame_without_cameras_is_all_space(scene: Scene, tmp_path: Path) -> None:
    GifViewer().show(replace(scene, views=(), opening="ground"), tmp_path / "a.gif", (500, 300))
    (picture, _), *_ = read(tmp_path / "a.gif")
    assert picture.shape[1] == 500
    assert 150 < picture.shape[0] < 350


@pytest.mark.parametrize("names", [("front left", "front right"), ("front", "back"), ("back",)])
def test_pictures_of_fewer_cameras_have_a_good_shape(names: tuple[str, ...], scene: Scene, tmp_path: Path) -> None:
    few = replace(scene, views=tuple(view for view in scene.views if view.title in names), opening="units")
    GifViewer().show(few, tmp_path / "a.gif", (600, 300))
    (picture, _), *_ = read(tmp_path / "a.gif")
    assert 250 < picture.shape[0] < 720
