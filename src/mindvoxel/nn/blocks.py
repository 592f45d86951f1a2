"""Blocks that more than one network is made of."""

from dataclasses import dataclass

from mindspore import nn

from mindvoxel.nn.activation import split_activation
from mindvoxel.nn.conv import Conv3d, Conv3dTranspose, conv, conv_transpose
from mindvoxel.nn.init import weight_init
from mindvoxel.nn.norm import BatchNorm, normalised


class ConvNormAct(nn.Cell):
    """Convolution without bias, batch norm, activation; an odd kernel with stride 1 keeps the size.

    construct(x, residual): where a residual is handed in, it is added to the result, and `last` (an activation that
    BatchNorm knows) is taken of the sum.
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
        self.norm = BatchNorm(out_channels, within, last)
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
        self.norm = BatchNorm(out_channels, within)
        self.act = rest

    def construct(self, x):
        return self.act(self.norm(self.conv(x)))


@dataclass(frozen=True)
class ConvForm:
    """What all convolutions of a U-Net have in common: the norm after them (see norm.NORMS), the slope of the leaky
    ReLU below 0, after which He et al. 2015 also draw the weights, and whether they have a bias."""

    norm: str = "instance"
    slope: float = 0.01
    has_bias: bool = True


class ConvBlock(nn.Cell):
    """Convolution, normalisation, leaky ReLU, in 2-D or 3-D by the kernel's length: (N, C, …) -> (N, C', … / stride).

    Odd kernels; each axis is padded with kernel // 2 zeros on both sides. construct(x, more): `more` holds further
    channels of the input, after those of x.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple, *, stride: tuple, form: ConvForm):
        super().__init__()
        init = weight_init("he_normal", form.slope)
        around = {"stride": stride, "padding": tuple(k // 2 for k in kernel)}
        self.conv = conv(in_channels, out_channels, kernel, weight_init=init, has_bias=form.has_bias, **around)
        self.norm = normalised(form.norm, out_channels, "leaky_relu", form.slope)

    def construct(self, x, more=None):
        return self.norm(self.conv(x, more))


class ConvBlocks(nn.SequentialCell):
    """`num` ConvBlocks, the first of which has the stride and takes `more` channels."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: tuple, *, stride: tuple, form: ConvForm, num: int = 2
    ):
        still = (1,) * len(kernel)
        first = ConvBlock(in_channels, out_channels, kernel, stride=stride, form=form)
        rest = [ConvBlock(out_channels, out_channels, kernel, stride=still, form=form) for _ in range(num - 1)]
        super().__init__([first, *rest])

    def construct(self, x, more=None):
        x = self.cell_list[0](x, more)
        for cell in self.cell_list[1:]:
            x = cell(x)
        return x


def up(in_channels: int, out_channels: int, stride: tuple, *, slope: float, has_bias: bool) -> nn.Cell:
    """Transposed convolution with kernel == stride: (N, C, …) -> (N, C', … · stride)."""
    init = weight_init("he_normal", slope)
    return conv_transpose(in_channels, out_channels, stride, weight_init=init, has_bias=has_bias)


def head(channels: int, num_classes: int, num_axes: int, *, slope: float, has_bias: bool) -> nn.Cell:
    """Convolution of one voxel to one logit a class: (N, C, …) -> (N, classes, …)."""
    init = weight_init("he_normal", slope)
    return conv(channels, num_classes, (1,) * num_axes, weight_init=init, has_bias=has_bias)


def repeat_voxels(x, factors: tuple[int, ...]):
    """Nearest-neighbour upsampling by whole factors: (N, C, …) -> (N, C, … · factors). The exporters and the CPU have
    no kernel of their own for it in 3-D."""
    n, c, space = x.shape[0], x.shape[1], x.shape[2:]
    apart, wide, joined = (n * c,), (n * c,), (n, c)
    for i in range(len(factors)):
        apart, wide = apart + (space[i], 1), wide + (space[i], factors[i])
        joined = joined + (space[i] * factors[i],)
    return x.reshape(apart).broadcast_to(wide).reshape(joined)
