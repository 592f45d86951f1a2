"""Losses, in float32 whatever the network's precision."""

import mindspore as ms
from mindspore import nn, ops

from mindvoxel.ops.softmax import most_classes, softmax_sums


class ForegroundDiceLoss(nn.Cell):
    """V-Net's Dice loss (Milletari et al. 2016, section 3): 1 - 2Σpg / (Σp² + Σg² + 1e-5), one sum over the batch.

    construct(logits, label): logits (N, 2, D, H, W), label (N, D, H, W) with 1 in the foreground -> a float32 scalar;
    p is the softmax of channel 1. Without foreground in the batch the loss is 1.
    """

    def __init__(self, smooth: float = 1e-5):
        super().__init__()
        self.smooth = smooth

    def construct(self, logits, label):
        logits = logits.astype(ms.float32)
        # the softmax of two classes is a sigmoid of their difference, at half the memory
        probability = ops.sigmoid(logits[:, 1] - logits[:, 0])
        truth = label.astype(ms.float32)
        overlap = (probability * truth).sum()
        total = (probability * probability).sum() + (truth * truth).sum()
        return 1.0 - 2.0 * overlap / (total + self.smooth)


class DiceCELoss(nn.Cell):
    """Cross-entropy, mean over voxels, plus 1 - the mean Dice of the foreground classes over the batch (nnU-Net).

    construct(logits, label): logits (N, classes, D, H, W), label (N, D, H, W) of class numbers -> a float32 scalar.
    """

    def __init__(self, smooth: float = 1e-5):
        super().__init__()
        self.smooth = smooth
        self.most_classes = most_classes()
        self.sums = softmax_sums() if self.most_classes else None

    def construct(self, logits, label):
        logits, classes = logits.astype(ms.float32), logits.shape[1]
        label = label.astype(ms.int32)
        if classes <= self.most_classes:
            sums = self.sums(logits, label)
            cross_entropy, overlap = sums[0], sums[1 : 1 + classes]
            total = sums[1 + classes : 1 + 2 * classes] + sums[1 + 2 * classes :]
        else:
            log_probability = ops.log_softmax(logits, 1)
            probability = ops.exp(log_probability)
            truth = ops.one_hot(label, classes, axis=1).astype(logits.dtype)
            overlap, total = (probability * truth).sum((0, 2, 3, 4)), (probability + truth).sum((0, 2, 3, 4))
            cross_entropy = -(log_probability * truth).sum()
        return cross_entropy / label.size + 1.0 - (2.0 * overlap / (total + self.smooth))[1:].mean()
