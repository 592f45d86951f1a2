"""Processes that end together: when one fails the others are ended, and what it said comes last."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_S = 0.05
FIND_S = 1.0
TAIL_S = 0.2
# After the last rank is gone, msrun waits half a minute for its scheduler, which misses a rank that took no leave.
LEAVE_S = 10.0
SAME_SIGNAL_S = 2.0
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_FAULT = re.compile(r"^(error: |Traceback )", re.MULTILINE)
# a sentence of this program, or the end of a traceback, after which MindSpore shows its own call stack
_OWN = re.compile(r"^(?:error: |[\w.]*(?:Error|Exception)\b).*", re.MULTILINE)
# Beginnings of the variables by which a launcher gives a process its place: those of an outer one mean another run.
_PLACES = ("RANK_", "MINDSPORE_HCCL_CONFIG_PATH", "DEVICE_ID", "MS_ROLE", "MS_NODE_ID", "MS_WORKER_NUM", "MS_SCHED_")
_PLACES += ("OMPI_COMM_WORLD_", "PMIX_")


@dataclass(frozen=True)
class Command:
    """A program with its words, and variables beside this process's, of which it gets none that tells a rank its place.
    rank: where it is a rank itself, else None, and it starts ranks."""

    words: Sequence[str]
    variables: dict[str, str]
    rank: int | None = None


def supervise(commands: Sequence[Command], logs: Path) -> int:
    """Run the commands until all have ended, or one fails: 0, 143 where this process was told to end and they did not
    come to theirs, else the status of the first that failed. Afterwards no process that they started is left.

    SIGTERM, SIGINT and SIGHUP (without nohup) go on to the ranks as SIGTERM, which save and end; a second one ends them
    at once.
    """
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)  # what a rank leaves behind becomes a child of this process
    logs.mkdir(parents=True, exist_ok=True)
    crew = _Crew(logs)
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    handlers = {number: signal.signal(number, crew.tell) for number in numbers}
    try:
        for command in commands:
            crew.start(command)
        status = crew.wait()
    finally:
        crew.end_all()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if status and crew.told:
        return 143
    if status:
        sys.stderr.write(crew.first_fault() + "\n")
    return status


class _Crew:
    """The commands, and the ranks among what they started."""

    def __init__(self, logs: Path):
        self.logs = logs
        self.told: float | None = None  # when
        self.old_logs = {log: log.stat().st_mtime_ns for log in self._logs()}  # of a run before in this folder
        self.commands: list[subprocess.Popen] = []
        self.tail: subprocess.Popen | None = None
        self.ranks: dict[int, psutil.Process] = {}
        self.gone: list[int] = []  # ranks, in the order in which they ended
        self.first_gone: list[int] = []  # those that were seen to have ended first, more than one where at once
        self.failed_since = self.empty_since = None

    def start(self, command: Command) -> None:
        log = self.logs / f"worker_{command.rank}.log"
        output = None
        if command.rank is not None:
            output = log.open("w", encoding="utf-8")
        # a session of its own: Ctrl-C reaches the ranks through this process alone, which lets them save
        process = subprocess.Popen(
            command.words,
            env={k: v for k, v in os.environ.items() if not k.startswith(_PLACES)} | command.variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
        )
        self.commands.append(process)
        if command.rank is not None:
            output.close()
            self._know(command.rank, psutil.Process(process.pid))
            if self.tail is None:  # the lowest rank of this server speaks on the screen, to the end
                words = ["tail", "-n", "+1", "-s", str(TAIL_S), "-f", str(log)]
                self.tail = subprocess.Popen(words, start_new_session=True)

    def tell(self, *_) -> None:
        """Tell every rank, and those that begin later, to save and end; the second time, end them."""
        if self.told is None:
            self.told = time.monotonic()
            for process in self.ranks.values():
                _send(process, signal.SIGTERM)
        elif time.monotonic() - self.told > SAME_SIGNAL_S:  # one Ctrl-C comes from the terminal and the shell's trap
            for process in self._descendants():
                _send(process, signal.SIGKILL)

    def wait(self) -> int:
        """Until all commands have ended well, or one has not: its status."""
        looked = 0.0
        while True:
            statuses = [command.poll() for command in self.commands]
            self._note_the_gone()
            failed = [status for status in statuses if status]
            if failed and (None not in statuses or self._has_waited()):
                return failed[0] if failed[0] > 0 else 128 - failed[0]
            if None not in statuses:
                return 0
            if time.monotonic() - looked > FIND_S and not self.gone:
                self._find_ranks()
                looked = time.monotonic()
            if self._has_left():
                return 1
            time.sleep(POLL_S)

    def end_all(self) -> None:
        """End what is left, and what that starts meanwhile, at once; what the system does not let go within LEAVE_S,
        such as a process in a driver's call, is left to it."""
        if self.tail is not None:
            time.sleep(2 * TAIL_S)  # for the last lines
        deadline = time.monotonic() + LEAVE_S
        while (left := [p for p in self._descendants() if _lives(p)]) and time.monotonic() < deadline:
            for process in left:
                _send(process, signal.SIGKILL)
            time.sleep(POLL_S)
        for command in self.commands:
            with suppress(subprocess.TimeoutExpired):
                command.wait(POLL_S)

    def first_fault(self) -> str:
        """The words of the rank that failed first, with the rank and its log, as the last thing that is said."""
        told = []
        for log in self._logs():
            text, at = log.read_text(encoding="utf-8", errors="replace"), log.stat().st_mtime_ns
            if at != self.old_logs.get(log) and _FAULT.search(text):
                told.append((at, log, text))
        if not told:
            if not self.gone:
                return "error: the run failed before its processes began; what is above says why"
            first = " or ".join(map(str, self.first_gone))
            return (
                f"error: rank {first} ended first, without a word: killed by a signal, or by the system for want of "
                "memory; the other ranks were ended; go on with --resume"
            )
        _, log, text = min(told)
        rank = re.search(r"\d+$", log.stem if log.stem != "stdout" else log.parent.name)[0]
        words = _OWN.findall(text.replace("\r", "\n")) or text.split("\n")
        return f"rank {rank} failed first, its log is {log}:\nerror: {words[-1].removeprefix('error: ')}"

    def _descendants(self) -> list[psutil.Process]:
        return psutil.Process().children(recursive=True)

    def _logs(self) -> list[Path]:
        """Of ranks, as msrun and this process name them, and as mpirun does."""
        return sorted([*self.logs.glob("worker_*.log"), *self.logs.glob("*/rank.*/stdout")])

    def _find_ranks(self) -> None:
        for process in self._descendants():
            rank = _rank_of(process)
            if rank is not None and rank not in self.ranks:
                self._know(rank, process)

    def _know(self, rank: int, process: psutil.Process) -> None:
        self.ranks[rank] = process
        if self.told is not None:
            _send(process, signal.SIGTERM)

    def _note_the_gone(self) -> None:
        self.gone += [rank for rank, process in self.ranks.items() if rank not in self.gone and not _lives(process)]
        self.first_gone = self.first_gone or self.gone[:]

    def _has_waited(self) -> bool:
        """Whether the others of a failed command need no more time: told to end they leave together, and at once."""
        self.failed_since = self.failed_since or time.monotonic()
        return self.told is None or time.monotonic() - self.failed_since > LEAVE_S

    def _has_left(self) -> bool:
        """Whether all ranks are gone for a while, and their launcher is not."""
        if not self.ranks or len(self.gone) < len(self.ranks):
            return False
        self.empty_since = self.empty_since or time.monotonic()
        return time.monotonic() - self.empty_since > LEAVE_S


def _rank_of(process: psutil.Process) -> int | None:
    """The rank of a training process, which msrun, mpirun or a rank table has given it; None for any other."""
    try:
        if "--run_distribute" not in process.cmdline():
            return None
        variables = process.environ()
    except psutil.Error:
        return None
    if variables.get("MS_ROLE") == "MS_SCHED":
        return None
    names = ("OMPI_COMM_WORLD_RANK", "MS_NODE_ID")
    return next((int(variables[name]) for name in names if name in variables), None)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
