"""The CPU is set up before anything imports MindSpore, as the commands do it."""

import os
import shutil
from pathlib import Path

import pytest

from mindvoxel.train import device

from .harness import built

os.environ.pop("DEVICE_TARGET", None)
device.prepare_cpu()

ROOT = Path(__file__).resolve().parents[1]
# Real scans that are not part of the project; what needs them is skipped where they are absent.
SHARED = Path(os.environ.get("MINDVOXEL_TEST_DATA", ROOT.parent / "shared" / "data"))


needs_mpirun = pytest.mark.skipif(
    shutil.which("mpirun") is None, reason="mpirun is absent: apt-get install openmpi-bin, to test its launcher"
)


@pytest.fixture(scope="session")
def cpu():
    """The CPU as this process's device, in graph mode."""
    return device.prepare("CPU")


@pytest.fixture(scope="session")
def harness() -> Path:
    """A build of the C++ harness with its test programs; infer is the program itself."""
    return built()


@pytest.fixture(scope="session")
def prostate_t2() -> Path:
    """Two real scans in the PROMISE12 layout, beside the checkout."""
    folder = SHARED / "prostate_t2"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: real prostate scans are needed")
    return folder


@pytest.fixture(scope="session")
def phantom(tmp_path_factory) -> Path:
    """A small phantom data set in the PROMISE12 layout, six cases."""
    from mindvoxel.datasets.phantom import write_phantom

    root = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom(root, num_cases=6, seed=1, size_scale=0.4)
    return root
