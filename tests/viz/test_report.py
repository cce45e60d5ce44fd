"""The report of numbers: one file with all it needs, opened and used in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.viz.browser import Page, start_browser
from viz.report import Report, page

BINS = [2**power for power in range(14)]
SUMMARY: dict[str, Any] = {
    "frames": 3,
    "points": 120_000.0,
    "ground": 0.5,
    "seeds": 2048.0,
    "clusters": 400.0,
    "instances": 100.0,
    "units": 912.0,
    "merged_seeds": 1000.0,
    "coverage": 0.912,
    "milliseconds": {"ground": 3.25, "clusters": 10.5},
    "quality": {"instance_recall": 0.75, "purity": 0.98, "false_negative_object": 0.0000123},
    "clusters_by_reason": {"kept": 100.0, "too_small": 300.0, "too_flat": 0.0},
    "seen_by": {"CAM_FRONT": 0.6, "CAM_BACK": 0.5},
    "points_per_unit": {str(low): 10.0 if low < 64 else 0.0 for low in BINS},
}
ROW: dict[str, Any] = {"name": "f", "points": 120_000, "ground": 0.5, "instances": 100, "too_small": 300, "too_flat": 0}
ROWS = [
    {**ROW, "frame": 0, "units": 900, "merged_seeds": 1, "coverage": 0.9, "ms_ground": 3.0, "instance_recall": 0.5},
    {**ROW, "frame": 5, "units": 1000, "merged_seeds": 2, "coverage": None, "ms_ground": 4.0, "instance_recall": 1.0},
    {**ROW, "frame": 10, "units": 836, "merged_seeds": 3, "coverage": 0.95, "ms_ground": 3.5},
]
WAYS = [
    {"name": "seeds", "title": "FPS seeds only", "units": 2048.0, "false_negative_object": 0.01, "milliseconds": 9.0},
    {"name": "balance", "title": "+ similarity balance", "units": 912.0, "false_negative_object": 0.0000123},
    {"name": "points", "title": "points (PPKT)", "units": 4096.0, "false_negative_object": 0.0},
]


def report(**more: Any) -> Report:
    given: dict[str, Any] = {
        "title": "a <b>set</b>",
        "subtitle": "3 frames",
        "summary": SUMMARY,
        "rows": ROWS,
        "ways": WAYS,
    }
    return Report(**{**given, **more})


@pytest.fixture(scope="module")
def text() -> str:
    return page(
        report(
            settings=[("units.seeds.count", "64", "2048")],
            notes=["left out: </script> one frame"],
            command="xmodal units show --frame",
            explained=[("coverage", "how much lies in a unit")],
        )
    )


def test_all_is_in_the_file_and_survives_it(text: str) -> None:
    assert not re.search(r"<(link|script|img)[^>]+(src|href)=[\"']?(http|//)", text)
    assert "connect-src" not in text
    assert "default-src 'none'" in text
    data = re.search(r'<script type="application/json" id="report">(.*?)</script>', text, re.DOTALL)
    assert data
    found = json.loads(data[1])
    assert found["summary"] == SUMMARY
    assert found["rows"] == ROWS
    assert found["notes"] == ["left out: </script> one frame"]


def test_what_json_cannot_hold_is_no_page() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        page(report(ways=[{"name": "seeds", "title": "x", "units": float("nan")}]))


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    chrome = start_browser()
    yield Page(chrome)
    chrome.quit()


def test_it_opens_from_the_file_alone_and_shows_the_numbers(browser: Page, text: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(text, encoding="utf-8")
    browser.requests(), browser.complaints()
    browser.open(file)
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
    assert browser("document.querySelector('h1').textContent") == "a <b>set</b>"
    cards = browser("[...document.querySelectorAll('.card')].map((card) => card.innerText)")
    told = {lines[0]: lines[1:] for lines in (re.split(r"\n+", card) for card in cards)}
    assert told["units"][:2] == ["912", "836 – 1,000"]
    assert told["coverage"][:2] == ["91.2 %", "90.0 – 95.0"]
    assert told["time a frame"][0] == "13.8 ms"
    assert told["instance recall"][0] == "75.0 %"
    assert told["false neg., object"][0] == "0.00123 %"
    assert "left out: </script> one frame" in browser("document.querySelector('.notes').innerText")
    assert "units.seeds.count" in browser("document.getElementById('settings').innerText")

    bars = browser(
        "Object.fromEntries([...document.querySelectorAll('#pairs tbody tr')].map((line) => "
        "[line.dataset.way, line.querySelector('i').getBoundingClientRect().width]))"
    )
    assert bars["seeds"] > 2 * bars["balance"] > 0
    hidden = browser("getComputedStyle(document.querySelector('[data-way=points] i')).visibility")
    assert hidden == "hidden"
    plots = browser("[...document.querySelectorAll('.js-plotly-plot')].map((plot) => plot.parentElement.id)")
    assert plots == ["sizes", "clusters", "course", "grades", "time", "cameras"]
    reasons = browser("document.querySelector('#clusters > div').data.map((trace) => [trace.name, trace.y])")
    assert reasons == [["kept", [100, 100, 100]], ["too small", [300, 300, 300]]]


def test_frames_are_sorted_and_their_command_is_told(browser: Page) -> None:
    order = "[...document.querySelectorAll('#frames tbody tr')].map((line) => line.dataset.frame)"
    assert browser(order) == ["0", "5", "10"]
    heading = "[...document.querySelectorAll('#frames th')].find((one) => one.innerText.startsWith('{}'))"
    browser.chrome.execute_script(f"{heading.format('units')}.click()")
    assert browser(order) == ["10", "0", "5"]
    browser.chrome.execute_script(f"{heading.format('instance')}.click(); {heading.format('instance recall')}.click()")
    assert browser(order)[-1] == "10"  # what is not known comes last
    browser.click("[data-frame='5']")
    browser.wait("document.querySelector('.toast').innerText.endsWith('xmodal units show --frame 5')")
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [1400, 480])
def test_nothing_sticks_out(browser: Page, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.wait("document.documentElement.scrollWidth <= arguments[0]", width)  # plots follow a moment later
    right = browser(
        "Math.max(...[...document.querySelectorAll('.panel, .card')].map((one) => one.getBoundingClientRect().right))"
    )
    assert right <= width


def test_one_frame_without_labels_cameras_or_clusters(browser: Page, tmp_path: Path) -> None:
    bare = {**SUMMARY, "frames": 1, "units": 0.0, "clusters": 0.0, "instances": 0.0, "coverage": None, "quality": {}}
    bare |= {"seen_by": {}, "points_per_unit": dict.fromkeys(SUMMARY["points_per_unit"], 0.0), "clusters_by_reason": {}}
    ways = [{"name": "seeds", "title": "FPS seeds only", "units": 0.0, "milliseconds": 1.0}]
    file = tmp_path / "bare.html"
    file.write_text(page(report(summary=bare, rows=ROWS[1:2], ways=ways)), encoding="utf-8")
    browser.open(file)
    assert browser.complaints() == []
    assert "no labels" in browser("document.getElementById('pairs').innerText")
    assert not browser("document.getElementById('frames')")
    assert browser("document.getElementById('quality').hidden")
