"""Exported files that are loaded again and compared before they count as done."""

import errno
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from mindvoxel.files import replacing
from mindvoxel.train.agreement import (
    Agreement,
    Pairs,
    Run,
    agreement,
    mindir_runner,
    network_runner,
    onnx_runner,
    require_agreement,
)
from mindvoxel.train.step import mixed_precision

_SUFFIXES = {"MINDIR": ".mindir", "ONNX": ".onnx", "AIR": ".air"}
_RUNNERS = {"MINDIR": mindir_runner, "ONNX": onnx_runner}  # nothing here reads AIR


class HalfPrecision(nn.Cell):
    """A network whose convolutions compute in float16, between an image and logits of float32.

    Normalisations and sums stay in float32: where U-Nets lose their digits is the variance of an instance norm.
    """

    def __init__(self, network: nn.Cell):
        super().__init__(auto_prefix=False)
        mixed_precision(network, "O1")
        self.network = network
        self.set_train(False)

    def construct(self, image):
        return self.network(image).astype(ms.float32) * 1.0  # the ONNX exporter names no output that is a cast's


@dataclass(frozen=True)
class Check:
    """What a file must agree with: answers of the network in float32; half: it computes in half precision."""

    pairs: Pairs
    half: bool = False

    def require(self, runner: tuple[Run, str], name: str | Path) -> Agreement:
        """How well a runner of the file agrees, whose name will be `name`; raises WorkError where it is too little."""
        found = agreement(runner, self.pairs, str(name))
        require_agreement(found, str(name), half=self.half)
        return found


def random_check(network: nn.Cell, input_shape: tuple[int, ...]) -> Check:
    """The network's own answer to random input, float32."""
    image = np.random.default_rng(0).standard_normal(input_shape, np.float32)
    return Check([(image, network_runner(network)[0](image))])


def export_checked(
    network: nn.Cell, input_shape: tuple[int, ...], name: Path, file_format: str, check: Check | None
) -> tuple[Path, Agreement | None]:
    """Write name.mindir, .onnx or .air for `network` (built under exportable()), compare, and only then rename.

    Returns the path and how well it agrees; None without a check. Of AIR, which nothing but an Ascend toolchain reads,
    the network alone is compared, where it computes in half precision. Raises WorkError where it agrees too little.
    """
    path = path_of(name, file_format)
    with replacing(path) as partial:
        write_model(network, input_shape, partial, file_format)
        found = None
        if check and check.half and file_format != "MINDIR":  # OpenVINO computes it in float32, and nothing reads AIR
            found = check.require(network_runner(network), path)
        if check and file_format in _RUNNERS:
            found = check.require(_RUNNERS[file_format](partial), path)
    return path, found


def path_of(name: Path, file_format: str) -> Path:
    """With the suffix of the format, once."""
    suffix = _SUFFIXES[file_format]
    return name.with_name(name.name.removesuffix(suffix) + suffix)


def write_model(network: nn.Cell, input_shape: tuple[int, ...], path: Path, file_format: str) -> None:
    """A file of `network` (built under exportable()) in evaluation mode, for float32 input of one shape."""
    network.set_train(False)
    path.touch()  # a folder that cannot be written is told by the system's own error
    path.unlink()
    if file_format == "ONNX":
        write_onnx(network, input_shape, path)
    else:
        image = ms.Tensor(np.zeros(input_shape, np.float32))
        ms.export(network, image, file_name=str(path), file_format=file_format)
    if not path.is_file():  # the ONNX exporter does not raise where it cannot write
        raise OSError(errno.ENOSPC, "MindSpore could not write the file; is the disk full?")
    path.chmod(0o644)  # MindSpore writes MINDIR readable by its owner alone


def write_onnx(network: nn.Cell, input_shape: tuple[int, ...], path: Path) -> None:
    """An ONNX file of `network` (built under exportable()) for inputs of one shape; it is not checked."""
    image = ms.Tensor(np.zeros(input_shape, np.float32))
    ms.onnx.export(network, image, file_name=str(path), input_names=["image"], output_names=["logits"])
