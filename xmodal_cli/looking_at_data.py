"""Which frames of a data set ``xmodal data`` looks at, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xmodal_core.datasets.base import Dataset
    from xmodal_core.inspection.frames import Sample


def chosen_frames(frame: str | None, wanted: int, count: int) -> Sequence[int]:
    """The frames that ``--frame`` names; without it ``wanted`` of all ``count``, evenly spread.

    Raises:
        InputError: it names no frame, or only such as there are not.
    """
    from xmodal_cli.frames import frame_numbers
    from xmodal_core.train.plan import evenly_spread

    return evenly_spread(count, wanted).tolist() if frame is None else frame_numbers(frame, count)


def read_sample(dataset: Dataset, numbers: Sequence[int], *, pictures: bool, skip_bad: bool) -> Sample:
    """What is in the frames ``numbers``, with a bar, until Ctrl-C."""
    from xmodal_cli.console import progress
    from xmodal_cli.stopping import stop_when_asked
    from xmodal_core.inspection.frames import sample

    with progress() as bar, stop_when_asked() as stop:
        task = bar.add_task("reading", total=len(numbers), note="")
        return sample(
            dataset,
            numbers,
            pictures=pictures,
            skip_bad=skip_bad,
            on_frame=lambda done: bar.update(task, completed=done),
            stop=stop,
        )


@contextmanager
def patience(words: str) -> Iterator[None]:
    """A sign of life while something takes long that cannot be counted."""
    from xmodal_cli.console import err

    with err.status(words):
        yield
