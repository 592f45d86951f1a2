"""Files and folders that are written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mindvoxel.errors import InputError, naming


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside `path` to write to: renamed to `path` where the block ends well, removed where it does not.

    An OSError that knows no file gets the name `path`.
    """
    path = Path(path)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        with naming(path):
            yield partial
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """A new folder beside `path` to fill: renamed to `path` where the block ends well, removed where it does not.

    Raises InputError where `path` exists and is not an empty folder.
    """
    path = Path(path).absolute()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: exists and is not an empty folder; name a new one, or remove it")
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a small UTF-8 file."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
