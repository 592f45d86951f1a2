"""Two processes on the CPU through the launchers that users call: shared work, and ranks that die."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from mindvoxel.cli import train

from ..conftest import needs_mpirun

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 24  # enough to be disturbed in three times
TINY = ["--recipe", "small", "--first_filters", "2", "--epochs", str(EPOCHS), "--steps_per_epoch", "3"]
TINY += ["--val_steps", "1", "--num_workers", "0", "--val_interval", str(EPOCHS)]
OF_TWO = [*TINY, "--batch_size", "1"]
# From a fault to the end of the launcher, s.
LONGEST_END_S = 30.0


class Launched:
    """A launcher at work in `folder`, called through unet3d/, by `way`: msrun or mpirun."""

    def __init__(self, way: str, data: Path, folder: Path, *flags):
        self.folder = folder
        script, *first = {
            "msrun": ("train_distribute.sh", "msrun", 2),
            "mpirun": ("train_distribute_gpu.sh", 2, "0,1"),
        }[way]
        words = ["bash", ROOT / "unet3d" / "scripts" / script, *first, data, 3, 0, *flags]
        variables = {"DEVICE_TARGET": "CPU", "OUTPUT": str(folder), "PYTHON": sys.executable}
        self.process = subprocess.Popen(
            [str(word) for word in words],
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def figures(self) -> list[dict]:
        return figures(self.folder)

    def rank(self, number: int) -> psutil.Process:
        """The training process of a rank."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            own = process.environ()
            names = ("OMPI_COMM_WORLD_RANK", "MS_NODE_ID")
            found = [own[name] for name in names if name in own and own.get("MS_ROLE") != "MS_SCHED"]
            if found == [str(number)] and "--run_distribute" in process.cmdline():
                return process
        raise AssertionError(f"no process of rank {number}")

    def wait_for_epoch(self, number: int) -> None:
        deadline = time.monotonic() + 300
        while len(self.figures()) < number:
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self) -> tuple[int, str]:
        """Exit status and what stood on the screen."""
        screen, _ = self.process.communicate(timeout=400)
        return self.process.returncode, screen

    def end_soon(self, after: float) -> tuple[int, str]:
        """As end, in time, with nothing left behind."""
        status, screen = self.end()
        assert time.monotonic() - after < LONGEST_END_S
        left = [p for p in psutil.process_iter(["cmdline"]) if str(self.folder) in " ".join(p.info["cmdline"] or ())]
        assert not left
        return status, screen


def figures(folder: Path) -> list[dict]:
    path = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{k: v for k, v in line.items() if "seconds" not in k} for line in lines]


def parameters(path: Path) -> dict[str, np.ndarray]:
    from mindvoxel.train import checkpoint

    return {name: value.asnumpy() for name, value in checkpoint.load(path)[1].items()}


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory) -> Path:
    """The run of two ranks, by msrun."""
    folder = tmp_path_factory.mktemp("ranks") / "undisturbed"
    status, screen = Launched("msrun", data, folder, *OF_TWO).end()
    assert status == 0, screen
    return folder


@pytest.mark.slow
def test_two_ranks_train_and_validate_as_one_with_the_whole_batch(undisturbed, data, tmp_path):
    words = ["--model", "unet3d", "--device_target", "CPU", *TINY, "--batch_size", "2", "--data_path", data]
    words += ["--dim", 3, "--fold", 0, "--output_path", tmp_path / "one"]
    assert train.main([str(word) for word in words]) == 0
    ours, alone = figures(undisturbed), figures(tmp_path / "one")
    assert len(ours) == len(alone) == EPOCHS
    for got, wanted in zip(ours[:3], alone[:3], strict=True):
        for name in ("loss", "val_loss", "val_patch_dice", "val_patch_dice_ema"):
            assert abs(got[name] - wanted[name]) < 1e-3, name
    summary, whole = (
        json.loads((run / "validation" / "summary.json").read_text()) for run in (undisturbed, tmp_path / "one")
    )
    assert summary["num_cases"] == whole["num_cases"] == 2
    masks, wanted = ({p.name for p in (run / "validation").iterdir()} for run in (undisturbed, tmp_path / "one"))
    assert masks == wanted


@pytest.mark.slow
def test_only_rank_0_speaks_and_writes(undisturbed):
    logs = [(undisturbed / "ranks" / f"worker_{rank}.log").read_text() for rank in range(2)]
    assert f"epoch {EPOCHS}/{EPOCHS}" in logs[0]
    assert "epoch" not in logs[1]
    names = {path.name for path in undisturbed.iterdir()}
    written = {"best.ckpt", "last.ckpt", "metrics.jsonl", "recipe.json", "plan.json", "dataset.json", "train.log"}
    assert names == written | {"progress.png", "screen.log", "ranks", "validation"}


@needs_mpirun
@pytest.mark.slow
def test_killed_stopped_and_told_to_end_it_goes_on_as_if_undisturbed(undisturbed, data, tmp_path):
    """A rank killed under mpirun, one that hangs under msrun, then SIGTERM; resumed each time, it ends with the weights
    and figures of the run that nothing happened to."""
    folder = tmp_path / "run"
    run = Launched("mpirun", data, folder, *OF_TWO)
    run.wait_for_epoch(2)
    run.rank(1).send_signal(signal.SIGKILL)
    status, screen = run.end_soon(time.monotonic())
    assert status not in (0, 143)
    assert screen.strip().splitlines()[-1].startswith("error: rank 1 ended first, without a word: killed by a signal")

    run, done = Launched("msrun", data, folder, "--resume", folder, "--watchdog_s", 6), len(figures(folder))
    run.wait_for_epoch(done + 2)
    hung = run.rank(1)
    hung.send_signal(signal.SIGSTOP)
    status, screen = run.end_soon(time.monotonic())
    assert status not in (0, 143)
    *_, where, error = screen.strip().splitlines()
    assert where.startswith("rank 0 failed first, its log is ")
    assert error.startswith("error: rank 0 hangs: a training step has lasted")

    run, done = Launched("mpirun", data, folder, "--resume", folder), len(figures(folder))
    run.wait_for_epoch(done + 2)
    run.process.send_signal(signal.SIGTERM)
    status, screen = run.end_soon(time.monotonic())
    assert status == 143
    assert f"saved in {folder}, go on with --resume {folder}" in screen

    done = len(figures(folder))
    assert done < EPOCHS
    status, screen = Launched("msrun", data, folder, "--resume", folder).end()
    assert status == 0, screen
    assert figures(folder) == figures(undisturbed)
    ours, theirs = parameters(folder / "last.ckpt"), parameters(undisturbed / "last.ckpt")
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
