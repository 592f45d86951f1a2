"""Builds the C++ harness for the tests, once a checkout: what has not changed is not compiled again."""

import fcntl
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mindvoxel.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


def built(*flags: str, folder: str = "build-tests") -> Path:
    """The folder of infer, unit_tests and the programs of ascend310_infer/test, after build.sh --tests `flags`.

    folder: below ascend310_infer, not in git.
    """
    import openvino

    environment = {"OPENVINO_DIR": str(Path(openvino.__file__).parent), "CXXFLAGS": "-Werror"}
    others = {key: value for key, value in os.environ.items() if key not in ("MS_LITE_HOME", "MINDSPORE_HOME")}
    build = ROOT / "ascend310_infer" / folder
    build.mkdir(exist_ok=True)
    with (build / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one build at a time where tests run side by side
        done = subprocess.run(
            ["bash", ROOT / "ascend310_infer" / "build.sh", "--tests", *flags, "--build_dir", build],
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
            env=others | environment,
        )
    if done.returncode != 0:
        pytest.fail(f"ascend310_infer/build.sh:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}", pytrace=False)
    return build


def dumped(program: Path, mode: str, tmp_path: Path, *arguments) -> tuple[np.ndarray, dict]:
    """What test/prepare_dump.cc writes of the voxels, float32, and the JSON of its grid."""
    run(program, mode, tmp_path / "out", *arguments)
    return np.fromfile(tmp_path / "out.bin", "<f4"), json.loads((tmp_path / "out.json").read_text())


def run(*command) -> None:
    """Raises InputError with the one line of standard error where the exit status is 2."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    if done.returncode:
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        raise InputError(done.stderr.strip())
    assert done.stderr == ""
