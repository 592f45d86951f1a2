"""A 2-D run by NVIDIA's recipe, RAdam and lookahead: its rates, its checkpoints; killed and gone on with; used."""

import numpy as np
import pytest

from mindvoxel.cli import eval as evaluate
from mindvoxel.cli import export

from .test_run import CPU, assert_equal_checkpoints, figures, killed_before, parameters, run

FLAT = ["--recipe", "nvidia", "--dim", 2, "--fold", 1, "--first_filters", 2, "--batch_size", 4, "--nvol", 2]
FLAT += ["--optimizer", "radam", "--lookahead", "true", "--cosine_annealing_first_cycle_steps", 2, "--val_steps", 1]
FLAT += ["--epochs", 5, "--save_interval", 3, "--keep_interval", 2, "--num_workers", 0, "--validate", "false"]


@pytest.fixture(scope="module")
def flat(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flat") / "run"
    run(*FLAT, "--data_path", data, "--output_path", folder)
    return folder


def test_an_epoch_shows_each_case_once_and_the_rate_restarts_lower(flat):
    lines = figures(flat)
    assert [line["step"] for line in lines] == [3, 6, 9, 12, 15]  # five cases, of which two fill a batch
    # cycles of 2, 4, 8 and 16 steps; the last step of an epoch is step 0 of the second, 3 of it, 2 of the third, …
    waves = [(0.95, 0 / 4), (0.95, 3 / 4), (0.95**2, 2 / 8), (0.95**2, 5 / 8), (0.95**3, 0 / 16)]
    rates = [3e-4 * (0.1 + 0.9 * peak * (1 + np.cos(np.pi * share)) / 2) for peak, share in waves]
    assert [line["learning_rate"] for line in lines] == pytest.approx(rates)


def test_lookahead_pulls_back_each_sixth_step(flat):
    assert {path.name for path in flat.glob("epoch_*")} == {"epoch_2.ckpt", "epoch_4.ckpt"}
    equal = []
    for name in ("epoch_2.ckpt", "epoch_4.ckpt", "last.ckpt"):
        values = parameters(flat / name)
        slow = {key.removeprefix("optimizer:slow."): value for key, value in values.items() if ":slow." in key}
        assert slow.keys() >= {"downs.0.0.conv.weight", "heads.0.bias"}
        equal.append(all(np.array_equal(values[key], value) for key, value in slow.items()))
        assert any(key.startswith("optimizer:radam_second.") for key in values)
    assert equal == [True, True, False]  # after 6, 12 and 15 steps


def test_killed_within_an_epoch_and_resumed_equals_undisturbed(flat, data, tmp_path):
    """After an epoch that no checkpoint holds, between two pulls of lookahead, past RAdam's plain steps."""
    folder = tmp_path / "killed"
    killed_before(14, *CPU, *FLAT, "--data_path", data, "--output_path", folder)
    assert [line["epoch"] for line in figures(folder)] == [1, 2, 3, 4]
    assert int(parameters(folder / "last.ckpt")["optimizer:lookahead_count"]) == 9
    run("--resume", folder)
    assert figures(folder) == figures(flat)
    for name in ("best.ckpt", "epoch_2.ckpt", "epoch_4.ckpt", "last.ckpt"):
        assert_equal_checkpoints(folder / name, flat / name)


def test_evaluated_and_exported(flat, tmp_path, capfd):
    words = ["--ckpt_path", str(flat / "last.ckpt"), "--tta", "full", "--output_path", str(tmp_path / "eval")]
    assert evaluate.main([*CPU, *words]) == 0
    names = {path.name for path in (tmp_path / "eval").iterdir()}
    assert {"metrics.csv", "summary.json"} <= names
    assert len([name for name in names if name.endswith(".nii.gz")]) == 1
    words = ["--ckpt_file", flat / "last.ckpt", "--file_name", tmp_path / "flat", "--file_format", "ONNX"]
    assert export.main([*CPU, *map(str, words)]) == 0
    assert "input (1, 4, 20, 16) float32" in capfd.readouterr().out
