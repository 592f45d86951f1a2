"""The published flow as unetpp/README.md has it, on an awkward data set: what it leaves is what the tests here read."""

import os
import re
import shlex
from pathlib import Path

import pytest

from mindvoxel.cli import main as mindvoxel
from mindvoxel.cli import predict, train

from ..conftest import ROOT
from ..unet3d.conftest import write_folder

TINY = ["--recipe", "small", "--first_filters", "2", "--epochs", "2", "--steps_per_epoch", "2", "--batch_size", "0"]
TINY += ["--val_steps", "1", "--num_workers", "0", "--tta", "none"]
ENDS = {  # of a command: what makes it take seconds
    "python train.py": TINY,
    "mindvoxel cross_validate": [*TINY, "--folds", "0,1"],
    "--other_use": ["--bench_steps", "1", "--bench_warmup_steps", "1"],
}


def commands() -> list[str]:
    """Those of the page's table in its order, the first of each row."""
    table = (ROOT / "unetpp" / "README.md").read_text(encoding="utf-8").split("| published | here |")[1]
    return re.findall(r"^\| .* \| `((?:python|mindvoxel|bash) [^`]+)`", table.split("\n\n")[0], re.MULTILINE)


def run(command: str) -> None:
    """In this process, but for what a command starts itself."""
    words = shlex.split(command)
    for start, end in ENDS.items():
        words += end if start in command else []
    name = " ".join(words[:2])
    entry = {"python train.py": train.main, "python predict.py": predict.main}.get(name)
    status = entry(words[2:]) if entry else mindvoxel.main(words[1:])
    assert status == 0, command


@pytest.fixture(scope="session")
def flow(tmp_path_factory) -> Path:
    """The folder in which every command of the table was run; test_scripts.py runs the launchers."""
    folder = tmp_path_factory.mktemp("flow")
    write_folder(folder / "Task03_Liver", num_tests=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DEVICE_TARGET", "CPU")
        patch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(ROOT / "src"))))
        for command in commands():
            if not command.startswith("bash"):
                run(command)
    return folder


@pytest.fixture(scope="session")
def trained(flow) -> Path:
    """The run of fold 0."""
    return flow / "results" / "liver" / "3d_fullres" / "fold_0"
