"""From the shared options to an open data set."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import sample_data
from xmodal_cli.drive import ensure_sample_drive, open_from_options, options_again
from xmodal_core import plugins
from xmodal_core.datasets._recognise import recognise
from xmodal_core.errors import InputError
from xmodal_core.rig import RigConfig

Root = Callable[[str], Path]
NAMES = plugins.names(plugins.DATASET)


@pytest.fixture
def file(tmp_path: Path, example_root: Root) -> Path:
    """Settings that name a data set with its root and an option."""
    path = tmp_path / "settings.yaml"
    path.write_text(f"dataset: {{name: kitti_object, root: {example_root('kitti_object')}, split: val}}\n")
    return path


def test_the_settings_file_names_data_set_root_and_options(file: Path, example_root: Root) -> None:
    dataset = open_from_options(config=file)
    assert dataset.root == example_root("kitti_object")
    assert [dataset.name(index) for index in range(len(dataset))] == ["000007"]


def test_set_weighs_more_than_the_file_and_options_more_than_both(file: Path) -> None:
    assert len(open_from_options(config=file, assignments=["dataset.split=training"])) == 2
    assert len(open_from_options(config=file, assignments=["dataset.split=training"], split="val")) == 1


def test_the_files_root_is_that_of_its_own_data_set(file: Path, example_root: Root) -> None:
    file.write_text(file.read_text().replace(", split: val", ""))
    with pytest.raises(InputError, match="'kitti_raw' needs its folder"):
        open_from_options("kitti_raw", config=file)
    assert open_from_options("kitti_raw", example_root("kitti_raw"), config=file).scene(0).startswith("2011_09_26")


def test_a_wrong_split_and_a_wrong_option_are_named(example_root: Root) -> None:
    root = example_root("kitti_object")
    with pytest.raises(InputError, match="unknown split 'mine'"):
        open_from_options("kitti_object", root, "mine")
    with pytest.raises(InputError, match=r"no setting 'dataset\.splt'.*did you mean 'dataset\.split'"):
        open_from_options("kitti_object", root, assignments=["dataset.splt=val"])


def test_without_anything_it_is_the_sample_drive_made_with_a_bar(
    example_root: Root, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = example_root("sample")

    def make(settings=None, on_progress=None):
        assert settings is None
        on_progress(0, 4)
        on_progress(4, 4)
        return there

    monkeypatch.setattr(sample_data, "ensure_drive", make)
    assert len(open_from_options()) == 2
    assert "making the sample drive (once)" in capsys.readouterr().err
    assert len(open_from_options(quiet=True)) == 2
    assert capsys.readouterr().err == ""


def test_no_bar_where_the_drive_is_there(
    example_root: Root, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = example_root("sample")
    monkeypatch.setattr(sample_data, "ensure_drive", lambda **options: there)
    assert ensure_sample_drive() == there
    assert capsys.readouterr().err == ""


def test_cameras_are_chosen_by_name_each_once(example_root: Root) -> None:
    root = example_root("nuscenes")
    dataset = open_from_options("nuscenes", root, cameras="CAM_BACK, CAM_FRONT,CAM_BACK")
    assert [camera.name for camera in dataset.frame(0).cameras] == ["CAM_BACK", "CAM_FRONT"]
    raw = open_from_options("kitti_raw", example_root("kitti_raw"), cameras="image_02")
    assert [camera.name for camera in raw.frame(0).cameras] == ["image_02"]


@pytest.mark.parametrize(
    ("cameras", "complaint"), [("CAM_MOON", "unknown camera 'CAM_MOON'.*known: CAM_FRONT, "), ("", "'' does not name")]
)
def test_cameras_that_are_not_there_are_named(cameras: str, complaint: str, example_root: Root) -> None:
    with pytest.raises(InputError, match=complaint):
        open_from_options("nuscenes", example_root("nuscenes"), cameras=cameras)


def test_the_calibration_is_made_wrong_by_option_over_set_over_file(tmp_path: Path, example_root: Root) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("rig: {perturb_calibration: 1, seed: 4}\n")
    root = example_root("nuscenes")
    assert open_from_options("nuscenes", root, config=file).rig == RigConfig(perturb_calibration=1, seed=4)
    more = ["rig.perturb_calibration=2"]
    assert open_from_options("nuscenes", root, config=file, assignments=more).rig.perturb_calibration == 2
    opened = open_from_options("nuscenes", root, config=file, assignments=more, perturbation=3.0)
    assert opened.rig == RigConfig(perturb_calibration=3, seed=4)
    with pytest.raises(InputError, match=r"rig\.perturb_calibration.*less than or equal to 90"):
        open_from_options("nuscenes", root, assignments=["rig.perturb_calibration=100"])


@pytest.mark.parametrize("name", NAMES)
def test_the_kind_is_found_from_the_folder(name: str, example_root: Root) -> None:
    root = example_root(name)
    assert recognise(root) == name
    assert type(open_from_options(root=root)) is plugins.load(plugins.DATASET, name)


def test_a_folder_within_a_data_set_is_enough(example_root: Root) -> None:
    assert recognise(example_root("kitti_raw") / "2011_09_26") == "kitti_raw"
    assert recognise(example_root("kitti_object") / "training") == "kitti_object"
    assert recognise(example_root("nuscenes") / "v1.0-mini") == "nuscenes"


def test_a_download_without_its_pictures_is_known_too(example_copy: Root) -> None:
    root = example_copy("nuscenes")
    shutil.rmtree(root / "samples" / "CAM_FRONT")
    for file in root.glob("samples/CAM_*/*.jpg"):
        file.unlink()
    assert recognise(root) == "nuscenes"


def test_a_folder_of_nothing_or_of_several_is_refused_with_the_candidates(tmp_path: Path, example_root: Root) -> None:
    with pytest.raises(InputError, match=r"holds none of the data sets.*folder, .*nuscenes.*calibration\.yaml"):
        open_from_options(root=tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        open_from_options(root=tmp_path / "nowhere")
    shutil.copytree(example_root("kitti_object"), tmp_path / "both")
    shutil.copytree(example_root("folder"), tmp_path / "both", dirs_exist_ok=True)
    with pytest.raises(InputError, match=r"may be of several data sets: folder, kitti_object.*--dataset folder"):
        open_from_options(root=tmp_path / "both")


def test_the_environment_stands_in_for_the_root(
    example_root: Root, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path
) -> None:
    monkeypatch.setenv("XMODAL_ROOT_KITTI_RAW", str(example_root("kitti_raw")))
    monkeypatch.setenv("XMODAL_ROOT_KITTI_OBJECT", str(tmp_path))
    assert open_from_options("kitti_raw").root == example_root("kitti_raw")
    assert open_from_options(config=file).root == example_root("kitti_object")  # the file weighs more
    with pytest.raises(InputError, match=str(tmp_path)):
        open_from_options("kitti_object")


def test_options_are_written_as_they_are_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"dataset": "nuscenes", "root": Path("my data"), "split": None, "perturb-calibration": 1.0}
    written = options_again(given, ["teacher.image_width=320", "network.channels=[intensity]"])
    assert shlex.split(written) == [
        *("--dataset", "nuscenes", "--root", f"{tmp_path}/my data", "--perturb-calibration", "1.0"),
        *("--set", "teacher.image_width=320", "--set", "network.channels=[intensity]"),
    ]
