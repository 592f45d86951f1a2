"""Blocks that more than one network is made of."""

from mindspore import nn

from mindvoxel.nn.activation import activation
from mindvoxel.nn.conv import Conv3d, Conv3dTranspose
from mindvoxel.nn.init import weight_init
from mindvoxel.nn.norm import BatchNorm3d


class ConvNormAct(nn.Cell):
    """Convolution without bias, batch norm, activation; an odd kernel with stride 1 keeps the size."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, act: str, init: str, stride: int = 1):
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = Conv3d(
            in_channels, out_channels, kernel, weight_init=weight_init(init), stride=stride, padding=padding
        )
        self.norm = BatchNorm3d(out_channels)
        self.act = activation(act, out_channels)

    def construct(self, x):
        return self.act(self.norm(self.conv(x)))


class UpNormAct(nn.Cell):
    """Transposed convolution that doubles each axis, without bias, then batch norm and activation."""

    def __init__(self, in_channels: int, out_channels: int, *, act: str, init: str):
        super().__init__()
        self.conv = Conv3dTranspose(in_channels, out_channels, 2, weight_init=weight_init(init))
        self.norm = BatchNorm3d(out_channels)
        self.act = activation(act, out_channels)

    def construct(self, x):
        return self.act(self.norm(self.conv(x)))
