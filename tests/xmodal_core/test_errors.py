"""Errors a person can act on: two lines and an exit code."""

from __future__ import annotations

import pickle

import pytest

from xmodal_core.errors import DataError, InputError, RunError, XmodalError


@pytest.mark.parametrize(("kind", "code"), [(InputError, 2), (DataError, 2), (RunError, 1), (XmodalError, 1)])
def test_each_kind_has_its_exit_code_and_both_lines(kind: type[XmodalError], code: int) -> None:
    error = kind("a file is missing", "fetch it")
    assert (error.message, error.hint, error.exit_code) == ("a file is missing", "fetch it", code)
    assert str(error) == "a file is missing (fetch it)"
    assert str(kind("a file is missing")) == "a file is missing"


def test_data_errors_are_input_errors_and_run_errors_are_not() -> None:
    assert issubclass(DataError, InputError)
    assert not issubclass(RunError, InputError)


@pytest.mark.parametrize("kind", [InputError, DataError, RunError])
def test_they_come_whole_out_of_a_worker_process(kind: type[XmodalError]) -> None:
    """Data is read in other processes; an exception travels from there as a pickle."""
    error = pickle.loads(pickle.dumps(kind("a file is missing", "fetch it")))
    assert type(error) is kind
    assert (error.message, error.hint) == ("a file is missing", "fetch it")
