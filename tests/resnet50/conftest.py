"""Made-up photos, and one small run on them that the tests here read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import ROOT
from ..photos import make_photos

CLASSES = ("ant", "bee", "cow", "dog", "eel", "fox")  # more than five, so that top-5 says something
TINY = ["--recipe", "small", "--num_classes", 6, "--width", 8, "--depths", "1,1", "--size", 32, "--short_side", 36]
TINY += ["--batch_size", 12, "--eval_batch_size", 7, "--warmup_epochs", 1, "--step_epochs", "3"]


def command_words(entry: str, *words) -> tuple[list[str], dict[str, str]]:
    """An entry point of resnet50/ as a user calls it, and its environment."""
    path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    environment = dict(os.environ) | {"DEVICE_TARGET": "CPU", "PYTHONPATH": path}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return [sys.executable, str(ROOT / "resnet50" / f"{entry}.py"), *map(str, words)], environment


def command(entry: str, *words) -> subprocess.CompletedProcess:
    """An entry point of resnet50/, run."""
    line, environment = command_words(entry, *words)
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """6 classes of 8 photos to train and 8 to validate, about 40 pixels."""
    return make_photos(tmp_path_factory.mktemp("photos"), CLASSES, count=8)


@pytest.fixture(scope="session")
def run(photos, tmp_path_factory) -> Path:
    """Four epochs of four steps."""
    folder = tmp_path_factory.mktemp("resnet50") / "run"
    done = command("train", *TINY, "--data_path", photos, "--epochs", 4, "--output_path", folder)
    assert done.returncode == 0, done.stderr
    return folder
