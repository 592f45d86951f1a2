"""Processes that end together: who failed first, who is told, and that none is left."""

import signal
import time

import psutil
import pytest

from mindvoxel.cli import supervise
from mindvoxel.cli.supervise import Command, _Crew


@pytest.fixture
def crew(tmp_path):
    crew = _Crew(tmp_path)
    yield crew
    crew.end_all()
    assert not [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


def rank(number: int, script: str) -> Command:
    return Command(["bash", "-c", script], {}, number)


def test_the_log_of_a_run_before_in_the_same_folder_is_not_this_run_s_fault(tmp_path):
    (tmp_path / "1" / "rank.3").mkdir(parents=True)
    for log in (tmp_path / "worker_7.log", tmp_path / "1" / "rank.3" / "stdout"):
        log.write_text("error: of yesterday\n")
    crew = _Crew(tmp_path)
    crew.start(rank(1, "exit 3"))
    assert crew.wait() == 3
    crew.end_all()
    assert crew.first_fault().startswith("error: rank 1 ended first, without a word")
    (tmp_path / "worker_7.log").write_text("error: of today\n")
    assert crew.first_fault() == f"rank 7 failed first, its log is {tmp_path / 'worker_7.log'}:\nerror: of today"


def test_the_error_is_told_and_not_the_call_stack_behind_it(crew):
    text = "Traceback (most recent call last):\n  File x\nRuntimeError: no memory\n\n- C++ Call Stack:\nmem.cc:7\n"
    (crew.logs / "worker_0.log").write_text(f"step 1\r{text}")
    assert crew.first_fault().endswith("\nerror: RuntimeError: no memory")


def test_ranks_that_are_seen_to_have_ended_at_once_are_both_named(crew):
    for number in range(2):
        crew.start(rank(number, "kill -KILL $$"))
    for command in crew.commands:
        command.wait()
    assert crew.wait() == 128 + signal.SIGKILL
    assert crew.first_fault().startswith("error: rank 0 or 1 ended first, without a word")


def test_a_rank_that_begins_after_the_run_was_told_to_end_is_told_too(crew):
    crew.tell()
    crew.start(rank(0, "exec sleep 30"))
    assert crew.wait() == 128 + signal.SIGTERM


def test_a_rank_that_does_not_leave_with_the_others_is_ended(crew, monkeypatch):
    monkeypatch.setattr(supervise, "LEAVE_S", 1.0)
    crew.start(rank(0, "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo deaf; wait"))
    crew.start(rank(1, "exec sleep 30"))
    while "deaf" not in (crew.logs / "worker_0.log").read_text():
        time.sleep(0.05)
    crew.tell()
    start = time.monotonic()
    assert crew.wait() == 128 + signal.SIGTERM
    assert 0.9 < time.monotonic() - start < 10
