"""Blocks that more than one network is made of."""

from mindspore import nn

from mindvoxel.nn.activation import split_activation
from mindvoxel.nn.conv import Conv3d, Conv3dTranspose
from mindvoxel.nn.init import weight_init
from mindvoxel.nn.norm import BatchNorm3d


class ConvNormAct(nn.Cell):
    """Convolution without bias, batch norm, activation; an odd kernel with stride 1 keeps the size.

    construct(x, residual): where a residual is handed in, it is added to the result, and `last` (an activation that
    BatchNorm3d knows) is taken of the sum.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        act: str,
        init: str,
        stride: int = 1,
        last: str = "none",
    ):
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = Conv3d(
            in_channels, out_channels, kernel, weight_init=weight_init(init), stride=stride, padding=padding
        )
        within, rest = split_activation(act, out_channels)
        self.norm = BatchNorm3d(out_channels, within, last)
        self.act = rest
        self.apart = within != act  # the activation has parameters, so the normalisation cannot do what follows it

    def construct(self, x, residual=None):
        if not self.apart:
            return self.norm(self.conv(x), residual)
        x = self.act(self.norm(self.conv(x)))
        return x if residual is None else x + residual


class Refine(nn.SequentialCell):
    """`num` 5x5x5 ConvNormAct around which a residual is added before the last activation."""

    def __init__(self, channels: int, num: int, *, act: str, init: str, last: str):
        super().__init__([ConvNormAct(channels, channels, 5, act=act, init=init, last=last) for _ in range(num)])

    def construct(self, x, residual):
        for cell in self.cell_list[:-1]:
            x = cell(x)
        return self.cell_list[-1](x, residual)


class UpNormAct(nn.Cell):
    """Transposed convolution that doubles each axis, without bias, then batch norm and activation."""

    def __init__(self, in_channels: int, out_channels: int, *, act: str, init: str):
        super().__init__()
        self.conv = Conv3dTranspose(in_channels, out_channels, 2, weight_init=weight_init(init))
        within, rest = split_activation(act, out_channels)
        self.norm = BatchNorm3d(out_channels, within)
        self.act = rest

    def construct(self, x):
        return self.act(self.norm(self.conv(x)))
