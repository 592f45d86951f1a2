"""One optimisation step as one compiled graph."""

from dataclasses import dataclass

import mindspore as ms
from mindspore import amp, nn, ops

from mindvoxel.nn.layout import lay_plain
from mindvoxel.nn.norm import BatchNorm, InstanceNorm
from mindvoxel.ops.finite import all_finite_operator, global_norm_operator

# After this many skipped steps in a row the loss scale is not at fault any more.
MAX_SKIPPED_IN_A_ROW = 20
# Where nothing is computed in float16 nothing overflows, and the scale would double until the loss itself did.
LARGEST_SCALE = 2.0**24

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.Conv2dTranspose, nn.Conv3dTranspose)
_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d, InstanceNorm)


def mixed_precision(network: nn.Cell, level: str) -> None:
    """Set the precision of a network's cells, in place; weights stay float32.

    O0: all in float32.  O1: convolutions in float16, all else in float32.  O2: all but the normalisations in float16.
    O3: all in float16.  auto: MindSpore's own lists of operators (amp.auto_mixed_precision), which know nothing of
    mindvoxel's CPU operator. O1 and O2 are set cell by cell, because MindSpore's own O1 rewrites source that it must
    find in __init__ of a certain form, and its own O2 keeps only its own classes in float32, not their heirs.
    """
    if level != "O0":
        lay_plain(network)
    if level == "auto":
        amp.auto_mixed_precision(network, "auto", dtype=ms.float16)
    if level in ("O2", "O3"):
        network.to_float(ms.float16)
    for _, cell in network.cells_and_names():
        if level == "O1" and isinstance(cell, _CONVOLUTIONS):
            cell.to_float(ms.float16)
        if level in ("O1", "O2") and isinstance(cell, _NORMS):
            cell.to_float(ms.float32)


def synchronise_batch_norm(network: nn.Cell, num_ranks: int) -> None:
    """Make batch normalisations take their statistics over the batches of all ranks, in place; alone they stay."""
    if num_ranks > 1:
        lay_plain(network)
        for _, cell in network.cells_and_names():
            if isinstance(cell, BatchNorm):
                cell.synchronise(num_ranks)


@dataclass
class LossScale:
    """The factor on the loss that keeps float16 gradients above 0; dynamic, it halves at an overflow and doubles after
    1000 steps without one, up to 2^24 (Micikevicius et al. 2018, section 3.2)."""

    value: float = 1.0
    dynamic: bool = False
    good_steps: int = 0

    @property
    def is_used(self) -> bool:
        """Whether there is anything to multiply by; a step without a scale saves one pass over all gradients."""
        return self.dynamic or self.value != 1.0

    @classmethod
    def of(cls, amp_level: str, loss_scale: float) -> "LossScale":
        """1 in float32 (O0); else `loss_scale`, or dynamic from 65536 where that is 0."""
        if amp_level == "O0":
            return cls()
        return cls(float(loss_scale)) if loss_scale > 0 else cls(2.0**16, dynamic=True)

    def adjust(self, finite: bool) -> None:
        """Take note of a step whose gradients were finite or not."""
        if not self.dynamic:
            return
        self.good_steps = self.good_steps + 1 if finite else 0
        if not finite:
            self.value = max(self.value / 2, 1.0)
        elif self.good_steps == 1000:
            self.value, self.good_steps = min(self.value * 2, LARGEST_SCALE), 0


_unscale = ops.MultitypeFuncGraph("unscale")


@_unscale.register("Tensor", "Tensor")
def _unscale_one(scale, grad):
    return grad / scale.astype(grad.dtype)


_shrink = ops.MultitypeFuncGraph("shrink")


@_shrink.register("Tensor", "Tensor")
def _shrink_one(factor, grad):
    return grad * factor.astype(grad.dtype)


_square_sum = ops.MultitypeFuncGraph("square_sum")


@_square_sum.register("Tensor")
def _square_sum_one(grad):
    grad = grad.astype(ms.float32)
    return (grad * grad).sum()


class TrainStep(nn.Cell):
    """Forward, backward, all-reduce, and the optimiser where every gradient is finite on every rank.

    max_norm: longer gradients are scaled down to this norm over all parameters, after the reduction over ranks and
    without the loss scale, as torch.nn.utils.clip_grad_norm_ does; None: they are not.
    construct(image, label, noise, scale) -> (loss, finite): image (N, C, [D,] H, W), label (N, [D,] H, W), noise (N, K)
    for dropout or None, scale the loss scale as a scalar tensor, or None for none;
    loss unscaled, the mean over the ranks, finite a bool tensor.
    """

    def __init__(
        self,
        network: nn.Cell,
        loss: nn.Cell,
        optimizer: nn.Cell,
        num_ranks: int = 1,
        max_norm: float | None = None,
    ):
        super().__init__(auto_prefix=False)
        self.network, self.loss, self.optimizer = network, loss, optimizer
        self.weights = optimizer.parameters
        self.map = ops.HyperMap()
        self.reduce = nn.Identity()
        self.all_ranks = None
        if num_ranks > 1:
            self.reduce = nn.DistributedGradReducer(self.weights, mean=True, degree=num_ranks)
            self.all_ranks = ops.AllReduce(ops.ReduceOp.SUM)
        self.num_ranks = num_ranks
        self.max_norm = max_norm
        self.finite, self.norm = all_finite_operator(self.weights), global_norm_operator(self.weights)
        self.grad = ops.value_and_grad(self.scaled_loss, None, self.weights, has_aux=False)
        self.set_train()

    def scaled_loss(self, image, label, noise, scale):
        logits = self.network(image, noise) if noise is not None else self.network(image)
        loss = self.loss(logits, label)
        return loss if scale is None else loss * scale

    def all_finite(self, grads):
        """A bool tensor: whether every gradient is finite, on every rank."""
        if self.finite is None:
            return amp.all_finite(grads)
        return self.finite(*grads)[0] > 0

    def global_norm(self, grads):
        """The Euclidean norm of all gradients; not finite where one of them is not."""
        if self.norm is None:
            return ops.sqrt(ops.addn(self.map(_square_sum, grads)))
        return self.norm(*grads)[0]

    def construct(self, image, label, noise, scale):
        loss, grads = self.grad(image, label, noise, scale)
        if scale is not None:
            loss = loss / scale
        grads = self.reduce(grads)
        if scale is not None:
            grads = self.map(ops.partial(_unscale, scale), grads)
        if self.max_norm is None:
            finite = self.all_finite(grads)
        else:
            norm = self.global_norm(grads)
            finite = ops.isfinite(norm)
            grads = self.map(ops.partial(_shrink, ops.minimum(self.max_norm / (norm + 1e-6), 1.0)), grads)
        if self.all_ranks is not None:
            # some Ascend chips note an overflow beside the gradients, where the other ranks do not see it
            loss, num_finite = self.all_ranks(ops.stack((loss.reshape(()), finite.astype(ms.float32).reshape(()))))
            loss, finite = loss / self.num_ranks, num_finite > self.num_ranks - 0.5
        if finite:
            loss = ops.depend(loss, self.optimizer(grads))
        return loss, finite
