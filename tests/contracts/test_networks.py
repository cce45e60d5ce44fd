"""What every LiDAR network promises, checked on its default preset, in a box about a cloud of a few hundred points."""

from __future__ import annotations

import copy
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from xmodal_core import plugins
from xmodal_core.config import entries, validate
from xmodal_core.errors import InputError
from xmodal_core.points import load_network
from xmodal_core.points.base import PointNetwork

NAMES = plugins.names(plugins.NETWORK)
BOX = (-3.2, -16.0, -5.0, 28.8, 16.0, 3.0)
"""The range of the networks that have one: a bird's-eye map of the default range would take most of the time."""

PRESETS = [(name, preset) for name in NAMES for preset in plugins.load(plugins.NETWORK, name).Config.presets]


class Cloud(NamedTuple):
    points: Tensor
    channels: Tensor

    @property
    def offsets(self) -> Tensor:
        return torch.tensor([0, len(self.points)])

    def rows(self, rows: Tensor | slice) -> Cloud:
        return Cloud(self.points[rows], self.channels[rows])


def cloud(seed: int, size: int = 600) -> Cloud:
    """Points in clumps, within ``BOX``."""
    draw = torch.Generator().manual_seed(seed)
    centres = torch.rand(12, 3, generator=draw) * torch.tensor([24.0, 24.0, 2.0]) + torch.tensor([1.0, -12.0, -1.5])
    clump = torch.randint(12, (size,), generator=draw)
    points = centres[clump] + torch.randn(size, 3, generator=draw) * 0.3
    return Cloud(points, torch.rand(size, 1, generator=draw))


def together(*clouds: Cloud) -> tuple[Tensor, Tensor, Tensor]:
    sizes = torch.tensor([0, *(len(c.points) for c in clouds)])
    return torch.cat([c.points for c in clouds]), torch.cat([c.channels for c in clouds]), sizes.cumsum(0)


HALVES = (slice(0, 300), slice(300, 600))
EMPTY = Cloud(torch.zeros(0, 3), torch.zeros(0, 1))
FAR = Cloud(torch.full((5, 3), 1e5), torch.ones(5, 1))


def made(name: str, **settings: Any) -> PointNetwork:
    """The default preset with these settings, its range about the clouds."""
    known = plugins.load(plugins.NETWORK, name).Config.model_fields
    return load_network(name, {**({"range": BOX} if "range" in known else {}), **settings})


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def trained(name: str) -> PointNetwork:
    torch.manual_seed(0)
    network = made(name)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.5
    with torch.no_grad():
        network(*together(cloud(0), cloud(10)))
        network(*together(cloud(1), cloud(11)))
    return network.eval()


@pytest.fixture
def network(name: str) -> PointNetwork:
    """With running statistics of two batches, so that what comes out in eval mode is of ordinary size."""
    return copy.deepcopy(trained(name))


@torch.no_grad()
def features(network: PointNetwork, *clouds: Cloud) -> list[Tensor]:
    """The features of each cloud, all of them in one batch."""
    points, channels, offsets = together(*clouds)
    found = network(points, channels, offsets).features
    return [found[first:last] for first, last in pairwise(offsets.tolist())]


class TestEveryNetwork:
    def test_one_feature_for_every_point(self, network: PointNetwork) -> None:
        found = network(*together(cloud(1), cloud(2, 200))).features
        assert found.shape == (800, network.width)
        assert torch.isfinite(found).all()
        assert found.std() > 0.01

    def test_features_keep_the_order_of_the_points(self, network: PointNetwork) -> None:
        here = cloud(1)
        shuffled = torch.randperm(len(here.points), generator=torch.Generator().manual_seed(1))
        (plain,), (mixed,) = features(network, here), features(network, here.rows(shuffled))
        torch.testing.assert_close(mixed, plain[shuffled], rtol=1e-4, atol=1e-4)

    def test_a_frame_is_the_same_alone_and_among_others(self, network: PointNetwork) -> None:
        frames = [cloud(1), EMPTY, cloud(2, 300), FAR, cloud(1).rows(slice(0, 1))]
        for alone, among in zip(frames, features(network, *frames), strict=True):
            torch.testing.assert_close(among, features(network, alone)[0], rtol=1e-4, atol=1e-4)

    def test_offsets_decide_who_is_in_a_frame(self, network: PointNetwork) -> None:
        (one,), two = features(network, cloud(1)), features(network, *(cloud(1).rows(s) for s in HALVES))
        assert not torch.allclose(one, torch.cat(two), atol=1e-3)

    @pytest.mark.parametrize("training", [True, False])
    @pytest.mark.parametrize("frames", [(EMPTY,), (FAR,), (EMPTY, FAR), (FAR, cloud(1, 1)), (cloud(1), EMPTY)])
    def test_frames_with_little_or_nothing_in_them(
        self, network: PointNetwork, frames: tuple[Cloud, ...], training: bool
    ) -> None:
        found = network.train(training)(*together(*frames)).features
        assert found.shape == (sum(len(frame.points) for frame in frames), network.width)
        assert torch.isfinite(found).all()
        if found.requires_grad:
            found.sum().backward()
            gradients = [p.grad for p in network.parameters() if p.grad is not None]
            assert all(torch.isfinite(gradient).all() for gradient in gradients)

    @pytest.mark.parametrize("odd", [1e6, -1e6, float("nan"), float("inf"), -float("inf")])
    def test_points_out_of_range_get_zeros_and_change_nothing(self, network: PointNetwork, odd: float) -> None:
        here = cloud(1)
        mixed = here.points.clone()
        mixed[::7, 0] = odd
        kept = ~(mixed[:, 0] != here.points[:, 0])
        points = mixed.requires_grad_()
        found = network(points, here.channels, here.offsets).features
        assert (found[~kept] == 0).all()
        torch.testing.assert_close(found[kept], features(network, here.rows(kept))[0], rtol=1e-4, atol=1e-4)
        found.square().mean().backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)

    @torch.no_grad()
    def test_the_birds_eye_map_alone_is_the_one_that_points_are_read_from(self, network: PointNetwork) -> None:
        batch, grid = together(cloud(0), EMPTY, cloud(1)), network.bev_grid
        bev = network(*batch).bev
        assert (bev is None) == (grid is None)
        if grid is None or bev is None:
            with pytest.raises(AssertionError, match="has no bird's-eye map"):
                network.to_bev(*batch)
            return
        assert bev.shape == (3, grid.width, grid.ny, grid.nx)
        assert torch.equal(network.to_bev(*batch), bev)

    def test_gradients_reach_every_parameter(self, network: PointNetwork) -> None:
        network.train()
        found = network(*together(cloud(1))).features
        (found * torch.randn(found.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
        for parameter_name, parameter in network.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name
            assert parameter.grad.abs().max() > 0, parameter_name

    def test_it_learns(self, network: PointNetwork) -> None:
        """A step down the gradient lowers a loss: forward and backward agree."""
        network.train()
        batch = together(cloud(1))
        aim = torch.randn(len(batch[0]), network.width, generator=torch.Generator().manual_seed(3))
        optimizer = torch.optim.Adam(network.parameters(), 3e-3)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = (network(*batch).features - aim).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.97 * losses[0], losses

    def test_the_state_brings_everything_back(self, network: PointNetwork, name: str) -> None:
        torch.manual_seed(1)
        other = load_network(name, network.config.model_dump(mode="json")).eval()
        other.load_state_dict(copy.deepcopy(network.state_dict()))
        torch.testing.assert_close(features(other, cloud(4)), features(network, cloud(4)), rtol=0, atol=0)

    def test_the_same_seed_gives_the_same_bits_forward_and_backward(self, name: str) -> None:
        def run(seed: int) -> list[Tensor]:
            torch.manual_seed(seed)
            network = made(name)
            found = network(*together(cloud(1))).features
            found.square().mean().backward()
            return [found.detach(), *(p.grad for p in network.parameters() if p.grad is not None)]

        first, again, other = run(5), run(5), run(6)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert not torch.equal(first[0], other[0])

    def test_statistics_move_in_training_and_only_there(self, network: PointNetwork) -> None:
        before = copy.deepcopy(dict(network.named_buffers()))
        features(network, cloud(5))
        assert all(torch.equal(buffer, before[key]) for key, buffer in network.named_buffers())
        features(network.train(), cloud(5))
        moved = [key for key, buffer in network.named_buffers() if not torch.equal(buffer, before[key])]
        assert len(moved) == len(before)

    def test_automatic_mixed_precision_on_a_cpu(self, network: PointNetwork) -> None:
        network.train()
        with torch.autocast("cpu", torch.bfloat16):
            found = network(*together(cloud(1))).features
        found.float().square().mean().backward()
        assert torch.isfinite(found).all()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)

    def test_intensity_is_scaled_as_the_settings_say(self, network: PointNetwork, name: str) -> None:
        scaled = load_network(name, {**network.config.model_dump(), "intensity_scale": 0.25}).eval()
        scaled.load_state_dict(network.state_dict())
        here = cloud(1)
        stored = Cloud(here.points, here.channels * 4)
        torch.testing.assert_close(features(scaled, stored), features(network, here), rtol=1e-5, atol=1e-5)
        assert not torch.allclose(features(network, stored)[0], features(network, here)[0], atol=1e-3)

    def test_other_channels_are_taken_as_they_are(self, name: str) -> None:
        torch.manual_seed(0)
        channels = ["ring", "intensity"]
        scaled = made(name, channels=channels, intensity_scale=0.5).eval()
        here = cloud(1)
        both = torch.cat([here.channels, here.channels], dim=1)
        plain = made(name, channels=channels, intensity_scale=1).eval()
        plain.load_state_dict(scaled.state_dict())
        with torch.no_grad():
            found = scaled(here.points, both, here.offsets).features
            same = plain(here.points, both * torch.tensor([1.0, 0.5]), here.offsets).features
        torch.testing.assert_close(found, same, rtol=1e-5, atol=1e-5)

    def test_input_of_the_wrong_shape_is_named(self, network: PointNetwork) -> None:
        here = cloud(1)
        with pytest.raises(
            InputError, match=r"takes 1 channels \(intensity\) of 600 points, but they came as \(600, 2\)"
        ):
            network(here.points, torch.rand(600, 2), here.offsets)
        with pytest.raises(InputError, match=r"points are \(N, 3\), but came as \(600, 4\)"):
            network(torch.rand(600, 4), here.channels, here.offsets)
        for offsets in ([0], [0, 599], [1, 600], [[0, 600]]):
            with pytest.raises(InputError, match="do not run from 0 to the 600 points"):
                network(here.points, here.channels, torch.tensor(offsets))


class TestEveryPreset:
    @pytest.mark.parametrize(("name", "preset"), PRESETS)
    def test_a_preset_makes_a_network(self, name: str, preset: str) -> None:
        made = load_network(name, {"preset": preset})
        assert made.width > 0
        for key, value in type(made.config).presets[preset].items():
            assert getattr(made.config, key) == value

    @pytest.mark.parametrize("name", NAMES)
    def test_the_help_shows_the_default_preset(self, name: str) -> None:
        settings = plugins.load(plugins.NETWORK, name).Config
        shown = {entry.path: entry.default for entry in entries(settings)}
        assert shown == settings().model_dump()

    @pytest.mark.parametrize(("name", "preset"), PRESETS)
    def test_settings_are_complete_and_outlive_a_file(self, name: str, preset: str) -> None:
        settings = plugins.load(plugins.NETWORK, name).Config
        made = validate(settings, {"preset": preset})
        assert validate(settings, made.model_dump(mode="json")) == made

    @pytest.mark.parametrize("name", NAMES)
    def test_what_is_given_outweighs_the_preset(self, name: str) -> None:
        settings = plugins.load(plugins.NETWORK, name).Config
        assert validate(settings, {"channels": ["ring"]}).channels == ("ring",)

    @pytest.mark.parametrize("name", NAMES)
    def test_an_unknown_preset_is_named(self, name: str) -> None:
        with pytest.raises(InputError, match="preset"):
            load_network(name, {"preset": "huge"})
