"""What computes a network: MindSpore on any device, or OpenVINO on the CPU."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mindspore as ms
import numpy as np
from easydict import EasyDict

from mindvoxel.data.machine import available_cores
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER
from mindvoxel.nn.exporting import exportable
from mindvoxel.prediction.networks import network_of, window_of
from mindvoxel.train import device
from mindvoxel.train.exporter import write_onnx


@dataclass(frozen=True)
class Engine:
    """A trained network, ready to be asked: run(batch (N, C, [D,] H, W) float32) -> logits (N, K, [D,] H, W) float32.

    window: (C, [D,] H, W).  meta: of its checkpoint.
    """

    run: Callable[[np.ndarray], np.ndarray]
    recipe: EasyDict
    meta: dict
    window: tuple[int, ...]

    def logits(self, patch: np.ndarray) -> np.ndarray:
        """One window, (C, [D,] H, W) -> (K, [D,] H, W): the Predictor that inference wants."""
        return self.run(np.ascontiguousarray(patch[None], np.float32))[0]


def load_engine(ckpt_path: Path, model: str, engine: str, precision: str, batch_size: int = 1) -> Engine:
    """The network of a checkpoint on `engine` (mindspore, openvino), which OpenVINO compiles for `batch_size` windows.

    Call device.prepare first. Raises InputError where engine or precision cannot be had.
    """
    if engine == "openvino":
        return _openvino(ckpt_path, model, precision, batch_size)
    device.set_cpu_precision(ms.get_context("device_target"), precision)
    network, recipe, meta = network_of(ckpt_path, model)

    def run(batch: np.ndarray) -> np.ndarray:
        return network(ms.Tensor(batch)).asnumpy().astype(np.float32, copy=False)

    return Engine(run, recipe, meta, window_of(recipe, meta, ckpt_path))


def _openvino(ckpt_path: Path, model: str, precision: str, batch_size: int) -> Engine:
    try:
        import openvino
    except ImportError as error:
        raise InputError("engine openvino is not installed; pip install 'mindvoxel[onnx]'") from error
    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise InputError("precision bf16 needs AVX512-BF16 or AMX, which this processor lacks; choose f32")
    with exportable():
        network, recipe, meta = network_of(ckpt_path, model)
    window = window_of(recipe, meta, ckpt_path)
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": available_cores()}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        write_onnx(network, (batch_size, *window), path)
        compiled = core.compile_model(core.read_model(path), "CPU", settings)
    LOGGER.info("OpenVINO %s, %s, %d threads", openvino.__version__, precision, available_cores())

    def run(batch: np.ndarray) -> np.ndarray:
        return compiled(batch)[0].astype(np.float32, copy=False)

    return Engine(run, recipe, meta, window)
