"""Files and folders that are written whole or not at all, and JSON that is read with care."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from mindvoxel.errors import InputError, naming


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside `path` to write to: renamed to `path` where the block ends well, removed where it does not.

    An OSError that knows no file, or the one beside, gets the name `path`.
    """
    path = Path(path)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        with naming(path):
            yield partial
            partial.replace(path)
    except OSError as error:
        if error.filename != str(partial):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
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
    # In containers, the process that was killed and left its folder behind may have had the same number.
    partial = path.with_name(f".partial-{os.getpid()}-{token_hex(4)}-{path.name}")
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


def read_json(path: str | Path, remedy: str = "write it anew") -> dict:
    """A JSON object; raises InputError, with what to do in its end, where there is no file, no JSON or no object."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; {remedy}")
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON in UTF-8 ({error}); {remedy}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: a JSON object with keys is needed, got a {type(values).__name__}; {remedy}")
    return values


def laid_out(value, indent: str = "") -> str:
    """JSON with an object's keys on lines of their own and lists of numbers on one line, to be edited by hand."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{json.dumps(key)}: {laid_out(part, inner)}" for key, part in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        return "[\n" + ",\n".join(inner + laid_out(part, inner) for part in value) + f"\n{indent}]"
    return json.dumps(value)
