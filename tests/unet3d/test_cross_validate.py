"""Folds as processes of their own: which are started where, which again, and what happens when one fails or all end.

A stand-in takes the place of train.py: it leaves a made-up run, fails, or waits, as files beside it say.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mindvoxel.cli import cross_validate

from .made_runs import make_run

STAND_IN = """
import json, os, shutil, sys, time
from pathlib import Path

words = dict(zip(sys.argv[1::1], sys.argv[2::1]))
name = f"{words['--configuration']}-{words['--fold']}"
made, run = Path(os.environ["MADE"]), Path(words["--output_path"])
with (made / "log").open("a") as log:
    log.write(json.dumps([name, words["--device_id"], time.monotonic(), os.environ.get("OMP_NUM_THREADS")]) + "\\n")
if (made / f"wait-{name}").exists():
    (made / f"pid-{name}").write_text(str(os.getpid()))
    time.sleep(60)
if (made / f"fail-{name}").exists():
    sys.exit("error: the loss is nan at step 7")
if (made / f"die-{name}").exists():
    os.kill(os.getpid(), 9)
time.sleep(float(os.environ.get("TAKES", 0)))
shutil.copytree(made / words["--configuration"] / f"fold_{words['--fold']}", run, dirs_exist_ok=True)
with (made / "log").open("a") as log:
    log.write(json.dumps([name, "end", time.monotonic(), ""]) + "\\n")
"""


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for number in range(5):
        for name in ("2d", "3d_fullres"):
            make_run(data, folder, name, number)
    return folder


@pytest.fixture
def made(runs, tmp_path, monkeypatch) -> Path:
    """What the stand-in leaves, and the stand-in itself in the place of train.py."""
    shutil.copytree(runs, tmp_path / "made")
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setenv("MADE", str(tmp_path / "made"))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cross_validate, "COMMAND", (sys.executable, str(tmp_path / "stand_in.py")))
    return tmp_path / "made"


def words(data, out, *more) -> list[str]:
    own = ["--model", "unet3d", "--device_target", "CPU", "--data_path", data, "--output_path", out, "--workers", 0]
    recipe = ["--recipe", "small", "--first_filters", 2, "--tta", "none"]
    return [str(word) for word in (*own, "--no_ensembles", *recipe, *more)]


def log(made) -> list[list]:
    lines = [json.loads(line) for line in (made / "log").read_text().splitlines()]
    (made / "log").unlink()
    return lines


def begun(made) -> list[str]:
    return [line[0] for line in log(made) if line[1] != "end"]


def refused(capfd, status: int, *more) -> str:
    capfd.readouterr()
    assert cross_validate.main(words(*more)) == status
    return capfd.readouterr().err.strip().splitlines()[-1]


def test_all_folds_of_all_configurations_one_after_the_other_then_their_results(data, made, tmp_path):
    out = tmp_path / "out"
    assert cross_validate.main(words(data, out)) == 0
    lines = log(made)
    wanted = [f"{name}-{number}" for name in ("2d", "3d_fullres") for number in range(5)]
    assert [line[0] for line in lines] == [name for name in wanted for _ in range(2)]  # each ends before the next
    assert {line[1] for line in lines} == {"0", "end"} and lines[0][3] is None
    best = json.loads((out / "best.json").read_text())
    assert (best["folds"], best["dice"]) == ([0, 1, 2, 3, 4], {"2d": 1.0, "3d_fullres": 1.0})
    assert cross_validate.main(words(data, out)) == 0
    assert not (made / "log").exists()  # nothing is trained again


def test_side_by_side_one_a_device_with_a_share_of_the_cores(data, made, tmp_path, monkeypatch):
    monkeypatch.setenv("TAKES", "0.3")
    monkeypatch.setattr(cross_validate, "available_cores", lambda: 7)
    assert cross_validate.main(words(data, tmp_path / "out", "--configurations", "2d", "--devices", "3,5,6")) == 0
    lines, at_once, most = log(made), 0, 0
    for line in sorted(lines, key=lambda line: line[2]):
        at_once += -1 if line[1] == "end" else 1
        most = max(most, at_once)
    assert most == 3
    begun = [line for line in lines if line[1] != "end"]
    assert sorted(line[1] for line in begun[:3]) == ["3", "5", "6"] and len(begun) == 5
    assert {line[3] for line in begun} == {"2"}


def test_a_run_that_fails_is_named_and_the_others_finish(data, made, tmp_path, capfd):
    out = tmp_path / "out"
    (made / "fail-2d-1").touch()
    (made / "die-2d-3").touch()
    said = refused(capfd, 1, data, out, "--configurations", "2d")
    assert "2 of 5 runs failed (2d, fold 1: the loss is nan at step 7; 2d, fold 3: killed by SIGKILL)" in said
    assert "the loss is nan" in (out / "2d" / "fold_1" / "screen.log").read_text()
    assert begun(made) == [f"2d-{number}" for number in range(5)]
    assert not (out / "best.json").exists()
    (made / "fail-2d-1").unlink()
    (made / "die-2d-3").unlink()
    (out / "2d" / "fold_2" / "validation" / "metrics.csv").unlink()  # ended while its scans were segmented
    assert cross_validate.main(words(data, out, "--configurations", "2d")) == 0
    assert begun(made) == ["2d-1", "2d-2", "2d-3"]
    assert (out / "best.json").is_file()


def test_a_run_that_another_command_trains_is_left_to_it(data, made, tmp_path, capfd):
    out = tmp_path / "out"
    (out / "2d" / "fold_1").mkdir(parents=True)
    more = ["--configurations", "2d", "--folds", "0,1"]
    with (out / "2d" / "fold_1" / "screen.log").open("ab") as log:  # as its process holds it
        fcntl.flock(log, fcntl.LOCK_EX)
        said = refused(capfd, 1, data, out, *more)
    assert "1 of 2 runs failed (2d, fold 1: another process trains it" in said
    assert begun(made) == ["2d-0"]
    assert cross_validate.main(words(data, out, *more)) == 0
    assert begun(made) == ["2d-1"]


def test_the_command_of_a_run_is_one_that_train_takes(data, made, tmp_path):
    from mindvoxel.cli import train

    args, passed = cross_validate.parse(words(data, tmp_path, "--folds", 2, "--seed", 5))
    args.folds = [2]
    (job,) = cross_validate._jobs(args, passed, cross_validate.open_stored(data), "3d_fullres")
    parsed, recipe = train.parse([*job.words[2:], "--device_id", "0"], None)
    assert (parsed.fold, parsed.configuration, parsed.continue_training) == (2, "3d_fullres", True)
    assert (parsed.output_path, parsed.device_target) == (str(tmp_path / "3d_fullres" / "fold_2"), "CPU")
    assert (recipe.train.seed, recipe.network.first_filters, recipe.train.epochs) == (5, 2, 10)


def test_a_cascade_is_told_where_its_previous_stage_lies(staged, made, tmp_path):
    from mindvoxel.cli import train

    args, passed = cross_validate.parse(words(staged, tmp_path))
    args.folds = [0]
    (job,) = cross_validate._jobs(args, passed, cross_validate.open_stored(staged), "3d_cascade_fullres")
    parsed, _ = train.parse([*job.words[2:], "--device_id", "0"], None)
    assert parsed.previous_path == str(tmp_path / "3d_lowres")


def test_what_cannot_be_compared_is_refused_before_anything_begins(data, made, tmp_path, capfd):
    for more, sentence in (
        (["--fold", "0"], "--fold has no place here"),
        (["--device-id=3"], "--device_id has no place here"),
        (["--folds", "0,5"], "--folds 5: the splits have folds 0 to 4"),
        (["--folds", "1,1"], "each once"),
        (["--configurations", "2d,3d_lowres"], "the plan has no configuration 3d_lowres"),
        (["--validate", "false"], "--validate false and --ckpt_strategy none leave nothing to compare"),
        (["--epochz", "3"], "unrecognized arguments: --epochz"),
        (["--learning_rate", "fast"], "'fast' does not read"),
        (["--devices", "a"], "numbers from 0 on"),
    ):
        assert sentence in refused(capfd, 2, data, tmp_path / "out", *more)
    assert not (made / "log").exists() and not (tmp_path / "out").exists()
    assert cross_validate.main(["--model", "vnet", "--data_path", str(data), "--output_path", "x"]) == 2


def test_a_run_that_was_begun_otherwise_is_not_gone_on_with(data, made, tmp_path, capfd):
    out = tmp_path / "out"
    assert cross_validate.main(words(data, out, "--configurations", "2d", "--folds", 0)) == 0
    (out / "2d" / "fold_0" / "last.ckpt").touch()
    said = refused(capfd, 2, data, out, "--configurations", "2d", "--folds", 0, "--epochs", 11)
    assert "2d/fold_0: was begun with train.epochs 10, and 11 is asked for now" in said
    more = ["--configurations", "2d", "--folds", 0, "--num_workers", 0, "--save_interval", 3]
    assert cross_validate.main(words(data, out, *more)) == 0  # neither changes what is learned


def test_the_predictions_that_a_cascade_needs_come_first(data, made, tmp_path, monkeypatch, capfd):
    from dataclasses import replace

    stored = cross_validate.open_stored(data)
    full = stored.plan.configurations["3d_fullres"]
    known = {"3d_cascade_fullres": replace(full, previous_stage="3d_lowres"), "2d": full, "3d_lowres": full}
    stored = replace(stored, plan=replace(stored.plan, configurations=known))
    order = cross_validate._in_order(stored, ["3d_cascade_fullres", "2d", "3d_lowres"])
    assert order == ["2d", "3d_lowres", "3d_cascade_fullres"]
    begun = []

    def run_jobs(jobs, *_):
        begun.append([job.name for job in jobs])
        return {"3d_lowres, fold 0": "it failed"} if len(begun) == 1 else {}

    monkeypatch.setattr(cross_validate, "run_jobs", run_jobs)
    args, _ = cross_validate.parse(words(data, tmp_path))
    jobs = {name: [cross_validate.Job(f"{name}, fold {k}", (), Path("log")) for k in range(2)] for name in order}
    with pytest.raises(cross_validate.WorkError, match="3 of 6 runs failed .*fold 1: not begun, it needs 3d_lowres"):
        cross_validate._train(args, stored, jobs)
    assert begun == [["2d, fold 0", "2d, fold 1", "3d_lowres, fold 0", "3d_lowres, fold 1"]]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_no_process_is_left_when_it_is_ended(number, status, data, made, tmp_path):
    for fold in (0, 1):
        (made / f"wait-2d-{fold}").touch()
    more = words(data, tmp_path / "out", "--configurations", "2d", "--devices", "0,1")
    code = f"import sys; from mindvoxel.cli import cross_validate as c; c.COMMAND = {cross_validate.COMMAND!r}; "
    code += f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(c.main({more!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pids = [made / f"pid-2d-{fold}" for fold in (0, 1)]
    deadline = time.monotonic() + 30
    while not all(path.is_file() and path.read_text() for path in pids):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    with (tmp_path / "out" / "2d" / "fold_0" / "screen.log").open("ab") as log, pytest.raises(BlockingIOError):
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the run's own
    process.send_signal(number)
    assert process.wait(30) == status
    for path in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)
