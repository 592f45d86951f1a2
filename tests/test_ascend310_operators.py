"""build.sh puts the library of this project's CPU operators beside the C++ program, or says what lacks."""

import os
import shutil
import subprocess

import pytest

from .harness import ROOT

CMAKE = """#!/bin/bash
case "$*" in
  *csrc*) printf "%s\\n" "-- Looking for a - not found" "CMake Error at CMakeLists.txt:22 (message):" "  $SAID"; exit 1 ;;
  *) touch "$BUILD/CMakeCache.txt" ;;
esac
"""


@pytest.fixture
def build(tmp_path):
    """build() runs build.sh in a folder of its own, with a CMake that builds nothing; gives what it says but its end."""
    home = tmp_path / "checkout" / "ascend310_infer"
    home.mkdir(parents=True)
    shutil.copy(ROOT / "ascend310_infer" / "build.sh", home)
    program = tmp_path / "bin" / "cmake"
    program.parent.mkdir()
    program.write_text(CMAKE)
    program.chmod(0o755)
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "BUILD": str(home / "build")}
    environment["SAID"] = "oneDNN was not found: install libdnnl-dev, or set DNNL_ROOT"

    def run() -> str:
        done = subprocess.run(
            ["bash", home / "build.sh"], capture_output=True, text=True, check=False, env=os.environ | environment
        )
        assert (done.returncode, done.stderr) == (0, "")
        *before, last = done.stdout.splitlines()
        assert last == f"build.sh: {home}/build/infer"
        return "".join(before)

    run.ops = home.parent / "src" / "mindvoxel" / "ops"
    run.library = home / "build" / "libmindvoxel_conv.so"
    return run


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the operators are for x86-64")
def test_build_sh_takes_a_library_that_is_new_and_tells_what_lacks(build):
    slow = "build.sh: --device cpu is up to twice as slow without this project's operators: "
    assert build() == f"{slow}src/mindvoxel/ops/csrc is not beside ascend310_infer"
    (build.ops / "csrc").mkdir(parents=True)
    source, made = build.ops / "csrc" / "entry.cc", build.ops / "libmindvoxel_conv.so"
    source.touch()
    log = f"{build.library.parent}/operators.log"
    assert build() == f"{slow}oneDNN was not found: install libdnnl-dev, or set DNNL_ROOT (see {log})"
    made.write_bytes(b"new")
    os.utime(build.ops / "csrc", (1, 1))
    os.utime(source, (1, 1))
    assert build() == ""
    assert build.library.read_bytes() == b"new"
    os.utime(made, (0, 0))  # older than its source now: compiled anew, which fails, and the old one goes
    assert "oneDNN was not found" in build()
    assert not build.library.exists()
