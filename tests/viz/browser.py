"""A real browser for the tests: headless Chromium, and a page in it as a person and as a script sees it."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
)
SIZE = (1100, 700)


def start_browser(*flags: str) -> Any:
    """A headless browser; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (pip install selenium)")
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("needs chromium and chromedriver (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (*FLAGS, *flags):
        options.add_argument(flag)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.set_script_timeout(60)
    metrics = {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    return chrome


class Page:
    """The open page, as a person and as a script sees it."""

    def __init__(self, chrome: Any) -> None:
        self.chrome = chrome

    def open(self, path: Path, hash: str = "") -> None:
        self.go(f"{path.as_uri()}#{hash}")

    def go(self, address: str) -> None:
        """Open ``address`` anew and wait until it is drawn."""
        self.chrome.get("about:blank")
        self.chrome.get(address)
        self.wait("document.body.dataset.ready === 'yes'")

    def __call__(self, script: str, *values: Any) -> Any:
        return self.chrome.execute_script(f"return {script}", *values)

    def wait(self, condition: str, *values: Any) -> None:
        """Until ``condition`` is true."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.chrome, 60, 0.05).until(lambda _: self(condition, *values), condition)

    def settle(self) -> None:
        """Until what was asked for is drawn; the camera glides to its place: until it has stood still for a while."""
        self.chrome.execute_async_script(
            """const done = arguments[0], place = () => window.xmodal?.space?.matrices()?.stamp;
            let before = place(), still = 0;
            const look = () => {
                const now = place();
                still = now === before ? still + 1 : 0;
                before = now;
                if (still < 4) requestAnimationFrame(look); else done();
            };
            requestAnimationFrame(look);"""
        )

    def click(self, selector: str) -> None:
        self.chrome.find_element("css selector", selector).click()

    def press(self, key: str) -> None:
        self.chrome.find_element("tag name", "body").send_keys(key)

    def mouse(self, x: float, y: float, click: bool = False) -> None:
        from selenium.webdriver import ActionChains

        chain = ActionChains(self.chrome, duration=0)
        chain.w3c_actions.pointer_action.move_to_location(round(x), round(y))
        if click:
            chain.w3c_actions.pointer_action.click()
        chain.perform()

    def place_in_3d(self, unit: int) -> tuple[float, float]:
        """The window's pixel of a point of ``unit`` that nothing lies over."""
        found = self(
            """(() => {
                const { space, model } = window.xmodal, view = space.matrices();
                const box = space.halo.getBoundingClientRect();
                for (const row of model.pointsOf("unit", arguments[0])) {
                    const at = view.project(model.x[row], model.y[row], model.z[row]);
                    if (!at) continue;
                    const u = Math.round((at[0] + 1) / 2 * box.width), v = Math.round((1 - at[1]) / 2 * box.height);
                    if (u < 0 || v < 0 || u >= box.width || v >= box.height) continue;
                    if (model.members.unit[space.pick(u, v)] === arguments[0]) return [box.left + u, box.top + v];
                }
                return null;
            })()""",
            unit,
        )
        assert found, f"unit {unit} is nowhere to be pointed at"
        return found[0], found[1]

    def picture(self, selector: str) -> np.ndarray:
        element = self.chrome.find_element("css selector", selector)
        return np.asarray(Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB")).astype(int)

    def complaints(self) -> list[str]:
        return [line["message"] for line in self.chrome.get_log("browser") if line["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        sent = [json.loads(line["message"])["message"] for line in self.chrome.get_log("performance")]
        return [event["params"]["request"]["url"] for event in sent if event["method"] == "Network.requestWillBeSent"]
