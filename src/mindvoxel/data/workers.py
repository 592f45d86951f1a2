"""Work on many cases in several processes that cannot end in silence: a dead one ends the run, and says how it died."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any

from mindvoxel.data.machine import available_bytes, available_cores
from mindvoxel.errors import InputError, WorkError
from mindvoxel.log import LOGGER

Tell = Callable[[str], None]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
_SPARE = 0.9  # part of the free memory that is planned with
_GRACE_S = 3.0  # for a worker to remove what it has half written


def choose_workers(requested: int | None, bytes_per_case: int) -> int:
    """How many processes: one a core, as far as memory allows; a number that is asked for is kept, with a warning.

    bytes_per_case: what the largest case takes in one process. Raises InputError for a number below 0.
    """
    if requested is not None and requested < 0:
        raise InputError(f"--workers must be 0 or more, got {requested}; 0 works in this process alone")
    cores, free = available_cores(), available_bytes()
    fitting = max(int(free * _SPARE / max(bytes_per_case, 1)), 1)
    sizes = f"a case takes up to {bytes_per_case / 1e9:.1f} GB and {free / 1e9:.1f} GB of memory are free"
    if requested is None:
        if fitting < cores:
            LOGGER.info("%d workers instead of one on each of %d cores: %s", fitting, cores, sizes)
        return min(cores, fitting)
    if max(requested, 1) * bytes_per_case > free:
        LOGGER.warning("%d workers may need more memory than there is: %s", requested, sizes)
    return requested


def run_cases(function: Callable[[Any, Tell], Any], cases: Iterable, *, num_workers: int, what: str) -> Iterator[Any]:
    """Results of `function(case, tell)`, in the order of `cases`.

    function: at the top level of a module, or a functools.partial of such; it calls tell("resampling") at each stage.
    what: the work in a word ("preprocessing"), for messages.  num_workers: 0 works in this process.

    The first failure ends the whole run. InputError, WorkError and OSError arrive as they are, with the case's name;
    any other exception as WorkError, its traceback in the log; a process that dies as WorkError with the case, the
    stage, the signal and a remedy.
    """
    items = list(cases)
    if num_workers == 0:
        return _run_here(function, items, what)
    inner = function.func if isinstance(function, partial) else function
    if inner.__module__ == "__main__":
        raise ValueError(f"{inner.__name__} is part of the main script, which workers do not run; put it in a module")
    return _run_there(function, items, min(num_workers, len(items)), what)


def _run_here(function: Callable, items: list, what: str) -> Iterator[Any]:
    for item in items:
        stages = ["starting"]
        try:
            result = function(item, stages.append)
        except Exception as error:
            raise _explained(error, _name(item), stages[-1], what) from error
        yield result


def _name(item: Any) -> str:
    return str(getattr(item, "case", item))


def _explained(error: Exception, name: str, stage: str, what: str) -> Exception:
    """The error to raise for `error`, one that knows the case and can travel between processes."""
    if isinstance(error, (InputError, WorkError)):
        kind = InputError if isinstance(error, InputError) else WorkError
        return kind(str(error) if name in str(error) else f"case {name}: {error}")
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, f"{error.strerror} ({what} of case {name})", error.filename)
    if isinstance(error, MemoryError):
        return WorkError(f"{what} of case {name} ran out of memory while {stage}; use fewer --workers")
    LOGGER.error("".join(traceback.format_exception(error)).rstrip())
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return WorkError(f"{what} of case {name} failed while {stage} ({reason}); the log holds the traceback")


# In the parent


@dataclass
class _Worker:
    """A process, the connection to it, and what it is at: the number of a case, None when it has been told to end."""

    process: subprocess.Popen
    connection: Connection
    number: int | None = None
    name: str = ""
    stage: str = "starting"

    def give(self, number: int, item: Any) -> None:
        self.number, self.name, self.stage = number, _name(item), "starting"
        with suppress(BrokenPipeError, ConnectionResetError):  # it is dead, which the next read tells
            self.connection.send(item)

    def dismiss(self) -> None:
        self.number = None
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(None)


def _start(function: Callable, num_workers: int, what: str) -> _Worker:
    """A fresh interpreter, which imports what `function` needs and not the main script."""
    ours, theirs = socket.socketpair()
    threads = str(max(available_cores() // num_workers, 1))
    fd = theirs.fileno()
    code = f"import sys; sys.path[:] = {sys.path!r}; from mindvoxel.data.workers import serve; serve({fd})"
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,  # closed when this process ends, however it does
            pass_fds=(fd,),
            env=os.environ | dict.fromkeys(_THREADS, threads),
            start_new_session=True,  # a Ctrl-C reaches the parent alone, which ends its workers
        )
    worker = _Worker(process, Connection(ours.detach()))
    worker.connection.send((function, what))
    return worker


def _run_there(function: Callable, items: list, num_workers: int, what: str) -> Iterator[Any]:
    workers: list[_Worker] = []
    try:
        for _ in range(num_workers):
            workers.append(_start(function, num_workers, what))
        yield from _in_order(workers, items, what)
    finally:
        _end(workers)


def _in_order(workers: list[_Worker], items: list, what: str) -> Iterator[Any]:
    waiting, done = deque(enumerate(items)), {}
    for worker in workers:
        worker.give(*waiting.popleft())
    for number in range(len(items)):
        while number not in done:
            busy = {worker.connection: worker for worker in workers if worker.number is not None}
            for connection in wait(list(busy)):
                worker = busy[connection]
                kind, value = _receive(worker, what, len(workers))
                if kind == "stage":
                    worker.stage = value
                elif kind == "log":
                    LOGGER.log(*value)
                elif kind == "failed":
                    raise value
                else:
                    done[worker.number] = value
                    worker.give(*waiting.popleft()) if waiting else worker.dismiss()
        yield done.pop(number)


def _receive(worker: _Worker, what: str, num_workers: int) -> tuple[str, Any]:
    try:
        return worker.connection.recv()
    except (EOFError, ConnectionResetError):
        raise _death(worker, what, num_workers) from None


def _death(worker: _Worker, what: str, num_workers: int) -> WorkError:
    """What is known of a worker that is gone."""
    with suppress(subprocess.TimeoutExpired):
        worker.process.wait(_GRACE_S)
    code = worker.process.poll()
    how = f"exit status {code}"
    if code is not None and code < 0:
        known = {int(s): s.name for s in signal.Signals}
        how = f"signal {known.get(-code, -code)}"
    if code == -signal.SIGKILL:
        fewer = f"use fewer --workers than {num_workers}, or " if num_workers > 1 else "use "
        remedy = (
            f"as the system does where memory runs out ({available_bytes() / 1e9:.1f} GB are free now); {fewer}"
            "a machine with more memory"
        )
    else:
        remedy = "a fault below Python; check the files of that case, and run again with --workers 0 to see more"
    return WorkError(f"{what} of case {worker.name}: its process ended by {how} while {worker.stage}, {remedy}")


def _end(workers: list[_Worker]) -> None:
    """End all workers; one that was still at a case removes what it has half written."""
    for worker in workers:
        if worker.number is not None:
            worker.process.terminate()
    deadline = time.monotonic() + _GRACE_S
    for worker in workers:
        try:
            worker.process.wait(max(deadline - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        worker.connection.close()
        worker.process.stdin.close()


# In a worker


class _Forward(logging.Handler):
    """What a worker logs is logged by the parent."""

    def __init__(self, connection: Connection):
        super().__init__()
        self.connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        self.connection.send(("log", (record.levelno, "%s", record.getMessage())))


def serve(fd: int) -> None:
    """Work on what arrives at the socket `fd` until None does; ends this process. For run_cases alone."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds, so that no half-written file remains
    connection = Connection(fd)
    LOGGER.addHandler(_Forward(connection))
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    Thread(target=_watch, daemon=True).start()
    try:
        function, what = connection.recv()
    except Exception as error:
        LOGGER.error("".join(traceback.format_exception(error)).rstrip())
        connection.send(("failed", WorkError(f"a worker could not start ({error}); the log holds the traceback")))
        os._exit(1)
    with suppress(EOFError, ConnectionResetError, BrokenPipeError):  # the parent is gone
        while (item := connection.recv()) is not None:
            _attempt(function, item, connection, what)
    os._exit(0)  # without the time that leaving Python takes


def _watch() -> None:
    """The parent holds the other end of standard input: what ends it, ends this process."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)


def _attempt(function: Callable, item: Any, connection: Connection, what: str) -> None:
    stages = ["starting"]

    def tell(stage: str) -> None:
        stages.append(stage)
        connection.send(("stage", stage))

    try:
        connection.send(("done", function(item, tell)))
    except Exception as error:
        connection.send(("failed", _explained(error, _name(item), stages[-1], what)))
