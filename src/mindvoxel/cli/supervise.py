"""Processes that end together: when one fails the others are ended, and what it said comes last."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_S = 0.2
# After the last rank is gone, msrun waits half a minute for its scheduler, which misses a rank that took no leave.
LEAVE_S = 10.0
SAME_SIGNAL_S = 2.0
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_FAULT = re.compile(r"^(error: |Traceback )", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A program with its words, and variables beside this process's. rank: where it is a rank itself, else None, and it
    starts ranks."""

    words: Sequence[str]
    variables: dict[str, str]
    rank: int | None = None


def supervise(commands: Sequence[Command], logs: Path) -> int:
    """Run the commands until all have ended, or one fails: 0, 143 where this process was told to end, else the status
    of the first that failed. Afterwards no process that they started is left.

    SIGTERM and SIGINT go on to the ranks as SIGTERM, which save and end; a second one ends them at once.
    """
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)  # what a rank leaves behind becomes a child of this process
    logs.mkdir(parents=True, exist_ok=True)
    crew = _Crew(logs)
    handlers = {number: signal.signal(number, crew.tell) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for command in commands:
            crew.start(command)
        status = crew.wait()
    finally:
        crew.end_all()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if crew.told:
        return 143
    if status:
        sys.stderr.write(crew.first_fault() + "\n")
    return status


class _Crew:
    """The commands, and the ranks among what they started."""

    def __init__(self, logs: Path):
        self.logs = logs
        self.told: float | None = None  # when
        self.commands: list[subprocess.Popen] = []
        self.tail: subprocess.Popen | None = None
        self.ranks: dict[int, psutil.Process] = {}
        self.gone: list[int] = []  # ranks, in the order in which they ended
        self.empty_since = None

    def start(self, command: Command) -> None:
        log = self.logs / f"worker_{command.rank}.log"
        output = None
        if command.rank is not None:
            output = log.open("w", encoding="utf-8")
        # a session of its own: Ctrl-C reaches the ranks through this process alone, which lets them save
        process = subprocess.Popen(
            command.words,
            env=os.environ | command.variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
        )
        self.commands.append(process)
        if command.rank is not None:
            output.close()
            self.ranks[command.rank] = psutil.Process(process.pid)
            if self.tail is None:  # the lowest rank of this server speaks on the screen
                self.tail = subprocess.Popen(["tail", "-n", "+1", "-s", "0.2", "-f", str(log)])

    def tell(self, *_) -> None:
        """Tell every rank to save and end; the second time, end them."""
        # one Ctrl-C may come from the terminal and from the shell's trap
        again = self.told is not None and time.monotonic() - self.told > SAME_SIGNAL_S
        self.told = self.told or time.monotonic()
        for process in self._descendants():
            if again:
                _send(process, signal.SIGKILL)
            elif _rank_of(process) is not None or process.pid in {p.pid for p in self.ranks.values()}:
                _send(process, signal.SIGTERM)

    def wait(self) -> int:
        """Until all commands have ended well, or one has not: its status."""
        looked = 0.0
        while True:
            statuses = [command.poll() for command in self.commands]
            failed = [status for status in statuses if status]
            if failed and not (self.told and None in statuses):
                return failed[0] if failed[0] > 0 else 128 - failed[0]
            if None not in statuses:
                return 0
            if time.monotonic() - looked > 1 and not self.gone:
                self._find_ranks()
                looked = time.monotonic()
            self._note_the_gone()
            if self._has_left():
                return 1
            time.sleep(POLL_S)

    def end_all(self) -> None:
        """End what is left, at once."""
        if self.tail is not None:
            time.sleep(2 * POLL_S)  # for the last lines
        for process in self._descendants():
            _send(process, signal.SIGKILL)
        for command in [*self.commands, *([self.tail] if self.tail else [])]:
            command.wait()

    def first_fault(self) -> str:
        """The words of the rank that failed first, with the rank and its log, as the last thing that is said."""
        told = []
        for log in sorted([*self.logs.glob("worker_*.log"), *self.logs.glob("*/rank.*/stdout")]):
            text = log.read_text(encoding="utf-8", errors="replace")
            if _FAULT.search(text):
                told.append((log.stat().st_mtime_ns, log, text))
        if not told:
            if not self.gone:
                return "error: the run failed before its processes began; what is above says why"
            return (
                f"error: rank {self.gone[0]} ended first, without a word: killed by a signal, or by the system for "
                "want of memory; the other ranks were ended; go on with --resume"
            )
        _, log, text = min(told)
        rank = re.search(r"\d+$", log.stem if log.stem != "stdout" else log.parent.name)[0]
        lines = [line for line in re.split(r"[\r\n]+", text) if line.startswith("error: ")]
        own = lines[-1] if lines else "error: " + [line for line in text.splitlines() if line.strip()][-1]
        return f"rank {rank} failed first, its log is {log}:\n{own}"

    def _descendants(self) -> list[psutil.Process]:
        return psutil.Process().children(recursive=True)

    def _find_ranks(self) -> None:
        for process in self._descendants():
            rank = _rank_of(process)
            if rank is not None:
                self.ranks.setdefault(rank, process)

    def _note_the_gone(self) -> None:
        for rank, process in self.ranks.items():
            if rank not in self.gone and not _lives(process):
                self.gone.append(rank)

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
