"""Convolutions whose every argument is named: MindSpore's defaults changed between 2.0 and 2.10 and will change again.

On the CPU they run on the operator in `mindvoxel.ops` where that is built, and on MindSpore's own kernels everywhere
else: on other devices, for export, and for input that is not float32. Parameters and results are the same either way.
"""

from dataclasses import replace

import mindspore as ms
from mindspore import nn, ops

from mindvoxel.nn.exporting import is_exporting
from mindvoxel.nn.layout import BLOCK, is_open
from mindvoxel.ops import library
from mindvoxel.ops.conv import Geometry, convolution, convolution_of_two

Size = int | tuple[int, ...]


def _per_axis(size: Size, axes: int) -> tuple[int, ...]:
    return (size,) * axes if isinstance(size, int) else tuple(size)


def _each_side(padding: tuple[int, ...]) -> tuple[int, ...]:
    """One number per axis -> MindSpore's (before, after) for every axis."""
    return tuple(side for axis in padding for side in (axis, axis))


def _use_operator() -> bool:
    on_cpu = ms.get_context("device_target") == "CPU"
    return on_cpu and not is_exporting() and library.load() is not None


def _exported_padding(kernel: tuple[int, ...], stride: tuple[int, ...], pads: tuple[int, ...]) -> tuple:
    """The padding of a convolution for export, the same on every axis, and what to cut off the result's ends.

    The ONNX exporter writes the six paddings of a 3-D convolution in MindSpore's order, which ONNX reads in another.
    """
    most = max(pads)
    cut = tuple(most - pad for pad in pads)
    if any(c and (k, s) != (1, 1) for c, k, s in zip(cut, kernel, stride, strict=True)):
        raise ValueError(
            f"kernel {kernel} with stride {stride} and padding {pads} cannot be exported: pad all axes alike"
        )
    return (most,) * len(pads), cut if any(cut) else ()


def _cut_ends(y, cut: tuple[int, ...]):
    """Without the first and last cut[i] places of each space axis."""
    y = y[:, :, cut[0] : y.shape[2] - cut[0], cut[1] : y.shape[3] - cut[1]]
    return y if len(cut) == 2 else y[:, :, :, :, cut[2] : y.shape[4] - cut[2]]


class _OwnOperator:
    """The part that every cell below shares: which kernel computes it, and in which layout."""

    cut = ()

    def choose_kernel(self, geometry: Geometry) -> None:
        """Set `operator` to mindvoxel's, or to None for MindSpore's own kernel."""
        self.operator, self.numbers, self.geometry = None, None, geometry
        self.blocked, self.joined = False, None
        if _use_operator():
            self.choose_layout(is_open())

    def choose_layout(self, blocked: bool) -> None:
        """Whether tensors with a multiple of 16 channels are blocked (mindvoxel.nn.layout)."""
        if self.operator is None and not _use_operator():
            return
        ends = {"blocked_in": self.in_channels, "blocked_out": self.out_channels}
        lies = {name: blocked and channels % BLOCK == 0 for name, channels in ends.items()}
        self.blocked = any(lies.values())
        geometry = replace(self.geometry, **lies)
        self.operator, self.numbers = convolution(geometry, self.in_channels, self.has_bias)
        self.joined, self.joined_numbers = None, None
        if geometry.blocked_in:
            self.joined, self.joined_numbers = convolution_of_two(geometry, self.has_bias)

    def construct(self, x, more=None):
        """more: further channels of the input, as by a concatenation, which the operator does without."""
        if more is not None:
            if self.joined is not None and x.dtype == ms.float32:
                if self.has_bias:
                    return self.joined(x, more, self.weight, self.bias, self.joined_numbers)
                return self.joined(x, more, self.weight, self.joined_numbers)
            x = ops.concat((x, more), 1)
        if self.operator is None or x.dtype != ms.float32:
            if self.blocked:
                raise ValueError("a convolution between blocked tensors takes float32 only; call lay_plain(network)")
            y = self.own_kernel(x)
            return _cut_ends(y, self.cut) if self.cut else y
        if self.has_bias:
            return self.operator(x, self.weight, self.bias, self.numbers)
        return self.operator(x, self.weight, self.numbers)


class Conv3d(_OwnOperator, nn.Conv3d):
    """3-D convolution: (N, C, D, H, W) -> (N, C', D', H', W'), zero padding of `padding` voxels on both sides."""

    own_kernel = nn.Conv3d.construct

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Size,
        *,
        weight_init,
        stride: Size = 1,
        padding: Size = 0,
        has_bias: bool = False,
    ):
        pads, cut = _per_axis(padding, 3), ()
        if is_exporting():
            pads, cut = _exported_padding(_per_axis(kernel, 3), _per_axis(stride, 3), pads)
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            pad_mode="pad",
            padding=_each_side(pads),
            dilation=1,
            group=1,
            has_bias=has_bias,
            weight_init=weight_init,
            bias_init="zeros",
            data_format="NCDHW",
        )
        self.cut = cut
        self.choose_kernel(Geometry(_per_axis(stride, 3), pads, pads))


class Conv2d(_OwnOperator, nn.Conv2d):
    """2-D convolution: (N, C, H, W) -> (N, C', H', W'), zero padding of `padding` pixels on both sides."""

    own_kernel = nn.Conv2d.construct

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Size,
        *,
        weight_init,
        stride: Size = 1,
        padding: Size = 0,
        has_bias: bool = False,
    ):
        pads, cut = _per_axis(padding, 2), ()
        if is_exporting():
            pads, cut = _exported_padding(_per_axis(kernel, 2), _per_axis(stride, 2), pads)
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            pad_mode="pad",
            padding=_each_side(pads),
            dilation=1,
            group=1,
            has_bias=has_bias,
            weight_init=weight_init,
            bias_init="zeros",
            data_format="NCHW",
        )
        self.cut = cut
        self.choose_kernel(Geometry(_per_axis(stride, 2), pads, pads))


class Conv3dTranspose(_OwnOperator, nn.Conv3dTranspose):
    """Transposed convolution with kernel == stride: (N, C, D, H, W) -> (N, C', D·s, H·s, W·s)."""

    own_kernel = nn.Conv3dTranspose.construct

    def __init__(self, in_channels: int, out_channels: int, stride: Size, *, weight_init, has_bias: bool = False):
        super().__init__(
            in_channels,
            out_channels,
            stride,
            stride=stride,
            pad_mode="pad",
            padding=0,
            dilation=1,
            group=1,
            output_padding=0,
            has_bias=has_bias,
            weight_init=weight_init,
            bias_init="zeros",
            data_format="NCDHW",
        )
        geometry = Geometry(_per_axis(stride, 3), (0, 0, 0), (0, 0, 0), transposed=True)
        self.choose_kernel(geometry)


class Conv2dTranspose(_OwnOperator, nn.Conv2dTranspose):
    """Transposed convolution with kernel == stride: (N, C, H, W) -> (N, C', H·s, W·s).

    For export as a 3-D one of depth 1: the exporter writes a 2-D one that nothing reads.
    """

    own_kernel = nn.Conv2dTranspose.construct

    def __init__(self, in_channels: int, out_channels: int, stride: Size, *, weight_init, has_bias: bool = False):
        super().__init__(
            in_channels,
            out_channels,
            stride,
            stride=stride,
            pad_mode="pad",
            padding=0,
            dilation=1,
            group=1,
            output_padding=0,
            has_bias=has_bias,
            weight_init=weight_init,
            bias_init="zeros",
        )
        geometry = Geometry(_per_axis(stride, 2), (0, 0), (0, 0), transposed=True)
        self.choose_kernel(geometry)
        size = (1, *_per_axis(stride, 2))
        self.as_3d = None
        if is_exporting():
            self.as_3d = ops.Conv3DTranspose(
                in_channels, out_channels, size, mode=1, pad_mode="pad", pad=0, stride=size
            )

    def construct(self, x):
        if self.as_3d is None:
            return super().construct(x)
        y = self.as_3d(x.expand_dims(2), self.weight.expand_dims(2).astype(x.dtype)).squeeze(2)
        return y + self.bias.reshape(1, -1, 1, 1) if self.has_bias else y


def conv(in_channels: int, out_channels: int, kernel: tuple[int, ...], **form) -> nn.Cell:
    """Conv2d or Conv3d, by the kernel's length."""
    return (Conv2d if len(kernel) == 2 else Conv3d)(in_channels, out_channels, kernel, **form)


def conv_transpose(in_channels: int, out_channels: int, stride: tuple[int, ...], **form) -> nn.Cell:
    """Conv2dTranspose or Conv3dTranspose, by the stride's length."""
    return (Conv2dTranspose if len(stride) == 2 else Conv3dTranspose)(in_channels, out_channels, stride, **form)
