"""A run that is told to end leaves after its step and goes on from there; one that hangs says so and ends."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from mindvoxel.errors import Terminated
from mindvoxel.train.watch import WATCH

HANGS = """
import sys, time
from mindvoxel.train.watch import WATCH

WATCH.start(float(sys.argv[1]), "rank 3")
step = WATCH.watched(time.sleep, "a training step")
step(1.0)  # the first compiles
step(float(sys.argv[2]))
WATCH.stop()
time.sleep(1.0)
print("done")
"""


@pytest.fixture
def watch():
    WATCH.start(0, "this process")
    yield WATCH
    WATCH.stop()


def hang(limit_s, seconds) -> subprocess.CompletedProcess:
    words = [sys.executable, "-c", HANGS, str(limit_s), str(seconds)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_a_hang_ends_the_process_with_its_stacks_and_what_it_did():
    done = hang(0.5, 30)
    assert done.returncode == 1
    assert re.search(
        r"^error: rank 3 hangs: a training step has lasted \d+ s, and --watchdog_s is 0.5;", done.stderr, re.M
    )
    assert 'File "<string>", line 8' in done.stderr  # where it hangs


def test_a_first_batch_that_does_not_come_is_a_hang():
    program = HANGS.partition("step =")[0] + "WATCH.training(True)\ntime.sleep(30)\n"
    words = [sys.executable, "-c", program, "0.5"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode == 1
    assert "error: rank 3 hangs: what precedes the first step has lasted" in done.stderr


@pytest.mark.parametrize("limit_s", [0.5, 0])
def test_steps_shorter_than_the_limit_and_the_first_one_are_no_hang(limit_s):
    done = hang(limit_s, 0.2)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_sigterm_outside_of_training_ends_the_work_at_once(watch):
    with pytest.raises(Terminated, match="the last checkpoint is kept, go on with --resume"):
        os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_ends_the_segmentation_of_a_scan_at_its_next_window(watch, make_trainer):
    from mindvoxel.train.predict import foreground_predictor

    predict = foreground_predictor(make_trainer("O0").network)
    watch.training(True)
    os.kill(os.getpid(), signal.SIGTERM)  # not yet
    with pytest.raises(Terminated):
        predict(np.zeros((8, 16, 16), np.float32))


def test_the_handler_of_before_is_back_after_a_run():
    before = signal.getsignal(signal.SIGTERM)
    WATCH.start(0, "this process")
    assert signal.getsignal(signal.SIGTERM) != before
    WATCH.stop()
    assert signal.getsignal(signal.SIGTERM) == before


def values(parts) -> np.ndarray:
    return np.concatenate([p.asnumpy().ravel() for p in [*parts.network.get_parameters(), *parts.optimizer.moment1]])


def test_a_run_that_ends_within_an_epoch_goes_on_as_if_it_had_not(watch, make_trainer, tmp_path):
    from mindvoxel.train import builder, checkpoint

    def two_steps_an_epoch():
        parts = make_trainer("O0")
        object.__setattr__(parts.trainer.loader, "repeats", 2)
        return parts

    undisturbed, seen = two_steps_an_epoch(), []
    assert undisturbed.trainer.run(2, [seen.append])
    told = two_steps_an_epoch()
    train, ended = told.trainer.train, []

    def told_in_the_third_step(batch):
        if told.trainer.state.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return train(batch)

    told.trainer.train = told_in_the_third_step
    assert not told.trainer.run(2, [ended.append])
    assert (told.trainer.state.epoch, told.trainer.state.step, len(told.trainer.state.losses)) == (1, 3, 1)
    told.writer({"model": "vnet"})(tmp_path / "last.ckpt")
    meta, numbers = checkpoint.load(tmp_path / "last.ckpt")
    WATCH.stop()
    WATCH.start(0, "this process")
    later = two_steps_an_epoch()
    builder.restore(later, meta, numbers, "last.ckpt")
    assert later.trainer.run(2, [ended.append])
    assert [f["loss"] for f in ended] == [f["loss"] for f in seen]
    assert np.array_equal(values(later), values(undisturbed))
