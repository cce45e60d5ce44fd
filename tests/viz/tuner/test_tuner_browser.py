"""The tuner in a real browser: what a person does with it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.viz.browser import Page, start_browser
from tests.viz.tuner.conftest import SMALL, ExampleSource
from viz.similarity import compare
from viz.tuner import serve
from xmodal_cli.app import app
from xmodal_core.config import entries, resolve
from xmodal_core.datasets import open_dataset
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.discovery import discover
from xmodal_core.units.members import unit_of_points


class Tuner(Page):
    """The open tuner."""

    port: int
    file: Path

    def shown(self) -> int:
        """How many scenes the page has shown."""
        return int(self("document.body.dataset.shown || 0"))

    def after(self, action: Callable[[], Any]) -> None:
        """Do it and wait until another scene is shown and none is on its way."""
        before = self.shown()
        action()
        self.wait("Number(document.body.dataset.shown) > arguments[0]", before)
        self.settle()

    def rest(self) -> None:
        """Until nothing more comes of what was done before."""
        before = -1
        while before != (before := self.shown()):
            time.sleep(0.5)

    def click(self, selector: str) -> None:
        found = self.chrome.find_element("css selector", selector)
        self.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()

    def thumb(self, path: str) -> Any:
        """The handle of a setting's slider, in view and in focus."""
        found = self.chrome.find_element("css selector", f"[data-path='{path}'] [role=slider]")
        self.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", found)
        return found

    def type(self, path: str, text: str) -> None:
        """Type a value into a setting's field."""
        from selenium.webdriver.common.keys import Keys

        field = self.chrome.find_element("css selector", f"[data-path='{path}'] input[type=number]")
        self.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", field)
        self.after(lambda: field.send_keys(Keys.CONTROL + "a" + Keys.NULL, text, Keys.TAB))

    def figure(self, name: str) -> str:
        """What the table of numbers says of it."""
        return str(self("document.querySelector(`[data-figure=${arguments[0]}] .value`).innerText", name))

    def eye(self) -> dict[str, float]:
        found: dict[str, float] = self("window.xmodal.space.element._fullLayout.scene._scene.getCamera().eye")
        return found


@pytest.fixture(scope="module")
def tuner(example_root: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuner]:
    source = ExampleSource(open_dataset("nuscenes", example_root("nuscenes")))
    file = tmp_path_factory.mktemp("tuner") / "tuned.yaml"
    known, ports = threading.Event(), []

    def ready(port: int) -> None:
        ports.append(port)
        known.set()

    chrome = start_browser()
    options = {"port": 0, "save": file, "ready": ready}
    threading.Thread(target=serve, args=(source, SMALL), kwargs=options, daemon=True).start()
    assert known.wait(60)
    page = Tuner(chrome)
    page.port, page.file = ports[0], file
    yield page
    chrome.quit()


@pytest.fixture
def opened(tuner: Tuner) -> Tuner:
    """The page as it opens. (Where it is open already, put back: that is faster.)"""
    if tuner("location.port") != str(tuner.port):
        tuner.go(f"http://127.0.0.1:{tuner.port}/#stage=units")
    tuner.rest()
    if tuner("document.body.classList.contains('pinned')"):
        tuner.after(lambda: tuner.click("#unpin"))
    if tuner("document.querySelectorAll('.setting.changed').length > 0"):
        tuner.after(lambda: tuner.click("#reset"))
    if tuner("window.tuner.frame().value > 0"):
        tuner.after(lambda: tuner.chrome.execute_script("dash_clientside.set_props('frame', {value: 0})"))
    tuner.chrome.execute_async_script(
        """const { page } = window.tuner, done = arguments[0];
        window.tuner.panel("numbers");
        page.show("units").then(() => page.space.look("behind")).then(() => done())"""
    )
    tuner.rest()
    tuner.mouse(5, 5)
    tuner.complaints()
    return tuner


def test_it_opens_with_every_setting_and_what_discover_finds(opened: Tuner, source: ExampleSource) -> None:
    paths = opened("[...document.querySelectorAll('.setting')].map((row) => row.dataset.path)")
    assert paths == [entry.path for entry in entries(UnitsConfig)]
    units = discover(source.dataset.frame(0), SMALL)
    assert opened.figure("units") == f"{units.count:,}"
    assert opened("document.querySelectorAll('.gl-container').length") == 1
    assert opened("document.querySelectorAll('.rig canvas').length") == 6
    assert (opened.picture(".box").max(axis=2) > 150).sum() > 300
    text = opened("document.querySelector('#numbers').innerText")
    for part in ("points in a unit", "clusters", "units that a camera sees", "milliseconds", "objects found"):
        assert part in text
    assert opened.complaints() == []
    outside = [url for url in opened.requests() if not url.startswith((f"http://127.0.0.1:{opened.port}/", "data:"))]
    assert [url for url in outside if url.startswith("http")] == []


def test_a_slider_changes_the_units_and_leaves_the_camera(opened: Tuner, source: ExampleSource) -> None:
    from selenium.webdriver.common.keys import Keys

    turned = {
        "eye": {"x": 0.8, "y": 0.9, "z": 0.7},
        "center": {"x": 0.1, "y": 0.2, "z": 0},
        "up": {"x": 0, "y": 0, "z": 1},
    }
    opened.chrome.execute_async_script(
        "Plotly.relayout('space', {'scene.camera': arguments[0]}).then(arguments[1])", turned
    )
    before, picture = opened.figure("units"), opened.picture(".focus")
    opened.after(lambda: opened.thumb("seeds.count").send_keys(Keys.ARROW_LEFT * 10))
    opened.wait("document.querySelector('[data-figure=seeds] .value').innerText === '144'")
    count = UnitsConfig.model_validate({**SMALL.model_dump(), "seeds": {"count": 144}})
    assert opened.figure("units") == f"{discover(source.dataset.frame(0), count).count:,}" != before
    assert opened("[...document.querySelectorAll('.setting.changed')].map((row) => row.dataset.path)") == [
        "seeds.count"
    ]
    assert opened("[...document.querySelectorAll('.bar.ran span:first-child')].map((name) => name.innerText)") == [
        "seeds",
        "context",
        "merge",
    ]
    for axis, value in turned["eye"].items():
        assert opened.eye()[axis] == pytest.approx(value, abs=1e-3)
    assert np.abs(opened.picture(".focus") - picture).max() > 60
    opened.after(lambda: opened.click("[data-path='seeds.count'] .undo"))
    opened.wait("document.querySelectorAll('.setting.changed').length === 0")
    assert opened.figure("units") == before


def test_a_clicked_unit_is_compared_with_all_others_and_stays_chosen(opened: Tuner, source: ExampleSource) -> None:
    units = discover(source.dataset.frame(0), SMALL)
    sizes = np.bincount(unit_of_points(units)[units.visible] + 1)[1:]
    unit = int(np.argsort(sizes)[-2])
    opened.press("a")
    opened.settle()
    opened.mouse(*opened.place_in_3d(unit), click=True)
    opened.wait("document.body.dataset.stage === 'similarity'")
    assert opened("document.body.dataset.unit") == str(unit)
    expected = compare(source.comparison(source.dataset.frame(0)).features(units), unit, 0.4)
    np.testing.assert_allclose(opened("Array.from(window.xmodal.model.found.cosine)"), expected.cosine, atol=0.011)
    assert "most alike" in opened("document.querySelector('.unit').innerText")
    heat = opened.picture(".focus")
    opened.press("5")
    opened.wait("document.body.dataset.stage === 'units'")
    assert np.abs(opened.picture(".focus") - heat).max() > 60
    # Another setting numbers units anew; the thing that was clicked stays the chosen one.
    place = (
        "(({ model }) => ((row) => [model.x[row], model.y[row]])(model.pointsOf('unit', model.unit)[0]))(window.xmodal)"
    )
    before = opened(place)
    opened.type("instances.min_points", "4")
    away = opened(
        "(({ model }, [x, y]) => Math.min(...model.pointsOf('unit', model.unit).map("
        "(row) => Math.hypot(model.x[row] - x, model.y[row] - y))))(window.xmodal, arguments[0])",
        before,
    )
    assert away < 0.5
    assert opened.complaints() == []


def test_two_settings_side_by_side(opened: Tuner) -> None:
    opened.after(lambda: opened.click("#pin"))
    opened.wait("document.body.classList.contains('pinned')")
    units = opened.figure("units")
    opened.after(lambda: opened.click("[data-path='instances.enabled'] .switch input"))
    opened.wait("document.querySelector('#differing')?.innerText.includes('instances.enabled')")
    row = opened("[...document.querySelector('[data-figure=units]').cells].map((cell) => cell.innerText)")
    assert row[:3] == ["units", units, "304"]
    assert row[3] == f"+{304 - int(units)}"
    captions = "[...document.querySelectorAll('figure.focus figcaption')].map((caption) => caption.innerText[0])"
    assert opened(captions) == ["B", "A"]
    opened.press("7")
    opened.wait("document.body.dataset.stage === 'changes'")
    assert "units in A" in opened("document.querySelector('.about').innerText")
    opened.press("x")
    opened.wait("document.body.dataset.which === 'A'")
    opened.settle()
    assert opened(captions) == ["A", "B"]
    assert f"units {units}" in opened("document.querySelector('.facts').innerText").replace("\n", " ")
    assert opened("document.querySelectorAll('.gl-container').length") == 1
    opened.after(lambda: opened.click("#unpin"))
    opened.wait("!document.body.classList.contains('pinned')")
    assert opened(captions) != ["A", "B"]
    assert opened.complaints() == []


def test_frames_are_stepped_and_what_is_wrong_with_one_is_told(opened: Tuner) -> None:
    trouble, name = "document.querySelector('#trouble').innerText", "document.querySelector('header h1').innerText"
    opened.after(lambda: opened.click("#next"))
    opened.wait(f"{name}.includes('frame 1')")
    assert opened(trouble) == ""
    opened.after(lambda: opened.press("."))
    opened.wait(f"{name}.includes('frame 2')")
    assert "nothing but ground" in opened(trouble)
    assert opened.figure("units") == "0"
    opened.click("#next")
    opened.wait(f"{trouble}.includes('the sweep is gone')")
    assert "fetch it again" in opened(trouble)
    assert "frame 2" in opened(name)
    opened.click("#previous")
    opened.wait(f"{trouble}.includes('nothing but ground')")
    opened.after(lambda: opened.press(","))
    opened.wait(f"{name}.includes('frame 1')")
    assert opened(trouble) == ""
    assert opened.complaints() == []


def test_what_is_saved_is_what_is_shown(opened: Tuner, source: ExampleSource) -> None:
    opened.type("ground.max_slope", "0.3")
    opened.after(lambda: opened.click("[data-path='context.kind'] label:nth-of-type(2)"))
    opened.click("#save")
    opened.wait("document.querySelector('#said').innerText.includes('saved as')")
    saved = resolve(UnitsConfig, opened.file, (), "units")
    assert (saved.ground.max_slope, saved.context.kind) == (0.3, "pillar")
    assert opened.figure("units") == f"{discover(source.dataset.frame(0), saved).count:,}"
    assert "pretrain --config" in opened("document.querySelector('#said').innerText")
    root = str(source.dataset.root)
    words = f"units stats --dataset nuscenes --root {root} --frame 0 --no-teacher --json --config {opened.file}"
    told = CliRunner().invoke(app, words.split())
    stats = json.loads(told.stdout.splitlines()[-1])
    for name in ("units", "instances", "seeds", "merged_seeds", "clusters"):
        assert opened.figure(name) == f"{stats[name]:,.0f}"
    assert opened.figure("coverage") == f"{stats['coverage']:.1%}"
    for name in ("instance_recall", "over_segmentation", "purity"):
        assert opened.figure(name) == f"{stats['quality'][name]:.1%}"
    opened.after(lambda: opened.click("#reset"))
    opened.wait("document.querySelectorAll('.setting.changed').length === 0")


@pytest.mark.parametrize("size", [(1600, 1000), (1280, 720), (1100, 700)])
def test_nothing_overlaps_or_sticks_out(opened: Tuner, size: tuple[int, int]) -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    opened.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    opened.settle()
    assert opened("document.documentElement.scrollWidth") <= size[0]
    names = [
        "#controls",
        "#page header",
        "#page .stages",
        "#page .space",
        "#pins",
        ".focus",
        ".rig",
        "#tabs",
        "#numbers",
    ]
    boxes = opened(
        "arguments[0].map((name) => {"
        "const {left, top, right, bottom} = document.querySelector(name).getBoundingClientRect();"
        "return [name, left, top, right, bottom]; })",
        names,
    )
    for i, (name, left, top, right, bottom) in enumerate(boxes):
        assert right > left + 20, name
        assert bottom > top + 10, name
        assert right <= size[0] + 1, name
        assert bottom <= size[1] + 1, name
        for other, left2, top2, right2, bottom2 in boxes[i + 1 :]:
            apart = right <= left2 + 1 or right2 <= left + 1 or bottom <= top2 + 1 or bottom2 <= top + 1
            assert apart, f"{name} and {other} overlap at {size}"
