"""What computes a network: MindSpore on any device, or OpenVINO on the CPU."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import mindspore as ms
import numpy as np
from easydict import EasyDict

from mindvoxel.log import LOGGER
from mindvoxel.nn.exporting import exportable
from mindvoxel.prediction.networks import network_of, window_of
from mindvoxel.train import device
from mindvoxel.train.exporter import write_onnx
from mindvoxel.train.openvino_cpu import compile_onnx


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

    def telling(self, tell: Callable[[np.ndarray, np.ndarray], None]) -> "Engine":
        """The same, which calls tell(batch, logits) after each call."""

        def run(batch: np.ndarray) -> np.ndarray:
            answer = self.run(batch)
            tell(batch, answer)
            return answer

        return replace(self, run=run)


def load_engine(
    ckpt_path: Path, model: str, engine: str, precision: str, *, prune: int = 0, batch_size: int = 1
) -> Engine:
    """The network of a checkpoint on `engine` (mindspore, openvino), which OpenVINO compiles for `batch_size` windows.

    prune: the head to read, of a model that has several; 0: the deepest.

    Call device.prepare first. Raises InputError where engine or precision cannot be had.
    """
    if engine == "openvino":
        return _openvino(ckpt_path, model, precision, prune, batch_size)
    target = ms.get_context("device_target")
    device.set_cpu_precision(target, precision)
    network, recipe, meta = network_of(ckpt_path, model, prune)

    def run(batch: np.ndarray) -> np.ndarray:
        device.set_cpu_precision(target, precision)  # one of the process, which another Predictor may have changed
        return network(ms.Tensor(batch)).asnumpy().astype(np.float32, copy=False)

    return Engine(run, recipe, meta, window_of(recipe, meta, ckpt_path))


def _openvino(ckpt_path: Path, model: str, precision: str, prune: int, batch_size: int) -> Engine:
    with exportable():
        network, recipe, meta = network_of(ckpt_path, model, prune)
    window = window_of(recipe, meta, ckpt_path)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        write_onnx(network, (batch_size, *window), path)
        compiled = compile_onnx(path, precision)
    LOGGER.info("OpenVINO computes in %s on the CPU", precision)

    def run(batch: np.ndarray) -> np.ndarray:
        return compiled(batch)[0].astype(np.float32, copy=False)

    return Engine(run, recipe, meta, window)
