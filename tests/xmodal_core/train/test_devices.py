"""Several devices that train together: two processes on a CPU, started as a cluster starts them."""

from __future__ import annotations

import multiprocessing
import os
import socket
from dataclasses import replace
from functools import partial

import torch

from xmodal_core.errors import XmodalError
from xmodal_core.train import loop
from xmodal_core.train.checkpoint import load_checkpoint
from xmodal_core.train.devices import News, complete
from xmodal_core.train.metrics import read_metrics

DEVICES = 2


def _process(rank, port, queue, train):
    os.environ.update(
        LOCAL_RANK=str(rank), NODE_RANK="0", WORLD_SIZE=str(DEVICES), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    try:
        queue.put((rank, train()))
    except XmodalError as error:
        queue.put((rank, error.message))
    finally:
        torch.distributed.destroy_process_group()


def _together(train):
    """What ``train`` gives in each of two processes: a result, or an error's message."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=_process, args=(rank, port, queue, train)) for rank in range(DEVICES)]
    for process in processes:
        process.start()
    outcomes = dict(queue.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(30)
    return outcomes


def _weights(folder):
    return dict(load_checkpoint(folder / "checkpoint.pt").method)


def test_two_devices_make_one_run_that_resumes_to_the_same(experiment, build, tmp_path):
    made = experiment(train__devices=2, train__batch_size=1, train__workers=0)
    outcomes = _together(partial(loop.pretrain, made, tmp_path / "whole", build=build))
    assert outcomes[0] == outcomes[1]
    # Five frames go round two devices in three steps an epoch; one frame is taken twice.
    assert (outcomes[0].steps, outcomes[0].frames) == (6, 12)
    assert [line["step"] for line in read_metrics(tmp_path / "whole")] == list(range(1, 7))

    asked = iter([False] * 4 + [True] * 9)
    stopped = _together(partial(loop.pretrain, made, tmp_path / "run", build=build, stop=lambda: next(asked)))
    assert "stopped after step 4 of 6" in stopped[0]
    assert stopped[0] == stopped[1]
    _together(partial(loop.resume, tmp_path / "run", build=build))
    torch.testing.assert_close(_weights(tmp_path / "run"), _weights(tmp_path / "whole"), rtol=0, atol=0)
    assert len(read_metrics(tmp_path / "run")) == 6


def test_a_frame_that_one_device_lacks_stops_neither(experiment, build, tmp_path):
    def without_some_cameras(made):
        parts = build(made)
        frame = parts.dataset.frame
        parts.dataset.frame = lambda index: replace(frame(index), cameras=()) if index == 2 else frame(index)
        return parts

    made = experiment(train__devices=2, train__batch_size=1, train__epochs=1, train__workers=0)
    outcomes = _together(partial(loop.pretrain, made, tmp_path / "run", build=without_some_cameras))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].skipped >= 1
    frames = [line["frames"] for line in read_metrics(tmp_path / "run")]
    assert set(frames) == {0, 2}  # both take a step, or neither
    assert sum(frames) == outcomes[0].frames


def test_what_ends_one_device_ends_all_with_the_same_words(experiment, build, tmp_path):
    def spoil(loss, batch):
        return loss * float("nan") if os.environ["LOCAL_RANK"] == "1" else loss

    made = experiment(train__devices=2, train__batch_size=1, train__workers=0)
    outcomes = _together(partial(loop.pretrain, made, tmp_path / "run", build=partial(build, meddle=spoil)))
    assert "the loss became nan at step 1" in outcomes[0]
    assert outcomes[0] == outcomes[1]
    outcomes = _together(partial(loop.pretrain, made, tmp_path / "run", build=build))
    assert "never overwritten" in outcomes[0]
    assert outcomes[0] == outcomes[1]


def test_a_batch_needs_a_frame_on_every_device():
    def news(*names):
        return News(names=names, skipped=(), failure=None, stop=False)

    assert complete([news(("a",), (), ("b", "c"))]) == [0, 2]
    assert complete([news(("a",), ("b",), ()), news(("c",), (), ("d",))]) == [0]
    assert complete([news()]) == []
