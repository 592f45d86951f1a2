"""This project's CPU operators in the C++ program: build.sh puts their library beside it, or says what lacks; whatever
the networks' exporters write computes as before, in the operators as far as it can."""

import os
import shutil
import subprocess

import mindspore as ms
import numpy as np
import pytest

from mindvoxel.nn.exporting import exportable
from mindvoxel.train.exporter import write_onnx
from unet3d import network as unet3d
from unetpp import network as unetpp
from vnet import network as vnet

from .harness import ROOT

STEPS_3D, KERNELS_3D = ((1, 1, 1), (2, 2, 2)), ((3, 3, 3),) * 2
STEPS_2D, KERNELS_2D = ((1, 1), (2, 2), (2, 2)), ((3, 3),) * 3
FILTERS = (16, 32, 48)
# name: network, input, what is replaced
EXPORTED = {
    "vnet": (
        lambda: vnet.build(width=16, down_convs=(1,), up_convs=(2,), act="leaky_relu"),
        (1, 1, 4, 10, 12),
        "8 of 8, 6 blocked, 7 normalisations",
    ),
    "prelu": (  # a slope for each channel: plain between
        lambda: vnet.build(width=16, down_convs=(1,), up_convs=(1,), act="prelu"),
        (1, 1, 4, 10, 12),
        "7 of 7, 0 blocked, 6 normalisations",
    ),
    "anisotropic": (  # the exporter pads a kernel of depth 1 and cuts the result
        lambda: unet3d.build(
            4, 4, ((1, 1, 1), (1, 2, 2), (2, 2, 2)), ((1, 3, 3), (3, 3, 3), (3, 3, 3)), FILTERS, form="nnunet_v1"
        ),
        (1, 4, 6, 12, 20),
        "13 of 13, 12 blocked, 10 normalisations",
    ),
    "batch": (
        lambda: unet3d.build(1, 3, STEPS_3D, KERNELS_3D, FILTERS[:2], norm="batch"),
        (1, 1, 6, 8, 10),
        "8 of 8, 7 blocked, 6 normalisations",
    ),
    "group": (  # several channels a group: OpenVINO's, and plain
        lambda: unet3d.build(1, 3, STEPS_3D, KERNELS_3D, (32, 64), norm="group"),
        (1, 1, 6, 8, 10),
        "8 of 8, 0 blocked, 0 normalisations",
    ),
    "none": (
        lambda: unet3d.build(2, 3, STEPS_3D, KERNELS_3D, FILTERS[:2], norm="none", form="nvidia"),
        (1, 2, 6, 8, 10),
        "8 of 8, 7 blocked, 0 normalisations",
    ),
    "flat": (  # the exporter's transposed convolutions are 3-D
        lambda: unet3d.build(1, 3, STEPS_2D, KERNELS_2D, FILTERS),
        (1, 1, 20, 28),
        "13 of 13, 12 blocked, 10 normalisations",
    ),
    "plusplus": (  # concatenations of up to four
        lambda: unetpp.build(1, 3, (*STEPS_2D, (2, 2)), (*KERNELS_2D, (3, 3)), (16, 32, 32, 48)),
        (1, 1, 24, 40),
        "27 of 27, 26 blocked, 20 normalisations",
    ),
    "pruned": (
        lambda: pruned(unetpp.build(1, 3, (*STEPS_2D, (2, 2)), (*KERNELS_2D, (3, 3)), (16, 32, 32, 48))),
        (1, 1, 24, 40),
        "16 of 16, 15 blocked, 12 normalisations",
    ),
}


def pruned(network):
    network.prune(2)
    return network


def test_exported_networks_compute_as_before(cpu, harness, tmp_path):
    """C++ compares the answers; here the weights are drawn, statistics and slopes among them, and counts compared."""
    paths, rng = {}, np.random.default_rng(0)
    for name, (build, shape, _) in EXPORTED.items():
        with exportable():
            network = build()
        for parameter in network.get_parameters():
            numbers = 0.3 * rng.standard_normal(parameter.shape, np.float32)
            if parameter.name.endswith(("gamma", "moving_variance", "slope")):
                numbers = 0.5 + np.abs(numbers)
            if not parameter.name.endswith("weight"):
                parameter.set_data(ms.Tensor(numbers))
        paths[name] = tmp_path / f"{name}.onnx"
        write_onnx(network.set_train(False), shape, paths[name])
    # without MindSpore's limit, which OpenVINO does not survive everywhere, as infer has it
    others = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}
    done = subprocess.run(
        [harness / "unit_tests", "--gtest_filter=CpuFusion.ExportedNetworks"],
        capture_output=True,
        text=True,
        check=False,
        env=others | {"MINDVOXEL_ONNX": " ".join(map(str, paths.values()))},
    )
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    for name, (_, _, replaced) in EXPORTED.items():
        assert f"{paths[name]}: {replaced}" in lines, "\n".join(lines)


CMAKE = """#!/bin/bash
case "$*" in
  *csrc*) printf "%s\\n" "-- Looking for a - not found" "CMake Error at CMakeLists.txt:22:" "  $SAID"; exit 1 ;;
  *) touch "$BUILD/CMakeCache.txt" ;;
esac
"""


@pytest.fixture
def build(tmp_path):
    """build() runs build.sh in a folder of its own, with a CMake that does nothing; gives all it says but its end."""
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
    run.beside = home / "build" / "libmindvoxel_conv.so"
    return run


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the operators are for x86-64")
def test_build_sh_takes_a_library_that_is_new_and_tells_what_lacks(build):
    slow = "build.sh: --device cpu takes up to 6 times as long without this project's operators: "
    assert build() == f"{slow}src/mindvoxel/ops/csrc is not beside ascend310_infer"
    (build.ops / "csrc").mkdir(parents=True)
    source, made = build.ops / "csrc" / "entry.cc", build.ops / "libmindvoxel_conv.so"
    source.touch()
    log = f"{build.beside.parent}/operators.log"
    assert build() == f"{slow}oneDNN was not found: install libdnnl-dev, or set DNNL_ROOT (see {log})"
    made.write_bytes(b"new")
    os.utime(source, (1, 1))
    assert build() == ""
    assert build.beside.read_bytes() == b"new"
    os.utime(made, (0, 0))  # older than its source now: compiled anew, which fails, and the old one goes
    assert "oneDNN was not found" in build()
    assert not build.beside.exists()
