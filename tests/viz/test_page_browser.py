"""The page in a real browser: what a person does with it, and that nothing leaves the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.viz.browser import SIZE, Page, start_browser
from viz.compose import compose
from viz.predictions import compose_classes
from viz.scene import Scene
from viz.similarity import compare
from viz.viewers.base import Links
from viz.viewers.plotly import PlotlyViewer
from xmodal_core.types import Floats, Frame, Units


@pytest.fixture(scope="module")
def file(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = PlotlyViewer().show(scene, tmp_path_factory.mktemp("page") / "units.html", SIZE)
    assert out is not None
    return out


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    chrome = start_browser()
    yield Page(chrome)
    chrome.quit()


@pytest.fixture
def opened(page: Page, file: Path) -> Page:
    """The page as it opens on the stage of the units. (Where it is open already, put back: that is faster.)"""
    if page("location.pathname") != file.as_uri().removeprefix("file://"):
        page.open(file, "stage=units")
    else:
        page.chrome.execute_async_script(
            """const page = window.xmodal, done = arguments[0];
            page.space.hidden.clear();
            page.model.choose(page.model.similar.unit);
            page.show("units").then(() => page.space.look("behind")).then(() => done())"""
        )
    page.mouse(5, 5)
    page.complaints()
    return page


def seen_unit(scene: Scene, but: int) -> tuple[int, int, tuple[int, int]]:
    """A view, the unit that most of it shows beside ``but``, and a pixel of that unit."""
    sizes = [np.bincount(view.masks["unit"].ravel() + 1, minlength=2)[1:] for view in scene.views]
    for size in sizes:
        size[but : but + 1] = 0
    number = int(np.argmax([size.max() for size in sizes]))
    unit = int(sizes[number].argmax())
    pixels = np.argwhere(scene.views[number].masks["unit"] == unit)
    v, u = pixels[len(pixels) // 2].tolist()
    return number, unit, (u, v)


def pixel_in_window(page: Page, scene: Scene, number: int, at: tuple[int, int]) -> tuple[float, float]:
    """Where pixel ``at`` of a camera's small image lies in the window."""
    left, top, width, height = page(
        "(({left, top, width, height}) => [left, top, width, height])"
        "(document.querySelectorAll('.rig canvas')[arguments[0]].getBoundingClientRect())",
        number,
    )
    across, down = scene.views[number].size
    return left + (at[0] + 0.5) / across * width, top + (at[1] + 0.5) / down * height


def test_it_opens_from_the_file_alone_with_one_scene_and_without_a_complaint(page: Page, file: Path) -> None:
    page.requests(), page.complaints()
    page.open(file)
    assert page("document.body.dataset.stage") == "units"
    assert page("document.querySelectorAll('.gl-container').length") == 1
    assert page("document.getElementById('space')._fullLayout._subplots.gl3d") == ["scene"]
    assert "showing 5,761 of 5,761 points" in page("document.body.innerText")
    assert page.complaints() == []
    outside = [url for url in page.requests() if not url.startswith(("file:", "data:", "blob:", "about:"))]
    assert outside == []
    # The scene is really drawn: bright points on the dark ground.
    assert (page.picture(".box").max(axis=2) > 150).sum() > 300


def test_every_stage_can_be_reached_by_tab_and_by_key(opened: Page, scene: Scene) -> None:
    for number, stage in enumerate(scene.stages):
        if number % 2:
            opened.click(f"[data-stage={stage.name}]")
        else:
            opened.press(str(number + 1))
        opened.wait("document.body.dataset.stage === arguments[0]", stage.name)
        assert opened("document.querySelector('.about p').innerText") == stage.words
        assert opened("document.querySelector('[aria-selected=true]').dataset.stage") == stage.name
        drawn = opened(
            "document.getElementById('space').data.filter((trace) => trace.mode === 'markers')"
            ".map((trace) => trace.x.length)"
        )
        assert sum(drawn) == len(scene.cloud)
        legend = opened("document.querySelector('.legend').innerText")
        for layer in scene.point_layers(stage):
            assert (layer.title in legend) == bool(len(layer.rows)), layer.title
    from selenium.webdriver.common.keys import Keys

    opened.press(Keys.ARROW_LEFT)
    opened.wait("document.body.dataset.stage === 'units'")
    assert opened("location.hash").startswith("#stage=units")
    assert opened.complaints() == []


LIT = """(() => {
    const { width, height } = document.getElementById("halo"), pen = document.getElementById("halo").getContext("2d");
    return pen.getImageData(0, 0, width, height).data.reduce((n, value, i) => n + (i % 4 === 3 && value > 0), 0);
})()"""
"""How many pixels of the 3D scene are marked."""


def test_pointing_at_a_unit_in_an_image_shows_it_in_3d_and_in_the_images(opened: Page, scene: Scene) -> None:
    number, unit, at = seen_unit(scene, opened("window.xmodal.model.unit"))
    opened.mouse(5, 5)
    opened.settle()
    dark, before = opened(LIT), opened.picture(f".rig figure:nth-child({number + 1})")
    opened.mouse(*pixel_in_window(opened, scene, number, at))
    opened.wait("document.body.dataset.pointed === arguments[0]", str(unit))
    opened.settle()
    assert opened(LIT) > dark
    assert np.abs(opened.picture(f".rig figure:nth-child({number + 1})") - before).max() > 100
    tip = opened("document.querySelector('.tip').innerText")
    assert tip == scene.words["unit"][unit]
    opened.mouse(5, 5)
    opened.wait("document.body.dataset.pointed === '-1' && document.querySelector('.tip').hidden")
    opened.settle()
    assert opened(LIT) == dark


def test_pointing_at_a_cluster_says_why_it_was_rejected(opened: Page, scene: Scene) -> None:
    opened.press("4")
    opened.wait("document.body.dataset.stage === 'instances'")
    rejected = np.array(["rejected" in words for words in scene.words["cluster"]])
    mask = scene.views[0].masks["cluster"]
    size = np.bincount(mask.ravel() + 1, minlength=len(rejected) + 1)[1:] * rejected
    pixels = np.argwhere(mask == size.argmax())
    v, u = pixels[len(pixels) // 2].tolist()
    opened.mouse(*pixel_in_window(opened, scene, 0, (u, v)))
    opened.wait("!document.querySelector('.tip').hidden")
    assert opened("document.querySelector('.tip').innerText") == scene.words["cluster"][mask[v, u]]


@pytest.mark.parametrize("where", ["3d", "image"])
def test_clicking_a_unit_shows_its_similarity_to_all_others(
    opened: Page, scene: Scene, units: Units, features: Floats, where: str
) -> None:
    number, unit, at = seen_unit(scene, opened("window.xmodal.model.unit"))
    if where == "3d":
        opened.press("a")
        opened.settle()
        opened.mouse(*opened.place_in_3d(unit), click=True)
    else:
        opened.mouse(*pixel_in_window(opened, scene, number, at), click=True)
    opened.wait("document.body.dataset.stage === 'similarity'")
    assert opened("document.body.dataset.unit") == str(unit)
    expected = compare(features, unit, 0.4)
    found = opened("[Array.from(window.xmodal.model.found.cosine), window.xmodal.model.found.kept]")
    np.testing.assert_allclose(found[0], expected.cosine, atol=0.011)
    assert found[1] == expected.keep
    drawn = opened(
        "['negatives', 'excluded', 'chosen'].map((name) => [...new Set(Array.from("
        "window.xmodal.model.layers.get(name).rows, (row) => window.xmodal.model.members.unit[row]))])"
    )
    # Cosines are kept to 0.01, so at the edge a pair of units may change sides.
    assert len(set(drawn[0]) ^ set(np.flatnonzero(expected.negatives).tolist())) <= 0.02 * units.count
    assert len(drawn[0]) + len(drawn[1]) == units.count - 1
    assert drawn[2] == [unit]
    assert f"unit {unit} against {units.count - 1} others" in opened("document.querySelector('.about').innerText")
    assert "most alike" in opened("document.querySelector('.unit').innerText")
    alike = opened("document.querySelectorAll('.crops button').length")
    assert alike >= 6
    assert opened("document.querySelector('.focus figcaption').innerText") == scene.views[number].title
    assert opened.complaints() == []


def test_escape_lets_the_unit_go(opened: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    opened.press("6")
    opened.wait("document.body.dataset.stage === 'similarity'")
    opened.press(Keys.ESCAPE)
    opened.wait("document.body.dataset.stage === 'units'")
    assert opened("window.xmodal.model.unit") == -1
    assert "Point at a unit" in opened("document.querySelector('.unit').innerText")


def test_the_camera_stays_where_the_hand_left_it(opened: Page) -> None:
    turned = {
        "eye": {"x": 0.8, "y": 0.9, "z": 0.7},
        "center": {"x": 0.1, "y": 0.2, "z": 0},
        "up": {"x": 0, "y": 0, "z": 1},
    }
    opened.chrome.execute_async_script(
        "Plotly.relayout('space', {'scene.camera': arguments[0]}).then(arguments[1])", turned
    )
    opened.press("2")
    opened.wait("document.body.dataset.stage === 'ground'")
    metrics = {"width": SIZE[0] - 100, "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
    try:
        opened.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        opened.wait(
            "document.querySelector('#space canvas').clientWidth === document.getElementById('space').clientWidth"
        )
        opened.settle()
        eye = opened("window.xmodal.space.element._fullLayout.scene._scene.getCamera().eye")
    finally:
        opened.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**metrics, "width": SIZE[0]})
    for axis, value in turned["eye"].items():
        assert eye[axis] == pytest.approx(value, abs=1e-3)


def test_a_layer_can_be_hidden_in_3d_and_in_the_images(opened: Page) -> None:
    opened.press("1")
    opened.wait("document.body.dataset.stage === 'sweep'")
    before = opened.picture(".focus")
    opened.click("[data-layer=sweep]")
    opened.wait("document.querySelector('[data-layer=sweep]').getAttribute('aria-pressed') === 'false'")
    opened.settle()
    assert opened("document.getElementById('space').data.filter((trace) => trace.mode === 'markers').length") == 0
    assert np.abs(opened.picture(".focus") - before).max() > 60


@pytest.mark.parametrize("size", [(1600, 1000), (1280, 720), (480, 900)])
def test_nothing_overlaps_or_sticks_out(opened: Page, size: tuple[int, int]) -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    try:
        opened.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        opened.press("4")
        opened.wait("document.body.dataset.stage === 'instances'")
        opened.settle()
        assert opened("document.documentElement.scrollWidth") <= size[0]
        boxes = opened(
            "arguments[0].map((name) => {"
            "const {left, top, right, bottom} = document.querySelector(name).getBoundingClientRect();"
            "return [name, left, top, right, bottom]; })",
            [".name", ".shown", ".facts", ".stages", ".about", ".box", ".legend", ".focus", ".rig", ".unit"],
        )
    finally:
        opened.chrome.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {**metrics, "width": SIZE[0], "height": SIZE[1]}
        )
    for i, (name, left, top, right, bottom) in enumerate(boxes):
        assert right > left, name
        assert bottom > top, name
        for other, left2, top2, right2, bottom2 in boxes[i + 1 :]:
            apart = right <= left2 + 1 or right2 <= left + 1 or bottom <= top2 + 1 or bottom2 <= top + 1
            assert apart, f"{name} and {other} overlap at {size}"


def test_a_frame_without_cameras_has_no_images_beside_it(page: Page, frame: Frame, tmp_path: Path) -> None:
    from dataclasses import replace

    from xmodal_core.units import discover

    blind = replace(frame, cameras=(), boxes=None)
    out = PlotlyViewer().show(compose(blind, discover(blind), stage="instances"), tmp_path / "blind.html", SIZE)
    assert out is not None
    page.open(out)
    assert page("document.body.dataset.stage") == "instances"
    assert page("document.querySelector('aside').clientWidth") == 0
    for key in "12345":
        page.press(key)
    page.wait("document.body.dataset.stage === 'units'")
    assert page.complaints() == []


def test_without_webgl_and_without_similarity_units_can_be_chosen_in_the_images(
    frame: Frame, units: Units, tmp_path: Path
) -> None:
    scene = compose(frame, units)
    out = PlotlyViewer().show(scene, tmp_path / "plain.html", SIZE)
    assert out is not None
    chrome = start_browser("--disable-3d-apis")
    try:
        page = Page(chrome)
        page.open(out)
        assert "WebGL is off" in page("document.body.innerText")
        assert not page("document.querySelector('[data-stage=similarity]')")
        number, unit, at = seen_unit(scene, -1)
        page.mouse(*pixel_in_window(page, scene, number, at), click=True)
        page.wait("document.body.dataset.unit === arguments[0]", str(unit))
        assert page("document.body.dataset.stage") == "units"
        assert f"unit {unit}" in page("document.querySelector('.unit').innerText")
        assert page.complaints() == []
    finally:
        chrome.quit()


def test_pointing_at_a_labelled_box_says_its_class(opened: Page, scene: Scene) -> None:
    """At a place of an edge with no unit near."""
    u, v, words = opened(
        """(() => {
            const space = window.xmodal.space, view = space.matrices(), halo = space.halo;
            const box = halo.getBoundingClientRect();
            const layer = space.shown.find(({ name }) => name === "boxes");
            for (let i = 0, stroke = 0; i + 3 < layer.points.length; i += 3) {
                if (Number.isNaN(layer.points[i])) { stroke++; continue; }
                if (Number.isNaN(layer.points[i + 3])) continue;
                const middle = [0, 1, 2].map((axis) => (layer.points[i + axis] + layer.points[i + 3 + axis]) / 2);
                const at = view.project(...middle);
                if (!at) continue;
                const u = (at[0] + 1) / 2 * halo.clientWidth, v = (1 - at[1]) / 2 * halo.clientHeight;
                const inside = u > 20 && v > 20 && u < halo.clientWidth - 20 && v < halo.clientHeight - 20;
                if (inside && space.pick(u, v) < 0) return [box.left + u, box.top + v, layer.words[stroke]];
            }
        })()"""
    )
    assert words in {f"labelled {name}" for name in ("car", "pedestrian", "truck", "bus", "bicycle", "barrier")}
    opened.mouse(round(u), round(v))
    opened.wait("!document.querySelector('.tip').hidden")
    # Boxes may overlap: that of another one may be a little nearer.
    assert opened("document.querySelector('.tip').textContent").startswith("labelled ")
    opened.mouse(5, 5)
    opened.wait("document.querySelector('.tip').hidden")


def test_pages_of_several_frames_lead_to_one_another(page: Page, scene: Scene, tmp_path: Path) -> None:
    files = [tmp_path / f"page #{number} (50%).html" for number in range(2)]
    for number, links in enumerate((Links(None, files[1].name), Links(files[0].name, None))):
        viewer = PlotlyViewer()
        viewer.links = links
        viewer.show(replace(scene, title=f"frame {number}"), files[number], SIZE)
    page.chrome.get(f"{files[0].as_uri()}#stage=ground")
    ready = "document.body.dataset.ready === 'yes' && document.querySelector('h1').textContent === arguments[0]"
    page.wait(ready, "frame 0")
    assert page("document.querySelector('.frames').innerText") == "Next frame"
    page.press("n")
    page.wait(ready, "frame 1")
    assert page("document.body.dataset.stage") == "ground", "the stage goes along"
    page.press("n")  # there is none
    page.chrome.find_element("link text", "Previous frame").click()
    page.wait(ready, "frame 0")
    assert page.complaints() == []


def test_a_page_of_predictions_calls_what_it_shows_by_its_name(page: Page, frame: Frame, tmp_path: Path) -> None:
    labels = (frame.points[:, 0] > 3).astype(np.int64)
    scene = compose_classes(frame, np.zeros_like(labels), labels, ("road", "car"), limit=1000)
    out = PlotlyViewer().show(scene, tmp_path / "predictions.html", SIZE)
    assert out is not None
    page.complaints()
    page.open(out)
    assert page("document.querySelector('[data-look=unit]').textContent") == "Class"
    assert page("document.querySelector('.unit').textContent").startswith("Point at a class,")
    assert "unit" not in page("document.body.innerText") + page("document.querySelector('#help').textContent")
    page.mouse(*page.place_in_3d(1))
    page.wait("document.body.dataset.pointed === '1'")
    assert page("window.xmodal.space.glow.map(({ title }) => title)") == [scene.words["unit"][1]]
    # On the images a dot is pointed at; all of its class are marked there.
    number = int(np.argmax([np.count_nonzero(scene.members["unit"][view.rows] == 1) for view in scene.views]))
    view = scene.views[number]
    dot = np.flatnonzero(scene.members["unit"][view.rows] == 1)[0]
    page.mouse(5, 5)
    page.mouse(*pixel_in_window(page, scene, number, tuple(view.uv[dot].tolist())), click=True)
    page.wait("document.body.dataset.unit === '1'")
    assert page("document.querySelector('.unit h3').textContent") == "road · wrong, labelled car"
    assert page("window.xmodal.marks().length") == 1
    assert page.complaints() == []
