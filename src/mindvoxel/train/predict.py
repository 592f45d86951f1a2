"""From a network to the callable that inference wants."""

from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from mindvoxel.train.watch import WATCH


def logits_predictor(network: nn.Cell) -> Callable[[np.ndarray], np.ndarray]:
    """predict(patch): (C, [D,] H, W) float32 -> logits (K, [D,] H, W) float32, with the network in evaluation mode for
    the length of the call."""
    evaluate = _evaluation(network, network, "the segmentation of a window")
    return lambda patch: evaluate(patch[None])[0].astype(np.float32, copy=False)


def batch_predictor(network: nn.Cell) -> Callable[[np.ndarray], np.ndarray]:
    """predict(batch): (N, C, H, W) float32 -> logits (N, K) float32, as logits_predictor."""
    evaluate = _evaluation(network, network, "the classification of a batch")
    return lambda batch: evaluate(batch).astype(np.float32, copy=False)


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
    evaluate = _evaluation(_Foreground(network), network, "the segmentation of a window")
    return lambda patch: evaluate(patch[None, None])[0]


def _evaluation(cell: nn.Cell, network: nn.Cell, what: str) -> Callable[[np.ndarray], np.ndarray]:
    """A batch through `cell`, which holds `network`: afterwards the network trains again if it did before."""
    call = WATCH.watched(cell, what)

    def evaluate(batch: np.ndarray) -> np.ndarray:
        WATCH.leave_if_told()
        training = network.training
        cell.set_train(False)
        try:
            return call(ms.Tensor(np.ascontiguousarray(batch, np.float32))).asnumpy()
        finally:
            network.set_train(training)

    return evaluate
