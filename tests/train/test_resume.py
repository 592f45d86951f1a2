"""A run that is killed and resumed equals one that was not, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mindvoxel.cli import train as command

COMMAND = [sys.executable, "-m", "mindvoxel.cli.train"]
TINY = ["--model", "vnet", "--recipe", "small", "--device_target", "CPU"]
TINY += ["--width", "2", "--down_convs", "1,1,1", "--up_convs", "1,1,1", "--patch_size", "8,16,16"]
TINY += ["--spacing_mm", "6,4,4", "--epochs", "4", "--eval_interval", "2", "--save_interval", "1", "--repeats", "1"]


@pytest.fixture(scope="module")
def flags(phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("split")
    (folder / "train.csv").write_text("".join(f"Case{i:02d}.mhd\n" for i in range(5)))
    (folder / "val.csv").write_text("Case05.mhd\n")
    return [*TINY, "--data_path", str(phantom), "--train_split_file_path", str(folder / "train.csv")]


def own_environment() -> dict[str, str]:
    """Without OMP_NUM_THREADS=1, which MindSpore sets below Python's own view when it is imported: another number of
    threads sums in another order."""
    return dict(os.environ)


def train(*words) -> None:
    """The command in a process of its own, as a user runs it."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, env=own_environment(), check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def undisturbed(flags, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    train(*flags, "--output_path", folder)
    return folder


def figures(folder) -> list[dict]:
    timeless = []
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        timeless.append({k: v for k, v in json.loads(line).items() if "seconds" not in k})
    return timeless


def parameters(path) -> dict[str, np.ndarray]:
    from mindvoxel.train import checkpoint

    return {name: value.asnumpy() for name, value in checkpoint.load(path)[1].items()}


def assert_equal_runs(one, other):
    assert figures(one) == figures(other)
    ours, theirs = parameters(one / "last.ckpt"), parameters(other / "last.ckpt")
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_two_runs_of_one_seed_are_equal(flags, undisturbed, tmp_path):
    train(*flags, "--output_path", tmp_path / "again")
    assert_equal_runs(undisturbed, tmp_path / "again")


def test_another_seed_is_another_run(flags, undisturbed, tmp_path):
    assert command.main([*flags, "--seed", "2", "--output_path", str(tmp_path / "other")]) == 0
    assert figures(undisturbed) != figures(tmp_path / "other")


def test_killed_and_resumed_equals_undisturbed(flags, undisturbed, tmp_path):
    folder = tmp_path / "killed"
    words = [*COMMAND, *flags, "--output_path", str(folder)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=own_environment())
    log = folder / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and len(log.read_text().splitlines()) >= 2):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # an epoch that no checkpoint holds is done again, and must not stand in the log twice
    with log.open("a") as file:
        file.write(json.dumps({"epoch": 5, "loss": 9.0}) + "\n")
    train("--model", "vnet", "--device_target", "CPU", "--resume", folder)
    assert_equal_runs(undisturbed, folder)


def test_a_finished_run_is_not_resumed_without_more_epochs(undisturbed, capsys):
    assert command.main(["--model", "vnet", "--device_target", "CPU", "--resume", str(undisturbed)]) == 2
    assert "its 4 epochs are done" in capsys.readouterr().err


def test_a_run_is_not_overwritten(flags, undisturbed, capsys):
    assert command.main([*flags, "--output_path", str(undisturbed)]) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_more_epochs_go_on_from_the_checkpoint(flags, undisturbed, tmp_path):
    import shutil

    folder = tmp_path / "longer"
    shutil.copytree(undisturbed, folder)
    words = ["--model", "vnet", "--device_target", "CPU", "--resume", str(folder), "--epochs", "5"]
    assert command.main(words) == 0
    assert [f["epoch"] for f in figures(folder)] == [1, 2, 3, 4, 5]
    assert figures(folder)[:4] == figures(undisturbed)


def test_weights_of_another_run_start_a_new_one(flags, undisturbed, tmp_path):
    words = [*flags, "--epochs", "1", "--learning_rate", "1e-12", "--ckpt_path", str(undisturbed / "last.ckpt")]
    assert command.main([*words, "--output_path", str(tmp_path / "tuned")]) == 0
    ours, theirs = parameters(tmp_path / "tuned" / "last.ckpt"), parameters(undisturbed / "last.ckpt")
    name = "downs.1.refine.0.conv.weight"
    assert np.allclose(ours[name], theirs[name], rtol=0, atol=1e-9)  # the learning rate is next to nothing
    assert figures(tmp_path / "tuned")[0]["step"] == 2


def test_a_compiled_step_is_kept_for_runs_of_the_same_graph_alone(flags, undisturbed, tmp_path):
    """MindSpore's own cache would take the first graph for any."""
    words = [*flags, "--epochs", "1", "--compile_cache", str(tmp_path / "cache")]
    for name, width in (("first", "2"), ("other", "3"), ("again", "2")):
        train(*words, "--width", width, "--output_path", tmp_path / name)
    assert_equal_runs(tmp_path / "first", tmp_path / "again")
    assert len(list((tmp_path / "cache").iterdir())) == 2
    sizes = [
        sum(value.size for value in parameters(tmp_path / name / "last.ckpt").values()) for name in ("first", "other")
    ]
    assert sizes[0] < sizes[1]
