"""Exported files that are loaded again and compared before they count as done."""

import errno
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from mindvoxel.errors import WorkError
from mindvoxel.files import replacing
from mindvoxel.train.openvino_cpu import compile_onnx

_SUFFIXES = {"MINDIR": ".mindir", "ONNX": ".onnx", "AIR": ".air"}
# Largest difference of a logit, relative to the largest logit, in float32 (another order of sums).
TOLERANCE = 1e-3


def export_checked(
    network: nn.Cell, input_shape: tuple[int, ...], name: Path, file_format: str
) -> tuple[Path, float | None]:
    """Write name.mindir, .onnx or .air for `network` (built under exportable()), compare, and only then rename.

    Returns the path and the largest difference of an output from the network's own on random input, None for AIR,
    which nothing but an Ascend toolchain reads. Raises WorkError where the difference exceeds 1e-3 of the largest
    output.
    """
    suffix = _SUFFIXES[file_format]
    path = name.with_name(name.name.removesuffix(suffix) + suffix)
    image = np.random.default_rng(0).standard_normal(input_shape, np.float32)
    network.set_train(False)
    difference = None
    with replacing(path) as partial:
        _write(network, ms.Tensor(image), partial, file_format)
        partial.chmod(0o644)  # MindSpore writes MINDIR readable by its owner alone
        if file_format != "AIR":
            expected = network(ms.Tensor(image)).asnumpy()
            found = _run_mindir(partial, image) if file_format == "MINDIR" else _run_onnx(partial, image)
            difference = _largest_difference(expected, found, path)
    return path, difference


def _write(network: nn.Cell, image: ms.Tensor, partial: Path, file_format: str) -> None:
    partial.touch()  # a folder that cannot be written is told by the system's own error
    partial.unlink()
    if file_format == "ONNX":
        write_onnx(network, image.shape, partial)
    else:
        ms.export(network, image, file_name=str(partial), file_format=file_format)
    if not partial.is_file():  # the ONNX exporter does not raise where it cannot write
        raise OSError(errno.ENOSPC, "MindSpore could not write the file; is the disk full?")


def write_onnx(network: nn.Cell, input_shape: tuple[int, ...], path: Path) -> None:
    """An ONNX file of `network` (built under exportable()) for inputs of one shape; it is not checked."""
    image = ms.Tensor(np.zeros(input_shape, np.float32))
    ms.onnx.export(network, image, file_name=str(path), input_names=["image"], output_names=["logits"])


def _run_mindir(path: Path, image: np.ndarray) -> np.ndarray:
    return nn.GraphCell(ms.load(str(path)))(ms.Tensor(image)).asnumpy()


def _run_onnx(path: Path, image: np.ndarray) -> np.ndarray:
    return compile_onnx(path, "f32")(image)[0]


def _largest_difference(expected: np.ndarray, found: np.ndarray, path: Path) -> float:
    if expected.shape != found.shape:
        raise WorkError(f"{path}: its output has the shape {found.shape}, the network's {expected.shape}; not kept")
    difference = float(np.abs(expected - found).max())
    if not difference <= TOLERANCE * max(float(np.abs(expected).max()), 1e-6):
        raise WorkError(f"{path}: its output differs from the network's by up to {difference:.3g}; not kept")
    return difference
