"""Experiments: what wins over what, what is written is read back, what cannot be is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from xmodal_cli.drive import open_from_options
from xmodal_core import plugins
from xmodal_core.config import resolve
from xmodal_core.errors import InputError
from xmodal_core.rig import RigConfig
from xmodal_core.train.config import DEFAULTS, Choice, Pretraining, TrainConfig, read_experiment, recipes
from xmodal_core.train.initial import INPUT_SETTINGS
from xmodal_core.train.parts import make_parts
from xmodal_core.units.config import UnitsConfig


def _file(tmp_path, text):
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_anything_it_is_the_defaults():
    experiment = read_experiment(gpu=False)
    chosen = {section: getattr(experiment, section) for section in experiment.sections}
    names = {section: part.name for section, part in chosen.items() if isinstance(part, Choice)}
    assert names == {section: name for section, name in DEFAULTS.items() if section != "task"}
    assert experiment.root is None
    assert (experiment.train, experiment.units) == (TrainConfig(), UnitsConfig())


def test_options_win_over_set_and_set_over_the_file(tmp_path):
    file = _file(tmp_path, "train: {epochs: 3, batch_size: 5, seed: 9}\nunits: {seeds: {count: 32}}\n")
    experiment = read_experiment(
        file, ["train.batch_size=6", "train.epochs=4"], {"train.epochs": 7, "train.seed": None}, gpu=False
    )
    train = experiment.train
    assert (train.epochs, train.batch_size, train.seed) == (7, 6, 9)
    assert experiment.units.seeds.count == 32


@pytest.mark.parametrize("dataset", ["kitti_raw", "nuscenes"])
@pytest.mark.parametrize("network", ["minkunet", "pillars"])
def test_what_is_written_is_read_back(dataset, network, tmp_path):
    options = {"dataset.name": dataset, "dataset.root": tmp_path / "data", "network.name": network, "train.seed": 3}
    experiment = read_experiment(None, ["units.seeds.count=128", "train.sgd.lr=0.1"], options, gpu=False)
    file = _file(tmp_path, experiment.to_yaml())
    assert read_experiment(file, gpu=True) == experiment
    assert list(yaml.safe_load(file.read_text(encoding="utf-8"))) == list(Pretraining.sections)


def test_other_commands_take_what_is_written(tmp_path, example_root):
    options = {"dataset.name": "kitti_raw", "dataset.root": example_root("kitti_raw")}
    file = _file(tmp_path, read_experiment(None, ["units.seeds.count=128"], options, gpu=False).to_yaml())
    assert resolve(UnitsConfig, file, section="units").seeds.count == 128
    assert len(open_from_options("kitti_raw", example_root("kitti_raw"), config=file)) == 2


@pytest.mark.parametrize(
    ("gpu", "assignments", "preset"),
    [
        (False, [], "tiny"),
        (True, [], "minkunet34c"),
        (True, ["train.device=cpu"], "tiny"),
        (False, ["network.preset=minkunet34c"], "minkunet34c"),
        (True, ["network.preset=tiny"], "tiny"),
    ],
)
def test_the_network_suits_the_machine_unless_chosen(gpu, assignments, preset):
    assert read_experiment(None, assignments, gpu=gpu).network.options.preset == preset


@pytest.mark.parametrize(
    ("dataset", "network", "preset"),
    [
        ("nuscenes", "pillars", "nuscenes"),
        ("sample", "pillars", "nuscenes"),
        ("kitti_raw", "pillars", "kitti"),
        ("kitti_object", "pillars", "kitti"),
        ("waymo", "pillars", "waymo"),
        ("nuscenes", "voxels", "nuscenes_0075"),
        ("waymo", "voxels", "waymo"),
    ],
)
def test_a_full_network_suits_the_data(dataset, network, preset):
    options = {"dataset.name": dataset, "network.name": network}
    assert read_experiment(None, [], options, gpu=True).network.options.preset == preset


@pytest.mark.parametrize(("dataset", "highest"), [("nuscenes", 255), ("sample", 255), ("kitti_raw", 1)])
def test_intensity_is_brought_to_one_unless_chosen(dataset, highest):
    options = {"dataset.name": dataset}
    scale = read_experiment(None, [], options, gpu=False).network.options.intensity_scale
    assert scale == pytest.approx(1 / highest)
    kept = read_experiment(None, ["network.intensity_scale=0.5"], options, gpu=False)
    assert kept.network.options.intensity_scale == 0.5


@pytest.mark.parametrize(
    ("assignments", "complaint"),
    [
        (["network.name=nonet"], "unknown network 'nonet'"),
        (["dataset.name=nowhere"], "unknown dataset 'nowhere'"),
        (["train.epoch=3"], "there is no setting 'train.epoch'"),
        (["train.adam.rate=3"], "there is no setting 'train.adam.rate'"),
        (["train.epochs=0"], "train.epochs"),
        (["train.device=tpu"], "train.device"),
        (["train.device=cuda:1", "train.devices=2"], "contradict"),
        (["network.preset=huge"], "network.preset"),
        (["network.root=/"], "there is no setting 'network.root'"),
        (["units.name=x"], "there is no setting 'units.name'"),
        (["nothing.here=1"], "there is no group of settings 'nothing'"),
        (["network=3"], "'network' is a group of settings"),
        (["augment.scale_min=2"], "augment.scale_min"),
    ],
)
def test_what_cannot_be_is_named(assignments, complaint):
    with pytest.raises(InputError) as caught:
        read_experiment(None, assignments, gpu=False)
    assert complaint in str(caught.value)


def test_the_file_is_named_with_its_mistake(tmp_path):
    file = _file(tmp_path, "train:\n  epochs: many\n")
    with pytest.raises(InputError, match=r"train\.epochs.*settings\.yaml"):
        read_experiment(file, gpu=False)


def test_the_place_of_the_data_holds_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"dataset.name": "kitti_raw", "dataset.root": Path("a/../data")}
    assert read_experiment(None, [], options, gpu=False).root == tmp_path / "data"


def test_a_section_without_content_is_the_defaults(tmp_path):
    file = _file(tmp_path, "train:\nunits:\n")
    assert read_experiment(file, ["train.epochs=2"], gpu=False).train.epochs == 2


@pytest.mark.parametrize("recipe", recipes().values(), ids=lambda file: file.stem)
def test_recipes_are_experiments(recipe):
    experiment = read_experiment(recipe, gpu=True)
    assert recipe.stem.startswith(f"{experiment.method.name}_{experiment.network.name}")
    assert recipe.stem.endswith(f"_{experiment.dataset.name}")
    text = recipe.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert f"xmodal pretrain --config {recipe.stem} --root DIR" in text
    assert read_experiment(Path(recipe.stem), gpu=True) == experiment


def test_a_run_remembers_its_cameras_and_how_wrong_they_are(tmp_path):
    options = {"dataset.name": "nuscenes", "dataset.cameras": ["CAM_FRONT"], "rig.perturb_calibration": 1.5}
    experiment = read_experiment(None, ["rig.seed=2"], options, gpu=False)
    assert experiment.rig == RigConfig(perturb_calibration=1.5, seed=2)
    again = read_experiment(_file(tmp_path, experiment.to_yaml()), gpu=False)
    assert (again.rig, again.dataset.options.cameras) == (experiment.rig, ("CAM_FRONT",))


def test_a_runs_frames_are_seen_with_its_calibration(example_root):
    options = {"dataset.name": "kitti_raw", "dataset.root": example_root("kitti_raw"), "rig.perturb_calibration": 2.0}
    parts = make_parts(read_experiment(None, ["teacher.weights=random"], options, gpu=False))
    assert parts.dataset.rig == RigConfig(perturb_calibration=2.0)


def test_settings_that_say_how_points_are_taken_in_are_those_of_networks():
    networks = [plugins.load(plugins.NETWORK, name).Config.model_fields for name in plugins.names(plugins.NETWORK)]
    for name in INPUT_SETTINGS:
        assert any(name in fields for fields in networks), name
