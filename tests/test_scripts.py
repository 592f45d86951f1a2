"""The published commands, run on the CPU as a user runs them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mindvoxel.rank_table import Entry, merge, table_of

from .conftest import needs_mpirun

ROOT = Path(__file__).resolve().parents[1]
TINY = ["--recipe", "small", "--width", "2", "--down_convs", "1,1", "--up_convs", "1,1", "--patch_size", "8,16,16"]
TINY += ["--spacing_mm", "6,4,4", "--epochs", "1", "--repeats", "1"]


def bash(*words, cwd, **variables) -> subprocess.CompletedProcess:
    # without OMP_NUM_THREADS=1, which MindSpore sets below Python's own view when it is imported
    environment = dict(os.environ) | {"DEVICE_TARGET": "CPU"} | {k: str(v) for k, v in variables.items()}
    words = ["bash", *map(str, words)]
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def work(phantom, tmp_path_factory) -> Path:
    """A folder with `data` and `split`, far from the checkout, so that every path below is relative to it."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "data").symlink_to(phantom)
    (folder / "split").mkdir()
    (folder / "split" / "train.csv").write_text("".join(f"Case{i:02d}.mhd\n" for i in range(4)))
    (folder / "split" / "val.csv").write_text("Case04.mhd\nCase05.mhd\n")
    return folder


@pytest.fixture(scope="module")
def trained(work) -> Path:
    """train_standalone.sh called through vnet/, which chooses the model, with relative paths."""
    script = ROOT / "vnet" / "scripts" / "train_standalone.sh"
    done = bash(script, 0, "data", "split/train.csv", *TINY, cwd=work, OUTPUT="runs/one")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validation Dice" in done.stdout  # val.csv beside the training CSV was found
    return work / "runs" / "one"


def test_train_standalone_writes_a_run_and_a_log(trained):
    names = {p.name for p in trained.iterdir()}
    assert names == {"best.ckpt", "last.ckpt", "metrics.jsonl", "recipe.json", "screen.log", "train.log"}
    assert "epoch 1/1" in (trained / "screen.log").read_text()
    recorded = json.loads((trained / "recipe.json").read_text())
    assert recorded["recipe"]["network"]["width"] == 2
    assert Path(recorded["paths"]["data_path"]).is_absolute()


def test_gpu_form_from_the_model_folder(work):
    done = bash(
        "scripts/train_standalone_gpu.sh",
        0,
        work / "data",
        work / "split/train.csv",
        *TINY,
        cwd=ROOT / "vnet",
        OUTPUT=work / "gpu",
    )
    assert done.returncode == 0, done.stderr
    assert (work / "gpu" / "last.ckpt").is_file()


@pytest.mark.parametrize("name", ["eval.sh", "eval_gpu.sh"])
def test_eval_from_the_root_with_model(work, trained, name):
    out = work / name
    arguments = [0, trained / "best.ckpt", "data", "split/val.csv"]
    done = bash(ROOT / "scripts" / name, *arguments, cwd=work, MODEL="vnet", OUTPUT=out)
    assert done.returncode == 0, done.stderr
    assert "2 cases" in done.stdout
    names = {p.name for p in out.iterdir()}
    masks = {"Case04_prediction.mha", "Case05_prediction.mha"}
    assert names == masks | {"eval.log", "metrics.csv", "summary.json", "screen.log"}
    assert json.loads((out / "summary.json").read_text())["num_cases"] == 2


@needs_mpirun
def test_a_rank_that_raises_ends_the_run_and_speaks_last(work, tmp_path):
    """Rank 1 alone reads the second validation case."""
    data = tmp_path / "data"
    shutil.copytree(work / "data", data)
    (data / "img" / "Case05.mhd").write_text("nonsense")
    start = time.monotonic()
    script = ROOT / "vnet" / "scripts" / "train_distribute_gpu.sh"
    done = bash(script, 2, "0,1", data, work / "split/train.csv", *TINY, cwd=tmp_path, OUTPUT="ranks")
    assert done.returncode == 2, done.stdout
    *_, where, error = done.stdout.strip().splitlines()
    assert where == "rank 1 failed first, its log is ranks/ranks/1/rank.1/stdout:"
    assert error.startswith("error: ") and "Case05.mhd" in error
    assert time.monotonic() - start < 300
    assert not (tmp_path / "ranks" / "last.ckpt").exists()


@pytest.mark.parametrize(
    ("random", "train", "held_out"),
    [(["0"], 40, "Case11.mhd Case15.mhd Case19.mhd Case30.mhd Case42.mhd"), (["1", "7"], 40, None)],
)
def test_create_csv(tmp_path, random, train, held_out):
    done = bash(ROOT / "vnet" / "scripts" / "create_csv.sh", "out", *random, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = (tmp_path / "out" / "val.csv").read_text().split()
    assert len((tmp_path / "out" / "train.csv").read_text().split()) == train
    assert len(names) == 10
    if held_out:
        assert names == [*held_out.split(), *(f"Case{i}.mhd" for i in (43, 44, 46, 48, 49))]
    else:
        bash(ROOT / "scripts" / "create_csv.sh", "again", *random, cwd=tmp_path)
        assert (tmp_path / "again" / "val.csv").read_text().split() == names


@pytest.mark.parametrize(
    ("script", "needed"),
    [
        ("create_csv.sh", "OUT_PATH RANDOM"),
        ("train_standalone.sh", "DEVICE_ID DATA_PATH TRAIN_SPLIT_FILE_PATH"),
        ("train_standalone_gpu.sh", "DEVICE_ID DATA_PATH TRAIN_SPLIT_FILE_PATH"),
        ("train_distribute.sh", "RANK_TABLE_FILE|msrun DEVICE_NUM DATA_PATH TRAIN_SPLIT_FILE_PATH"),
        ("train_distribute_gpu.sh", "DEVICE_NUM VISIBLE_DEVICES DATA_PATH TRAIN_SPLIT_FILE_PATH"),
        ("eval.sh", "DEVICE_ID CKPT_PATH DATA_PATH EVAL_SPLIT_FILE_PATH"),
        ("eval_gpu.sh", "DEVICE_ID CKPT_PATH DATA_PATH EVAL_SPLIT_FILE_PATH"),
        ("run_infer_310.sh", "MINDIR_PATH DATA_PATH SPLIT_FILE_PATH DEVICE_ID"),
    ],
)
def test_too_few_arguments_print_the_usage(tmp_path, script, needed):
    done = bash(ROOT / "scripts" / script, cwd=tmp_path)
    assert done.returncode == 2
    assert needed in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["train_standalone.sh", "0", "data", "x.csv"], "MODEL is needed"),
        (["train_distribute.sh", "absent.json", "2", "data", "x.csv"], "absent.json: no such rank table"),
        pytest.param(["train_distribute_gpu.sh", "2", "0,1,2", "data", "x.csv"], "names 3 cards", marks=needs_mpirun),
        (["train_distribute_gpu.sh", "two", "0,1", "data", "x.csv"], "DEVICE_NUM must be a whole number"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(tmp_path, words, fault):
    script, *arguments = words
    model = {} if "MODEL" in fault else {"MODEL": "vnet"}
    done = bash(ROOT / "scripts" / script, *arguments, cwd=tmp_path, **model)
    assert done.returncode == 2
    assert fault in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_work_s_exit_status_is_the_launcher_s(work):
    script = ROOT / "vnet" / "scripts" / "train_standalone.sh"
    done = bash(script, 0, "data", "absent.csv", cwd=work, OUTPUT="nothing")
    assert done.returncode == 2
    assert "absent.csv: no such split file" in done.stdout


FAKE_PYTHON = """#!/usr/bin/env bash
# stands in for python: the rank that is told to fails, the others work on
if [[ ${2:-} = mindvoxel.* ]]; then exec "$REAL_PYTHON" "$@"; fi
echo "rank ${RANK_ID:-none} of ${RANK_SIZE:-} on device ${DEVICE_ID:-}: $*" >>"$CALLS"
if [ "${RANK_ID:-none}" = "${FAILING:-}" ]; then exit 3; fi
exec sleep "${WORK_S:-0}"
"""


@pytest.fixture
def fake(tmp_path) -> dict:
    """Variables under which the launchers run a stand-in for Python that notes how it was called."""
    program = tmp_path / "python"
    program.write_text(FAKE_PYTHON)
    program.chmod(0o755)
    entries = [Entry("10.0.0.1", 4 + rank, f"10.1.0.{rank}", rank) for rank in range(2)]
    (tmp_path / "table.json").write_text(json.dumps(table_of(entries)))
    variables = {"PYTHON": program, "REAL_PYTHON": sys.executable, "CALLS": tmp_path / "calls", "MODEL": "vnet"}
    return variables | {"DEVICE_TARGET": "Ascend", "OUTPUT": tmp_path / "out"}


def by_table(fake, tmp_path, num=2, **variables) -> subprocess.CompletedProcess:
    script = ROOT / "scripts" / "train_distribute.sh"
    return bash(script, "table.json", num, "data", "x.csv", "--epochs", "3", cwd=tmp_path, **(fake | variables))


def test_each_rank_of_a_table_gets_its_own_device(fake, tmp_path):
    assert by_table(fake, tmp_path).returncode == 0
    calls = sorted((tmp_path / "calls").read_text().splitlines())
    assert [call.split(":")[0] for call in calls] == ["rank 0 of 2 on device 4", "rank 1 of 2 on device 5"]
    for rank, call in enumerate(calls):
        assert call.endswith(f"--device_id {4 + rank}")
        assert "--run_distribute --device_num 2" in call
        assert "--device_target Ascend " in call
        assert "--data_path data --train_split_file_path x.csv --epochs 3 --model vnet" in call


def test_a_rank_that_fails_ends_the_others_with_its_status(fake, tmp_path):
    start = time.monotonic()
    done = by_table(fake, tmp_path, FAILING=1, WORK_S=60)
    assert done.returncode == 3
    assert time.monotonic() - start < 30


def test_a_table_of_another_size_is_refused(fake, tmp_path):
    done = by_table(fake, tmp_path, num=8)
    assert done.returncode == 2
    assert "it lists 2 devices, but DEVICE_NUM is 8" in done.stderr
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_launcher_that_is_told_to_end_ends_its_work(fake, tmp_path, number):
    """By its whole group, as timeout does it, and a terminal that is closed."""
    words = ["bash", str(ROOT / "scripts" / "train_distribute.sh"), "table.json", "2", "data", "x.csv"]
    environment = dict(os.environ) | {k: str(v) for k, v in (fake | {"WORK_S": 61.5}).items()}
    process = subprocess.Popen(words, cwd=tmp_path, env=environment, start_new_session=True)
    deadline = time.monotonic() + 20
    while not (tmp_path / "calls").exists() or len((tmp_path / "calls").read_text().splitlines()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, number)
    assert process.wait(timeout=20) == 143
    left = subprocess.run(["pgrep", "-f", "sleep 61.5"], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_the_last_words_of_work_whose_group_is_told_to_end_are_written(tmp_path):
    work = 'trap "" HUP; trap "sleep 0.3; echo saved; exit 5" TERM; echo at work; while :; do sleep 0.05; done'
    script = f'. "{ROOT}/scripts/common.sh"; logged "{tmp_path}/log" bash -c "$1"'
    process = subprocess.Popen(["bash", "-c", script, "-", work], stdout=subprocess.DEVNULL, start_new_session=True)
    while not (tmp_path / "log").exists() or "at work" not in (tmp_path / "log").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=20) == 5
    assert (tmp_path / "log").read_text().splitlines()[-1] == "saved"


def test_the_gpu_launcher_hands_mpirun_every_rank(fake, tmp_path):
    mpirun = tmp_path / "mpirun"
    mpirun.write_text('#!/usr/bin/env bash\necho "$CUDA_VISIBLE_DEVICES: $*" >"$CALLS"\nexit 7\n')
    mpirun.chmod(0o755)
    variables = fake | {"DEVICE_TARGET": "GPU", "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    script = ROOT / "scripts" / "train_distribute_gpu.sh"
    done = bash(script, 2, "2,3", "data", "x.csv", cwd=tmp_path, **variables)
    assert done.returncode == 7
    call = (tmp_path / "calls").read_text()
    assert call.startswith("2,3: --allow-run-as-root -n 2 ")
    assert "train.py --device_target GPU --run_distribute --device_num 2" in call


def test_two_servers_by_msrun(fake, tmp_path):
    script, words = ROOT / "scripts" / "train_distribute.sh", ["msrun", 16, "data", "x.csv", "--num_servers", 2]
    outer = {"MS_ROLE": "MS_SCHED", "RANK_TABLE_FILE": "old.json", "RANK_ID": 5, "DEVICE_ID": 7}
    done = bash(script, *words, "--node_rank", 1, "--master_addr", "10.0.0.1", cwd=tmp_path, **(fake | outer))
    assert done.returncode == 0, done.stdout + done.stderr
    call = (tmp_path / "calls").read_text()
    assert call.startswith("rank none of  on device : ")  # an outer launcher's places are not handed on
    for word in ("--worker_num=16", "--local_worker_num=8", "--master_addr=10.0.0.1", "--master_port=8118"):
        assert f" {word} " in call
    assert " --node_rank=1 " in call
    assert "--num_servers" not in call.split("train.py")[1]


def test_two_servers_by_a_merged_table(fake, tmp_path):
    tables = [[Entry(f"10.0.0.{s}", 4 + chip, f"10.1.{s}.{chip}", chip) for chip in range(2)] for s in range(2)]
    (tmp_path / "table.json").write_text(json.dumps(table_of(merge(tables))))
    script, words = ROOT / "scripts" / "train_distribute.sh", ["table.json", 4, "data", "x.csv", "--num_servers", 2]
    assert bash(script, *words, "--node_rank", 1, cwd=tmp_path, **fake).returncode == 0
    calls = sorted((tmp_path / "calls").read_text().splitlines())
    assert [call.split(":")[0] for call in calls] == ["rank 2 of 4 on device 4", "rank 3 of 4 on device 5"]


def test_two_servers_by_mpirun(fake, tmp_path):
    mpirun = tmp_path / "mpirun"
    mpirun.write_text('#!/usr/bin/env bash\necho "$*" >"$CALLS"\n')
    mpirun.chmod(0o755)
    variables = fake | {"DEVICE_TARGET": "GPU", "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    script, words = ROOT / "scripts" / "train_distribute_gpu.sh", [4, "2,3", "data", "x.csv", "--num_servers", 2]
    assert bash(script, *words, "--hostfile", "hosts", cwd=tmp_path, **variables).returncode == 0
    call = (tmp_path / "calls").read_text()
    assert " -n 4 " in call
    assert " --hostfile hosts -N 2 " in call
    assert " -x CUDA_VISIBLE_DEVICES " in call


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["msrun", 3, "data", "x.csv", "--num_servers", 2], "DEVICE_NUM 3 does not spread over --num_servers 2 evenly"),
        (["msrun", 4, "data", "x.csv", "--num_servers", 2, "--node_rank", 2], "--node_rank 2: 0 to 1 is needed"),
        (["table.json", 2, "data", "x.csv", "--num_servers", 2], "1 servers, but --num_servers is 2"),
    ],
)
def test_servers_that_do_not_fit_are_refused(fake, tmp_path, words, fault):
    done = bash(ROOT / "scripts" / "train_distribute.sh", *words, cwd=tmp_path, **fake)
    assert done.returncode == 2
    assert fault in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_is_resumed_in_its_own_folder(fake, tmp_path):
    variables = {name: value for name, value in fake.items() if name != "OUTPUT"}
    assert by_table(variables, tmp_path, **{"WORK_S": 0}).returncode == 0
    script = ROOT / "scripts" / "train_distribute.sh"
    for words in (["--resume", "old/run"], ["--resume=old/run"]):
        done = bash(script, "msrun", 2, "data", "x.csv", *words, cwd=tmp_path, **variables)
        assert done.returncode == 0, done.stderr
        assert "--output_path old/run " in (tmp_path / "calls").read_text().splitlines()[-1]
