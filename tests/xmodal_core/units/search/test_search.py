"""The search: it finds what is planted, the same each time, in one sitting or in many."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from xmodal_core.errors import InputError
from xmodal_core.types import Frame, Units
from xmodal_core.units.config import UnitsConfig
from xmodal_core.units.search.objective import OBJECTIVES, Case
from xmodal_core.units.search.search import Found, Standing, compare, search
from xmodal_core.units.search.space import changes, varied, with_values
from xmodal_core.units.statistics import average, measure

RECALL = OBJECTIVES["recall"]
SPACE = varied(UnitsConfig, ["instances.radius", "instances.min_flatness", "instances.max_width", "seeds.count"])


def run(cases: list[Case], **more: object) -> Found:
    given: dict[str, object] = {"trials": 16, **more}
    return search(cases, RECALL, SPACE, **given)  # type: ignore[arg-type]


def stopping_after(times: int) -> Callable[[], bool]:
    """True from the call after ``times`` on."""
    asked = count()
    return lambda: next(asked) >= times


def test_it_finds_the_planted_radius_and_changes_nothing_else(cases: list[Case], start: UnitsConfig) -> None:
    told: list[Standing] = []
    found = run(cases, trials=24, on_trial=told.append)
    assert 0.45 < found.settings.instances.radius < 0.95
    assert set(changes(start, found.settings)) == {"instances.radius"}, "what makes no difference is taken back"
    assert found.score == pytest.approx(1.0)
    assert found.start_score < 0.6
    assert (found.trials, found.stopped) == (24, False)
    assert [standing.done for standing in told] == list(range(1, 25))
    scores = [standing.score for standing in told]
    assert scores == sorted(scores)
    assert scores[0] == told[0].start_score == found.start_score


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[UnitsConfig]:
    """The settings by which units were looked for, one entry a frame."""
    settings: list[UnitsConfig] = []
    plain = Case.units

    def units(case: Case, config: UnitsConfig) -> Units:
        settings.append(config)
        return plain(case, config)

    monkeypatch.setattr(Case, "units", units)
    return settings


def test_hopeless_trials_are_given_up_early(
    make_street: Callable[..., Frame], start: UnitsConfig, tried: list[UnitsConfig]
) -> None:
    found = run([Case.of(make_street(str(number)), start) for number in range(4)])
    assert 0 < found.pruned < found.trials
    # Beside the trials: once the start, and for each of at most four changes whether it is needed.
    assert len(tried) <= 4 * (16 + 1 + 4) - 2 * found.pruned


def test_the_same_seed_gives_the_same_result(cases: list[Case], tried: list[UnitsConfig]) -> None:
    histories = []
    for seed in (3, 3, 4):
        tried.clear()
        histories.append((run(cases, seed=seed), list(tried)))
    assert histories[0] == histories[1]
    assert histories[0][1] != histories[2][1]


def test_in_many_sittings_as_in_one(cases: list[Case], tmp_path: Path) -> None:
    whole = run(cases)
    file = tmp_path / "folder" / "study.log"
    for sitting in range(3):  # each is broken off amid a trial
        part = run(cases, file=file, stop=stopping_after(5 + 4 * sitting))
        assert part.stopped
        assert 0 < part.trials < 16
    assert run(cases, file=file) == whole
    assert run(cases, file=file) == whole, "nothing is left to try"
    assert run(cases, file=file, trials=18).trials == 18


def test_after_being_killed_as_if_never(cases: list[Case], tmp_path: Path) -> None:
    class Killed(BaseException): ...

    def die() -> bool:
        if next(asked) == 9:
            raise Killed
        return False

    file, asked = tmp_path / "study.log", count()
    with pytest.raises(Killed):
        run(cases, file=file, stop=die)
    assert run(cases, file=file) == run(cases)


def test_broken_off_it_has_the_best_so_far(cases: list[Case], start: UnitsConfig) -> None:
    found = run(cases, stop=stopping_after(30))
    assert found.stopped
    assert found.score > found.start_score
    settings = with_values(start, {"instances.radius": found.settings.instances.radius})
    assert compare(cases, RECALL, settings).score_after == pytest.approx(found.score)
    nothing = run(cases, stop=lambda: True)
    assert (nothing.trials, nothing.settings, nothing.stopped) == (0, start, True)


def test_the_best_stays_where_nothing_is_better(make_street: Callable[..., Frame], start: UnitsConfig) -> None:
    right = with_values(start, {"instances.radius": 0.6, "instances.min_flatness": 0.0123})
    found = run([Case.of(make_street(), right)], trials=8)
    assert found.settings == right, "although it is not on the grid of the search"
    assert found.score == found.start_score == pytest.approx(1.0)


def test_a_file_of_another_search_is_refused(cases: list[Case], start: UnitsConfig, tmp_path: Path) -> None:
    file = tmp_path / "study.log"
    run(cases, file=file, trials=2)
    before = file.read_bytes()
    other = [Case.of(case.frame, with_values(start, {"seeds.count": 80})) for case in cases]
    for message, again in {
        "is a search with frames other": lambda: run(cases[:1], file=file),
        "is a search with seed other": lambda: run(cases, file=file, seed=1),
        "is a search with settings to begin with other": lambda: run(other, file=file),
        "with objective and settings to vary other": lambda: search(cases, OBJECTIVES["ground"], SPACE[:1], file=file),
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            again()
        assert caught.value.hint
        assert "\n" not in caught.value.message
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", ["no study\n", '{"op_code": 77}\n', json.dumps([1, 2]) + "\n"])
def test_a_file_that_is_no_study_is_refused(cases: list[Case], tmp_path: Path, content: str) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(content)
    with pytest.raises(InputError, match=r"notes\.txt is no file of a search, or it is damaged"):
        run(cases, file=file)
    assert file.read_text() == content


def test_a_place_where_no_file_can_be_is_refused(cases: list[Case], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot use the study file"):
        run(cases, file=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot use the study file"):
        run(cases, file=tmp_path / "file" / "study.log")


def test_without_anything_to_do_it_says_so(cases: list[Case]) -> None:
    with pytest.raises(InputError, match="no setting is varied"):
        search(cases, RECALL, ())
    with pytest.raises(InputError, match="nothing to judge by"):
        search([], RECALL, SPACE)


def test_a_comparison_has_the_numbers_of_both(cases: list[Case], start: UnitsConfig) -> None:
    begin = with_values(start, {"instances.radius": 0.6})
    found = compare((Case.of(case.frame, begin) for case in cases), RECALL, start)
    for summary, config in ((found.before, begin), (found.after, start)):
        naive = average([measure(case.frame, case.units(config), config) for case in cases])
        assert summary.quality == naive.quality
        assert summary.means == naive.means
    assert found.frames == 2
    assert found.score_before == pytest.approx(1.0)
    assert 0 < found.score_after < 0.6, "the plain score, whatever guards say"
    assert found.broken == ("units is 0.333 times what it was, not at least 0.8 times",)
