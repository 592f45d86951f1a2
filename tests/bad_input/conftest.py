"""What a user can get wrong, through the real commands: exit status 2, one line that names the culprit, nothing left.

The commands run in this process, so that MindSpore starts once; standard error is read from its file descriptor, where
MindSpore's own messages would show, too.
"""

import re
import shutil
from pathlib import Path

import pytest

from mindvoxel.cli import eval as evaluate
from mindvoxel.cli import export, train

TINY = [
    *("--recipe", "small", "--width", "2", "--down_convs", "1,1", "--up_convs", "1,1", "--patch_size", "8,16,16"),
    *("--spacing_mm", "6,4,4", "--epochs", "1", "--batch_size", "1", "--repeats", "1", "--num_workers", "0"),
]
CPU = ["--device_target", "CPU"]
BAR = re.compile(r"^[^:]+: +\d+%\|.*\]$")
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@pytest.fixture
def refused(capfd):
    """refused(command, argv, *parts): status 2, and one line that has all `parts`, beside progress bars."""
    return refused_by(capfd)


@pytest.fixture
def refused_in_python(capsys):
    """The same without what lies below Python, in memory and not in a file that a limit would hit, too."""
    return refused_by(capsys)


def refused_by(capture):
    def check(command, argv: list, *parts: str) -> str:
        capture.readouterr()
        status = command([str(word) for word in argv])
        text = ESCAPES.sub("", capture.readouterr().err)
        lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
        lines = [line for line in lines if line and not BAR.match(line)]
        assert len(lines) == 1, text
        assert lines[0].startswith("error: ")
        for part in parts:
            assert str(part) in lines[0]
        assert status == 2
        return lines[0]

    return check


@pytest.fixture
def data(phantom, tmp_path) -> Path:
    """Case00 and Case01 of the phantom, to damage."""
    for folder in ("img", "gt"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for path in sorted((phantom / folder).glob("Case0[01]*")):
            shutil.copy(path, tmp_path / "data" / folder)
    (tmp_path / "train.csv").write_text("Case00.mhd\nCase01.mhd\n")
    return tmp_path / "data"


@pytest.fixture(scope="session")
def run_folder(phantom, tmp_path_factory) -> Path:
    """A run of one epoch on one case, from a CSV of a single line with CRLF: both must work."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.csv").write_bytes(b"Case02.mhd\r\n")
    assert train_main(phantom, folder / "train.csv", folder / "run") == 0
    return folder / "run"


@pytest.fixture(scope="session")
def checkpoint(run_folder) -> Path:
    return run_folder / "last.ckpt"


def train_argv(data, csv, output, *flags) -> list:
    return [*CPU, "--data_path", data, "--train_split_file_path", csv, "--output_path", output, *TINY, *flags]


def train_main(*args) -> int:
    return train.main([str(word) for word in train_argv(*args)], model="vnet")


def train_vnet(argv: list) -> int:
    return train.main(argv, model="vnet")


def eval_vnet(argv: list) -> int:
    return evaluate.main(argv, model="vnet")


def export_vnet(argv: list) -> int:
    return export.main(argv, model="vnet")


def left_behind(folder: Path) -> list[str]:
    """Files below `folder` except logs."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.suffix != ".log")
