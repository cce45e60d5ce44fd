"""Fine-tuning: only labelled frames are read, a stopped run comes to the same weights, a frozen trunk stays, weights to
begin with are compared, and a handful of frames can be learnt by heart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from xmodal_core.datasets import open_dataset, semantic_kitti
from xmodal_core.errors import DataError, InputError
from xmodal_core.points import load_network
from xmodal_core.train import finetune_work, loop
from xmodal_core.train.backbone import load_backbone, save_backbone
from xmodal_core.train.evaluation import predict_frame
from xmodal_core.train.finetune_config import Finetuning, read_finetuning
from xmodal_core.train.judging import find_judging, standing
from xmodal_core.train.metrics import EVALUATIONS, read_metrics
from xmodal_core.train.model import load_model
from xmodal_core.train.report import Listener
from xmodal_core.train.sitting import RunInterruptedError
from xmodal_core.types import Frame

FRAMES = 6
QUICK = (
    "train.epochs=3",
    "train.batch_size=2",
    "train.threads=1",
    "train.device=cpu",
    "network.voxel_size=0.6",
    "network.stem=8",
    "network.encoder=[8]",
    "network.encoder_blocks=[1]",
    "network.decoder=[8]",
    "network.decoder_blocks=[1]",
    "evaluate.frames=2",
)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sequence of six scans with classes of points."""
    return semantic_kitti.example(tmp_path_factory.mktemp("scans") / "root", frames=FRAMES)


@pytest.fixture
def experiment(scans: Path) -> Callable[..., Finetuning]:
    """A run on half of them; settings by dotted names with ``__`` for the dots."""

    def make(**settings: Any) -> Finetuning:
        assignments = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
        options = {"dataset.name": "semantic_kitti", "dataset.root": scans}
        return read_finetuning(None, [*QUICK, "labels.fraction=0.5", *assignments], options, gpu=False)

    return make


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slim file of a network with random weights, as if pre-trained on SemanticKITTI."""
    settings = {
        part.partition("=")[0].removeprefix("network."): yaml.safe_load(part.partition("=")[2]) for part in QUICK
    }
    torch.manual_seed(7)
    network = load_network("minkunet", {k: v for k, v in settings.items() if "." not in k})
    card = {
        "network": "minkunet",
        "network_settings": network.config.model_dump(mode="json"),
        "dataset": "semantic_kitti",
        "settings": {},
    }
    file = tmp_path_factory.mktemp("pretrained") / "backbone.safetensors"
    save_backbone(file, network.state_dict(), card)
    return file


def weights(run: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(run).saved.tensors)


def test_nothing_but_labelled_frames_is_read_for_training(
    experiment: Callable[..., Finetuning], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[str] = set()
    usual = semantic_kitti.SemanticKitti._read

    def watch(self: Any, index: int) -> Frame:
        frame = usual(self, index)
        read.add(frame.name)
        return frame

    monkeypatch.setattr(semantic_kitti.SemanticKitti, "_read", watch)
    loop.finetune(experiment(evaluate__split="labelled", evaluate__frames="null"), tmp_path / "run")
    listed = (tmp_path / "run" / "labelled.txt").read_text().split()
    assert listed == ["00/000000", "00/000002", "00/000004"]
    assert read == set(listed)


def test_what_a_run_came_to(experiment: Callable[..., Finetuning], tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    class Hear(Listener):
        def judged(self, line: Any) -> None:
            told.append(dict(line))

    summary = loop.finetune(experiment(evaluate__every=2), tmp_path / "run", listener=Hear())
    lines = read_metrics(tmp_path / "run", EVALUATIONS)
    assert [line["epoch"] for line in lines] == [1, 2, 3] == [line["epoch"] for line in told]
    for line in lines:
        assert (line["protocol"], line["split"], line["frames"]) == ("semantickitti_segmentation", "train (rest)", 2)
        assert line["evaluated_points"] > 0
    said = json.loads(json.dumps(summary.as_json()))
    assert said["metrics"] == lines[-1]["metrics"]
    assert said["metrics_first_epoch"] == lines[0]["metrics"]
    assert said["metrics_best"]["mIoU"] == max(line["metrics"]["mIoU"] for line in lines)
    assert (said["task"], said["protocol"]) == ("segmentation", "semantickitti_segmentation")
    assert (said["fraction"], said["labelled_frames"], said["seed"], said["rule"]) == (0.5, 3, 0, "frames, 50 %")
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == said
    # The network alone can be exported and begun from, the model can be judged again, to the same figures.
    assert load_backbone(tmp_path / "run").network == "minkunet"
    assert set(load_backbone(tmp_path / "run" / "best.safetensors").tensors) == set(
        load_backbone(tmp_path / "run").tensors
    )
    model = load_model(tmp_path / "run")
    judging = find_judging(tmp_path / "run", model)
    again = judging.judge(model.task, model.task.protocol(judging.dataset)).as_json()
    assert again["metrics"] == pytest.approx(said["metrics"], rel=1e-6)
    assert again["frames"] == 2
    assert standing(tmp_path / "run", model, model.task.protocol(judging.dataset))["labelled_frames"] == 3


def test_stopped_anywhere_it_comes_to_the_same_weights(experiment: Callable[..., Finetuning], tmp_path: Path) -> None:
    never = loop.finetune(experiment(evaluate__every=1), tmp_path / "never")
    asked = iter([False, False, True])  # before the third step, so after the first epoch
    with pytest.raises(RunInterruptedError, match="xmodal finetune --resume"):
        loop.finetune(experiment(evaluate__every=1), tmp_path / "stopped", stop=lambda: next(asked, True))
    stopped = loop.resume(tmp_path / "stopped")
    first, second = weights(tmp_path / "never"), weights(tmp_path / "stopped")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert stopped.as_json()["metrics"] == never.as_json()["metrics"]  # type: ignore[attr-defined]
    assert [line["epoch"] for line in read_metrics(tmp_path / "stopped", EVALUATIONS)] == [1, 2, 3]


def test_an_evaluation_that_was_cut_off_comes_first_when_the_run_goes_on(
    experiment: Callable[..., Finetuning], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_while_judging(self: Any, module: Any, protocol: Any) -> Any:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(finetune_work.Judging, "judge", stop_while_judging)
        with pytest.raises(RunInterruptedError, match="stopped after step 2 of 6"):
            loop.finetune(experiment(), tmp_path / "run")
    assert read_metrics(tmp_path / "run", EVALUATIONS) == []
    loop.resume(tmp_path / "run")
    assert [line["epoch"] for line in read_metrics(tmp_path / "run", EVALUATIONS)] == [1, 3]


def test_few_labelled_frames_are_taken_again_within_an_epoch(
    experiment: Callable[..., Finetuning], tmp_path: Path
) -> None:
    """Three are labelled; an epoch of seven takes each twice and one once more, every time moved anew."""
    settings = {"train__epoch_frames": 7, "train__batch_size": 2, "train__epochs": 2, "augment__rotation": 90}
    work = finetune_work.FinetuneWork(experiment(**settings), fresh=True)
    keys = [key for step in range(4) for batch in work.plan().batches(step) for key in batch]
    taken = [work.examples()[key] for key in keys]
    assert sorted([taken.name for taken in taken].count(work.dataset.name(index)) for index in range(3)) == [2, 2, 3]
    assert len({taken.points.tobytes() for taken in taken}) == 7
    summary = loop.finetune(experiment(**settings), tmp_path / "run")
    assert (summary.steps, summary.frames, summary.labelled_frames) == (8, 14, 3)
    assert len((tmp_path / "run" / "labelled.txt").read_text().split()) == 3


def test_a_frozen_trunk_keeps_every_bit(
    experiment: Callable[..., Finetuning], pretrained: Path, tmp_path: Path
) -> None:
    loop.finetune(experiment(init__source=pretrained, train__freeze="true"), tmp_path / "run")
    before, after = load_backbone(pretrained).tensors, load_backbone(tmp_path / "run").tensors
    assert all(torch.equal(before[name], after[name]) for name in before)
    loop.finetune(experiment(init__source=pretrained), tmp_path / "free")
    free = load_backbone(tmp_path / "free").tensors
    assert not all(torch.equal(before[name], free[name]) for name in before)
    assert not torch.equal(weights(tmp_path / "run")["head.weight"], weights(tmp_path / "free")["head.weight"])


def test_the_network_and_its_settings_are_those_of_the_weights(
    experiment: Callable[..., Finetuning], pretrained: Path, scans: Path, tmp_path: Path
) -> None:
    options = {"dataset.name": "semantic_kitti", "dataset.root": scans, "init.source": str(pretrained)}
    network = read_finetuning(None, [], options, gpu=False).network.options.model_dump()
    assert (network["voxel_size"], network["encoder"]) == (0.6, (8,))
    summary = loop.finetune(experiment(init__source=pretrained, train__epochs=1), tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["init"]["new"] == facts["init"]["unused"] == facts["init"]["mismatches"] == []
    assert facts["init"]["loaded"] == len(load_backbone(pretrained).tensors)
    assert summary.steps == 2


def test_frames_come_as_the_pre_trained_network_saw_them(
    experiment: Callable[..., Finetuning], pretrained: Path, scans: Path, tmp_path: Path
) -> None:
    """Transfer between data sets whose LiDARs stand and look otherwise."""
    known = load_backbone(pretrained)
    common = tmp_path / "common.safetensors"
    save_backbone(common, known.tensors, {**known.card, "settings": {"rig": {"common_frame": True}}})
    options = {"dataset.name": "semantic_kitti", "dataset.root": scans}
    for source, taken in ((common, True), (pretrained, False)):
        assert read_finetuning(None, [], {**options, "init.source": str(source)}).rig.common_frame is taken
    with pytest.raises(InputError, match=r"rig\.common_frame is off, was on"):
        loop.finetune(experiment(init__source=common, rig__common_frame="false"), tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"network__voxel_size": 0.3}, "voxel_size is 0.3, was 0.6"),
        ({"network__coordinates": "cylindrical"}, "coordinates is cylindrical, was cartesian"),
        ({"network__origin": "cloud"}, "origin is cloud, was sensor"),
        ({"network__range": "[-50, -50, -3, 50, 50, 3]"}, r"range is \[-50.0, -50.0"),
        ({"network__channels": "[]"}, r"channels is \[\], was \[intensity\]; tensors that do not fit: stem"),
        ({"network__intensity_scale": 0.5}, "intensity reaches 0.5 in the network, was 1"),
        ({"network__name": "pillars", "network__encoder": ""}, "there is no setting"),
    ],
)
def test_a_network_that_takes_its_input_otherwise_is_refused(
    settings: dict[str, Any], words: str, experiment: Callable[..., Finetuning], pretrained: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        loop.finetune(experiment(init__source=pretrained, **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_it_goes_on_with_what_fits_where_that_is_allowed(
    experiment: Callable[..., Finetuning], pretrained: Path, tmp_path: Path
) -> None:
    said: list[tuple[str, str]] = []

    class Hear(Listener):
        def begins(self, header: Any) -> None:
            said.extend(header.details)

    allowed = experiment(init__source=pretrained, init__allow_mismatch="true", network__channels="[]", train__epochs=1)
    loop.finetune(allowed, tmp_path / "run", listener=Hear())
    told = dict(said)
    assert "1 new (stem" in told["init"]
    assert any(title == "note" and "channels is [], was [intensity]" in words for title, words in said)


def test_begun_from_a_fine_tuned_model_and_from_the_best_of_a_run(
    experiment: Callable[..., Finetuning], tmp_path: Path
) -> None:
    loop.finetune(experiment(train__epochs=1), tmp_path / "first")
    loop.finetune(experiment(train__epochs=1, init__source=tmp_path / "first"), tmp_path / "second")
    loop.finetune(experiment(train__epochs=1, init__source=tmp_path / "first" / "best.safetensors"), tmp_path / "third")
    second, third = weights(tmp_path / "second"), weights(tmp_path / "third")
    assert all(torch.equal(second[name], third[name]) for name in second)  # the first run's best is its last


def test_pre_training_begins_from_a_backbone_too(drive: Path, pretrained: Path, tmp_path: Path) -> None:
    from xmodal_core.train.config import read_experiment

    options = {"dataset.name": "kitti_raw", "dataset.root": drive, "init.source": str(pretrained)}
    basic = ["units.seeds.count=64", "teacher.image_width=128", "train.epochs=1", "train.threads=1", "train.device=cpu"]
    experiment = read_experiment(None, [*basic, "train.frames=1", "train.adam.lr=1e-7"], options, gpu=False)
    loop.pretrain(experiment, tmp_path / "run")
    before, after = load_backbone(pretrained).tensors, load_backbone(tmp_path / "run").tensors
    learnt = [name for name, tensor in before.items() if tensor.is_floating_point() and tensor.ndim > 1]
    assert learnt
    assert all(torch.allclose(before[name], after[name], atol=1e-5) for name in learnt)
    with pytest.raises(InputError, match=r"voxel_size is 0\.3, was 0\.6"):
        loop.pretrain(read_experiment(None, [*basic, "network.voxel_size=0.3"], options, gpu=False), tmp_path / "other")


def test_no_frame_left_to_be_judged_on_is_said_before_anything_is_made(
    experiment: Callable[..., Finetuning], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no frame is left to be judged on") as caught:
        loop.finetune(experiment(labels__frames=FRAMES), tmp_path / "run")
    assert "--evaluate-on" in caught.value.hint
    with pytest.raises(InputError, match="is none"):
        loop.finetune(experiment(labels__protocol="slidr", labels__fraction=0.01), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_what_a_list_left_over_is_judged_again(
    experiment: Callable[..., Finetuning], scans: Path, tmp_path: Path
) -> None:
    """The card says only what the list was called; the run's folder has the list, a file alone needs a split."""
    names = open_dataset("semantic_kitti", scans)
    chosen = tmp_path / "chosen.txt"
    chosen.write_text("".join(f"{names.name(index)}\n" for index in (1, 4)))
    listed = experiment(labels__file=chosen, evaluate__split="rest", evaluate__frames="null", train__epochs=1)
    loop.finetune(listed, tmp_path / "run")
    chosen.unlink()
    model = load_model(tmp_path / "run")
    assert model.saved.card["settings"]["labels"]["file"] == "chosen.txt"
    assert find_judging(tmp_path / "run", model).indices.tolist() == [0, 2, 3, 5]
    alone = tmp_path / "given_away" / "model.safetensors"
    alone.parent.mkdir()
    shutil.copy(tmp_path / "run" / "model.safetensors", alone)
    with pytest.raises(InputError, match=r"chosen\.txt, and .*given_away has no labelled\.txt"):
        find_judging(alone, model, scans)
    assert len(find_judging(alone, model, scans, split="train").indices) == FRAMES


def test_a_file_that_is_no_model_is_named(pretrained: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a pre-trained network without a task's head"):
        load_model(pretrained)
    with pytest.raises(DataError, match="no fine-tuned model at"):
        load_model(tmp_path)


def test_a_handful_of_frames_is_learnt_by_heart(experiment: Callable[..., Finetuning], tmp_path: Path) -> None:
    """Head, labels, loss, prediction and metric agree: what was seen often is told apart without a mistake."""
    still = {"augment__flip_x": 0, "augment__flip_y": 0, "augment__rotation": 0}
    learnt = experiment(
        **still,
        labels__frames=2,
        evaluate__split="labelled",
        evaluate__every=0,
        network__voxel_size=0.25,
        network__stem=16,
        network__encoder="[16]",
        network__decoder="[16]",
        train__epochs=40,
        train__adam__lr=0.03,
    )
    loop.finetune(learnt, tmp_path / "run")
    (line,) = read_metrics(tmp_path / "run", EVALUATIONS)
    model = load_model(tmp_path / "run")
    judging = find_judging(tmp_path / "run", model)
    frames = [judging.dataset.frame(int(index)) for index in judging.indices]
    occurring = {
        name for f in frames if f.semantic for name in np.array(f.semantic.classes)[np.unique(f.semantic.label)]
    }
    # The benchmark counts a class that is nowhere as 0.
    ious = [line["parts"][name]["IoU"] for name in occurring - {"ignore"}]
    assert len(ious) > 3
    assert np.mean(ious) > 0.95
    found = predict_frame(model.task, frames[0], torch.device("cpu"))
    assert frames[0].semantic is not None
    truth = np.array(frames[0].semantic.classes)[frames[0].semantic.label]
    counted = truth != "ignore"
    assert (np.array(model.task.classes)[found][counted] == truth[counted]).mean() > 0.98
