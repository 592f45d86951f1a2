"""Sums over a softmax with their own gradient, for losses over classes: one pass over the logits, nothing kept."""

import mindspore as ms
from mindspore import ops

from mindvoxel.ops import library
from mindvoxel.ops.primitive import custom


def most_classes() -> int:
    """The most classes that the operator takes here: 0 on other devices, without the library or without AVX-512."""
    if ms.get_context("device_target") != "CPU" or (lib := library.load()) is None:
        return 0
    return lib.mindvoxel_softmax_classes()


def softmax_sums() -> ops.Custom:
    """Call `op(logits, label)`: logits f32 (N, C, ...), label int32 (N, ...) -> (N, 1 + 3·C) sums over each sample.

    The cross-entropy; then for every class the probability where it is the label, the probability, the label's count.
    A label that is no class adds to the third alone. The counts have no gradient.
    """
    gradient = custom("SoftmaxSumsGradient", lambda logits, label, dsums: logits, "")

    def bprop(logits, label, out, dout):
        return gradient(logits, label, dout), ops.zeros_like(label)

    def shape(logits, label):
        if tuple(label) != (logits[0], *logits[2:]):
            raise ValueError(f"label must have the logits' shape without classes, got {tuple(label)}, {tuple(logits)}")
        return (logits[0], 1 + 3 * logits[1])

    return custom("SoftmaxSums", shape, "", bprop=bprop)
