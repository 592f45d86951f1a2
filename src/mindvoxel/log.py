"""One logger for the screen and the run's log file, and progress bars that get on with it."""

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

LOGGER = logging.getLogger("mindvoxel")


class _File(logging.FileHandler):
    """A disk that is full ends the work instead of showing a traceback a message."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            raise
        raise OSError(error.errno, error.strerror, self.baseFilename) from error


class _Screen(logging.Handler):
    """Standard output, without tearing a progress bar on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


class _Reroute(logging.Filter):
    """What MindSpore says on standard error goes to the run's log instead; it raises its errors besides."""

    def filter(self, record: logging.LogRecord) -> bool:
        LOGGER.info("MindSpore: %s", record.getMessage())
        return False


def quieten_mindspore() -> None:
    """Keep standard error to this program's own sentence; a user who sets GLOG_v below 3 wants to see it all."""
    logger = logging.getLogger(f"ME.mindspore.log.{os.getpid()}")  # the name that MindSpore 2.10 gives its own
    quiet = os.environ.get("GLOG_v", "3") >= "3"  # noqa: SIM112 - MindSpore's own spelling
    if quiet and not any(isinstance(known, _Reroute) for known in logger.filters):
        logger.addFilter(_Reroute())


def set_up(main: bool = True) -> None:
    """Messages to standard output, on rank 0 alone; the other ranks show warnings and worse."""
    for handler in LOGGER.handlers[:]:
        LOGGER.removeHandler(handler)
        with suppress(OSError):  # what is left for a full disk
            handler.close()
    LOGGER.propagate = False
    LOGGER.setLevel(logging.INFO if main else logging.WARNING)
    LOGGER.addHandler(_Screen())


def add_file(path: str | Path) -> None:
    """Messages also to `path`, with the time, appended."""
    handler = _File(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    LOGGER.addHandler(handler)


def to_file(line: str) -> None:
    """A line to the run's log file alone, where there is one."""
    record = LOGGER.makeRecord(LOGGER.name, logging.ERROR, "", 0, line, None, None)
    for handler in LOGGER.handlers:
        if isinstance(handler, _File):
            handler.handle(record)


def progress(items=None, *, total: int | None = None, initial: int = 0, what: str, unit: str) -> tqdm:
    """A bar on standard error; off a terminal it is renewed every 10 s only, so that log files stay short."""
    terminal = sys.stderr.isatty()
    return tqdm(
        items,
        total=total,
        initial=initial,
        desc=what,
        unit=unit,
        disable=LOGGER.level > logging.INFO,
        mininterval=0.2 if terminal else 10,
        miniters=1,
        dynamic_ncols=terminal,
        ascii=not terminal,
    )
