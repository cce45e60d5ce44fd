"""What every image teacher promises."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xmodal_core import plugins
from xmodal_core.errors import InputError
from xmodal_core.images import Teacher, load_teacher
from xmodal_core.images.base import TeacherConfig

# Of the sizes of one network the smallest is looked at; the others are too large for a quick test.
NAMES = [name for name in plugins.names(plugins.TEACHER) if name not in ("dinov2_base", "dinov2_large")]


def load(name: str, **settings: object) -> Teacher:
    """The teacher with weights that need no network: its default ones where they are installed, else random ones."""
    kind = plugins.load(plugins.TEACHER, name)
    offline = {} if name == "efficientnet_lite0" or "weights" not in kind.Config.model_fields else {"weights": "random"}
    return load_teacher(name, {**offline, **settings})


@pytest.fixture(params=NAMES, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def teacher(name: str) -> Teacher:
    return load(name)


def pictures(count: int, height: int, width: int) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


class TestEveryTeacher:
    def test_its_levels_go_from_fine_to_coarse(self, teacher: Teacher) -> None:
        assert teacher.strides == ((14,) if len(teacher.strides) == 1 else (4, 8, 16))
        assert len(teacher.channels) == len(teacher.strides)
        assert teacher.width == sum(teacher.channels)
        assert isinstance(teacher.config, TeacherConfig)

    @pytest.mark.parametrize(("height", "width"), [(64, 96), (63, 97), (50, 33), (17, 80)])
    def test_maps_have_the_stated_sizes(self, teacher: Teacher, height: int, width: int) -> None:
        maps = teacher(pictures(2, height, width))
        for level, channels, stride in zip(maps, teacher.channels, teacher.strides, strict=True):
            assert level.shape == (2, channels, -(-height // stride), -(-width // stride))
            assert level.dtype == torch.float32
            assert torch.isfinite(level).all()

    def test_it_is_frozen_and_keeps_no_graph(self, teacher: Teacher) -> None:
        assert not any(parameter.requires_grad for parameter in teacher.parameters())
        images = pictures(1, 64, 64).requires_grad_()
        for level in teacher(images):
            assert not level.requires_grad

    def test_nothing_takes_it_out_of_eval_mode(self, teacher: Teacher) -> None:
        around = torch.nn.ModuleDict({"teacher": teacher, "head": torch.nn.Linear(2, 2)})
        before = {name: value.clone() for name, value in teacher.state_dict().items()}
        around.train()
        assert around["head"].training
        assert not any(module.training for module in teacher.modules())
        teacher(pictures(2, 64, 64))
        for name, value in teacher.state_dict().items():
            assert torch.equal(value, before[name]), name

    def test_it_gives_the_same_every_time_and_leaves_the_random_state_alone(self, name: str, teacher: Teacher) -> None:
        images = pictures(1, 64, 64)
        torch.manual_seed(123)
        state = torch.random.get_rng_state()
        again = load(name)
        for first, second, third in zip(teacher(images), teacher(images), again(images), strict=True):
            assert torch.equal(first, second)
            assert torch.equal(first, third)
        assert torch.equal(state, torch.random.get_rng_state())

    def test_a_batch_gives_what_its_pictures_give(self, teacher: Teacher) -> None:
        images = pictures(3, 64, 96)
        together = teacher(images)
        for number in range(3):
            for level, alone in zip(together, teacher(images[number : number + 1]), strict=True):
                scale = float(alone.abs().max())
                torch.testing.assert_close(level[number : number + 1], alone, atol=1e-5 * scale, rtol=1e-5)

    def test_pictures_are_told_apart(self, teacher: Teacher) -> None:
        one, other = teacher(pictures(2, 64, 64))[-1]
        assert float((one - other).abs().max()) > 1e-3 * float(one.abs().max())

    @pytest.mark.parametrize("wanted", [[8, 4, 4], [2, 32]])
    def test_strides_are_chosen(self, name: str, teacher: Teacher, wanted: list[int]) -> None:
        if "strides" not in type(teacher).Config.model_fields or len(teacher.strides) == 1:
            pytest.skip("it has nothing to choose from")
        if 2 in wanted and name == "swin_tiny":
            wanted = [4, 32]  # it has none of 2
        chosen = load(name, strides=wanted)
        assert chosen.strides == tuple(sorted(set(wanted)))
        images = pictures(1, 64, 64)
        assert [level.shape[-1] for level in chosen(images)] == [64 // stride for stride in chosen.strides]
        known = dict(zip(teacher.strides, teacher(images), strict=True))
        for stride, level in zip(chosen.strides, chosen(images), strict=True):
            if stride in known:
                torch.testing.assert_close(level, known[stride])

    def test_strides_that_do_not_exist_are_refused(self, name: str, teacher: Teacher) -> None:
        if "strides" not in type(teacher).Config.model_fields:
            pytest.skip("it has no such setting")
        for wanted in ([], [3])[name == "timm" :]:  # there none means those that the network has
            with pytest.raises(InputError, match=r"teacher\.strides"):
                load(name, strides=wanted)

    def test_cells_look_at_the_pixels_they_stand_for(self, teacher: Teacher) -> None:
        """Where a spot of the picture changes, the maps change around that spot, to less than a cell."""
        images = pictures(1, 160, 224)
        before = teacher(images)
        generator = torch.Generator().manual_seed(1)
        off: dict[int, list[Tensor]] = {stride: [] for stride in teacher.strides}
        for v, u in ((80, 112), (64, 96), (88, 130), (75, 101)):
            spotted = images.clone()
            spotted[..., v - 4 : v + 5, u - 4 : u + 5] = torch.rand(3, 9, 9, generator=generator)
            for level, was, stride in zip(teacher(spotted), before, teacher.strides, strict=True):
                change = (level - was)[0].square().sum(0)
                rows, columns = (stride * (torch.arange(size) + 0.5) - 0.5 for size in change.shape)
                centre = torch.stack([(change.sum(1) * rows).sum(), (change.sum(0) * columns).sum()]) / change.sum()
                off[stride].append(centre - torch.tensor([v, u]))
        for stride, distances in off.items():
            assert float(torch.stack(distances).mean(0).abs().max()) < 0.75 * stride, (stride, distances)
