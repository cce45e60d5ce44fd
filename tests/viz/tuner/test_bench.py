"""The benchmark moves every setting, to a value that is allowed and is another."""

from __future__ import annotations

from hypothesis import given

from tests.viz.tuner.conftest import ExampleSource
from tests.viz.tuner.test_controls import CONFIGS
from viz.tuner.bench import ANEW, bench_tuner, moved
from viz.tuner.controls import changed
from xmodal_core.bench.timing import OURS
from xmodal_core.config import entries
from xmodal_core.units.config import UnitsConfig


@given(config=CONFIGS)
def test_a_moved_setting_is_another_and_within_its_bounds(config: UnitsConfig) -> None:
    for entry in entries(UnitsConfig):
        there = moved(config, entry)
        assert list(changed(there, config)) == [entry.path]
        assert UnitsConfig.model_validate(there.model_dump()) == there


def test_every_setting_has_a_row_and_the_slowest_is_compared(source: ExampleSource, small: UnitsConfig) -> None:
    said: list[str] = []
    rows = bench_tuner(source, 0, small, repeat=1, on_step=said.append)
    paths = [entry.path for entry in entries(UnitsConfig)]
    assert [row.step for row in rows] == [*paths, "slowest", "slowest"]
    assert said == [*paths, ANEW]
    assert rows[-2].milliseconds == max(row.milliseconds for row in rows[:-2])
    assert [row.name for row in rows[-2:]] == [OURS, ANEW]
    assert rows[-1].ratio_to_ours == rows[-1].milliseconds / rows[-2].milliseconds
