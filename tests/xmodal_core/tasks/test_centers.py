"""Targets, losses and decoding of centres, compared with loops over objects and cells written from the definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from xmodal_core.points.base import BevGrid
from xmodal_core.tasks._centers import (
    PARTS,
    Objects,
    Targets,
    assign,
    box_losses,
    decode,
    focal_loss,
    gaussian_radius,
)

GRID = BevGrid(low=(-8.0, -4.0), cell=0.5, nx=32, ny=24, width=8)


def objects(seed: int, count: int, frames: int = 2, classes: int = 3) -> Objects:
    """Some outside the map, some without extent, some without velocity."""
    rng = np.random.default_rng(seed)
    box = np.column_stack(
        [
            rng.uniform(-10, 10, count),
            rng.uniform(-6, 10, count),
            rng.normal(0, 1, count),
            rng.uniform(0.3, 9, (count, 3)),
            rng.uniform(-4, 4, count),
        ]
    )
    box[rng.random(count) < 0.1, 3] = 0.0
    velocity = rng.normal(0, 3, (count, 2))
    velocity[rng.random(count) < 0.3] = np.nan
    return Objects(
        torch.from_numpy(np.sort(rng.integers(0, frames, count))),
        torch.from_numpy(rng.integers(0, classes, count)),
        torch.from_numpy(box.astype(np.float32)),
        torch.from_numpy(velocity.astype(np.float32)),
    )


def naive_radius(length: float, width: float, overlap: float) -> float:
    """CornerNet's three cases one after the other, with the roots of the published code."""
    total, area = length + width, length * width
    cases = [
        (1.0, total, area * (1 - overlap) / (1 + overlap)),
        (4.0, 2 * total, (1 - overlap) * area),
        (4 * overlap, -2 * overlap * total, (overlap - 1) * area),
    ]
    return min((b + math.sqrt(b * b - 4 * a * c)) / 2 for a, b, c in cases)


def naive_heat(all_objects: Objects, frames: int, classes: int, overlap: float, min_radius: int, most: int) -> Any:
    """Cell by cell; and the objects that count, in order."""
    heat = np.zeros((frames, classes, GRID.ny, GRID.nx))
    kept: list[int] = []
    seen = [0] * frames
    for number in range(len(all_objects.frame)):
        frame, label = int(all_objects.frame[number]), int(all_objects.label[number])
        x, y, _, length, width, height, _ = all_objects.box[number].tolist()
        column, row = (x - GRID.low[0]) / GRID.cell, (y - GRID.low[1]) / GRID.cell
        if min(length, width, height) <= 0 or not (0 <= column < GRID.nx and 0 <= row < GRID.ny):
            continue
        if seen[frame] == most:
            continue
        seen[frame] += 1
        kept.append(number)
        radius = max(min_radius, int(naive_radius(length / GRID.cell, width / GRID.cell, overlap)))
        sigma = (2 * radius + 1) / 6
        for iy in range(GRID.ny):
            for ix in range(GRID.nx):
                dx, dy = ix - int(column), iy - int(row)
                if abs(dx) <= radius and abs(dy) <= radius:
                    value = math.exp(-(dx * dx + dy * dy) / (2 * sigma * sigma))
                    heat[frame, label, iy, ix] = max(heat[frame, label, iy, ix], value)
    return heat, kept


class TestTargets:
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize(("overlap", "min_radius", "most"), [(0.1, 2, 500), (0.5, 0, 500), (0.1, 2, 4)])
    def test_equal_loops_over_cells(self, seed: int, overlap: float, min_radius: int, most: int) -> None:
        given_objects = objects(seed, 24)
        found = assign(given_objects, 3, GRID, 2, overlap=overlap, min_radius=min_radius, most=most)
        heat, kept = naive_heat(given_objects, 2, 3, overlap, min_radius, most)
        np.testing.assert_allclose(found.heat.numpy(), heat, atol=1e-6)
        assert len(found.cell) == len(kept) > 0
        for row, number in enumerate(kept):
            x, y, z, length, width, height, yaw = given_objects.box[number].tolist()
            iy, ix = divmod(int(found.cell[row]), GRID.nx)
            back = [GRID.low[0] + (ix + float(found.values["offset"][row, 0])) * GRID.cell]
            back += [GRID.low[1] + (iy + float(found.values["offset"][row, 1])) * GRID.cell]
            assert back == pytest.approx([x, y], abs=1e-4)
            assert found.frame[row] == given_objects.frame[number]
            assert found.values["z"][row].tolist() == pytest.approx([z])
            assert found.values["size"][row].exp().tolist() == pytest.approx([length, width, height], rel=1e-4)
            assert found.values["turn"][row].tolist() == pytest.approx([math.sin(yaw), math.cos(yaw)], abs=1e-5)
            torch.testing.assert_close(found.values["velocity"][row], given_objects.velocity[number], equal_nan=True)

    @given(length=st.floats(0.1, 80), width=st.floats(0.1, 80), overlap=st.floats(0.05, 0.95))
    def test_radius_is_the_least_of_three_cases(self, length: float, width: float, overlap: float) -> None:
        found = gaussian_radius(torch.tensor([[length, width]], dtype=torch.float64), overlap)
        assert float(found) == pytest.approx(naive_radius(length, width, overlap), rel=1e-9)

    def test_frames_without_objects(self) -> None:
        found = assign(objects(0, 0), 3, GRID, 2, overlap=0.1, min_radius=2, most=500)
        assert found.heat.shape == (2, 3, GRID.ny, GRID.nx)
        assert not found.heat.any()
        losses = box_losses({"z": torch.ones(2, 1, GRID.ny, GRID.nx)}, found)
        assert float(losses["z"]) == 0.0


def naive_focal(logits: Tensor, heat: Tensor) -> float:
    total, peaks = 0.0, 0
    for x, wanted in zip(logits.flatten().tolist(), heat.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        if wanted == 1:
            total -= (1 - p) ** 2 * math.log(p)
            peaks += 1
        else:
            total -= (1 - wanted) ** 4 * p**2 * math.log(1 - p)
    return total / max(1, peaks)


class TestLosses:
    @pytest.mark.parametrize("seed", [0, 1])
    def test_focal_loss_equals_a_loop_over_cells(self, seed: int) -> None:
        heat = assign(objects(seed, 12), 3, GRID, 2, overlap=0.1, min_radius=2, most=500).heat
        logits = torch.from_numpy(np.random.default_rng(seed).normal(0, 2, heat.shape))
        assert float(focal_loss(logits, heat.double())) == pytest.approx(naive_focal(logits, heat), rel=1e-5)

    def test_focal_loss_of_cells_that_are_quite_wrong_is_finite_and_teaches(self) -> None:
        heat = torch.zeros(1, 1, 1, 3)
        heat[..., 0] = 1
        logits = torch.tensor([[[[-100.0, 100.0, 0.0]]]], requires_grad=True)
        focal_loss(logits, heat).backward()
        assert logits.grad is not None
        assert logits.grad[0, 0, 0, 0] < -0.5
        assert logits.grad[0, 0, 0, 1] > 0.5

    def test_without_peaks_empty_cells_alone_count(self) -> None:
        logits = torch.full((1, 1, 2, 2), -1.0, dtype=torch.float64)
        heat = torch.zeros_like(logits)
        assert float(focal_loss(logits, heat)) == pytest.approx(naive_focal(logits, heat))

    def test_errors_of_boxes_equal_a_loop_over_objects(self) -> None:
        targets = assign(objects(3, 20), 3, GRID, 2, overlap=0.1, min_radius=2, most=500)
        rng = np.random.default_rng(0)
        maps = {name: torch.from_numpy(rng.normal(size=(2, width, GRID.ny, GRID.nx))) for name, width in PARTS.items()}
        found = box_losses(maps, targets)
        for name in PARTS:
            total = 0.0
            for row, (frame, cell) in enumerate(zip(targets.frame.tolist(), targets.cell.tolist(), strict=True)):
                iy, ix = divmod(cell, GRID.nx)
                for channel, wanted in enumerate(targets.values[name][row].tolist()):
                    if not math.isnan(wanted):
                        total += abs(float(maps[name][frame, channel, iy, ix]) - wanted)
            assert float(found[name]) == pytest.approx(total / len(targets.cell), rel=1e-6)

    def test_an_unknown_velocity_has_no_gradient(self) -> None:
        unknown = objects(0, 6)._replace(velocity=torch.full((6, 2), float("nan")))
        targets = assign(unknown, 3, GRID, 2, overlap=0.1, min_radius=2, most=500)
        part = torch.randn(2, 2, GRID.ny, GRID.nx, requires_grad=True)
        box_losses({"velocity": part}, targets)["velocity"].backward()
        assert part.grad is not None
        assert not part.grad.any()


def perfect(targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
    """Maps of a network that has learnt ``targets`` by heart."""
    frames = len(targets.heat)
    maps = {name: torch.zeros(frames, width, GRID.ny * GRID.nx) for name, width in PARTS.items()}
    for name, part in maps.items():
        part[targets.frame, :, targets.cell] = targets.values[name].nan_to_num()
    return torch.logit(targets.heat, eps=1e-4), {name: m.view(frames, -1, GRID.ny, GRID.nx) for name, m in maps.items()}


class TestDecoding:
    @given(seed=st.integers(0, 300))
    @settings(max_examples=25)
    def test_gives_back_what_the_targets_were_made_of(self, seed: int) -> None:
        # One object a cell: of two in one cell the map can only say one.
        one = objects(seed, 10)
        targets = assign(one, 3, GRID, 2, overlap=0.1, min_radius=2, most=500)
        alone = torch.bincount(targets.frame * GRID.nx * GRID.ny + targets.cell)
        if len(alone) and int(alone.max()) > 1:
            return
        found = decode(*perfect(targets), GRID, 10 * GRID.nx)
        _, kept = naive_heat(one, 2, 3, 0.1, 2, 500)
        for number in kept:
            frame = int(one.frame[number])
            apart = (found.box[frame, :, :2] - one.box[number, :2]).norm(dim=1)
            apart[found.label[frame] != one.label[number]] = np.inf
            best = int(apart.argmin())
            assert found.score[frame, best] > 0.999
            torch.testing.assert_close(found.box[frame, best, :6], one.box[number, :6], rtol=1e-4, atol=1e-4)
            turn = float(found.box[frame, best, 6] - one.box[number, 6])
            assert math.cos(turn) == pytest.approx(1.0, abs=1e-5)

    def test_best_first_and_never_more_than_there_are_places(self) -> None:
        rng = np.random.default_rng(0)
        logits = torch.from_numpy(rng.normal(size=(2, 3, GRID.ny, GRID.nx)))
        maps = {name: torch.zeros(2, width, GRID.ny, GRID.nx) for name, width in PARTS.items()}
        few, every = decode(logits, maps, GRID, 50), decode(logits, maps, GRID, 10**6)
        assert few.score.shape == (2, 50)
        assert every.score.shape == (2, 3 * GRID.ny * GRID.nx)
        assert (every.score.diff(dim=1) <= 0).all()
        torch.testing.assert_close(few.score, every.score[:, :50])

    def test_peaks_alone(self) -> None:
        heat = assign(objects(1, 4, frames=1), 3, GRID, 1, overlap=0.1, min_radius=2, most=500).heat
        maps = {name: torch.zeros(1, width, GRID.ny, GRID.nx) for name, width in PARTS.items()}
        score = decode(torch.logit(heat, eps=1e-4), maps, GRID, 500, peaks=True).score
        assert int((score > 0.01).sum()) == int((heat == 1).sum()) > 0
