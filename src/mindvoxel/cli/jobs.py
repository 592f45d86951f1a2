"""Processes of one command each, at most one a device, side by side."""

import fcntl
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mindvoxel.log import LOGGER, progress

_POLL_S = 0.1
_GRACE_S = 5.0  # for a process to end by itself after each signal


@dataclass(frozen=True)
class Job:
    """words: the command, to which run_jobs adds --device_id.  log: a file to which all that it says is appended."""

    name: str
    words: tuple[str, ...]
    log: Path


def run_jobs(jobs: Sequence[Job], devices: Sequence[int], environment: dict[str, str]) -> dict[str, str]:
    """Run all of them; the last line of those that failed, by name. However this ends, no process is left."""
    waiting, free, failed = list(jobs), list(devices), {}
    with progress(total=len(jobs), what="training", unit="run") as bar, _ended() as running:
        while waiting or running:
            while waiting and free:
                job, device = waiting.pop(0), free[0]
                process = _start(job, device, environment)
                if process is None:
                    failed[job.name] = "another process trains it; wait for that one, or end it"
                    LOGGER.info("%s: %s", job.name, failed[job.name])
                    bar.update()
                    continue
                LOGGER.info("%s: begins on device %d, says more in %s", job.name, device, job.log)
                running.append((job, free.pop(0), process))
            for entry in [entry for entry in running if entry[2].poll() is not None]:
                running.remove(entry)
                job, device, process = entry
                free.append(device)
                if process.returncode:
                    failed[job.name] = _reason(process.returncode, job.log)
                LOGGER.info("%s: %s", job.name, failed.get(job.name, "done"))
                bar.update()
            time.sleep(_POLL_S)
    return failed


def _start(job: Job, device: int, environment: dict[str, str]) -> subprocess.Popen | None:
    """The process; None where one of another command has its log open. The lock is the process's, and ends with it."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        return subprocess.Popen(
            [*job.words, "--device_id", str(device)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )


@contextmanager
def _ended() -> Iterator[list[tuple[Job, int, subprocess.Popen]]]:
    """A list of running jobs, which are ended where the block is left before they are done."""
    running: list[tuple[Job, int, subprocess.Popen]] = []

    def stop(*_):
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield running
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):  # the first lets it remove half-written files
            deadline = time.monotonic() + _GRACE_S
            alive = [process for _, _, process in running if process.poll() is None]
            for process in alive:
                process.send_signal(number)
            for process in alive:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(deadline - time.monotonic(), 0))
        signal.signal(signal.SIGTERM, before)


def _reason(status: int, log: Path) -> str:
    """The signal that ended a process, or the last line that it said."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").split("\n")
    return next((line.strip().removeprefix("error: ") for line in reversed(lines) if line.strip()), f"status {status}")
