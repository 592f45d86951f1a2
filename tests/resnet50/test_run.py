"""Training, resuming and evaluating by the entry points, on made-up photos."""

import json
import signal
import subprocess
import time

import numpy as np
import pytest

from ..conftest import ROOT
from .conftest import CLASSES, TINY, command, command_words


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
def test_an_evaluation_counts_every_photo(run, photos):
    done = command("eval", "--ckpt_path", run / "best.ckpt", "--data_path", photos, "--eval_batch_size", "20")
    assert done.returncode == 0, done.stderr
    rows = (run / "eval-best" / "metrics.csv").read_text().splitlines()
    summary = json.loads((run / "eval-best" / "summary.json").read_text())
    assert len(rows) == 1 + 48 and rows[0] == "photo,class,predicted,rank,loss"
    assert (summary["num_photos"], list(summary["classes"])) == (48, list(CLASSES))
    right = sum(row.split(",")[1] == row.split(",")[2] for row in rows[1:])
    best = max(figures(run), key=lambda line: line["val_top1"])
    assert summary["top1"] == right / 48 == best["val_top1"]
    assert summary["loss"] == pytest.approx(best["val_loss"], rel=1e-4)
    assert "all classes" in done.stdout and "masks" not in done.stdout


@pytest.mark.slow
def test_told_to_end_within_an_epoch_and_resumed_equals_undisturbed(run, photos, tmp_path, cpu):
    words = command_words("train", *TINY, "--data_path", photos, "--epochs", 4, "--output_path", tmp_path / "run")
    with subprocess.Popen(words[0], env=words[1], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "run" / "metrics.jsonl").exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    stopped = json.loads(str(checkpoint_meta(tmp_path / "run" / "last.ckpt")))
    assert 4 <= stopped["state"]["step"] < 16
    done = command("train", "--resume", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert figures(tmp_path / "run") == figures(run)
    ours, theirs = parameters(tmp_path / "run" / "last.ckpt"), parameters(run / "last.ckpt")
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def checkpoint_meta(path) -> str:
    from mindvoxel.train import checkpoint

    return json.dumps(checkpoint.load(path)[0])


@pytest.mark.slow
def test_two_ranks_by_msrun_from_weights_of_other_classes(run, photos, tmp_path):
    """LARS; the last layer is new, as there are fewer classes. Rank 0 validates 12 photos in two batches, as rank 1."""
    few = tmp_path / "few"
    for split in ("train", "val"):
        (few / split).mkdir(parents=True)
        for name in CLASSES[:3]:
            (few / split / name).symlink_to(photos / split / name)
    flags = [*TINY, "--num_classes", 3, "--optimizer", "lars", "--learning_rate", 1, "--scheduler", "poly"]
    flags += ["--batch_size", 6, "--epochs", 2, "--init_from", run / "best.ckpt"]
    script = ROOT / "resnet50" / "scripts" / "train_distribute.sh"
    words, environment = command_words("train", *flags)
    words = ["bash", script, "msrun", "2", few, *words[2:]]
    environment["OUTPUT"] = str(tmp_path / "run")
    done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 steps an epoch of batch 6 on 2 device(s)" in done.stdout
    assert "2 mismatched, 0 absent" in done.stdout
    last = figures(tmp_path / "run")[-1]
    assert last["val_top5"] == 1  # of three classes, on all 24 photos
    assert last["val_top1"] * 24 == pytest.approx(round(last["val_top1"] * 24))


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
