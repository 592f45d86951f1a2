"""One logger for the screen and the run's log file, and progress bars that get on with it."""

import logging
import sys
from pathlib import Path

from tqdm import tqdm

LOGGER = logging.getLogger("mindvoxel")


class _Screen(logging.Handler):
    """Standard output, without tearing a progress bar on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


def set_up(main: bool = True) -> None:
    """Messages to standard output, on rank 0 alone; the other ranks show warnings and worse."""
    LOGGER.handlers.clear()
    LOGGER.propagate = False
    LOGGER.setLevel(logging.INFO if main else logging.WARNING)
    LOGGER.addHandler(_Screen())


def add_file(path: str | Path) -> None:
    """Messages also to `path`, with the time, appended."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    LOGGER.addHandler(handler)


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
