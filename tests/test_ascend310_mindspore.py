"""The Ascend engine on a machine without an Ascend: what check_mindspore.sh builds, and how it ends there.

The wheels come from PyPI, 1.1 GB the first time; without a network this test fails and says so.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mindvoxel.bundle import MINDIR, read_bundle, write_deploy
from mindvoxel.cli import export

from .seeded_runs import vnet_run

FOLDER = Path(__file__).resolve().parents[1] / "ascend310_infer"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """Of a tiny V-Net, whose MINDIR is one that MindSpore 2.0.0 reads, so that it comes as far as the device."""
    root = tmp_path_factory.mktemp("mindspore")
    network = {"network__width": 2, "network__down_convs": [1, 1], "network__up_convs": [1, 1]}
    run = vnet_run(root / "run", data__patch_size=[8, 16, 16], data__spacing_mm=[6.0, 4.0, 4.0], **network)
    words = ["--model", "vnet", "--ckpt_file", run / "last.ckpt", "--device_target", "CPU", "--no_verify"]
    folder = root / "bundle"
    assert export.main(list(map(str, [*words, "--file_format", "BUNDLE", "--file_name", folder]))) == 0
    values = read_bundle(folder).deploy
    shutil.copy(FOLDER / "test" / "data" / "affine.mindir", folder / MINDIR)
    write_deploy(folder, {key: value for key, value in values.items() if key not in {"version", "files"}})
    return folder


@pytest.mark.slow
def test_it_compiles_links_and_ends_as_it_should_with_both_runtimes(bundle):
    import openvino

    environment = os.environ | {"OPENVINO_DIR": str(Path(openvino.__file__).parent), "CXXFLAGS": "-Werror"}
    words = ["bash", FOLDER / "check_mindspore.sh", bundle]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MindSpore Lite cannot run" in done.stdout
    assert "libgraph.so is not found, of CANN" in done.stdout
    assert "MindSpore cannot run" in done.stdout
    assert "no Ascend device can be used, Unsupported device target Ascend" in done.stdout
    assert "[  PASSED  ] 8 tests." in done.stdout


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    words = ["bash", FOLDER / "check_mindspore.sh", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"check_mindspore.sh: {tmp_path} holds no deploy.json; export.py --file_format BUNDLE makes a bundle\n"
    )
