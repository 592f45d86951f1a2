"""The two ways a command can end badly, told apart by its exit status."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """The user's input is at fault: one sentence with the file, what was found and what is needed. Exit status 2."""


class WorkError(RuntimeError):
    """The work itself failed, on good input: one sentence with what to do. Exit status 1."""


class Terminated(BaseException):
    """The process was told to end (SIGTERM): one sentence with what is kept. Exit status 143; as KeyboardInterrupt, it
    is no error that work would handle."""


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Give an OSError that knows no file the name `path`: a write to a full disk does not say where it was."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
