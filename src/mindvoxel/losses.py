"""Losses, in float32 whatever the network's precision."""

import mindspore as ms
from mindspore import nn, ops


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
