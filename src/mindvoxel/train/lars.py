"""Layer-wise adaptive rate scaling, for large batches."""

import mindspore as ms
from mindspore import Tensor, nn, ops

# Share of a layer's own length that a step of rate 1 adds to its velocity.
TRUST = 0.001


def lars(parameters: list, rates: list[float], *, momentum: float = 0.9, weight_decay: float = 0.0) -> nn.Optimizer:
    """LARS (You, Gitman, Ginsburg 2017) as MLPerf's ResNet-50 has it: v = momentum·v - rate·t·(g + decay·w), w += v.

    t = 0.001·|w| / (|g| + decay·|w|) with the lengths of one parameter and its gradient, 1 where one of them is 0. The
    scale and shift of normalisations, and biases, have t = 1 and do not decay. The rate is within the velocity, so that
    a falling rate is not undone by the steps before it.
    """
    return Lars(parameters, rates, momentum, weight_decay)


def _is_scaled(parameter: ms.Parameter) -> bool:
    """Whether it is neither of a normalisation nor a bias."""
    return not parameter.name.endswith((".gamma", ".beta", ".bias"))


_change = ops.MultitypeFuncGraph("change")


@_change.register("Tensor", "Tensor", "Tensor", "Bool", "Tensor", "Tensor", "Tensor")
def _change_one(rate, momentum, decay, is_scaled, weight, velocity, grad):
    if is_scaled:
        length, steepness = ops.sqrt((weight * weight).sum()), ops.sqrt((grad * grad).sum())
        ratio = TRUST * length / (steepness + decay * length + (length * steepness == 0).astype(ms.float32))
        ratio = ops.select(length * steepness > 0, ratio, ops.ones_like(ratio))
        grad = ratio * (grad + decay * weight)
    velocity = ops.assign(velocity, momentum * velocity - rate * grad)
    return ops.assign_add(weight, velocity)


class Lars(nn.Optimizer):
    """See lars."""

    def __init__(self, parameters: list, rates: list[float], momentum: float, weight_decay: float):
        super().__init__(rates, parameters, 0.0, 1.0)
        self.velocity = self.parameters.clone(prefix="velocity", init="zeros")
        self.momentum, self.decay = Tensor(momentum, ms.float32), Tensor(weight_decay, ms.float32)
        self.map = ops.HyperMap()
        self.scaled = tuple(_is_scaled(parameter) for parameter in self.parameters)

    def construct(self, gradients):
        rate = self.get_lr()
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        change = ops.partial(_change, rate, self.momentum, self.decay)
        return self.map(change, self.scaled, self.parameters, self.velocity, gradients)
