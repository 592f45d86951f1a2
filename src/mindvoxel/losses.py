"""Losses, in float32 whatever the network's precision."""

import mindspore as ms
from mindspore import nn, ops

from mindvoxel.ops.softmax import most_classes, softmax_sums


def _sum_over(num_ranks: int):
    """The sum over the processes of the run, or None for one alone. Its gradient is such a sum as well: with the mean
    of the ranks' gradients, that of the whole batch."""
    return ops.AllReduce(ops.ReduceOp.SUM) if num_ranks > 1 else None


class ForegroundDiceLoss(nn.Cell):
    """V-Net's Dice loss (Milletari et al. 2016, section 3): 1 - 2Σpg / (Σp² + Σg² + 1e-5), one sum over the batch, of
    all `num_ranks` processes.

    construct(logits, label): logits (N, 2, D, H, W), label (N, D, H, W) with 1 in the foreground -> a float32 scalar;
    p is the softmax of channel 1. Without foreground in the batch the loss is 1.
    """

    def __init__(self, smooth: float = 1e-5, num_ranks: int = 1):
        super().__init__()
        self.smooth = smooth
        self.all_ranks = _sum_over(num_ranks)

    def construct(self, logits, label):
        logits = logits.astype(ms.float32)
        # the softmax of two classes is a sigmoid of their difference, at half the memory
        probability = ops.sigmoid(logits[:, 1] - logits[:, 0])
        truth = label.astype(ms.float32)
        overlap = (probability * truth).sum()
        total = (probability * probability).sum() + (truth * truth).sum()
        if self.all_ranks is not None:
            overlap, total = self.all_ranks(ops.stack((overlap, total)))
        return 1.0 - 2.0 * overlap / (total + self.smooth)


class DiceCELoss(nn.Cell):
    """Cross-entropy, mean over voxels, plus 1 - the mean soft Dice of the classes (nnU-Net, NVIDIA's nnU-Net).

    Dice of a class is (2Σpg + smooth) / (Σp + Σg + smooth), p the softmax, g the label.
    batch_dice: sums over the whole batch, of all `num_ranks` processes; else over each sample, and the mean of those.
    background: class 0 counts in the Dice term; in the cross-entropy it always does.
    construct(logits, label): logits (N, classes, [D,] H, W), label (N, [D,] H, W) of class numbers, of which negative
    ones count as background -> a float32 scalar.
    """

    def __init__(self, *, batch_dice: bool = True, background: bool = False, smooth: float = 1e-5, num_ranks: int = 1):
        super().__init__()
        self.batch_dice, self.smooth, self.first = batch_dice, smooth, 0 if background else 1
        self.most_classes = most_classes()
        self.sums = softmax_sums() if self.most_classes else None
        self.all_ranks = _sum_over(num_ranks) if batch_dice else None

    def construct(self, logits, label):
        logits, classes = logits.astype(ms.float32), logits.shape[1]
        label = ops.maximum(label.astype(ms.int32), 0)
        sums = self.sums(logits, label) if classes <= self.most_classes else _basic_sums(logits, label)
        cross_entropy = sums[:, 0].sum() / label.size
        if self.batch_dice:
            sums = sums.sum(0, keepdims=True)
            if self.all_ranks is not None:
                sums = self.all_ranks(sums)
        overlap, total = sums[:, 1 : 1 + classes], sums[:, 1 + classes : 1 + 2 * classes] + sums[:, 1 + 2 * classes :]
        dice = (2.0 * overlap + self.smooth) / (total + self.smooth)
        return cross_entropy + 1.0 - dice[:, self.first :].mean()


def _basic_sums(logits, label):
    """What ops.softmax.softmax_sums gives, in MindSpore's operators: (N, 1 + 3·C). One byte a voxel and class tells the
    label's class, instead of a one-hot label of four."""
    classes, space = logits.shape[1], tuple(range(2, logits.ndim))
    log_probability = ops.log_softmax(logits, 1)
    probability = ops.exp(log_probability)
    numbers = ops.arange(classes).astype(ms.int32).reshape((1, classes) + (1,) * len(space))
    elsewhere = ops.expand_dims(label, 1) != numbers
    cross_entropy = -ops.masked_fill(log_probability, elsewhere, 0.0).sum(space).sum(1, keepdims=True)
    overlap = ops.masked_fill(probability, elsewhere, 0.0).sum(space)
    counts = ops.logical_not(elsewhere).astype(ms.float32).sum(space)
    return ops.concat((cross_entropy, overlap, probability.sum(space), counts), 1)


class SmoothedCrossEntropy(nn.Cell):
    """Cross-entropy, mean over the batch, of a label of which the share `smoothing` is spread over all classes, the
    true one among them (Szegedy et al. 2016, section 7).

    construct(logits, label): logits (N, classes), label (N,) of class numbers -> a float32 scalar.
    """

    def __init__(self, smoothing: float = 0.1):
        super().__init__()
        self.smoothing = smoothing

    def construct(self, logits, label):
        logits, label = logits.astype(ms.float32), label.astype(ms.int32)
        log_probability = ops.log_softmax(logits, 1)
        truth = ops.one_hot(label, logits.shape[1], ops.ones((), ms.float32), ops.zeros((), ms.float32))
        weight = (1.0 - self.smoothing) * truth + self.smoothing / logits.shape[1]
        return -(weight * log_probability).sum(1).mean()


class DeepSupervision(nn.Cell):
    """Σ weights[i] · loss(logits[i], label), the label brought to the resolution of logits[i].

    construct(logits, label): logits a tuple, (N, classes, …) each, whose sizes divide the label's; every f-th voxel of
    the label is taken, from f // 2 on, where f is the quotient (nnU-Net's nearest neighbour). A head of weight 0 is not
    computed.
    """

    def __init__(self, loss: nn.Cell, weights: tuple[float, ...]):
        super().__init__()
        self.loss, self.weights = loss, tuple(weights)

    def construct(self, logits, label):
        if len(logits) != len(self.weights):
            raise ValueError("deep supervision needs one weight a head")
        label = label.astype(ms.int32)
        total = 0.0
        for i in range(len(self.weights)):
            if self.weights[i] > 0:
                total = total + self.weights[i] * self.loss(logits[i], _at_resolution(label, logits[i].shape[2:]))
        return total


def _at_resolution(label, space):
    """Every f-th voxel of label (N, …), f = its size / the size in `space`."""
    if label.shape[1:] == space:
        return label
    fy, fx = label.shape[-2] // space[-2], label.shape[-1] // space[-1]
    if label.ndim == 3:
        return label[:, fy // 2 :: fy, fx // 2 :: fx]
    fz = label.shape[1] // space[0]
    return label[:, fz // 2 :: fz, fy // 2 :: fy, fx // 2 :: fx]


def nnunet_weights(num_heads: int) -> tuple[float, ...]:
    """1, 1/2, 1/4, … and 0 for the last head, divided by their sum; 1 where there is one head alone."""
    weights = [0.5**i for i in range(max(num_heads - 1, 1))]
    return tuple(w / sum(weights) for w in weights) + (0.0,) * (num_heads - len(weights))


def nvidia_weights(num_heads: int) -> tuple[float, ...]:
    """1, 1/2, 1/4, … times 1 / (2 - 2^-n) for n heads; for the published three they sum to 14/15."""
    return tuple(0.5**i / (2 - 0.5**num_heads) for i in range(num_heads))
