"""Building, loading, falling back, and what the library does with what it cannot compute."""

import ctypes
import logging
import os
import subprocess
import sys

import mindspore as ms
import numpy as np
import pytest

from mindvoxel.nn.conv import Conv3d
from mindvoxel.nn.exporting import exportable
from mindvoxel.ops import build, library
from mindvoxel.ops.conv import Geometry, convolution

lib = library.load()
needs_operator = pytest.mark.skipif(lib is None, reason=f"the operator is not built: {library.BUILD_COMMAND}")


@pytest.fixture(autouse=True)
def _graph_mode_after(cpu):
    yield
    ms.set_context(mode=ms.GRAPH_MODE)


REPORT = """
import ctypes, sys
lib = ctypes.CDLL(sys.argv[1])
lib.mindvoxel_isa.restype = ctypes.c_char_p
print(lib.mindvoxel_isa().decode(), lib.mindvoxel_num_threads())
"""


def report(**environment):
    command = [sys.executable, "-c", REPORT, str(library.LIBRARY)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    isa, threads = done.stdout.split()
    return isa, int(threads)


@needs_operator
def test_isa_limit_is_for_mindspore_only():
    assert report(ONEDNN_MAX_CPU_ISA="AVX2")[0] == report(ONEDNN_MAX_CPU_ISA="ALL")[0] == lib.mindvoxel_isa().decode()


@needs_operator
def test_threads_follow_omp_num_threads_and_affinity():
    cores = len(os.sched_getaffinity(0))
    assert report(OMP_NUM_THREADS="1")[1] == 1
    assert 1 <= report(OMP_NUM_THREADS=str(4 * cores))[1] <= cores


@needs_operator
@pytest.mark.parametrize("wanted", [None, "ACTIVE"])
def test_openmp_waits_asleep_unless_told_otherwise(wanted, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if wanted:
        monkeypatch.setenv("OMP_WAIT_POLICY", wanted)
    library.open_library()
    assert os.environ["OMP_WAIT_POLICY"] == (wanted or "PASSIVE")


@needs_operator
@pytest.mark.parametrize("mode", [ms.GRAPH_MODE, ms.PYNATIVE_MODE])
def test_float16_uses_mindspores_kernel(mode):
    ms.set_context(mode=mode)
    cell = Conv3d(2, 3, 3, weight_init="ones", padding=1)
    cell.to_float(ms.float16)
    y = cell(ms.Tensor(np.ones((1, 2, 3, 3, 3), np.float16)))
    assert y.dtype == ms.float16
    assert y.asnumpy()[0, :, 1, 1, 1].tolist() == [54, 54, 54]


@needs_operator
def test_wrong_shapes_are_errors_before_anything_runs():
    ms.set_context(mode=ms.GRAPH_MODE)
    cell = Conv3d(2, 3, 3, weight_init="ones")
    with pytest.raises(ValueError, match=r"input must be \(N, 2\) and 3 space axes"):
        cell(ms.Tensor(np.ones((1, 4, 5, 5, 5), np.float32)))
    with pytest.raises(ValueError, match="smaller than the kernel"):
        cell(ms.Tensor(np.ones((1, 2, 5, 2, 5), np.float32)))


def call(function, arrays):
    """What MindSpore does with an AOT operator."""
    count = len(arrays)
    data = (ctypes.c_void_p * count)(*(a.ctypes.data for a in arrays))
    ranks = (ctypes.c_int * count)(*(a.ndim for a in arrays))
    kept = [(ctypes.c_int64 * max(a.ndim, 1))(*a.shape) for a in arrays]
    shapes = (ctypes.POINTER(ctypes.c_int64) * count)(*kept)
    types = (ctypes.c_char_p * count)(*(str(a.dtype).encode() for a in arrays))
    return getattr(lib, function)(count, data, ranks, shapes, types, None, None)


@needs_operator
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: np.ones((1, 3, 4, 4, 4), np.float32)}, "weights do not match the channels"),
        ({0: np.ones((1, 2, 4, 4, 5), np.float32)}, "sizes do not match"),
        ({0: np.ones((1, 2, 4, 4, 4), np.float64)}, "must be float32"),
        ({2: np.array([0, *[1] * 9, 0, 0, 1])}, "too many or too few"),  # weights taken for the source's second tensor
        ({0: np.ones((1, 2), np.float32)}, "3 to 5 axes"),
        ({2: np.ones(13, np.int32)}, "must be int64"),
        ({2: np.zeros(10, np.int64)}, "4 \\+ 3 numbers"),
        ({2: np.array([0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0])}, "bad stride"),
        ({3: np.ones((2, 3, 4, 4, 4), np.float32)}, "batch sizes differ"),
    ],
)
def test_what_does_not_fit_is_a_status_and_a_message(change, message, capfd):
    arrays = [np.ones((1, 2, 4, 4, 4), np.float32), np.ones((3, 2, 3, 3, 3), np.float32),
              np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]), np.zeros((1, 3, 4, 4, 4), np.float32)]  # fmt: skip
    assert call("ConvForward", arrays) == 0
    assert arrays[3][0, 0, 1, 1, 1] == 54
    for i, array in change.items():
        arrays[i] = array
    assert call("ConvForward", arrays) != 0
    assert message.replace("\\", "") in capfd.readouterr().err


@needs_operator
@pytest.mark.parametrize(
    ("function", "change", "message"),
    [
        ("ConvForward", {2: np.ones(2, np.float32)}, "the bias must hold one number a channel"),
        ("ConvForward", {1: np.ones(3, np.float32)}, "3 to 5 axes"),
        ("ConvBackward", {4: np.ones((1, 2, 4, 4, 3), np.float32)}, "the source's gradient must have its shape"),
        ("ConvBackward", {5: np.ones((3, 2, 3, 3, 1), np.float32)}, "the weights' gradient must have their shape"),
        ("ConvBackward", {6: np.ones(2, np.float32)}, "the bias must hold one number a channel"),
    ],
)
def test_no_tensor_is_read_or_written_beyond_its_end(function, change, message, capfd):
    x, w, b, y = (np.ones(shape, np.float32) for shape in ((1, 2, 4, 4, 4), (3, 2, 3, 3, 3), (3,), (1, 3, 4, 4, 4)))
    numbers = np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0])
    arrays = [x, w, b, numbers, y] if function == "ConvForward" else [x, w, y, numbers, x.copy(), w.copy(), b]
    assert call(function, arrays) == 0
    for i, array in change.items():
        arrays[i] = array
    assert call(function, arrays) != 0
    assert message in capfd.readouterr().err


@needs_operator
def test_memory_comes_back_after_release():
    library.release_memory()
    op, numbers = convolution(Geometry((1, 1, 1), (1, 1, 1), (1, 1, 1)), 2, False)
    x, w = ms.Tensor(np.ones((1, 2, 4, 4, 4), np.float32)), ms.Tensor(np.ones((3, 2, 3, 3, 3), np.float32))
    before = op(x, w, numbers).asnumpy()
    library.release_memory()
    assert (op(x, w, numbers).asnumpy() == before).all()


def test_without_the_library_mindspores_kernels_are_used_and_the_log_says_so(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(library, "open_library", lambda: open_missing(tmp_path))
    library.load.cache_clear()
    try:
        with caplog.at_level(logging.INFO, logger="mindvoxel"):
            first, second = (Conv3d(2, 3, 3, weight_init="ones") for _ in range(2))
    finally:
        library.load.cache_clear()
    assert first.operator is None and second.operator is None
    assert [r.message for r in caplog.records if "CPU convolutions" in r.message] == [
        f"CPU convolutions: MindSpore's own kernels; the operator of mindvoxel is not used: "
        f"it is not built ({library.BUILD_COMMAND})"
    ]


_open_library = library.open_library


def open_missing(folder):
    return _open_library(folder / "none.so")


@needs_operator
def test_log_names_the_operator_once(caplog):
    library.load.cache_clear()
    with caplog.at_level(logging.INFO, logger="mindvoxel"):
        for _ in range(2):
            Conv3d(2, 3, 3, weight_init="ones")
    messages = [r.message for r in caplog.records if "CPU convolutions" in r.message]
    assert len(messages) == 1
    assert messages[0].startswith("CPU convolutions: mindvoxel's operator on oneDNN ")


def test_cells_for_export_never_hold_the_operator():
    with exportable():
        assert Conv3d(2, 3, 3, weight_init="ones").operator is None


def test_a_library_that_does_not_load(tmp_path):
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not a library")
    with pytest.raises(library.Unusable, match="does not load"):
        library.open_library(broken)


def test_failed_build_is_one_line_and_status_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["build", "--build_dir", str(tmp_path / "b"), "--output_dir", str(tmp_path)])
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    assert build.main() == 1
    err = capsys.readouterr().err
    assert err.startswith("CPU convolution operator not built: cmake was not found") and err.count("\n") == 1


@pytest.mark.skipif(build.shutil.which("cmake") is None, reason="cmake is not installed")
def test_source_that_does_not_compile_is_one_line_and_status_1(tmp_path, monkeypatch, capsys):
    (tmp_path / "CMakeLists.txt").write_text('cmake_minimum_required(VERSION 3.16)\nmessage(FATAL_ERROR "no luck")\n')
    monkeypatch.setattr(build, "SOURCE", tmp_path)
    monkeypatch.setattr("sys.argv", ["build", "--build_dir", str(tmp_path / "b"), "--output_dir", str(tmp_path)])
    assert build.main() == 1
    assert capsys.readouterr().err.count("\n") == 1


@needs_operator
def test_a_library_of_other_sources(monkeypatch):
    monkeypatch.setattr(library, "INTERFACE", library.INTERFACE + 1)
    with pytest.raises(library.Unusable, match="built from older sources; build it anew"):
        _open_library()
