"""The sheet for print: what stands on it, that nothing lies over anything else, and how things come to their places."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pictures

from viz.scene import PointLayer, Scene
from viz.viewers import _sheet_style as style
from viz.viewers._birdseye import Window, choose_detail, choose_window, ring_radii, to_page
from viz.viewers._overlay import outlines, tinted
from viz.viewers._sheet import make_sheet
from viz.viewers._sheet_canvas import Measure
from viz.viewers._sheet_style import PAPER, WIDTH
from viz.viewers.matplotlib import MatplotlibViewer

Make = Callable[..., Scene]
DATA = ("nuscenes", "kitti_object")


def draw(scene: Scene, out: Path, pixels: int = 500) -> Path:
    MatplotlibViewer().show(scene, out, (pixels, 1))
    return out


def written(scene: Scene, folder: Path) -> str:
    """All that is to be read on the sheet, lines joined."""
    import html
    import re

    text = draw(scene, folder / "sheet.svg").read_text(encoding="utf-8")
    return html.unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", text)))


def without_cameras(scene: Scene) -> Scene:
    return replace(scene, views=())


@pytest.mark.parametrize("data", DATA)
def test_the_sheet_says_everything(data: str, example_scene: Make, tmp_path: Path) -> None:
    scene = example_scene(data)
    text = written(scene, tmp_path)
    for number, what in scene.facts:
        assert f"{number} {what}" in text
    assert scene.title in text
    assert scene.shown in text
    for stage in scene.stages:
        assert stage.title in text
        for line in stage.caption:
            assert all(word in text for word in line.split())
        for layer in scene.point_layers(stage):
            if layer.ramp is None and len(layer.rows):
                assert layer.title in text
    for view in scene.views if len(scene.views) > 1 else ():
        assert view.title in text
    for line in ("labelled boxes", "vehicle"):
        assert line in text
    ramp = scene.layer("negatives")
    assert isinstance(ramp, PointLayer)
    assert ramp.ramp is not None
    assert f"cosine {ramp.ramp.middle:.2f}".replace("-", "−") in text
    assert "20 m" in text


def test_one_stage_is_explained_in_its_words(example_scene: Make, tmp_path: Path) -> None:
    scene = example_scene("nuscenes", stage="instances")
    text = written(scene, tmp_path)
    assert all(word in text for word in scene.stage("instances").words.split())
    assert "Similarity" not in text


def test_what_is_thinned_says_so(example_scene: Make, tmp_path: Path) -> None:
    scene = example_scene("kitti_object", limit=2_000)
    assert len(scene.cloud) < scene.total
    assert f"showing {len(scene.cloud):,} of {scene.total:,} points" in written(scene, tmp_path)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(("stage", "aspect"), [("all", 0.56), ("all", 1.0), ("similarity", 0.56), ("instances", 1.0)])
def test_nothing_lies_over_anything_else(data: str, stage: str, aspect: float, example_scene: Make) -> None:
    scene = replace(example_scene(data), opening=stage, title="A title that is rather long " * 6)
    with style.settings():
        boxes = _boxes(make_sheet(scene, lambda *_: None, aspect, PAPER, 600))
    page = boxes.pop("page")
    for name, box in boxes.items():
        assert box[0] >= page[0] - 1, name
        assert box[1] >= page[1] - 1, name
        assert box[2] <= page[2] + 1, name
        assert box[3] <= page[3] + 1, name
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        assert width < 1 or height < 1.5, f"{one} lies over {other}"


def _boxes(figure: Any) -> dict[str, tuple[float, float, float, float]]:
    """Where everything is, in pixels; texts by what they say."""
    renderer = figure.canvas.get_renderer()
    found = {"page": (0.0, 0.0, figure.bbox.width, figure.bbox.height)}
    for number, text in enumerate(figure.texts):
        found[f"{text.get_text()} #{number}"] = text.get_window_extent(renderer).extents
    for number, axes in enumerate(figure.axes):
        found[f"axes #{number}"] = axes.get_window_extent(renderer).extents
    return {name: tuple(float(value) for value in box) for name, box in found.items()}  # type: ignore[misc]


@pytest.mark.parametrize("stage", ["all", "units"])
def test_type_is_legible_at_a_papers_width(stage: str, example_scene: Make) -> None:
    figure = make_sheet(example_scene("nuscenes", stage=stage), lambda *_: None, 1.0, PAPER, 600)
    assert figure.get_figwidth() == WIDTH
    texts = figure.findobj(lambda artist: hasattr(artist, "get_fontsize") and artist.get_text())
    assert min(text.get_fontsize() for text in texts) >= 5.5


def test_the_picture_is_as_wide_as_asked(example_scene: Make, tmp_path: Path) -> None:
    for pixels in (400, 1111):
        picture = Pictures.open(draw(example_scene("nuscenes", stage="units"), tmp_path / f"{pixels}.png", pixels))
        assert abs(picture.width - pixels) <= 1


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_the_same_scene_gives_the_same_bytes(suffix: str, example_scene: Make, tmp_path: Path) -> None:
    scene = example_scene("kitti_object", stage="units")
    one, other = (draw(scene, tmp_path / f"{name}{suffix}").read_bytes() for name in "ab")
    assert one == other


def test_a_pdf_has_type_that_journals_take(example_scene: Make, tmp_path: Path) -> None:
    content = draw(example_scene("nuscenes", stage="units"), tmp_path / "sheet.pdf").read_bytes()
    assert b"/TrueType" in content or b"/CIDFontType2" in content
    assert b"/Type3" not in content


@pytest.mark.parametrize("data", DATA)
def test_without_cameras_there_is_still_a_picture(data: str, example_scene: Make, tmp_path: Path) -> None:
    scene = without_cameras(example_scene(data))
    for stage in ("all", "ground"):
        assert draw(replace(scene, opening=stage), tmp_path / f"{stage}.png").stat().st_size > 10_000


def test_the_users_own_settings_of_matplotlib_change_nothing(example_scene: Make, tmp_path: Path) -> None:
    import matplotlib

    scene = example_scene("kitti_object", stage="units")
    plain = draw(scene, tmp_path / "a.png").read_bytes()
    with matplotlib.rc_context({"text.usetex": True, "font.size": 40, "axes.facecolor": "red", "savefig.dpi": 20}):
        before = dict(matplotlib.rcParams)
        assert draw(scene, tmp_path / "b.png").read_bytes() == plain
        assert dict(matplotlib.rcParams) == before


def test_pyplot_is_never_touched_and_torch_not_needed(example_scene: Make, tmp_path: Path) -> None:
    import pickle

    (tmp_path / "scene.pickle").write_bytes(pickle.dumps(example_scene("kitti_object", stage="units")))
    code = (
        "import sys, pickle, pathlib; sys.modules['torch'] = None; sys.modules['open3d'] = None;"
        "from viz.viewers.matplotlib import MatplotlibViewer;"
        "scene = pickle.loads(pathlib.Path('scene.pickle').read_bytes());"
        "MatplotlibViewer().show(scene, pathlib.Path('a.png'), (300, 1));"
        "sys.exit('pyplot' if 'matplotlib.pyplot' in sys.modules else 0)"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": root, "PATH": "", "HOME": "/nonexistent", "MPLCONFIGDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").stat().st_size > 10_000


@given(st.floats(0, 6.28), st.floats(-50, 50), st.floats(-50, 50))
def test_ahead_is_up_and_right_is_right(heading: float, ahead: float, right: float) -> None:
    forward = (np.cos(heading), np.sin(heading))
    point = np.array(
        [[ahead * forward[0] + right * forward[1], ahead * forward[1] - right * forward[0], 7]], np.float32
    )
    np.testing.assert_allclose(to_page(point, forward)[0], (right, ahead), atol=1e-3)


@pytest.mark.parametrize("data", DATA)
def test_the_window_holds_the_vehicle_and_nearly_all_units(data: str, example_scene: Make) -> None:
    scene = example_scene(data)
    window = choose_window(scene)
    assert window.left < 0 < window.right
    assert window.back < 0 < window.ahead
    assert 0.7 < window.aspect < 1.06
    x, y = to_page(scene.cloud[scene.members["unit"] >= 0], scene.forward).T
    inside = (x > window.left) & (x < window.right) & (y > window.back) & (y < window.ahead)
    assert inside.mean() > 0.85


def test_a_window_without_points(example_scene: Make) -> None:
    scene = example_scene("kitti_object")
    nobody = {kind: np.full(0, -1, np.int32) for kind in ("cluster", "unit")}
    empty = replace(scene, cloud=np.zeros((0, 3), np.float32), members=nobody, layers=(), stages=(), views=())
    window = choose_window(empty)
    assert window.right - window.left >= 40


def test_the_close_up_shows_the_chosen_unit_and_stays_within(example_scene: Make) -> None:
    scene = example_scene("nuscenes")
    window = choose_window(scene)
    chosen = scene.layer("chosen")
    assert isinstance(chosen, PointLayer)
    middle = to_page(scene.cloud[chosen.rows], scene.forward).mean(axis=0)
    for stage in scene.stages:
        part = choose_detail(scene, stage, window, 1.3)
        assert part.aspect == pytest.approx(1.3)
        assert window.left - 1e-6 <= part.left < part.right <= window.right + 1e-6
        assert window.back - 1e-6 <= part.back < part.ahead <= window.ahead + 1e-6
        assert part.right - part.left < 0.6 * (window.right - window.left)
        if stage.name == "similarity":
            assert part.left <= middle[0] <= part.right
            assert part.back <= middle[1] <= part.ahead


def test_rings_are_told_by_their_radius(example_scene: Make) -> None:
    scene = example_scene("kitti_object")
    rings = next(line for line in scene.line_layers(scene.stages[0]) if line.emphasis == "quiet")
    assert ring_radii(rings) == pytest.approx([20, 40, 60], abs=0.01)
    assert ring_radii(next(line for line in scene.line_layers(scene.stages[0]) if line.name == "boxes")) == []


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_outlines_are_where_a_neighbour_is_another(seed: int) -> None:
    mask = np.random.default_rng(seed).integers(-1, 3, (7, 9)).astype(np.int32)
    expected = np.zeros(mask.shape, bool)
    for y, x in itertools.product(range(7), range(9)):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < 7 and 0 <= u < 9 and mask[v, u] != mask[y, x] and mask[y, x] >= 0:
                expected[y, x] = True
    np.testing.assert_array_equal(outlines(mask), expected)


def test_a_tint_lies_on_its_pixels_and_on_no_others(example_scene: Make) -> None:
    scene = example_scene("nuscenes")
    stage = scene.stage("units")
    # The view in which most is to be seen.
    view = max(scene.views, key=lambda view: int((view.masks["unit"] >= 0).sum()))
    plain, drawn = tinted(view, scene.stage("sweep")).astype(int), tinted(view, stage).astype(int)
    covered = view.masks["unit"] >= 0
    assert covered.any()
    np.testing.assert_array_equal(drawn[~covered], plain[~covered])
    unit = int(np.bincount(view.masks["unit"][covered]).argmax())
    pixels, colour = view.masks["unit"] == unit, stage.tint[unit, :3].astype(int)
    before = np.abs(plain[pixels] - colour).sum(axis=1).mean()
    assert np.abs(drawn[pixels] - colour).sum(axis=1).mean() < 0.75 * before


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=30)),
    st.floats(0.5, 3),
)
def test_wrapped_lines_fit_and_lose_no_word_that_fits(words: list[str], width: float) -> None:
    measure = Measure()
    lines = measure.wrap(" ".join(words), 6.2, width)
    assert all(measure(line, 6.2) <= width + 1e-6 for line in lines)
    if all(measure(word, 6.2) <= width for word in words):
        assert " ".join(lines).split() == " ".join(words).split()


def test_what_is_too_long_is_cut_with_an_ellipsis() -> None:
    measure = Measure()
    cut = measure.cut("a very long title of a drive somewhere", 9.5, 1.0)
    assert cut.endswith("…")
    assert measure(cut, 9.5) <= 1.0
    assert measure.cut("short", 9.5, 1.0) == "short"


def test_a_window_knows_its_shape() -> None:
    assert Window(-10, 10, -5, 25).aspect == 1.5
