"""The launchers called through unet3d/: DIM and FOLD stand where V-Net's have a CSV."""

import json
import os
import subprocess

from ..conftest import ROOT
from .test_run import TINY


def bash(*words, **variables) -> subprocess.CompletedProcess:
    environment = dict(os.environ) | {"DEVICE_TARGET": "CPU"} | {k: str(v) for k, v in variables.items()}
    words = ["bash", *map(str, words)]
    cwd = ROOT / "unet3d"
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_two_processes_then_an_evaluation(data, tmp_path):
    out, table = tmp_path / "run", ROOT / "scripts" / "hccl.json"
    words = [table, 2, data, 3, 0, *TINY, "--epochs", 1, "--batch_dice", "batch"]
    done = bash("scripts/train_distribute.sh", *words, OUTPUT=out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 steps an epoch of batch 2 on 2 device(s)" in done.stdout
    assert json.loads((out / "metrics.jsonl").read_text())["step"] == 2
    done = bash("scripts/eval.sh", 0, out / "best.ckpt", "--tta", "full", OUTPUT=tmp_path / "eval")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "eval" / "summary.json").read_text())["num_cases"] == 2


def test_a_fold_is_needed(data, tmp_path):
    done = bash("scripts/train_standalone.sh", 0, data, 3, OUTPUT=tmp_path / "run")
    assert done.returncode == 2
    assert "after DATA_PATH, DIM (2 or 3) and FOLD are needed" in done.stderr
    assert not (tmp_path / "run").exists()
