"""The launchers of the published flow, called through unetpp/."""

import os
import re
import subprocess
import sys

import pytest

from ..conftest import ROOT
from .conftest import TINY

TABLE = ROOT / "scripts" / "hccl.json"
FAKE_PYTHON = """#!/usr/bin/env bash
# stands in for python: notes how it was called
echo "$*" >>"$CALLS"
"""


def bash(*words, cwd=ROOT / "unetpp", **variables) -> subprocess.CompletedProcess:
    environment = dict(os.environ) | {"DEVICE_TARGET": "CPU", "PYTHON": sys.executable}
    environment |= {k: str(v) for k, v in variables.items()}
    words = ["bash", *map(str, words)]
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.slow
def test_the_throughput_of_all_devices_is_printed_once(flow, tmp_path):
    words = [TABLE, flow / "liver", *TINY, "--bench_warmup_steps", 1, "--bench_steps", 3]
    done = bash("scripts/train_performance_8p.sh", *words, DEVICE_NUM=2, OUTPUT=tmp_path / "speed")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "of batch 4 on 2 device(s)" in done.stdout
    (throughput,) = re.findall(r"throughput_train: ([\d.]+)", done.stdout)
    (latency_ms,) = re.findall(r"latency_train_mean: ([\d.]+)", done.stdout)
    assert float(throughput) == pytest.approx(8 * 1000 / float(latency_ms), rel=1e-3)  # the plan's patches a step
    assert not list((tmp_path / "speed").glob("*.ckpt"))


@pytest.mark.parametrize(("name", "extra"), [("full", ""), ("performance", "--other_use fps ")])
@pytest.mark.parametrize("devices", [1, 8])
def test_the_commands_of_the_launchers(tmp_path, name, extra, devices):
    program = tmp_path / "python"
    program.write_text(FAKE_PYTHON)
    program.chmod(0o755)
    fake = {"PYTHON": program, "CALLS": tmp_path / "calls", "DEVICE_TARGET": "Ascend"}
    script = ROOT / "unetpp" / "scripts" / f"train_{name}_{devices}p.sh"
    done = bash(script, *["msrun"][: devices // 8], "data", "--fold", "2", cwd=tmp_path, **fake)
    assert done.returncode == 0, done.stdout + done.stderr
    call = (tmp_path / "calls").read_text().splitlines()[-1]
    assert " --model unetpp" in call
    assert f"--output_path results/unetpp-{name}_{devices}p" in call
    dbs = "--dbs " if devices == 8 else ""
    timed = f"{extra}--bench_warmup_steps 10 --bench_steps 100 " if extra else ""
    assert f"--data_path data --dim 3 --fold 0 {dbs}{timed}--fold 2" in call
    assert ("--table msrun --device_num 8" in call) is (devices == 8)


@pytest.mark.parametrize(
    ("script", "needed"),
    [
        ("train_full_1p.sh", "DATA_PATH [FLAGS…]"),
        ("train_performance_1p.sh", "DATA_PATH [FLAGS…]"),
        ("train_full_8p.sh", "RANK_TABLE_FILE|msrun DATA_PATH [FLAGS…]"),
        ("train_performance_8p.sh", "RANK_TABLE_FILE|msrun DATA_PATH [FLAGS…]"),
    ],
)
def test_too_few_arguments_print_the_usage_and_scans_are_refused(tmp_path, script, needed):
    done = bash(ROOT / "unetpp" / "scripts" / script, cwd=tmp_path)
    assert (done.returncode, f"{script} {needed}" in done.stderr) == (2, True)
    done = bash(ROOT / "vnet" / "scripts" / script, "table", "data", cwd=tmp_path)
    assert (done.returncode, "MODEL=vnet trains on scans" in done.stderr) == (2, True)
    assert not list(tmp_path.iterdir())
