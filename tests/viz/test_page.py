from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viz.compose import compose
from viz.scene import Scene
from viz.viewers._page import describe, page, runs
from viz.viewers.plotly import PlotlyViewer
from xmodal_core.datasets import open_dataset
from xmodal_core.errors import InputError
from xmodal_core.units import discover

KINDS = {"i": "int", "u": "uint", "f": "float"}


def unpack(packed: dict[str, str]) -> np.ndarray:
    """As the page reads an array."""
    kind = KINDS[packed["kind"][0]] + str(8 * int(packed["kind"][1]))
    return np.frombuffer(base64.b64decode(packed["data"]), dtype=np.dtype(kind).newbyteorder("<"))


def data_of(text: str) -> Any:
    """The scene that a page holds."""
    found = re.search(r'<script type="application/json" id="scene">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found.group(1))


def test_the_page_names_no_address_and_forbids_the_browser_to_fetch(scene: Scene) -> None:
    text = page(scene, "")
    assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]", text)
    assert not re.search(r"\b(src|href)=[\"']?(?!data:)[^\"'{ >]", text.split("<script>")[0])
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy.group(1).startswith("default-src 'none';")
    assert "connect-src" not in policy.group(1)


def test_the_page_is_small(scene: Scene) -> None:
    """Positions in centimetres, numbers with a scale in place of colours, runs in place of masks."""
    described = json.dumps(describe(scene))
    images = sum(len(view["image"]) for view in json.loads(described)["views"])
    per_point = (len(described) - images) / len(scene.cloud)
    assert per_point < 120  # with 300 units' words and features


def test_a_real_keyframe_is_under_ten_megabytes(real_data: Path, tmp_path: Path) -> None:
    frame = open_dataset("nuscenes", real_data / "nuscenes_keyframe").frame(0)
    units = discover(frame)
    out = PlotlyViewer().show(compose(frame, units), tmp_path / "k.html", (1600, 1000))
    assert out is not None
    assert out.stat().st_size < 10e6
    assert len(page(compose(frame, units), "")) < 5e6


def test_arrays_come_back_as_they_were(scene: Scene) -> None:
    data = data_of(page(scene, ""))
    step = data["cloud"]["step"]
    cloud = unpack(data["cloud"]["array"]).reshape(-1, 3) * step
    assert step <= 0.01
    np.testing.assert_allclose(cloud, scene.cloud, atol=0.5 * step + 1e-6)
    for kind in ("unit", "cluster"):
        np.testing.assert_array_equal(unpack(data["members"][kind]), scene.members[kind])
    for stage, told in zip(scene.stages, data["stages"], strict=True):
        np.testing.assert_array_equal(unpack(told["tint"]).reshape(-1, 4), stage.tint)
    for view, told in zip(scene.views, data["views"], strict=True):
        for kind, mask in view.masks.items():
            value, length = unpack(told["masks"][kind]["value"]), unpack(told["masks"][kind]["length"])
            np.testing.assert_array_equal(np.repeat(value, length), mask.ravel())
        np.testing.assert_allclose(unpack(told["strokes"]["boxes"]), view.strokes["boxes"].ravel(), atol=0.051)
    assert data["layers"][-1]["name"] == scene.layers[-1].name


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 3000), groups=st.integers(1, 70_000), seed=st.integers(0, 99))
def test_runs_give_back_any_mask(height: int, width: int, groups: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.repeat(rng.integers(-1, groups, height), width).reshape(height, width).astype(np.int32)
    mask[rng.random(mask.shape) < 0.01] = -1
    packed = runs(mask)
    np.testing.assert_array_equal(np.repeat(unpack(packed["value"]), unpack(packed["length"])), mask.ravel())


def test_far_points_are_kept_at_a_coarser_step(scene: Scene) -> None:
    cloud = scene.cloud.copy()
    cloud[0] = (1000, -1000, 3)
    data = describe(replace(scene, cloud=cloud))
    found = unpack(data["cloud"]["array"]).reshape(-1, 3) * data["cloud"]["step"]
    np.testing.assert_allclose(found, cloud, atol=0.5 * data["cloud"]["step"] + 1e-4)


def test_names_cannot_break_out_of_the_page(scene: Scene) -> None:
    evil = '</script><script>alert("1")</script><!-- {{css}} </title>'
    text = page(replace(scene, title=evil, subtitle=evil), 'const text = "</script>";')
    assert data_of(text)["title"] == evil
    assert text.count("</script>") == text.count("<script") == 3
    assert "<title>&lt;/script&gt;" in text
    assert r'const text = "<\/script>";' in text


def test_a_file_is_there_whole_or_not_at_all(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "new" / "units.html"
    assert PlotlyViewer().show(scene, out, (1, 1)) == out
    whole = out.read_bytes()
    assert whole.startswith(b"<!doctype html>")
    assert whole.rstrip().endswith(b"</html>")

    def torn(self: Path, text: str, **options: Any) -> int:
        self.write_bytes(text.encode()[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(InputError, match=r"cannot write .*units\.html: No space left"):
        PlotlyViewer().show(scene, out, (1, 1))
    assert out.read_bytes() == whole
    assert [path.name for path in out.parent.iterdir()] == ["units.html"]
