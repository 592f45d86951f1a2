"""A U-Net trained through the real commands: what a run leaves, how it goes on, what it refuses."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from mindvoxel.cli import eval as evaluate
from mindvoxel.cli import train
from mindvoxel.volume import read_volume

from ..conftest import ROOT

COMMAND = [sys.executable, "-m", "mindvoxel.cli.train"]
CPU = ["--model", "unet3d", "--device_target", "CPU"]
TINY = ["--recipe", "small", "--first_filters", "2", "--epochs", "3", "--steps_per_epoch", "2", "--batch_size", "2"]
TINY += ["--val_steps", "1", "--num_workers", "0", "--fold", "0"]


def own_environment() -> dict[str, str]:
    """Without OMP_NUM_THREADS=1, which MindSpore sets below Python's own view when it is imported."""
    return dict(os.environ)


def in_own_process(*words) -> None:
    """The command as a user runs it."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, env=own_environment(), check=False
    )
    assert done.returncode == 0, done.stderr


def run(*words) -> None:
    """The command in this process."""
    assert train.main([*CPU, *map(str, words)]) == 0


def refused(capfd, *words) -> str:
    """Status 2 and one line on standard error beside progress bars."""
    capfd.readouterr()
    assert train.main([*CPU, *map(str, words)]) == 2
    lines = [line for line in re.split(r"[\r\n]+", capfd.readouterr().err) if line and not re.search(r"\d+%\|", line)]
    assert len(lines) == 1, lines
    return lines[0]


def figures(folder) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "seconds" not in k} for line in lines]


def parameters(path) -> dict[str, np.ndarray]:
    from mindvoxel.train import checkpoint

    return {name: value.asnumpy() for name, value in checkpoint.load(path)[1].items()}


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """Three epochs in 3-D with all that a default run does: SGD, deep supervision, clipping, augmentation."""
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    words = ["--data_path", data, "--dim", 3, "--output_path", folder, "--keep_interval", 2, "--val_interval", 2]
    in_own_process(*CPU, *TINY, *words)
    return folder


def test_a_run_leaves_what_is_needed_without_the_data(undisturbed, data):
    names = {path.name for path in undisturbed.iterdir()}
    wanted = {"recipe.json", "plan.json", "dataset.json", "last.ckpt", "best.ckpt", "epoch_2.ckpt", "metrics.jsonl"}
    assert {name for name in names if name.startswith("epoch_")} == {"epoch_2.ckpt"}
    assert wanted | {"train.log", "validation"} <= names
    assert json.loads((undisturbed / "plan.json").read_text()) == json.loads((data / "plan.json").read_text())
    record = json.loads((undisturbed / "recipe.json").read_text())
    assert (record["fold"], record["configuration"]) == (0, "3d_fullres")
    assert record["recipe"]["train"]["steps_per_epoch"] == 2


def test_metrics_name_the_proxy_and_the_real_dice(undisturbed):
    lines = figures(undisturbed)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    for line in lines:
        assert set(line["val_patch_dice_by_class"]) == {"organ", "lesion"}
        assert np.isclose(line["val_patch_dice"], np.mean(list(line["val_patch_dice_by_class"].values())))
    assert np.isclose(
        lines[1]["val_patch_dice_ema"], 0.9 * lines[0]["val_patch_dice"] + 0.1 * lines[1]["val_patch_dice"]
    )
    assert ["val_dice" in line for line in lines] == [False, True, False]
    poly = [0.05 * (1 - step / 6) ** 0.9 for step in (1, 3, 5)]  # of the last step of each epoch
    assert [line["learning_rate"] for line in lines] == pytest.approx(poly)
    assert "val_patch_dice (proxy)" in (undisturbed / "train.log").read_text()


def test_masks_lie_on_the_grid_of_their_scans_and_hold_the_data_set_s_values(undisturbed, source):
    held_out = json.loads((undisturbed / "recipe.json").read_text())["val_cases"]
    assert len(held_out) == 2
    for name in held_out:
        mask = read_volume(undisturbed / "validation" / f"{name}.nii.gz")
        truth = read_volume(source / "labelsTr" / f"{name}.nii.gz")
        assert mask.shape == truth.shape
        assert np.allclose(mask.direction, truth.direction)
        assert set(np.unique(mask.voxels)) <= {0, 1, 4}
    summary = json.loads((undisturbed / "validation" / "summary.json").read_text())
    assert set(summary["labels"]) == {"organ", "lesion"}
    assert summary["num_cases"] == 2


def killed_before(step: int, *words) -> None:
    """The command in its own process, which SIGKILL ends before the step of this number, from 1."""
    flags = [ROOT / "tests" / "train" / "killed.py", step, *words]
    done = subprocess.run(
        [sys.executable, *map(str, flags)], capture_output=True, text=True, env=own_environment(), check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def assert_equal_checkpoints(ours, theirs) -> None:
    """The same parameters, bit for bit, and the same state of the run."""
    from mindvoxel.train import checkpoint

    assert checkpoint.load(ours)[0]["state"] == checkpoint.load(theirs)[0]["state"]
    ours, theirs = parameters(ours), parameters(theirs)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_killed_within_an_epoch_and_resumed_equals_undisturbed(data, undisturbed, tmp_path):
    folder = tmp_path / "killed"
    words = ["--data_path", data, "--dim", 3, "--output_path", folder, "--keep_interval", 2, "--val_interval", 2]
    killed_before(4, *CPU, *TINY, *words)
    assert [line["epoch"] for line in figures(folder)] == [1]  # one step of the second is lost
    assert not (folder / "validation").exists()
    in_own_process(*CPU, *TINY, *words, "--continue_training", "--num_workers", 1)
    assert figures(folder) == figures(undisturbed)
    for name in ("best.ckpt", "epoch_2.ckpt", "last.ckpt"):
        assert_equal_checkpoints(folder / name, undisturbed / name)
    ours, theirs = ((run / "validation" / "metrics.csv").read_text() for run in (folder, undisturbed))
    assert ours == theirs


def test_more_epochs_then_the_scans_alone_then_without_the_preprocessed_folder(undisturbed, data, tmp_path, capfd):
    folder = tmp_path / "longer"
    shutil.copytree(undisturbed, folder)
    run("--resume", folder, "--extend_epochs", 1, "--validate", "false")
    assert [line["epoch"] for line in figures(folder)] == [1, 2, 3, 4]
    before = parameters(folder / "last.ckpt")
    shutil.rmtree(folder / "validation")
    run("--resume", folder, "--extend_epochs", 1, "--validation_only")
    assert len(figures(folder)) == 4
    assert all(np.array_equal(before[name], value) for name, value in parameters(folder / "last.ckpt").items())
    shutil.move(data, f"{data}-moved")
    try:
        assert evaluate.main([*CPU, "--ckpt_path", str(folder / "last.ckpt")]) == 0
        assert "is gone: the scans are preprocessed anew" in capfd.readouterr().out
    finally:
        shutil.move(f"{data}-moved", data)
    ours, theirs = ((folder / name / "metrics.csv").read_text() for name in ("eval-last", "validation"))
    assert ours == theirs


def test_weights_of_another_network_start_a_new_one_with_a_table(undisturbed, data, tmp_path, capfd):
    words = [
        "--data_path",
        data,
        "--dim",
        3,
        "--output_path",
        tmp_path / "new",
        "--init_from",
        undisturbed / "best.ckpt",
    ]
    run(*TINY, *words, "--other_use", "fps", "--bench_steps", 3, "--bench_warmup_steps", 1, "--form", "nnunet_v1")
    said = capfd.readouterr().out
    assert re.search(r"best\.ckpt: \d+ parameters loaded, \d+ mismatched, 0 absent, \d+ skipped", said)
    assert re.search(r"^skipped +ups\.0\.bias ", said, re.MULTILINE)
    for name in ("throughput_train", "latency_train_mean", "latency_train_99", "data_wait_mean", "compute_mean"):
        assert re.search(rf"^{name}: [\d.]+ ", said, re.MULTILINE)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"train.log"}
    said = refused(capfd, *TINY, *words, "--first_filters", 3, "--init_from", tmp_path / "none.ckpt")
    assert "none.ckpt: no such checkpoint" in said


def test_a_loss_that_is_not_finite_ends_the_run_with_the_cases(copy, tmp_path, capfd):
    for path in (copy / "2d").glob("*.image.npy"):
        image = np.load(path)
        image[:] = np.nan
        np.save(path, image)
    words = [*TINY, "--augment", "none", "--data_path", copy, "--dim", 2, "--output_path", tmp_path / "out"]
    assert train.main([*CPU, *map(str, words)]) == 1
    assert re.search(
        r"error: the loss is nan at step 1 \(epoch 1\), in a batch of the cases case_\d, ", capfd.readouterr().err
    )
    assert not list((tmp_path / "out").glob("*.ckpt"))


@pytest.fixture
def copy(data, tmp_path):
    """A copy to damage."""
    return shutil.copytree(data, tmp_path / "copy")


def test_stale_and_foreign_data_are_refused(copy, tmp_path, capfd):
    words = [*TINY, "--data_path", copy, "--dim", 3, "--output_path", tmp_path / "out"]
    (copy / "3d_fullres" / "case_3.case.json").unlink()
    assert "1 cases of the fold are not preprocessed (first: case_3)" in refused(capfd, *words)
    plan = json.loads((copy / "plan.json").read_text())
    plan["configurations"]["3d_fullres"]["spacing_mm"] = [3.0, 1.0, 1.0]
    (copy / "plan.json").write_text(json.dumps(plan))
    assert "spacing_mm was (2.0, 1.0, 1.0), is (3.0, 1.0, 1.0)" in refused(capfd, *words)
    plan["labels"] = {"background": 0, "organ": 1, "tumour": 4}
    (copy / "plan.json").write_text(json.dumps(plan))
    assert "both must be of one data set" in refused(capfd, *words)
    assert not list((tmp_path / "out").glob("*.ckpt"))


@pytest.mark.parametrize(
    ("words", "saying"),
    [
        (["--dim", 3], "--fold is needed"),
        (["--fold", 0], "--dim is needed, 2 or 3, or --configuration"),
        (["--fold", 0, "--dim", 4], "--dim: invalid choice: 4"),
        (
            ["--fold", 0, "--dim", 2, "--configuration", "3d_fullres"],
            "--configuration 3d_fullres is 3-D and --dim is 2",
        ),
        (["--fold", 0, "--configuration", "3d_lowres"], "no configuration 3d_lowres; choose one of 2d, 3d_fullres"),
        (["--fold", -1, "--dim", 3], "fold must be 0 or more"),
        (["--fold", 0, "--dim", 3, "--norm", "layer"], "network.norm must be one of instance, batch, group, none"),
        (["--fold", 0, "--dim", 3, "--norm", "group", "--first_filters", 8], "32 groups of --norm group"),
        (["--fold", 0, "--dim", 3, "--extend_epochs", 2], "--extend_epochs goes on with a run"),
        (["--fold", 0, "--dim", 3, "--validation_only"], "--validation_only goes on with a run"),
        (
            ["--fold", 0, "--dim", 2, "--augment", "nvidia", "--batch_size", 3],
            "3 slices does not divide among 2 volumes",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(data, tmp_path, capfd, words, saying):
    assert saying in refused(capfd, "--data_path", data, *words, "--output_path", tmp_path / "out")


def test_a_folder_that_is_no_preprocessed_one_is_refused(source, tmp_path, capfd):
    words = ["--dim", 3, "--fold", 0, "--output_path", tmp_path / "out"]
    assert "plan.json: no such file; write a plan" in refused(capfd, *words, "--data_path", source)
    assert "no such folder" in refused(capfd, *words, "--data_path", tmp_path / "absent")
    assert "--data_path is needed" in refused(capfd, *words)
