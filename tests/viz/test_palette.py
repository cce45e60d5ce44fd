from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from viz import palette
from viz.palette import Ramp


def naive_code(value: float, low: float, middle: float, high: float) -> int:
    """The colour of 256 whose half-open step holds ``value``; the middle ends the lower half."""
    share = 0.5 * (value - low) / (middle - low) if value <= middle else 0.5 + 0.5 * (value - middle) / (high - middle)
    return int(min(255, max(0, np.ceil(256 * min(1.0, max(0.0, share)) - 1))))


@settings(max_examples=100, deadline=None)
@given(low=st.floats(-1, 0.2), middle=st.floats(0.25, 0.5), high=st.floats(0.6, 1), values=st.lists(st.floats(-2, 2)))
def test_a_ramp_agrees_with_its_definition(low: float, middle: float, high: float, values: list[float]) -> None:
    ramp = Ramp(palette.split(palette.BELOW, palette.ABOVE), low, high, "cosine", middle)
    found = ramp.codes(np.array(values, dtype=np.float64))
    for value, code in zip(values, found.tolist(), strict=True):
        # Where a step ends, rounding may fall to either side.
        assert abs(code - naive_code(value, low, middle, high)) <= 1
        assert (code < 128) == (value <= middle) or abs(value - middle) < 1e-9


def test_a_ramp_of_one_value_is_defined() -> None:
    ramp = Ramp(palette.spread(palette.HEIGHT), 0.5, 0.5, "height", 0.5)
    codes = ramp.codes(np.array([0.0, 0.5, 1.0]))
    assert codes[0] == 0
    assert codes[2] == 255


def test_the_two_sides_of_a_split_never_share_a_colour() -> None:
    colours = palette.split(palette.BELOW, palette.ABOVE).astype(int)
    assert colours.shape == (256, 3)
    below, above = colours[:128], colours[128:]
    assert (below[:, 2] > below[:, 0]).all()  # blue
    assert (above[:, 0] > above[:, 2]).all()  # yellow
    step = np.abs(np.diff(colours, axis=0)).max(axis=1)
    assert step[127] > 5 * np.delete(step, 127).max()


def lightness(colours: np.ndarray) -> np.ndarray:
    """CIE relative luminance of sRGB colours 0..255."""
    linear = np.where(colours / 255 <= 0.04045, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def test_ramps_grow_lighter_so_that_they_read_without_hue() -> None:
    for colours in (palette.spread(palette.HEIGHT), palette.spread(palette.BELOW), palette.spread(palette.ABOVE)):
        assert (np.diff(lightness(colours)) > -1e-3).all()


def legible(colours: np.ndarray) -> np.ndarray:
    back = lightness(np.array(palette.rgb("#11151c"), dtype=float))
    return (lightness(colours) + 0.05) / (back + 0.05)  # WCAG's contrast


def nearest(colours: np.ndarray) -> float:
    """The distance of the two that are nearest, in 0..255."""
    between = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    return float(between[np.triu_indices(len(colours), 1)].min())


def test_unit_colours_are_far_apart_and_legible_on_the_dark_page() -> None:
    colours = palette.UNITS.astype(float)
    assert nearest(colours) > 60
    assert (legible(colours) > 3).all()  # WCAG asks so much of graphical objects


def test_class_colours_begin_with_those_of_units_and_stay_apart_and_legible() -> None:
    colours = palette.CLASSES.astype(float)
    assert (colours[: len(palette.UNITS)] == palette.UNITS).all()
    assert nearest(colours) > 35
    assert (legible(colours) > 3).all()


@settings(max_examples=40, deadline=None)
@given(count=st.integers(2, 60), seed=st.integers(0, 10**6), wishing=st.booleans())
def test_each_things_nearest_neighbours_have_other_colours(count: int, seed: int, wishing: bool) -> None:
    random = np.random.default_rng(seed)
    centres, wishes = random.uniform(-40, 40, (count, 3)), random.integers(0, 10**5, count)
    codes = palette.tell_apart(centres, wishes if wishing else None)
    assert codes.max() < len(palette.UNITS)
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    clashes = 0
    for thing in range(count):
        near = np.argsort(distance[thing], kind="stable")[1:4]
        clashes += int((codes[near] == codes[thing]).sum())
    assert clashes <= 1 + 0.02 * 3 * count


def naive_tell_apart(centres: np.ndarray, wishes: np.ndarray, colours: int, neighbours: int) -> list[int]:
    """Each thing in turn takes the colour it wishes for; where one of the nearest has it, the one whose nearest
    earlier user among its neighbours is farthest away."""
    found: list[int] = []
    for thing, centre in enumerate(centres):
        distance = np.linalg.norm(centres - centre, axis=1)
        order = np.argsort(distance, kind="stable")[: neighbours + 1]
        near = [int(other) for other in order if other < thing]
        room = [min((distance[n] for n in near if found[n] == colour), default=np.inf) for colour in range(colours)]
        wish = int(wishes[thing]) % colours
        if room[wish] > distance[order[min(palette.CLOSE, len(order) - 1)]]:
            found.append(wish)
        else:
            found.append(max(range(colours), key=lambda colour: (room[colour], -((colour - wish) % colours))))
    return found


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 120), seed=st.integers(0, 10**6), colours=st.integers(1, 10))
def test_colours_are_taken_in_turn(count: int, seed: int, colours: int) -> None:
    centres = np.random.default_rng(seed).uniform(-40, 40, (count, 3))
    expected = naive_tell_apart(centres, np.arange(count), colours, 14)
    assert palette.tell_apart(centres, colours=colours).tolist() == expected


def test_a_thing_keeps_its_colour_when_others_come_and_go() -> None:
    random = np.random.default_rng(0)
    centres, wishes = random.uniform(-40, 40, (300, 3)), random.integers(0, 10**5, 300)
    stay = random.random(300) > 0.1
    before, after = palette.tell_apart(centres, wishes), palette.tell_apart(centres[stay], wishes[stay])
    assert (before[stay] == after).mean() > 0.8
    assert len(set(before.tolist())) == len(palette.UNITS)


def test_one_thing_and_none_have_a_colour_each() -> None:
    assert palette.tell_apart(np.zeros((0, 3))).shape == (0,)
    assert palette.tell_apart(np.zeros((1, 3))).tolist() == [0]
    # More things in one place than there are colours: still an answer.
    assert len(set(palette.tell_apart(np.zeros((30, 3))).tolist())) > 1
