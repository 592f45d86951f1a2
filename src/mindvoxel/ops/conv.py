"""The operator as MindSpore primitives: a convolution or transposed convolution with its own gradients.

Tensors are f32, (N, C, [D, H,] W); weights (O, I, k...) for a convolution, (I, O, k...) for a transposed one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import mindspore as ms
from mindspore import ops

from mindvoxel.ops.primitive import custom

# A first layer sees few channels, and nobody asks for the gradient of the image. Up to this many input channels the two
# gradients are separate operators, so that graph mode drops the one that is not used; above, one operator computes both
# and converts the output's gradient once.
FEW_CHANNELS = 4


@dataclass(frozen=True)
class Geometry:
    """How a kernel moves: one number per space axis, in voxels."""

    stride: tuple[int, ...]
    pad_before: tuple[int, ...]
    pad_after: tuple[int, ...]
    transposed: bool = False
    blocked_in: bool = False  # the channels of the input lie in groups of 16: see mindvoxel.nn.layout
    blocked_out: bool = False
    joined: bool = False  # the channels of the input are those of two blocked tensors, one after the other

    def numbers(self) -> list[int]:
        """As the C++ side reads it."""
        lies = (int(self.blocked_in), int(self.blocked_out), int(self.joined))
        return [int(self.transposed), *self.stride, *self.pad_before, *self.pad_after, *lies]

    def output_shape(self, x: Sequence[int], weight: Sequence[int]) -> tuple[int, ...]:
        """Shape of the result. ValueError where the shapes do not fit each other."""
        axes = len(self.stride)
        channels_in, channels_out = (weight[0], weight[1]) if self.transposed else (weight[1], weight[0])
        if len(x) != axes + 2 or x[1] != channels_in:
            raise ValueError(
                f"convolution input must be (N, {channels_in}) and {axes} space axes, got shape {tuple(x)}"
            )
        padding = [a + b for a, b in zip(self.pad_before, self.pad_after, strict=True)]
        spans = zip(x[2:], weight[2:], self.stride, padding, strict=True)
        if self.transposed:
            space = tuple((size - 1) * step + kernel - pad for size, kernel, step, pad in spans)
        else:
            space = tuple((size + pad - kernel) // step + 1 for size, kernel, step, pad in spans)
        if min(space) < 1:
            raise ValueError(f"convolution input of shape {tuple(x)} is smaller than the kernel {tuple(weight[2:])}")
        return (x[0], channels_out, *space)


def _weight_gradient(has_bias: bool) -> ops.Custom:
    def shape(x, weight, dout, geometry):
        return (weight, (dout[1],)) if has_bias else weight

    return custom("ConvBackwardWeights", shape, f"bias={has_bias}", 1 + has_bias)


def _both_gradients(has_bias: bool) -> ops.Custom:
    def shape(x, weight, dout, geometry):
        return (x, weight, (dout[1],)) if has_bias else (x, weight)

    return custom("ConvBackward", shape, f"bias={has_bias}", 2 + has_bias)


def _data_gradient() -> ops.Custom:
    return custom("ConvBackwardData", lambda x, weight, dout, geometry: x, "")


def _bprop_with_bias(split: bool) -> Callable:
    data, weights, both = _data_gradient(), _weight_gradient(True), _both_gradients(True)

    def apart(x, weight, bias, geometry, out, dout):
        dweight, dbias = weights(x, weight, dout, geometry)
        return data(x, weight, dout, geometry), dweight, dbias, ops.zeros_like(geometry)

    def together(x, weight, bias, geometry, out, dout):
        dx, dweight, dbias = both(x, weight, dout, geometry)
        return dx, dweight, dbias, ops.zeros_like(geometry)

    return apart if split else together


def _bprop_without_bias(split: bool) -> Callable:
    data, weights, both = _data_gradient(), _weight_gradient(False), _both_gradients(False)

    def apart(x, weight, geometry, out, dout):
        return data(x, weight, dout, geometry), weights(x, weight, dout, geometry), ops.zeros_like(geometry)

    def together(x, weight, geometry, out, dout):
        dx, dweight = both(x, weight, dout, geometry)
        return dx, dweight, ops.zeros_like(geometry)

    return apart if split else together


def convolution(geometry: Geometry, in_channels: int, has_bias: bool) -> tuple[ops.Custom, ms.Tensor]:
    """The operator, and the tensor that is its last argument: call `op(x, weight[, bias], numbers)`."""
    split = in_channels <= FEW_CHANNELS
    bprop = _bprop_with_bias(split) if has_bias else _bprop_without_bias(split)

    def shape(x, weight, *rest):
        return geometry.output_shape(x, weight)

    numbers = geometry.numbers()
    return custom("ConvForward", shape, f"{numbers} {split} {has_bias}", bprop=bprop), ms.Tensor(numbers, ms.int64)


def _bprop_of_two(has_bias: bool) -> Callable:
    def shape(x, more, weight, dout, geometry):
        return (x, more, weight, (dout[1],)) if has_bias else (x, more, weight)

    gradients = custom("ConvBackward", shape, f"two bias={has_bias}", 3 + has_bias)

    def with_bias(x, more, weight, bias, geometry, out, dout):
        dx, dmore, dweight, dbias = gradients(x, more, weight, dout, geometry)
        return dx, dmore, dweight, dbias, ops.zeros_like(geometry)

    def without_bias(x, more, weight, geometry, out, dout):
        dx, dmore, dweight = gradients(x, more, weight, dout, geometry)
        return dx, dmore, dweight, ops.zeros_like(geometry)

    return with_bias if has_bias else without_bias


def convolution_of_two(geometry: Geometry, has_bias: bool) -> tuple[ops.Custom, ms.Tensor]:
    """The operator for an input in two blocked tensors, as if concatenated along the channels, and its last argument:
    call `op(x, more, weight[, bias], numbers)`."""
    if not geometry.blocked_in:
        raise ValueError("the two tensors of an input must be blocked; concatenate plain ones")
    geometry = replace(geometry, joined=True)

    def shape(x, more, weight, *rest):
        if (x[0], *x[2:]) != (more[0], *more[2:]):
            raise ValueError(f"the two tensors must differ in their channels alone, got {tuple(x)} and {tuple(more)}")
        return geometry.output_shape((x[0], x[1] + more[1], *x[2:]), weight)

    numbers = geometry.numbers()
    op = custom("ConvForward", shape, f"{numbers} {has_bias}", bprop=_bprop_of_two(has_bias))
    return op, ms.Tensor(numbers, ms.int64)
