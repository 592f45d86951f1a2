"""Made-up photos, and one small run on them that the tests here read."""

from pathlib import Path

import pytest

from mindvoxel.cli import train as cli

from ..photos import make_photos

CLASSES = ("ant", "bee", "cow", "dog", "eel", "fox")  # more than five, so that top-5 says something
TINY = ["--recipe", "small", "--num_classes", 6, "--width", 8, "--depths", "1", "--size", 32, "--short_side", 36]
TINY += ["--batch_size", 12, "--eval_batch_size", 7, "--warmup_epochs", 1, "--step_epochs", "3"]


def train(*words) -> int:
    """What resnet50/train.py does, in this process, which has imported MindSpore already; its exit status."""
    return cli.main(["--device_target", "CPU", *map(str, words)], model="resnet50")


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """6 classes of 8 photos to train and 8 to validate, about 40 pixels."""
    return make_photos(tmp_path_factory.mktemp("photos"), CLASSES, count=8)


@pytest.fixture(scope="session")
def run(cpu, photos, tmp_path_factory) -> Path:
    """Four epochs of four steps."""
    folder = tmp_path_factory.mktemp("resnet50") / "run"
    assert train(*TINY, "--data_path", photos, "--epochs", 4, "--output_path", folder) == 0
    return folder
