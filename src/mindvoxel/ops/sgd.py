"""A step of stochastic gradient descent as one operator that changes weights and momenta in place."""

from collections.abc import Sequence

import mindspore as ms
from mindspore import ops

from mindvoxel.ops import library
from mindvoxel.ops.primitive import custom


def sgd_operator(parameters: Sequence[ms.Parameter]) -> ops.Custom | None:
    """Call `op(rate, numbers, *parameters, *momenta, *gradients)`; None where it cannot be used for them.

    numbers: float32 [momentum, 1 for Nesterov's else 0, weight decay of every parameter...]. The result is [1.0], for
    others to depend on: nothing else tells MindSpore that the parameters change.
    """
    on_cpu = ms.get_context("device_target") == "CPU" and library.load() is not None
    if not on_cpu or any(parameter.dtype != ms.float32 for parameter in parameters):
        return None
    return custom("SgdStep", lambda *shapes: (1,), "")
