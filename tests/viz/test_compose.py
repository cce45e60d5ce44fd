from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import viz
from viz.compose import STAGES, compose
from viz.scene import PointLayer, Scene
from viz.similarity import Similarity, compare
from viz.stages import GREYS
from xmodal_core import plugins
from xmodal_core.datasets import open_dataset
from xmodal_core.errors import InputError
from xmodal_core.types import Floats, Frame, Pooling, Units
from xmodal_core.units import UnitsConfig, discover


def layer_of(scene: Scene, name: str) -> PointLayer:
    layer = scene.layer(name)
    assert isinstance(layer, PointLayer)
    return layer


class TestEveryDataset:
    @pytest.fixture(params=plugins.names(plugins.DATASET))
    def any_frame(self, request: pytest.FixtureRequest, example_root: Callable[[str], Path]) -> Frame:
        return open_dataset(request.param, example_root(request.param)).frame(0)

    def test_its_frames_can_be_shown_and_every_stage_shows_every_point(self, any_frame: Frame) -> None:
        units = discover(any_frame, UnitsConfig.model_validate({"seeds": {"count": 200}}))
        rng = np.random.default_rng(0)
        found = compare(rng.normal(size=(units.count, 8)).astype(np.float32), 0, 0.5)
        scene = compose(any_frame, units, found)
        assert tuple(stage.name for stage in scene.stages) == STAGES
        assert len(scene.views) == len(any_frame.cameras)
        assert np.isfinite(scene.cloud).all()
        for stage in scene.stages:
            drawn = np.concatenate([layer.rows for layer in scene.point_layers(stage)])
            # Seeds lie on top of their contexts; no point is drawn twice, none is missing.
            assert len(drawn) == len(scene.cloud), stage.name
            assert len(np.unique(drawn)) == len(scene.cloud), stage.name


def test_stages_show_what_the_units_say(frame: Frame, units: Units, scene: Scene) -> None:
    assert len(scene.cloud) == scene.total == len(frame)
    np.testing.assert_array_equal(scene.cloud, frame.points)
    np.testing.assert_array_equal(layer_of(scene, "ground").rows, np.flatnonzero(units.ground))
    np.testing.assert_array_equal(layer_of(scene, "seeds").rows, np.sort(units.seeds))
    np.testing.assert_array_equal(layer_of(scene, "kept").rows, np.flatnonzero(units.instance >= 0))
    reasons = np.array([*units.reasons, ""])[units.clusters]
    rejected = set(units.reasons) - {"kept"}
    assert rejected
    for reason in rejected:
        np.testing.assert_array_equal(layer_of(scene, reason).rows, np.flatnonzero(reasons == reason))
        grey = np.array(layer_of(scene, reason).swatch)
        assert np.ptp(grey) < 75  # a grey, with a hint of a colour
        assert reason in GREYS
    owned = np.concatenate([layer_of(scene, name).rows for name in ("neighbours", "merged")])
    np.testing.assert_array_equal(np.sort(owned), np.flatnonzero(scene.members["unit"] >= 0))


def test_an_instance_has_one_colour_in_every_stage_in_3d_and_on_the_images(units: Units, scene: Scene) -> None:
    kept, merged = layer_of(scene, "kept"), layer_of(scene, "merged")
    colour = dict(zip(merged.rows.tolist(), merged.rgb().tolist(), strict=True))
    instances, finals = scene.stage("instances"), scene.stage("units")
    became = [(row, rgb) for row, rgb in zip(kept.rows.tolist(), kept.rgb().tolist(), strict=True) if row in colour]
    assert became
    for row, rgb in became:
        assert colour[row] == rgb
        assert instances.tint[units.clusters[row], :3].tolist() == rgb
        assert finals.tint[scene.members["unit"][row], :3].tolist() == rgb
    assert (instances.tint[[reason != "kept" for reason in units.reasons], 3] < 100).all()


def test_similarity_marks_negatives_and_excluded_ones(units: Units, similarity: Similarity, scene: Scene) -> None:
    unit = scene.members["unit"]
    negatives, excluded = layer_of(scene, "negatives"), layer_of(scene, "excluded")
    assert set(unit[negatives.rows]) == set(np.flatnonzero(similarity.negatives))
    others = set(range(units.count)) - {similarity.unit} - set(np.flatnonzero(similarity.negatives))
    assert set(unit[excluded.rows]) == others
    assert set(unit[layer_of(scene, "chosen").rows]) == {similarity.unit}
    # The colour alone tells them apart: cool halves of the scale below, warm above.
    assert negatives.code.max() < 128 <= excluded.code.min()
    assert negatives.ramp is not None
    assert negatives.ramp.middle == pytest.approx(float(similarity.cosine[similarity.negatives].max()))
    tint = scene.stage("similarity").tint
    assert (tint[similarity.negatives, 2] > tint[similarity.negatives, 0]).all()
    assert scene.similarities is not None
    assert scene.similarities.keep == similarity.least
    vectors = scene.similarities.features
    np.testing.assert_allclose(vectors @ vectors[similarity.unit], similarity.cosine, atol=0.0101)


def test_equal_cosines_and_a_single_unit_can_be_shown(frame: Frame, units: Units) -> None:
    same = compare(np.ones((units.count, 4), dtype=np.float32), 0, 0.5)
    scene = compose(frame, units, same, pictures=False)
    assert not len(layer_of(scene, "excluded").rows)  # all as similar as the L-th are negatives
    lone = first_unit_alone(units)
    alone = compose(frame, lone, compare(np.ones((1, 4), dtype=np.float32), 0, 0.5), pictures=False)
    assert not len(layer_of(alone, "negatives").rows)
    assert len(layer_of(alone, "chosen").rows) == np.count_nonzero(alone.members["unit"] == 0) > 0


def first_unit_alone(units: Units) -> Units:
    pooling, mine = units.pooling, units.pooling.row == 0
    one = Pooling(pooling.row[mine], pooling.column[mine], pooling.weight[mine], (1, pooling.shape[1]))
    seeds = units.seeds[units.unit == 0]
    return replace(units, seeds=seeds, unit=np.zeros(len(seeds), dtype=np.int64), pooling=one)


def test_no_unit_and_no_seed_vanishes_from_a_thinned_scene(frame: Frame, units: Units) -> None:
    whole = compose(frame, units, pictures=False)
    scene = compose(frame, units, limit=2000, pictures=False)
    assert len(scene.cloud) == 2000
    assert scene.shown == f"showing 2,000 of {len(frame):,} points"
    for kind in ("unit", "cluster"):
        assert set(scene.members[kind]) == set(whole.members[kind])
    assert len(layer_of(scene, "seeds").rows) == len(units.seeds)


def test_a_frame_without_cameras_labels_or_units_can_be_shown(frame: Frame) -> None:
    blind = replace(frame, cameras=(), boxes=None, semantic=None)
    units = discover(blind)
    assert units.count == 0
    scene = compose(blind, units)
    assert scene.views == ()
    assert [stage.name for stage in scene.stages] == list(STAGES[:-1])
    assert not [layer for layer in scene.layers if layer.name == "boxes"]


def test_an_empty_sweep_can_be_shown(frame: Frame) -> None:
    empty = replace(
        frame,
        points=np.zeros((0, 3), np.float32),
        channels={name: np.zeros(0, np.float32) for name in frame.channels},
        semantic=None,
    )
    scene = compose(empty, discover(empty))
    assert len(scene.cloud) == 0


def test_bad_requests_say_what_is_there(frame: Frame, units: Units) -> None:
    with pytest.raises(InputError, match="unknown stage 'unit'") as caught:
        compose(frame, units, stage="unit")
    assert "units" in caught.value.hint
    with pytest.raises(InputError, match="no similarity"):
        compose(frame, units, stage="similarity")


def test_titles_say_each_name_once(frame: Frame, units: Units) -> None:
    scene = compose(frame, units, pictures=False)
    assert scene.title == "scene-0061"
    assert scene.subtitle == f"{frame.name} · HDL-32E"
    named = compose(frame, units, title="nuscenes · frame 0", pictures=False)
    assert named.subtitle == f"{frame.name} · scene-0061 · HDL-32E"
    drive = replace(frame, scene="drive_0005", name="drive_0005/0000000004")
    assert compose(drive, units, pictures=False).title == "drive_0005/0000000004"


def test_a_scene_travels_to_another_process(scene: Scene) -> None:
    again = pickle.loads(pickle.dumps(scene))
    np.testing.assert_array_equal(again.cloud, scene.cloud)
    assert again.words == scene.words


def test_a_figure_for_a_notebook_shows_the_stage(
    frame: Frame, units: Units, similarity: Similarity, features: Floats, scene: Scene
) -> None:
    for name in STAGES:
        figure = viz.figure(frame, units, similarity, stage=name)
        dots = [trace for trace in figure.data if trace.mode == "markers"]
        assert sum(len(trace.x) for trace in dots) == len(frame)
        assert len([trace for trace in figure.data if trace.mode == "lines"]) == 3
    merged = next(trace for trace in viz.figure(frame, units).data if (trace.name or "").startswith("instances"))
    np.testing.assert_array_equal(merged.customdata, scene.members["unit"][layer_of(scene, "merged").rows])
    assert "unit" in merged.hovertemplate
    with pytest.raises(InputError, match="unknown stage 'all'"):
        viz.figure(frame, units, stage="all")


ALONE = """
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "open3d", "spconv"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import viz
names = [module.name for module in pkgutil.walk_packages(viz.__path__, "viz.")]
assert len(names) > 10, names
for name in names:
    importlib.import_module(name)
assert not any(name.split(".")[0] in ("torch", "open3d") for name in sys.modules)
assert not any(name.startswith(("xmodal_core.datasets.", "sample_data")) for name in sys.modules)
"""


def test_pictures_need_neither_torch_nor_open3d_nor_a_data_set() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
