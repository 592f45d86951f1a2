"""OpenVINO on the CPU, for an exported ONNX file: to check it, or to predict with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mindvoxel.data.machine import available_cores
from mindvoxel.errors import InputError
from mindvoxel.train.device import CPU_SETTINGS

_LIMIT = "ONEDNN_MAX_CPU_ISA"


def compile_onnx(path: Path, precision: str):
    """The compiled model, which maps a batch to its outputs, on this process's cores; precision: f32 or bf16.

    Raises InputError where OpenVINO is not installed, or the processor has no bf16.
    """
    openvino = _openvino()
    with _no_limit():
        core = openvino.Core()
        if precision == "bf16" and not _has_bf16(core):
            raise InputError("precision bf16 needs AVX512-BF16 or AMX, which this processor lacks; choose f32")
        settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": available_cores()}
        return core.compile_model(core.read_model(path), "CPU", settings)


def has_bf16() -> bool:
    """Whether OpenVINO can compute in bf16 on this processor; raises InputError where OpenVINO is not installed."""
    openvino = _openvino()
    with _no_limit():
        return _has_bf16(openvino.Core())


def openvino_version() -> str:
    """As 2026.1.0."""
    return _openvino().__version__.partition("-")[0]


def _openvino():
    try:
        import openvino
    except ImportError as error:
        raise InputError("OpenVINO is needed and is not there; pip install 'mindvoxel[onnx]'") from error
    return openvino


def _has_bf16(core) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@contextmanager
def _no_limit() -> Iterator[None]:
    """OpenVINO's own oneDNN reads what device.prepare_cpu set for MindSpore's, once, and has no need of it."""
    ours = os.environ.get(_LIMIT) == CPU_SETTINGS[_LIMIT]
    if ours:
        del os.environ[_LIMIT]
    try:
        yield
    finally:
        if ours:
            os.environ[_LIMIT] = CPU_SETTINGS[_LIMIT]
