"""Normalisation with what follows it as one MindSpore primitive with its own gradients: last(act(norm(x)) + residual).

Tensors are f32, (N, C, [D, H,] W); scale, shift and statistics hold one number a channel.
"""

from collections.abc import Callable
from dataclasses import dataclass

import mindspore as ms
from mindspore import ops

from mindvoxel.ops import library
from mindvoxel.ops.primitive import custom

KINDS = ("batch", "instance", "given")
ACTIVATIONS = ("none", "elu", "leaky_relu")


@dataclass(frozen=True)
class Form:
    """What is computed: statistics of the batch, of each sample, or given; the activations before and after the sum.

    keep: the share of the running statistics that a step keeps, for `batch`.  leak: slope of leaky_relu below 0; above
    0 where leaky_relu is the last activation, whose gradient is told from the sign of its result.  blocked: the
    channels of x, y and a whole residual lie in groups of 16 (mindvoxel.nn.layout).
    """

    kind: str
    act: str = "none"
    last: str = "none"
    epsilon: float = 1e-5
    keep: float = 0.9
    leak: float = 0.01
    blocked: bool = False

    def numbers(self, has_residual: bool) -> ms.Tensor:
        """As the C++ side reads it."""
        places = [KINDS.index(self.kind), ACTIVATIONS.index(self.act), ACTIVATIONS.index(self.last)]
        rest = [has_residual, self.epsilon, self.keep, self.leak, self.blocked]
        return ms.Tensor([*places, *rest], ms.float32)


def is_usable() -> bool:
    """Whether the library is there and the processor has AVX-512, which this operator needs."""
    lib = library.load()
    return lib is not None and bool(lib.mindvoxel_has_norm())


def _gradient(form: Form, has_residual: bool, gives_residual: bool) -> ops.Custom:
    outputs = 4 if gives_residual else 3

    def shape(numbers, x, gamma, beta, *rest):
        return (x, gamma, beta, x)[:outputs]

    return custom("NormBackward", shape, f"{form} {has_residual} {gives_residual}", outputs)


def _derivative(last: str, leak: float, y):
    """Of the last activation, from its result."""
    if last == "elu":
        return ops.minimum(y, 0.0) + 1.0
    if last == "leaky_relu":
        return ops.select(y < 0, ops.full_like(y, leak), ops.ones_like(y))
    return ops.ones_like(y)


def _bprop_alone(form: Form) -> Callable:
    gradient = _gradient(form, False, False)

    def of_instance(numbers, x, gamma, beta, out, dout):
        dx, dgamma, dbeta = gradient(numbers, x, gamma, beta, out[1], out[2], dout[0])
        return ops.zeros_like(numbers), dx, dgamma, dbeta

    def of_batch(numbers, x, gamma, beta, mean, variance, out, dout):
        dx, dgamma, dbeta = gradient(numbers, x, gamma, beta, out[1], out[2], dout[0])
        return ops.zeros_like(numbers), dx, dgamma, dbeta, ops.zeros_like(mean), ops.zeros_like(variance)

    return of_instance if form.kind == "instance" else of_batch


def _bprop_with_residual(form: Form) -> Callable:
    whole, part, last, leak = _gradient(form, True, True), _gradient(form, True, False), form.last, form.leak

    def gradients(numbers, x, gamma, beta, residual, out, dout):
        if residual.shape[1] == x.shape[1]:
            return whole(numbers, x, gamma, beta, out[1], out[2], dout[0], out[0])
        dx, dgamma, dbeta = part(numbers, x, gamma, beta, out[1], out[2], dout[0], out[0])
        # graph mode drops this where nobody asks for it: the residual with one channel is the image
        every = dout[0] * _derivative(last, leak, out[0])
        if form.blocked:
            groups = every.reshape(every.shape[0], every.shape[1] // 16, -1, 16)
            return dx, dgamma, dbeta, groups.sum((1, 3)).reshape(residual.shape)
        return dx, dgamma, dbeta, every.sum(1, keepdims=True)

    def of_instance(numbers, x, gamma, beta, residual, out, dout):
        dx, dgamma, dbeta, dresidual = gradients(numbers, x, gamma, beta, residual, out, dout)
        return ops.zeros_like(numbers), dx, dgamma, dbeta, dresidual

    def of_batch(numbers, x, gamma, beta, mean, variance, residual, out, dout):
        dx, dgamma, dbeta, dresidual = gradients(numbers, x, gamma, beta, residual, out, dout)
        return ops.zeros_like(numbers), dx, dgamma, dbeta, ops.zeros_like(mean), ops.zeros_like(variance), dresidual

    return of_instance if form.kind == "instance" else of_batch


def normalisation(form: Form, has_residual: bool) -> tuple[ops.Custom, ms.Tensor]:
    """The operator, and the tensor that is its first argument.

    Call `op(numbers, x, gamma, beta[, running_mean, running_variance][, residual])`, without running statistics for
    `instance`; the residual has x's shape, or one channel for all. Returns y, mean and inverse deviation, and for
    `batch` the new running statistics (mean, unbiased variance).
    """

    def shape(numbers, x, gamma, beta, *rest):
        if len(x) < 3 or x[1] != gamma[0]:
            raise ValueError(f"normalisation input must be (N, {gamma[0]}, space...), got shape {tuple(x)}")
        if has_residual and tuple(rest[-1]) not in (tuple(x), (x[0], 1, *x[2:])):
            raise ValueError(f"residual must have the shape {tuple(x)} or one channel, got {tuple(rest[-1])}")
        groups = (x[0] * x[1],) if form.kind == "instance" else gamma
        return (x, groups, groups, gamma, gamma) if form.kind == "batch" else (x, groups, groups)

    bprop = _bprop_with_residual(form) if has_residual else _bprop_alone(form)
    outputs = 5 if form.kind == "batch" else 3
    op = custom("NormForward", shape, f"{form} {has_residual}", outputs, bprop)
    return op, form.numbers(has_residual)
