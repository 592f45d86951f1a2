"""Optimisers with every argument named; `rates` is one learning rate a step in all of them."""

import math

import mindspore as ms
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from mindvoxel.ops.sgd import sgd_operator


def _is_norm(parameter: Parameter) -> bool:
    """Whether it is the scale or shift of a normalisation."""
    return parameter.name.endswith((".gamma", ".beta"))


def _groups(parameters: list, weight_decay: float, decay_norms: bool) -> list:
    """MindSpore's own form of parameters that decay and those that do not, in the given order."""
    if weight_decay == 0:
        return parameters
    decaying = [p for p in parameters if decay_norms or not _is_norm(p)]
    names = {p.name for p in decaying}
    others = [p for p in parameters if p.name not in names]
    groups = [{"params": decaying, "weight_decay": weight_decay}, {"order_params": parameters}]
    return [*groups[:1], {"params": others, "weight_decay": 0.0}, *groups[1:]] if others else groups


def sgd(
    parameters: list,
    rates: list[float],
    *,
    momentum: float = 0.99,
    nesterov: bool = True,
    weight_decay: float = 0.0,
    decay_norms: bool = True,
) -> nn.Optimizer:
    """Stochastic gradient descent with momentum, as PyTorch's.

    weight_decay is added to the gradient times the weight: to that of every parameter (nnU-Net, 3e-5), or without
    `decay_norms` of all but the scale and shift of normalisations (NVIDIA, 1e-4).
    """
    decays = [weight_decay if decay_norms or not _is_norm(p) else 0.0 for p in parameters]
    return Sgd(parameters, rates, momentum, nesterov, decays)


def adam(parameters: list, rates: list[float], *, weight_decay: float = 0.0, decay_norms: bool = True) -> nn.Optimizer:
    """Adam (Kingma & Ba 2015), betas 0.9 and 0.999, eps 1e-8; weight decay as sgd's."""
    groups = _groups(parameters, weight_decay, decay_norms)
    return nn.Adam(groups, learning_rate=rates, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, loss_scale=1.0)


def radam(parameters: list, rates: list[float], *, weight_decay: float = 0.0, decay_norms: bool = True) -> nn.Optimizer:
    """Rectified Adam (Liu et al. 2020), betas 0.9 and 0.999, eps 1e-8; weight decay as sgd's."""
    return RAdam(_groups(parameters, weight_decay, decay_norms), rates)


_velocity = ops.MultitypeFuncGraph("velocity")


@_velocity.register("Tensor", "Tensor", "Tensor")
def _velocity_one(momentum, velocity, grad):
    return ops.assign(velocity, momentum * velocity + grad)


_descend = ops.MultitypeFuncGraph("descend")


@_descend.register("Tensor", "Tensor", "Tensor")
def _descend_one(rate, weight, direction):
    return ops.assign_sub(weight, rate * direction)


_add_scaled = ops.MultitypeFuncGraph("add_scaled")


@_add_scaled.register("Tensor", "Tensor", "Tensor")
def _add_scaled_one(factor, more, grad):
    return grad + factor * more


class Sgd(nn.Optimizer):
    """See sgd; decays: the weight decay of every parameter. On the CPU one operator of this project's does the step.

    nn.SGD keeps a third tensor of every weight's size, and nn.Momentum leaves Nesterov's term out on the CPU (MindSpore
    2.10), without a word.
    """

    def __init__(self, parameters: list, rates: list[float], momentum: float, nesterov: bool, decays: list[float]):
        super().__init__(rates, parameters, 0.0, 1.0)
        self.accum = self.parameters.clone(prefix="accum", init="zeros")
        self.operator, self.map = sgd_operator(self.parameters), ops.HyperMap()
        self.numbers = Tensor([momentum, nesterov, *decays], ms.float32)
        self.momentum, self.nesterov = Tensor(momentum, ms.float32), nesterov
        self.decays = tuple(Tensor(decay, ms.float32) for decay in decays) if any(decays) else ()

    def construct(self, gradients):
        rate = self.get_lr()
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        if self.operator is not None:
            return self.operator(rate, self.numbers, *self.parameters, *self.accum, *gradients)
        if self.decays:
            gradients = self.map(_add_scaled, self.decays, self.parameters, gradients)
        directions = self.map(ops.partial(_velocity, self.momentum), self.accum, gradients)
        if self.nesterov:
            directions = self.map(ops.partial(_add_scaled, self.momentum), directions, gradients)
        return self.map(ops.partial(_descend, rate), self.parameters, directions)


_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8
_radam = ops.MultitypeFuncGraph("radam")


@_radam.register("Function", "Tensor", "Tensor", "Tensor", "Tensor", "Tensor")
def _radam_one(adam, rate, weight, first, second, grad):
    return adam(weight, first, second, 0.0, 0.0, rate, _BETA1, _BETA2, _EPS, grad)


_plain = ops.MultitypeFuncGraph("plain")


@_plain.register("Tensor", "Tensor", "Tensor", "Tensor")
def _plain_one(rate, weight, first, grad):
    first = ops.assign(first, _BETA1 * first + (1 - _BETA1) * grad)
    return ops.assign_sub(weight, rate * first)


_second = ops.MultitypeFuncGraph("second")


@_second.register("Tensor", "Tensor")
def _second_one(second, grad):
    return ops.assign(second, _BETA2 * second + (1 - _BETA2) * grad * grad)


class RAdam(nn.Optimizer):
    """See radam. Everything that depends on the step's number alone is in the rates: the kernel is Adam's."""

    def __init__(self, parameters: list, rates: list[float]):
        factors = [_rectified(step + 1) for step in range(len(rates))]
        super().__init__(
            [rate * factor for rate, (factor, _) in zip(rates, factors, strict=True)], parameters, 0.0, 1.0
        )
        self.num_plain = sum(not is_adaptive for _, is_adaptive in factors)
        self.first = self.parameters.clone(prefix="radam_first", init="zeros")
        self.second = self.parameters.clone(prefix="radam_second", init="zeros")
        self.adam, self.map = ops.Adam(), ops.HyperMap()

    def construct(self, gradients):
        gradients = self.decay_weight(gradients)
        rate, is_plain = self.get_lr(), self.global_step[0] < self.num_plain
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        if is_plain:
            self.map(ops.partial(_plain, rate), self.parameters, self.first, gradients)
            self.map(_second, self.second, gradients)
        else:
            self.map(ops.partial(_radam, self.adam, rate), self.parameters, self.first, self.second, gradients)
        return rate


def _rectified(step: int) -> tuple[float, bool]:
    """The factor on the rate of one step (from 1), bias corrections included, and whether the step is adaptive.

    The first five steps, in which the variance of the second moment is not known, go along the first moment alone.
    """
    kept = _BETA2**step
    longest = 2 / (1 - _BETA2) - 1
    length = longest - 2 * step * kept / (1 - kept)
    if length <= 5:
        return 1 / (1 - _BETA1**step), False
    rectification = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    return math.sqrt(rectification * (1 - kept)) / (1 - _BETA1**step), True


_copy = ops.MultitypeFuncGraph("copy")


@_copy.register("Tensor", "Tensor")
def _copy_one(slow, fast):
    return ops.assign(slow, fast)


_synchronise = ops.MultitypeFuncGraph("synchronise")


@_synchronise.register("Tensor", "Tensor", "Tensor")
def _synchronise_one(slow_step, slow, fast):
    return ops.assign(fast, ops.assign_add(slow, slow_step * (fast - slow)))


class Lookahead(nn.Cell):
    """Lookahead around any optimiser (Zhang et al. 2019): every `period` steps the slow weights go `slow_step` of the
    way to the fast ones, which start from there again. The slow weights start as the weights are at the first step."""

    def __init__(self, optimizer: nn.Optimizer, period: int = 6, slow_step: float = 0.5):
        super().__init__(auto_prefix=False)
        self.fast, self.parameters, self.period = optimizer, optimizer.parameters, period
        self.slow = ParameterTuple(self.parameters).clone(prefix="slow", init="same")
        self.count = Parameter(Tensor(0, ms.int32), name="lookahead_count")
        self.slow_step, self.map = Tensor(slow_step, ms.float32), ops.HyperMap()

    def construct(self, gradients):
        if self.count == 0:
            self.map(_copy, self.slow, self.parameters)
        done = self.fast(gradients)
        count = ops.assign_add(ops.depend(self.count, done), 1)
        if count % self.period == 0:
            self.map(ops.partial(_synchronise, self.slow_step), self.slow, self.parameters)
        return done
