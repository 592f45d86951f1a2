"""Two and four processes that share a batch make the steps of one process with the whole batch."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mindvoxel.train.device import Device

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SPEC = importlib.util.spec_from_file_location("ranks_program", HERE / "ranks_program.py")
PROGRAM = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(PROGRAM)

# f32: sums over ranks are added up in another order
LARGEST_DIFFERENCE = 2e-5


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


@pytest.fixture(scope="module")
def alone(cpu) -> list[np.ndarray]:
    """Losses and weights of one process: U-Net, V-Net."""
    place = Device("CPU", 0)
    return [*PROGRAM.unet(place), *PROGRAM.vnet(place)]


@pytest.fixture(scope="module", params=[2, 4])
def ranks(request, tmp_path_factory) -> list[tuple[list[np.ndarray], dict]]:
    """What each of 2, then 4 ranks came to."""
    number, folder = request.param, tmp_path_factory.mktemp("ranks")
    words = [sys.executable, "-m", "mindspore.parallel.cluster.run", f"--worker_num={number}"]
    words += [f"--local_worker_num={number}", f"--master_port={free_port()}", "--join=True", f"--log_dir={folder}/log"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    variables = {"PYTHONPATH": path, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # it calls `python`
    done = subprocess.run(
        [*words, str(HERE / "ranks_program.py"), str(folder)],
        env=os.environ | variables | {"OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    found = []
    for rank in range(number):
        with np.load(folder / f"rank{rank}.npz") as arrays:
            found.append(
                ([arrays[name] for name in arrays.files], json.loads((folder / f"rank{rank}.json").read_text()))
            )
    return found


@pytest.mark.slow
def test_losses_and_weights_equal_those_of_one_process(ranks, alone):
    """U-Net with instance norm, batch Dice over all ranks, clipping by the norm of the mean gradient; V-Net with
    synchronised batch norm, its running statistics included."""
    for arrays, _ in ranks:
        for got, wanted in zip(arrays, alone, strict=True):
            assert np.abs(got - wanted).max() < LARGEST_DIFFERENCE
    assert abs(alone[0][0] - alone[0][1]) > 1e-3  # the first step made a difference
    assert abs(alone[2][0] - alone[2][1]) > 1e-3


@pytest.mark.slow
def test_every_rank_has_the_same_weights(ranks):
    first = ranks[0][0]
    for arrays, _ in ranks[1:]:
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(first, arrays, strict=True))


@pytest.mark.slow
def test_an_overflow_on_one_rank_skips_the_step_on_all(ranks):
    assert [told["overflow"] for _, told in ranks] == [{"finite": False, "kept": True}] * len(ranks)


@pytest.mark.slow
def test_ranks_share_out_and_join(ranks):
    for _, told in ranks:
        talk = told["talk"]
        assert talk["joined"] == [0, 1, 4, 9, 16]
        assert talk["none"] == []
        assert talk["any"] == [False, True]
        assert talk["lengths"] == [100 * rank for rank in range(len(ranks))]
        assert talk["numbers"] == [[0.1 + rank, float("inf"), None] for rank in range(len(ranks))]
