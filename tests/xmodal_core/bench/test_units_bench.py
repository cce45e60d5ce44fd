"""The benchmark of unit discovery: what it reports, not how fast."""

from __future__ import annotations

import numpy as np

from xmodal_core.bench import units as bench
from xmodal_core.bench.timing import OURS, Row, measured, with_ratios
from xmodal_core.types import Camera, Frame, Sensor
from xmodal_core.units.config import ContextConfig, SeedsConfig, UnitsConfig

STEPS = ["ground", "seeds", "context", "instances", "merge", "total"]


def small_frame() -> Frame:
    rng = np.random.default_rng(0)
    radius, angle = rng.uniform(3, 20, 4000), rng.uniform(-np.pi, np.pi, 4000)
    ground = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.full(4000, -1.8)])
    things = [rng.uniform([x, y, -1.4], [x + 2, y + 1, 0], (300, 3)) for x, y in ((8, 1), (12, -5), (6, -3))]
    points = np.concatenate([ground, *things]).astype(np.float32)
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    intrinsics = np.array([[300.0, 0, 320], [0, 300, 180], [0, 0, 1]])
    camera = Camera("front", 640, 360, intrinsics, matrix, lambda: np.zeros((360, 640, 3), np.uint8))
    return Frame("small", "s", 0.0, points, {}, Sensor("made-up", 64, (1.0, 0.0), None, 1.0), (camera,))


SMALL = UnitsConfig(seeds=SeedsConfig(count=128))


def test_every_step_has_ours_and_a_peer_and_no_peer_disagrees():
    told: list[str] = []
    rows, notes = bench.bench_units(small_frame(), SMALL, repeat=1, on_step=told.append)
    assert told == STEPS[:-1]
    assert list(dict.fromkeys(row.step for row in rows)) == STEPS
    for step in STEPS:
        names = [row.name for row in rows if row.step == step]
        assert names[0] == OURS
        assert len(names) >= 2
    assert not any(row.same_result is False for row in rows)
    assert {row.step for row in rows if row.same_result} == {"seeds", "context", "instances", "merge"}
    assert "points" in notes[0]


def test_the_json_of_a_row():
    rows = [row.as_json() for row in bench.bench_units(small_frame(), SMALL, repeat=1).rows]
    for row in rows:
        assert list(row) == ["step", "name", "milliseconds", "ratio_to_ours", "same_result"]
        assert row["milliseconds"] > 0
        assert row["ratio_to_ours"] > 0
        assert row["same_result"] in (True, False, None)
    assert all(row["ratio_to_ours"] == 1 for row in rows if row["name"] == OURS)


def test_pillars_have_a_peer_too():
    config = UnitsConfig(seeds=SeedsConfig(count=64), context=ContextConfig(kind="pillar"))
    rows = bench.bench_units(small_frame(), config, repeat=1).rows
    assert [row.same_result for row in rows if row.step == "context"] == [None, True]


def test_a_frame_without_cameras_is_measured_all_the_same():
    frame = small_frame()
    blind = Frame(frame.name, frame.scene, 0.0, frame.points, {}, frame.sensor)
    assert {row.step for row in bench.bench_units(blind, SMALL, repeat=1).rows} == set(STEPS)


def test_without_open3d_its_rows_are_left_out_and_a_note_says_so(monkeypatch):
    monkeypatch.setattr(bench, "_open3d", lambda: None)
    rows, notes = bench.bench_units(small_frame(), SMALL, repeat=1)
    assert not any("Open3D" in row.name for row in rows)
    assert {row.step for row in rows if row.name != OURS} == set(STEPS)
    assert any("Open3D could not be loaded" in note for note in notes)


def test_a_wrong_peer_is_reported(monkeypatch):
    monkeypatch.setattr(bench, "naive_farthest_points", lambda positions, count, start: np.arange(count))
    monkeypatch.setattr(bench, "_sklearn_partition", lambda points, radius: np.zeros(len(points), np.int64))
    monkeypatch.setattr(bench, "_sklearn_context", lambda case: [np.zeros(16, np.int64)] * len(case.units.seeds))
    monkeypatch.setattr(bench, "_naive_merge", lambda *arguments: [{0: 1.0}])
    rows = bench.bench_units(small_frame(), SMALL, repeat=1).rows
    wrong = [row.name for row in rows if row.same_result is False]
    assert wrong == ["naive, numba", "scikit-learn NearestNeighbors", "scikit-learn DBSCAN", "naive, NumPy"]


def test_measured_warms_up_once_and_calls_at_least_once():
    calls: list[int] = []
    result, milliseconds = measured(lambda: calls.append(1) or len(calls), 3)
    assert (result, len(calls)) == (4, 4)
    assert milliseconds >= 0
    calls.clear()
    measured(lambda: calls.append(1), 100, budget=0.0)
    assert len(calls) == 2


def test_ratios_are_to_ours_of_the_same_step():
    rows = with_ratios([Row("a", OURS, 2.0), Row("a", "peer", 6.0), Row("b", "peer", 5.0)])
    assert [row.ratio_to_ours for row in rows] == [1.0, 3.0, None]
