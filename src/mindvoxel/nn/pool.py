"""Pooling in a form that every device computes and the exporters can write."""

from mindspore import nn, ops


class MaxPool(nn.Cell):
    """Largest of 3x3 pixels at every second one: (N, C, H, W) of numbers from 0 on -> (N, C, H / 2, W / 2), rounded up.

    One pixel of padding on each side, with zeros, which are no larger than what a ReLU gives: MindSpore's own padding
    of this operator has no ONNX converter (pad), or lies at the end alone where a side is even (same).
    """

    def __init__(self):
        super().__init__()
        self.pad = ops.Pad(((0, 0), (0, 0), (1, 1), (1, 1)))
        self.pool = nn.MaxPool2d(3, 2, pad_mode="valid")

    def construct(self, x):
        return self.pool(self.pad(x))
