"""Two processes that share a batch make the step of one process with the whole batch: batch Dice, clipping."""

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


@pytest.mark.slow
def test_two_ranks_equal_one(cpu, tmp_path):
    spec = importlib.util.spec_from_file_location("two_ranks", HERE / "two_ranks.py")
    two_ranks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(two_ranks)
    want = np.array([two_ranks.weights_after_a_step(0, 1, max_norm) for max_norm in two_ranks.MAX_NORMS])
    words = [sys.executable, "-m", "mindspore.parallel.cluster.run", "--worker_num=2", "--local_worker_num=2"]
    words += [f"--master_port={free_port()}", "--join=True", f"--log_dir={tmp_path / 'log'}"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    variables = {"PYTHONPATH": path, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # it calls `python`
    done = subprocess.run(
        [*map(str, words), str(HERE / "two_ranks.py"), str(tmp_path)],
        env=os.environ | variables,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    ranks = [np.load(tmp_path / f"rank{rank}.npy") for rank in range(2)]
    assert np.array_equal(*ranks)
    assert np.abs(ranks[0] - want).max() < 1e-5
    assert np.abs(want[0] - want[1]).max() > 1e-3  # clipping made a difference
