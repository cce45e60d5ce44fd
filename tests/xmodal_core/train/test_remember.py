"""What a teacher saw, kept: the same losses, one look a frame, and nothing that changed taken for what it was."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from time import time
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from xmodal_core.datasets import open_dataset
from xmodal_core.errors import InputError
from xmodal_core.images.base import Teacher, TeacherConfig
from xmodal_core.methods.units import UnitContrast, UnitsMethodConfig
from xmodal_core.points.base import NetworkSettings, PointFeatures, PointNetwork
from xmodal_core.train import forget, loop, parts, recipe, remember
from xmodal_core.train.backbone import load_backbone
from xmodal_core.train.batch import Example
from xmodal_core.train.config import AugmentConfig
from xmodal_core.train.examples import Examples, Skip, gather
from xmodal_core.train.metrics import read_metrics
from xmodal_core.train.plan import Key
from xmodal_core.train.recipe import Recipe, entry_of, make_recipe
from xmodal_core.train.remember import Memory, recall
from xmodal_core.train.sitting import RunInterruptedError
from xmodal_core.units.config import UnitsConfig

UNITS = UnitsConfig.model_validate({"seeds": {"count": 64}})
VARIANTS = 2


class Counting(Teacher):
    """Mean colours of squares; counts the pictures that it looks at."""

    Config = TeacherConfig
    channels, strides = (3, 3), (4, 8)

    def __init__(self) -> None:
        super().__init__(TeacherConfig(image_width=200))
        self.scale = torch.nn.Parameter(torch.ones(1), requires_grad=False)
        self.looks = 0

    def forward(self, images):
        self.looks += len(images)
        return [F.avg_pool2d(F.pad(images, (0, 8, 0, 8)) * self.scale, stride) for stride in self.strides]


class ShallowSettings(NetworkSettings):
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    preset: str = ""


class Shallow(PointNetwork):
    width = 8

    def __init__(self) -> None:
        super().__init__(ShallowSettings())
        self.layer = torch.nn.Linear(3, self.width)

    def forward(self, points, channels, offsets):
        return PointFeatures(self.layer(points / 20), None)


def recipe_of(teacher: Teacher, **changes: object) -> Recipe:
    values = {"half": False, "device": "cpu", "precision": "32", **changes}
    return make_recipe("counting", teacher, UNITS, VARIANTS, **values)


@pytest.fixture
def memory(tmp_path) -> Memory:
    return Memory(tmp_path / "kept", recipe_of(Counting()), 10**9)


@pytest.fixture
def examples(drive) -> Examples:
    dataset = open_dataset("kitti_raw", drive)
    return Examples(
        dataset=dataset,
        indices=np.arange(len(dataset)),
        units=UNITS,
        augment=AugmentConfig(),
        channels=("intensity",),
        image_width=200,
        reach=(-30.0, -30.0, -5.0, 30.0, 30.0, 5.0),
        min_units=4,
        skip_damaged=True,
        seed=0,
        variants=VARIANTS,
    )


def losses(
    examples: Examples, teacher: Teacher, epochs: int = 3, workers: int = 0, lr: float = 0.1, **settings: object
) -> list[float]:
    """Those of three frames an epoch, two a batch, while the network learns."""
    torch.manual_seed(0)
    method = UnitContrast(UnitsMethodConfig(hidden=8, projection=8, **settings), Shallow(), teacher)
    optimizer = torch.optim.SGD((p for p in method.parameters() if p.requires_grad), lr=lr)
    keys = [[Key(epoch, 0), Key(epoch, 1)] for epoch in range(epochs)]
    keys += [[Key(epoch, 2)] for epoch in range(epochs)]
    found = []
    for loaded in DataLoader(examples, batch_sampler=keys, num_workers=workers, collate_fn=gather):
        batch = loaded.batch if examples.memory is None else recall(loaded.batch, teacher, examples.memory)
        loss = method(batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(loss.detach()))
    return found


@pytest.mark.parametrize("standardise", ["frame", "batch", "none"])
def test_losses_are_those_of_a_teacher_that_always_looks(standardise, examples, memory):
    looking, teacher = Counting(), Counting()
    expected = losses(examples, looking, standardise=standardise)
    remembering = replace(examples, memory=memory)
    assert losses(remembering, teacher, standardise=standardise) == expected
    assert (looking.looks, teacher.looks) == (9, 3)
    assert losses(remembering, teacher, standardise=standardise) == expected  # all of it from files
    assert teacher.looks == 3


def test_in_half_precision_losses_are_nearly_those_and_always_the_same(examples, tmp_path):
    half = Memory(tmp_path / "half", recipe_of(Counting(), half=True), 10**9)
    still = losses(replace(examples, memory=half), Counting(), lr=0.0)
    np.testing.assert_allclose(still, losses(examples, Counting(), lr=0.0), rtol=2e-3)
    found = losses(replace(examples, memory=half), Counting())
    assert found != losses(examples, Counting())
    assert losses(replace(examples, memory=half), Counting()) == found
    without_room = Memory(tmp_path / "none", half.recipe, 0)
    assert losses(replace(examples, memory=without_room), Counting()) == found


def test_processes_that_read_frames_make_no_difference(examples, memory):
    expected = losses(examples, Counting(), epochs=2)
    assert losses(replace(examples, memory=memory), Counting(), epochs=2, workers=2) == expected
    teacher = Counting()
    assert losses(replace(examples, memory=memory), teacher, epochs=2, workers=2) == expected
    assert teacher.looks == 0


def test_units_come_in_turn_and_are_the_same_for_other_seeds_of_a_run(examples):
    def columns(epoch: int, seed: int = 0) -> list[int]:
        found = replace(examples, seed=seed)[Key(epoch, 1)]
        assert isinstance(found, Example)
        return found.pooling.column.tolist()

    assert columns(0) == columns(VARIANTS)
    assert columns(0) != columns(1)
    assert columns(0, seed=1) == columns(1)
    anew = replace(examples, variants=0)
    assert len({tuple(anew[Key(epoch, 1)].pooling.column.tolist()) for epoch in range(4)}) == 4


def kept_files(memory: Memory) -> list[Path]:
    return sorted(memory.place.glob("*/*.npz"))


def fill(examples: Examples, memory: Memory, teacher: Teacher, *frames: int) -> None:
    recall(gather([replace(examples, memory=memory)[Key(0, frame)] for frame in frames]).batch, teacher, memory)


def test_what_is_kept_needs_neither_pictures_nor_discovery(examples, memory, monkeypatch):
    fill(examples, memory, Counting(), 1)
    monkeypatch.setattr("xmodal_core.train.examples.discover", None)
    monkeypatch.setattr("xmodal_core.datasets._files.decode_image", None)
    found = replace(examples, memory=memory)[Key(0, 1)]
    assert isinstance(found, Example)
    assert found.images == ()
    assert len(found.seen) == found.pooling.shape[0]


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"x" * len(b), None])
def test_a_damaged_file_is_made_again(damage, examples, memory):
    teacher = Counting()
    fill(examples, memory, teacher, 1)
    (file,) = kept_files(memory)
    whole = file.read_bytes()
    if damage is None:  # a single bit amid the values
        place = whole.index(np.load(file)["seen1"].tobytes()) + 9
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    else:
        file.write_bytes(damage(whole))
    assert any(memory.find(file.stem, variant, 10) is None for variant in range(VARIANTS))
    for epoch in range(VARIANTS):
        recall(gather([replace(examples, memory=memory)[Key(epoch, 1)]]).batch, teacher, memory)
    assert teacher.looks == 2
    assert file.read_bytes() == whole


def test_skipped_frames_are_skipped_for_the_same_reason(examples, memory):
    fill(examples, memory, Counting(), 0)
    for change in ({"min_units": 4000}, {"reach": (500.0, 0.0, 0.0, 501.0, 1.0, 1.0)}):
        anew = replace(examples, **change)[Key(0, 0)]
        assert isinstance(anew, Skip)
        assert replace(examples, memory=memory, **change)[Key(0, 0)] == anew


def test_a_picture_that_changed_is_looked_at_again(examples, memory, drive, tmp_path):
    root = Path(shutil.copytree(drive, tmp_path / "copy"))
    there = replace(examples, dataset=open_dataset("kitti_raw", root), memory=memory)
    fill(there, memory, Counting(), 1)
    assert there[Key(0, 1)].seen is not None
    picture = sorted(root.rglob("image_02/data/*.png"))[1]
    os.utime(picture, (1, 1))
    assert there[Key(0, 1)].seen is None
    picture.write_bytes(b"no picture")
    assert "damaged" in there[Key(0, 1)].reason
    picture.unlink()
    assert isinstance(there[Key(0, 1)], Skip)


def test_the_name_of_a_frame_changes_with_all_that_discovery_takes(examples):
    frame = examples.dataset.frame(0)
    (camera,) = frame.cameras
    shifted = camera.lidar_to_camera.copy()
    shifted[0, 3] += 1e-6
    changed = [
        replace(frame, points=frame.points[::-1]),
        replace(frame, sensor=replace(frame.sensor, height=1.0)),
        replace(frame, cameras=(replace(camera, lidar_to_camera=shifted),)),
        replace(frame, cameras=(camera, camera)),
        replace(frame, cameras=(replace(camera, lens=replace(camera.lens, k1=0.1)),)),
        replace(frame, name="another"),
    ]
    assert len({entry_of(each) for each in (frame, *changed)}) == 1 + len(changed)
    assert entry_of(frame) == entry_of(examples.dataset.frame(0))
    unknown = replace(frame, cameras=(replace(camera, read=lambda: camera.image()),))
    assert entry_of(unknown) is None


def test_the_recipe_changes_with_all_that_features_depend_on(monkeypatch):
    teacher, other = Counting(), Counting()
    other.scale.data += 1e-6
    base = recipe_of(teacher)
    changed = [
        recipe_of(other),
        recipe_of(teacher, half=True),
        recipe_of(teacher, device="cuda"),
        recipe_of(teacher, precision="16-mixed"),
        replace(base, units=UnitsConfig().model_dump(mode="json")),
        replace(base, variants=3),
    ]
    assert recipe_of(Counting()).name == base.name
    monkeypatch.setattr(recipe, "CODE", (*recipe.CODE, "xmodal_core.types"))
    changed.append(recipe_of(teacher))
    assert len({each.name for each in (base, *changed)}) == 1 + len(changed)


def test_no_more_is_kept_than_there_is_room_for(examples, tmp_path):
    teacher = Counting()
    measuring = Memory(tmp_path / "one", recipe_of(teacher), 10**9)
    fill(examples, measuring, teacher, 0)
    one = forget.bytes_in(measuring.folder)
    small = Memory(tmp_path / "small", recipe_of(teacher), int(2.5 * one))
    for frame in range(4):
        fill(examples, small, teacher, frame)
    assert len(kept_files(small)) == 2
    assert not small.takes_more
    assert forget.bytes_in(small.folder) <= small.limit
    assert replace(examples, memory=small)[Key(0, 3)].to_keep is None  # nobody finds other variants for nothing


def test_to_make_room_what_was_used_longest_ago_goes_but_nothing_in_use(examples, tmp_path, monkeypatch):
    teacher, folder = Counting(), tmp_path / "kept"
    recipes = [recipe_of(teacher, precision=name) for name in ("old", "older", "in use", "now")]
    memories = [Memory(folder, each, 10**9) for each in recipes]
    for memory, age in zip(memories[:3], (2, 3, 0.5), strict=True):
        fill(examples, memory, teacher, 0)
        os.utime(memory.place / forget.RECIPE, (time() - age * forget.IN_USE,) * 2)
    assert [kept.recipe["precision"] for kept in forget.kept_in(folder)] == ["in use", "old", "older"]
    memories[3].limit = forget.bytes_in(folder) + 4000
    fill(examples, memories[3], teacher, 0)
    assert [memory.place.exists() for memory in memories] == [True, False, True, True]
    for frame in (1, 2, 3):
        fill(examples, memories[3], teacher, frame)
    assert [memory.place.exists() for memory in memories] == [False, False, True, True]
    assert len(kept_files(memories[3])) == 2
    newest, other = forget.kept_in(folder)
    assert (newest.frames, other.frames) == (2, 1)
    assert newest.recipe == json.loads(json.dumps(asdict(recipes[3])))
    forget.forget(newest)
    assert not memories[3].place.exists()


def test_a_disk_that_cannot_be_written_ends_the_keeping_not_the_run(examples, memory, monkeypatch):
    expected = losses(examples, Counting())
    monkeypatch.setattr(remember.np, "savez", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left")))
    assert losses(replace(examples, memory=memory), Counting()) == expected
    assert not memory.takes_more
    assert not kept_files(memory)


def test_when_there_is_a_memory(experiment, build, tmp_path, monkeypatch):
    method = build(experiment()).method
    cpu = torch.device("cpu")
    assert parts.open_memory(experiment(), method, cpu) is None  # it reads its teacher's maps itself
    monkeypatch.setattr(type(method), "pools_teacher", True, raising=False)
    usual = parts.open_memory(experiment(), method, cpu)
    assert usual.folder == forget.memories()
    assert usual.recipe.variants == 4
    named = parts.open_memory(experiment(cache__folder=tmp_path, cache__max_gb=0.5, cache__half="false"), method, cpu)
    assert (named.folder, named.limit, named.recipe.half) == (tmp_path, 5 * 10**8, False)
    assert parts.open_memory(experiment(cache__folder="off"), method, cpu) is None
    assert parts.open_memory(experiment(train__unit_variants=0), method, cpu) is None
    with pytest.raises(InputError, match="every epoch"):
        parts.open_memory(experiment(train__unit_variants=0, cache__folder=tmp_path), method, cpu)


@pytest.fixture
def runs(experiment, tmp_path):
    """Pre-trains with the paper's method on the drive; gives all losses, the weights and the teacher."""

    def train(name: str, cache: object, stop_after: int | None = None, **more: object):
        teacher, asked = Counting(), 0

        def build(made):
            dataset = open_dataset("kitti_raw", made.root)
            return parts.Parts(dataset, UnitContrast(UnitsMethodConfig(hidden=8, projection=8), Shallow(), teacher))

        def stop() -> bool:
            nonlocal asked
            asked += 1
            return stop_after is not None and asked > stop_after

        folder = tmp_path / name
        if (folder / "run.json").exists():
            loop.resume(folder, build=build)
        else:
            made = experiment(cache__folder=cache, train__unit_variants=2, train__min_units=4, **more)
            made = replace(made, train=made.train.model_copy(update={"epochs": 3}))
            with suppress(RunInterruptedError):
                loop.pretrain(made, folder, build=build, stop=stop)
        weights = load_backbone(folder / "backbone.safetensors").tensors
        return [line["loss"] for line in read_metrics(folder)], weights, teacher

    return train


def test_a_run_learns_the_same_with_a_memory_and_without(runs, tmp_path):
    expected, weights, looking = runs("without", "off")
    found, remembered, teacher = runs("with", tmp_path / "kept", cache__half="false")
    assert found == expected
    assert all(torch.equal(weights[name], remembered[name]) for name in weights)
    assert (looking.looks, teacher.looks) == (15, 5)
    again, _, teacher = runs("again", tmp_path / "kept", cache__half="false", train__workers=1)
    assert again == expected
    assert teacher.looks == 0


def test_a_run_that_was_stopped_goes_on_to_the_same_weights_even_where_all_was_forgotten(runs, tmp_path):
    expected, weights, _ = runs("whole", tmp_path / "kept")
    runs("stopped", tmp_path / "other", stop_after=4)
    shutil.rmtree(tmp_path / "other")
    found, resumed, teacher = runs("stopped", None)
    assert found == expected
    assert all(torch.equal(weights[name], resumed[name]) for name in weights)
    assert teacher.looks == 5
