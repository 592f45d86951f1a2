"""Training, resuming and evaluating by the entry points, on made-up photos."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ..conftest import ROOT
from .conftest import CLASSES, TINY, train


def figures(folder) -> list[dict]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if "seconds" not in k} for line in lines]


def parameters(path) -> dict[str, np.ndarray]:
    from mindvoxel.train import checkpoint

    return {name: value.asnumpy() for name, value in checkpoint.load(path)[1].items()}


def test_a_run_learns_and_leaves_what_others_read(run, cpu):
    from mindvoxel.train import checkpoint

    assert {path.name for path in run.iterdir()} == {
        "best.ckpt",
        "last.ckpt",
        "metrics.jsonl",
        "recipe.json",
        "train.log",
    }
    lines = figures(run)
    assert [line["step"] for line in lines] == [4, 8, 12, 16]
    assert lines[-1]["loss"] < lines[0]["loss"]
    best = max(line["val_top1"] for line in lines)
    assert best > 0.6  # chance: 1/6
    assert all(line["val_top5"] >= line["val_top1"] and line["val_loss"] > 0 for line in lines)
    meta, _ = checkpoint.load(run / "best.ckpt")
    assert meta["classes"] == list(CLASSES)
    assert meta["state"]["best"] == best
    assert "validation top-1" in (run / "train.log").read_text()


@pytest.mark.slow
def test_told_to_end_within_an_epoch_and_resumed_equals_undisturbed(run, photos, tmp_path, cpu):
    words = [*TINY, "--device_target", "CPU", "--data_path", photos, "--epochs", 4, "--output_path", tmp_path / "run"]
    words = [sys.executable, str(ROOT / "resnet50" / "train.py"), *map(str, words)]
    environment = dict(os.environ) | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "run" / "metrics.jsonl").exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    from mindvoxel.train import checkpoint

    assert 4 <= checkpoint.load(tmp_path / "run" / "last.ckpt")[0]["state"]["step"] < 16
    assert train("--resume", tmp_path / "run") == 0
    assert figures(tmp_path / "run") == figures(run)
    ours, theirs = parameters(tmp_path / "run" / "last.ckpt"), parameters(run / "last.ckpt")
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("entry", "words", "fault"),
    [
        ("train", ["--data_path", "PHOTOS"], "6 classes, but the network has 1000; give --num_classes 6"),
        ("train", [], "--data_path is needed: a folder with train/CLASS/PHOTO.JPEG"),
        ("train", ["--data_path", "PHOTOS", "--fold", "0"], "unrecognized arguments: --fold 0"),
        ("train", ["--data_path", "PHOTOS/train"], "train/train: no such folder"),
        ("train", ["--data_path", "PHOTOS", "--resume", "RUN"], "its 4 epochs are done"),
        ("train", ["--resume", "RUN", "--init_from", "RUN/best.ckpt"], "--init_from has no place beside --resume"),
        ("eval", ["--ckpt_path", "RUN/best.ckpt", "--prune", "2"], "--prune 2"),
        ("eval", ["--ckpt_path", "RUN/best.ckpt", "--tta", "full"], "unrecognized arguments: --tta full"),
        ("eval", ["--ckpt_path", "RUN/best.ckpt", "--crop_area", "0.1,1"], "unrecognized arguments: --crop_area 0.1,1"),
        ("eval", ["--ckpt_path", "RUN/best.ckpt", "--data_path", "PHOTOS/val"], "val/val: no such folder"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(run, photos, tmp_path, capfd, cpu, entry, words, fault):
    from importlib import import_module

    words = [word.replace("PHOTOS", str(photos)).replace("RUN", str(run)) for word in words]
    if "--resume" not in words:
        words += ["--output_path", str(tmp_path / "out")]
    module = import_module(f"mindvoxel.cli.{entry}")
    assert module.main(["--device_target", "CPU", *words], model="resnet50") == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and fault in error, error
