"""Normalisation and what follows it: last(act(norm(x)) + residual), in one operator where the CPU has it.

On the CPU `mindvoxel.ops.norm` computes the whole in two passes over memory; on other devices, for export, for input
that is not float32, and where that operator is not usable, MindSpore's own operators do. Parameters, names and results
are the same either way.
"""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops

from mindvoxel.nn.activation import fixed_activation
from mindvoxel.nn.exporting import is_exporting
from mindvoxel.nn.layout import BLOCK, is_open
from mindvoxel.ops.norm import Form, is_usable, normalisation


def _use_operator() -> bool:
    return ms.get_context("device_target") == "CPU" and not is_exporting() and is_usable()


class _WithActivations:
    """The part that the cells below share: which kernel computes them, and what follows the normalisation."""

    def follow_with(self, act: str, last: str, slope: float) -> None:
        """Set the activations: `none`, `elu` or `leaky_relu`, with its slope below 0; or `relu` alone, which is a leaky
        ReLU of slope 0 to the operator. As `last` that would lose its gradient (ops.norm.Form)."""
        if last == "relu" or (act == "relu" and last != "none"):
            raise ValueError(f"relu must be the only activation, got {act!r}, then {last!r}; use nn.ReLU for the last")
        self.act, self.last = fixed_activation(act, slope), fixed_activation(last, slope)
        if act == "relu":
            act, slope = "leaky_relu", 0.0
        self.form = {"act": act, "last": last, "leak": slope}
        self.fused = _use_operator()
        self.blocked = False
        self.choose_layout(is_open())

    def choose_layout(self, blocked: bool) -> None:
        """Whether tensors with a multiple of 16 channels are blocked (mindvoxel.nn.layout)."""
        if self.fused:
            self.blocked = blocked and self.channels % BLOCK == 0
            self.build_operators()

    def is_operator_for(self, x) -> bool:
        """Whether mindvoxel's operator computes this; MindSpore's own know nothing of blocked tensors."""
        if self.fused and x.dtype == ms.float32:
            return True
        if self.blocked:
            raise ValueError("a normalisation of blocked tensors takes float32 only; call lay_plain(network)")
        return False

    def finish(self, x, residual):
        """What follows the normalisation, in MindSpore's own operators."""
        x = self.act(x)
        return x if residual is None else self.last(x + residual)


class BatchNorm(_WithActivations, nn.BatchNorm3d):
    """Batch normalisation over batch and space: eps 1e-5; 0.9 of the running statistics is kept at each step.

    construct(x, residual): x (N, C, [D,] H, W) -> last(act(norm(x)) + residual), without a residual act(norm(x)). The
    residual has x's shape, or one channel for all.
    """

    def __init__(self, channels: int, act: str = "none", last: str = "none", *, slope: float = 0.01):
        super().__init__(channels, eps=1e-5, momentum=0.9, affine=True, use_batch_statistics=None)
        self.channels = channels
        self.all_ranks, self.num_ranks = None, 1
        self.follow_with(act, last, slope)

    def synchronise(self, num_ranks: int) -> None:
        """Take the statistics over the batches of all `num_ranks` processes, in MindSpore's own operators; blocked
        tensors are not taken then."""
        self.all_ranks, self.num_ranks = ops.AllReduce(ops.ReduceOp.SUM), num_ranks

    def build_operators(self) -> None:
        train, infer = (Form(kind, **self.form, blocked=self.blocked) for kind in ("batch", "given"))
        self.train_alone, self.train_numbers = normalisation(train, False)
        self.train_joined, self.train_joined_numbers = normalisation(train, True)
        self.infer_alone, self.infer_numbers = normalisation(infer, False)
        self.infer_joined, self.infer_joined_numbers = normalisation(infer, True)

    def standardise_over_ranks(self, x):
        """(N, C, space...) normalised over the batches of all ranks; the running statistics go along."""
        norm, axes = self.bn2d, (0, *range(2, x.ndim))
        along, count = (1, -1) + (1,) * (x.ndim - 2), self.num_ranks * x.size // x.shape[1]
        mean = self.all_ranks(x.sum(axes)) / count
        centred = x - mean.reshape(along)
        variance = self.all_ranks((centred * centred).sum(axes)) / count
        ops.assign(norm.moving_mean, 0.9 * norm.moving_mean + 0.1 * mean)
        ops.assign(norm.moving_variance, 0.9 * norm.moving_variance + 0.1 * variance * count / (count - 1))
        y = centred / ops.sqrt(variance + 1e-5).reshape(along)
        return y * norm.gamma.reshape(along) + norm.beta.reshape(along)

    def construct(self, x, residual=None):
        if self.training and self.all_ranks is not None:
            return self.finish(self.standardise_over_ranks(x), residual)
        if not self.is_operator_for(x):
            return self.finish(super().construct(x) if x.ndim == 5 else self.bn2d(x), residual)
        norm = self.bn2d
        scale, kept = (norm.gamma, norm.beta), (norm.moving_mean, norm.moving_variance)
        if not self.training:
            if residual is None:
                return self.infer_alone(self.infer_numbers, x, *scale, *kept)[0]
            return self.infer_joined(self.infer_joined_numbers, x, *scale, *kept, residual)[0]
        if residual is None:
            y, _, _, mean, variance = self.train_alone(self.train_numbers, x, *scale, *kept)
        else:
            y, _, _, mean, variance = self.train_joined(self.train_joined_numbers, x, *scale, *kept, residual)
        ops.assign(norm.moving_mean, mean)
        ops.assign(norm.moving_variance, variance)
        return y


class InstanceNorm(_WithActivations, nn.Cell):
    """Instance normalisation with scale and shift (Ulyanov et al. 2016): (N, C, [D,] H, W), eps 1e-5.

    construct(x, residual) as BatchNorm's. nn.InstanceNorm3d has no CPU kernel, and basic operators take 6 times as
    long there as MindSpore's batch normalisation of one sample with N·C channels, which is the same function; the
    exporters, which know no batch normalisation with statistics of its own, get the basic operators.
    """

    def __init__(self, channels: int, act: str = "none", last: str = "none", *, slope: float = 0.01):
        super().__init__()
        self.gamma = Parameter(Tensor([1.0] * channels, ms.float32), name="gamma")
        self.beta = Parameter(Tensor([0.0] * channels, ms.float32), name="beta")
        self.norm = None if is_exporting() else ops.BatchNorm(is_training=True, epsilon=1e-5, momentum=0.1)
        self.channels = channels
        self.follow_with(act, last, slope)

    def build_operators(self) -> None:
        form = Form("instance", **self.form, blocked=self.blocked)
        self.alone, self.numbers = normalisation(form, False)
        self.joined, self.joined_numbers = normalisation(form, True)

    def construct(self, x, residual=None):
        if not self.is_operator_for(x):
            return self.finish(self.standardise(x, self.gamma, self.beta), residual)
        if residual is None:
            return self.alone(self.numbers, x, self.gamma, self.beta)[0]
        return self.joined(self.joined_numbers, x, self.gamma, self.beta, residual)[0]

    def standardise(self, x, gamma, beta):
        """(N, C, space...) to mean beta and deviation gamma, in MindSpore's own operators."""
        n, c = x.shape[:2]
        if self.norm is None:
            space, along = tuple(range(2, x.ndim)), (1, c) + (1,) * (x.ndim - 2)
            x = x - x.mean(space, keep_dims=True)
            x = x / ops.sqrt((x * x).mean(space, keep_dims=True) + 1e-5)
            return x * gamma.reshape(along) + beta.reshape(along)
        gamma, beta = ops.tile(gamma, (n,)), ops.tile(beta, (n,))
        unused = ops.zeros_like(gamma)
        return self.norm(x.reshape(1, n * c, -1, x.shape[-1]), gamma, beta, unused, unused)[0].reshape(x.shape)


class GroupNorm(InstanceNorm):
    """Group normalisation (Wu & He 2018) of `groups` groups of channels, with scale and shift: as InstanceNorm of the
    groups, then scale, shift and activation apart; nn.GroupNorm cannot be exported."""

    def __init__(self, channels: int, act: str = "none", last: str = "none", *, slope: float = 0.01, groups: int = 32):
        super().__init__(channels, act, last, slope=slope)
        if channels % groups:
            raise ValueError(f"group norm needs a multiple of {groups} channels, got {channels}; choose another norm")
        self.groups = groups
        self.one, self.zero = Tensor([1.0] * groups, ms.float32), Tensor([0.0] * groups, ms.float32)

    def build_operators(self) -> None:
        if self.blocked:
            raise ValueError("group norm takes no blocked tensors; build it outside channel_blocks()")
        self.plain, self.plain_numbers = normalisation(Form("instance"), False)

    def construct(self, x, residual=None):
        along = (1, x.shape[1]) + (1,) * (x.ndim - 2)
        rows = x.reshape(x.shape[0], self.groups, -1, x.shape[-1])
        if self.fused and x.dtype == ms.float32:
            y = self.plain(self.plain_numbers, rows, self.one, self.zero)[0]
        else:
            y = self.standardise(rows, self.one, self.zero)
        y = y.reshape(x.shape) * self.gamma.reshape(along) + self.beta.reshape(along)
        return self.finish(y, residual)


class NoNorm(nn.Cell):
    """The activation alone, in the place of a normalisation."""

    def __init__(self, channels: int, act: str = "none", *, slope: float = 0.01):
        super().__init__()
        self.act = fixed_activation(act, slope)

    def construct(self, x):
        return self.act(x)


NORMS = {"instance": InstanceNorm, "batch": BatchNorm, "group": GroupNorm, "none": NoNorm}


def normalised(name: str, channels: int, act: str, slope: float) -> nn.Cell:
    """The cell of `instance`, `batch`, `group` (32 groups) or `none`, with its activation."""
    if name not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {name!r}")
    return NORMS[name](channels, act, slope=slope)
