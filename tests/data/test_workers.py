"""Workers that die, fail, are interrupted or orphaned: none of it in silence, and no process stays behind."""

import errno
import importlib
import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from mindvoxel.data import workers
from mindvoxel.data.workers import choose_workers, run_cases
from mindvoxel.errors import InputError, WorkError
from mindvoxel.log import LOGGER

JOBS = '''
import ctypes, os, signal, sys, time
from pathlib import Path
from mindvoxel.errors import InputError, WorkError
from mindvoxel.files import replacing
from mindvoxel.log import LOGGER

def double(number, tell):
    time.sleep(0.05 * (number % 2 == 0))
    return 2 * number

def power(number, tell, exponent):
    return number ** exponent

def end(how, tell, folder):
    """Ends as `how` says; every process leaves its number, and what does not end itself sleeps."""
    (Path(folder) / str(os.getpid())).touch()
    tell("resampling")
    if how == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if how == "segfault": ctypes.string_at(0)
    if how == "abort": os.abort()
    if how == "exit": os._exit(7)
    if how == "sys.exit": sys.exit(3)
    if how == "input": raise InputError("no such file")
    if how == "named": raise InputError("the file of named is bad")
    if how == "work": raise WorkError("no luck")
    if how == "disk": raise OSError(28, "No space left on device", "/full/disk")
    if how == "memory": raise MemoryError
    if how == "bug": raise KeyError("a\\nb")
    if how == "unpicklable": return lambda: 0
    if how == "write":
        with replacing(Path(folder) / "out") as partial:
            partial.write_text("half")
            time.sleep(60)
    if how == "sleep": time.sleep(60)
    if how == "late kill":
        while not list(Path(folder).glob(".partial*")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    return how

def report(case, tell):
    return case.case

def modules(_, tell):
    return sorted(sys.modules), dict(os.environ)

def talk(number, tell):
    LOGGER.warning("at %d %%", number)
'''


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A module that workers can import."""
    (tmp_path / "jobs_of_workers.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("jobs_of_workers")
    sys.modules.pop("jobs_of_workers")


@pytest.fixture
def log():
    """Lines that this process logs."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(f"{record.levelname} {record.getMessage()}")

    handler = Keep()
    LOGGER.addHandler(handler)
    yield lines
    LOGGER.removeHandler(handler)


def pids(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("num_workers", [0, 1, 2, 9])
def test_results_come_in_the_order_of_the_cases(jobs, num_workers):
    assert list(run_cases(jobs.double, iter(range(6)), num_workers=num_workers, what="doubling")) == [0, 2, 4, 6, 8, 10]
    cubes = run_cases(partial(jobs.power, exponent=3), [2, 3], num_workers=num_workers, what="cubing")
    assert list(cubes) == [8, 27]
    assert list(run_cases(jobs.double, [], num_workers=num_workers, what="doubling")) == []


@pytest.mark.parametrize(
    ("how", "parts"),
    [
        ("kill", ["its process ended by signal SIGKILL while resampling", "GB are free", "fewer --workers than 2"]),
        ("segfault", ["signal SIGSEGV while resampling", "--workers 0"]),
        ("abort", ["signal SIGABRT while resampling"]),
        ("exit", ["exit status 7 while resampling"]),
        ("sys.exit", ["exit status 3 while resampling"]),
    ],
)
def test_a_dead_worker_ends_the_run_with_case_stage_and_signal(jobs, tmp_path, how, parts):
    task = partial(jobs.end, folder=str(tmp_path))
    start = time.monotonic()
    with pytest.raises(WorkError) as raised:
        list(run_cases(task, ["sleep", how, "fine"], num_workers=2, what="preprocessing"))
    assert time.monotonic() - start < 5
    assert str(raised.value).startswith(f"preprocessing of case {how}: ")
    assert all(part in str(raised.value) for part in parts), raised.value
    assert pids(tmp_path)
    assert not any(map(alive, pids(tmp_path)))


def test_a_worker_killed_from_outside(jobs, tmp_path):
    """As the out-of-memory killer does it: the victim is in the middle of its work."""
    task = partial(jobs.end, folder=str(tmp_path))
    code = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)\n"
    code += f"pid = next(int(n) for n in os.listdir({str(tmp_path)!r}) if n.isdecimal())\nos.kill(pid, 9)\n"
    killer = subprocess.Popen([sys.executable, "-c", code])
    results = run_cases(task, ["fine", "sleep"], num_workers=1, what="preprocessing")
    assert next(results) == "fine"
    (tmp_path / "go").touch()
    with pytest.raises(
        WorkError, match=r"case sleep: its process ended by signal SIGKILL .* free now\); use a machine"
    ):
        next(results)
    assert killer.wait(10) == 0


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("how", "kind", "sentence"),
    [
        ("input", InputError, "case input: no such file"),
        ("named", InputError, "the file of named is bad"),
        ("work", WorkError, "case work: no luck"),
        ("memory", WorkError, "preprocessing of case memory ran out of memory while resampling; use fewer --workers"),
    ],
)
def test_an_error_arrives_as_its_own_kind_with_the_case(jobs, tmp_path, num_workers, how, kind, sentence):
    task = partial(jobs.end, folder=str(tmp_path))
    with pytest.raises(kind) as raised:
        list(run_cases(task, [how, "fine"], num_workers=num_workers, what="preprocessing"))
    assert str(raised.value) == sentence


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_full_disk_keeps_its_number_and_its_file(jobs, tmp_path, num_workers):
    task = partial(jobs.end, folder=str(tmp_path))
    with pytest.raises(OSError, match="case disk") as raised:
        list(run_cases(task, ["disk"], num_workers=num_workers, what="preprocessing"))
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, "/full/disk")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_any_other_exception_is_failed_work_and_its_traceback_is_logged(jobs, tmp_path, log, num_workers):
    task = partial(jobs.end, folder=str(tmp_path))
    with pytest.raises(WorkError, match=r"case bug failed while resampling \(KeyError: 'a\\nb'\); the log") as raised:
        list(run_cases(task, ["bug"], num_workers=num_workers, what="preprocessing"))
    assert "\n" not in str(raised.value)
    assert any("Traceback" in line and "jobs_of_workers.py" in line for line in log)


def test_a_result_that_cannot_travel_is_failed_work(jobs, tmp_path, log):
    task = partial(jobs.end, folder=str(tmp_path))
    with pytest.raises(WorkError, match="case unpicklable failed"):
        list(run_cases(task, ["unpicklable"], num_workers=1, what="preprocessing"))


def test_a_function_that_a_worker_cannot_import(jobs, tmp_path, log):
    (tmp_path / "jobs_of_workers.py").write_text("raise OSError('gone')\n")
    with pytest.raises(WorkError, match=r"a worker could not start \(gone\)"):
        list(run_cases(jobs.double, [1], num_workers=1, what="doubling"))


def test_a_function_of_the_main_script_is_refused(monkeypatch, jobs):
    monkeypatch.setattr(jobs.double, "__module__", "__main__")
    with pytest.raises(ValueError, match="double is part of the main script"):
        run_cases(jobs.double, [1], num_workers=1, what="doubling")


def test_a_failure_elsewhere_lets_a_worker_remove_what_it_has_half_written(jobs, tmp_path):
    task = partial(jobs.end, folder=str(tmp_path))
    with pytest.raises(WorkError, match="case late kill"):
        list(run_cases(task, ["write", "late kill"], num_workers=2, what="preprocessing"))
    assert not list(tmp_path.glob(".partial*"))
    assert not (tmp_path / "out").exists()


def test_leaving_the_loop_ends_the_workers(jobs, tmp_path):
    results = run_cases(partial(jobs.end, folder=str(tmp_path)), ["fine", "sleep"], num_workers=2, what="preprocessing")
    assert next(results) == "fine"
    wait_until(lambda: len(pids(tmp_path)) == 2)
    results.close()
    assert not any(map(alive, pids(tmp_path)))


SCRIPT = """
import sys
from functools import partial
sys.path.insert(0, sys.argv[1])
import jobs_of_workers
from mindvoxel.data.workers import run_cases
print("started", flush=True)  # without a guard: workers do not run this script
list(run_cases(partial(jobs_of_workers.end, folder=sys.argv[1]), ["write", "sleep"], num_workers=2, what="sleeping"))
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_parent(jobs, tmp_path, sent):
    (tmp_path / "script.py").write_text(SCRIPT)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    wait_until(lambda: len(pids(tmp_path)) == 2 and list(tmp_path.glob(".partial*")))
    parent.send_signal(sent)
    out, err = parent.communicate(timeout=60)
    assert parent.returncode == -sent
    wait_until(lambda: not any(map(alive, pids(tmp_path))), 5)
    assert out == "started\n"
    assert err.count("Traceback") == (sent == signal.SIGINT)  # the parent's own KeyboardInterrupt
    assert not list(tmp_path.glob(".partial*"))


def test_a_worker_imports_what_its_function_needs_and_shares_the_cores(jobs, monkeypatch):
    monkeypatch.setattr(workers, "available_cores", lambda: 4)
    modules, environment = next(run_cases(jobs.modules, [0], num_workers=1, what="looking"))
    assert not {"numpy", "SimpleITK", "pandas", "scipy", "mindvoxel.cli"} & set(modules)
    assert {environment[name] for name in workers._THREADS} == {"4"}
    _, environment = next(run_cases(jobs.modules, [0, 1, 2], num_workers=3, what="looking"))
    assert environment["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] == "1"
    assert os.environ.get("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS") is None


def test_what_a_worker_logs_is_logged_here(jobs, log):
    list(run_cases(jobs.talk, [1, 2], num_workers=1, what="talking"))
    assert log == ["WARNING at 1 %", "WARNING at 2 %"]


def test_a_case_is_named_by_its_name(jobs):
    from mindvoxel.data.dataset import Case

    assert list(run_cases(jobs.report, [Case("liver_1", (), None)], num_workers=1, what="naming")) == ["liver_1"]


@pytest.mark.parametrize(
    ("requested", "bytes_per_case", "chosen", "said"),
    [
        (None, 10**9, 4, ""),
        (None, 3 * 10**9, 3, "INFO 3 workers instead of one on each of 4 cores: a case takes up to 3.0 GB and 10.0 GB"),
        (None, 10**11, 1, "INFO 1 workers instead of one on each of 4 cores: a case takes up to 100.0 GB"),
        (None, 0, 4, ""),
        (2, 10**9, 2, ""),
        (8, 2 * 10**9, 8, "WARNING 8 workers may need more memory than there is"),
        (0, 10**9, 0, ""),
    ],
)
def test_workers_are_chosen_by_cores_and_memory(monkeypatch, log, requested, bytes_per_case, chosen, said):
    monkeypatch.setattr(workers, "available_cores", lambda: 4)
    monkeypatch.setattr(workers, "available_bytes", lambda: 10**10)
    LOGGER.setLevel(logging.INFO)
    assert choose_workers(requested, bytes_per_case) == chosen
    assert "".join(log).startswith(said)
    assert bool(log) == bool(said)


def test_a_number_of_workers_below_0():
    with pytest.raises(InputError, match="--workers must be 0 or more, got -1"):
        choose_workers(-1, 1)
