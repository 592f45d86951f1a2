"""What the commands share: flags, and how a command ends."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from easydict import EasyDict

from mindvoxel import config
from mindvoxel.errors import InputError, Terminated, WorkError, naming
from mindvoxel.log import quieten_mindspore, to_file

# What the user can mend about a file or a folder: exit status 2, as for any other bad input.
_USERS_FAULTS = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR}
_USERS_FAULTS |= {errno.EISDIR, errno.EEXIST, errno.ENOENT, errno.EIO, errno.ENAMETOOLONG}
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def run(command: Callable[[Sequence[str]], None], argv: Sequence[str] | None = None) -> int:
    """Run a command; 0, or one sentence on standard error and 2 (bad input), 1 (failed work), 130 (interrupted),
    143 (told to end by SIGTERM)."""
    quieten_mindspore()
    try:
        command(normalise(sys.argv[1:] if argv is None else argv))
    except InputError as error:
        return _fail(str(error), 2)
    except WorkError as error:
        return _fail(str(error), 1)
    except OSError as error:
        named = error.filename is not None or error.errno in _DISK_FULL
        if error.errno not in _USERS_FAULTS or not named:
            raise
        return _fail(f"{error.filename or 'output'}: {error.strerror}; choose another folder, or free it", 2)
    except Terminated as told:
        return _fail(str(told), 143)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    return 0


def _fail(sentence: str, status: int) -> int:
    line = f"error: {' '.join(sentence.split())}"
    sys.stderr.write(line + "\n")
    with suppress(OSError):  # a full disk may be the very error
        to_file(line)
    return status


def normalise(argv: Sequence[str]) -> list[str]:
    """`--data-path` as `--data_path`; values stay as they are."""
    named = []
    for word in argv:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word.partition("=")
            word = "--" + name[2:].replace("-", "_") + equals + value
        named.append(word)
    return named


@contextmanager
def unwound() -> Iterator[None]:
    """SIGTERM, into which MindSpore turns Ctrl-C while it computes, ends the block as Ctrl-C does: no file is left
    half-written."""

    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return action.help if action.default is None else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """argparse without abbreviated flags, which shows every default and says its errors in one line."""

    def __init__(self, prog: str, description: str):
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=_Help,
        )

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; {self.prog} --help says more")


def boolean(text: str) -> bool:
    if text.lower() not in {"true", "false", "1", "0"}:
        raise argparse.ArgumentTypeError(f"true or false is needed, got {text!r}")
    return text.lower() in {"true", "1"}


def spacing(text: str) -> tuple[float, float, float]:
    """`3,0.5,0.5`: mm along z, y, x."""
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(0 < v < float("inf") for v in values):
        raise argparse.ArgumentTypeError(f"three spacings above 0 in mm along z,y,x are needed, got {text!r}")
    return values


def names(text: str) -> list[str]:
    """`2d,3d_fullres`."""
    found = [word.strip() for word in text.split(",")]
    if not all(found) or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"names parted by commas are needed, each once, got {text!r}")
    return found


def numbers(text: str) -> list[int]:
    """`0,1,2`."""
    found = names(text)
    if not all(word.isdecimal() for word in found):
        raise argparse.ArgumentTypeError(f"numbers from 0 on, parted by commas, are needed, got {text!r}")
    return [int(word) for word in found]


def add_device_target(parser: Parser) -> None:
    target = os.environ.get("DEVICE_TARGET", "Ascend")
    parser.add_argument("--device_target", default=target, help="Ascend, GPU or CPU; DEVICE_TARGET sets the default")


def add_device_flags(parser: Parser) -> None:
    add_device_target(parser)
    number = os.environ.get("DEVICE_ID", "0")  # a string default is read as the flag would be
    parser.add_argument("--device_id", type=int, default=number, help="number of the card; DEVICE_ID sets the default")


def add_prune_flag(parser: Parser) -> None:
    text = "of UNet++, compute head L alone and the nodes it needs, 1 to the network's depth; 0: the deepest head"
    parser.add_argument("--prune", type=int, metavar="L", default=0, help=text)


def choose_model(argv: Sequence[str], model: str | None, parser: Parser) -> str:
    """The model that the entry point names or --model asks for; the flag is added to the parser."""
    from mindvoxel.zoo import model_names

    names = model_names()
    parser.add_argument("--model", default=model, help=f"one of {', '.join(names)}")
    chosen = flag(argv, "--model") or model
    if chosen is None:
        if {"-h", "--help"} & set(argv):
            return names[0]
        raise InputError(f"--model is needed: one of {', '.join(names)}")
    if chosen not in names:
        raise InputError(f"--model {chosen} is unknown; choose one of {', '.join(names)}")
    return chosen


def check_model(found: str, args: argparse.Namespace, model: str | None) -> None:
    """Raise InputError unless the runs of --model_dir are of the model that --model or the entry point names."""
    wanted = args.model or model
    if wanted not in (None, found):
        raise InputError(f"{args.model_dir}: runs of {found}, not of {wanted}; use {found}/predict.py")


def flag(argv: Sequence[str], name: str) -> str | None:
    """The value of a flag before the parser is chosen; None where it is not given."""
    for i, word in enumerate(argv):
        if word == name and i + 1 < len(argv):
            return argv[i + 1]
        if word.startswith(name + "="):
            return word.partition("=")[2]
    return None


def add_recipe_flags(parser: Parser, recipe: EasyDict, sections: tuple[str, ...], default: str = "recipe: {}") -> None:
    """One flag for each value of these sections of the recipe, or of single keys (data.size); what is not given stays
    as it is, which `default` says in the help text."""
    group = parser.add_argument_group("recipe", "any value of the recipe; lists as 64,128,128")
    texts = config.describe(recipe.model)
    for key, value in config.flatten(recipe).items():
        if {key, key.split(".")[0]} & set(sections):
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            help_text = f"{texts[key]} ({default.format(shown or 'none')})".replace("%", "%%")
            group.add_argument(
                f"--{key.split('.')[1]}", dest=key, default=argparse.SUPPRESS, help=help_text, metavar="VALUE"
            )


def overrides(args: argparse.Namespace, recipe: EasyDict) -> dict:
    """The recipe values that the command line gives, by `section.key`."""
    known = config.flatten(recipe)
    return {
        key: config.parse_value("--" + key.split(".")[1], text, known[key])
        for key, text in vars(args).items()
        if key in known
    }


def new_folder(path: str | Path) -> Path:
    """Make the folder, and see at once whether it can be written."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    probe = path / f".partial-{os.getpid()}"
    try:
        with naming(path):
            probe.write_text("x")
    finally:
        probe.unlink(missing_ok=True)
    return path
