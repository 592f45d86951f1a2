"""From a network to the callable that inference wants."""

from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from mindvoxel.train.watch import WATCH


def logits_predictor(network: nn.Cell) -> Callable[[np.ndarray], np.ndarray]:
    """predict(patch): (C, [D,] H, W) float32 -> logits (K, [D,] H, W) float32, with the network in evaluation mode for
    the length of the call."""
    call = WATCH.watched(network, "the segmentation of a window")

    def predict(patch: np.ndarray) -> np.ndarray:
        WATCH.leave_if_told()
        training = network.training
        network.set_train(False)
        try:
            logits = call(ms.Tensor(np.ascontiguousarray(patch[None], np.float32)))
            return logits.asnumpy()[0].astype(np.float32, copy=False)
        finally:
            network.set_train(training)

    return predict


class _Foreground(nn.Cell):
    """Softmax of channel 1 in float32: image (N, 1, D, H, W) -> (N, D, H, W)."""

    def __init__(self, network: nn.Cell):
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, image):
        logits = self.network(image).astype(ms.float32)
        return ops.sigmoid(logits[:, 1] - logits[:, 0])


def foreground_predictor(network: nn.Cell) -> Callable[[np.ndarray], np.ndarray]:
    """predict(patch): (D, H, W) float32 -> foreground probability (D, H, W) float32, with the network in evaluation
    mode for the length of the call."""
    cell = _Foreground(network)
    call = WATCH.watched(cell, "the segmentation of a window")

    def predict(patch: np.ndarray) -> np.ndarray:
        WATCH.leave_if_told()
        training = network.training
        cell.set_train(False)
        try:
            image = ms.Tensor(np.ascontiguousarray(patch[None, None], np.float32))
            return call(image).asnumpy()[0]
        finally:
            network.set_train(training)

    return predict
