"""Online validation on patches: quick, every epoch, and a proxy of the Dice of whole scans, no more."""

import time
from collections.abc import Sequence

import mindspore as ms
import numpy as np
from mindspore import nn

from mindvoxel.data.patches import PatchSource
from mindvoxel.train.loop import State
from mindvoxel.train.ranks import Ranks
from mindvoxel.train.watch import PATIENCE_IN_STEPS_S, WATCH

EMA_KEPT = 0.9


class _EvaluationStep(nn.Cell):
    """construct(image, label) -> (loss of the full resolution, predicted classes), the network in evaluation mode."""

    def __init__(self, network: nn.Cell, loss: nn.Cell):
        super().__init__(auto_prefix=False)
        self.network, self.loss = network, loss

    def construct(self, image, label):
        logits = self.network(image).astype(ms.float32)
        return self.loss(logits, label), logits.argmax(1)


class ValidatePatches:
    """Adds val_loss, val_patch_dice, val_patch_dice_ema, and Dice by class, over the batches of all ranks' sources.

    val_patch_dice: mean over the foreground classes of 2TP / (2TP + FP + FN), whose counts are pooled over all patches;
    NaN for a class that is in none. The average keeps 0.9 of itself each epoch (nnU-Net v2, logger). Voxels outside the
    non-zero mask, −1, count as background, as they do in the loss and in the Dice of whole scans.
    """

    def __init__(
        self,
        network: nn.Cell,
        loss: nn.Cell,
        source: PatchSource,
        class_names: Sequence[str],
        state: State,
        ranks: Ranks,
    ):
        self.network, self.step = network, _EvaluationStep(network, loss)
        self.source, self.class_names, self.state, self.ranks = source, tuple(class_names), state, ranks
        self.evaluate = WATCH.watched(self.step, "the validation of a batch of patches", PATIENCE_IN_STEPS_S)

    def __call__(self, figures: dict) -> None:
        start = time.perf_counter()
        counts, losses = np.zeros((len(self.class_names), 3), np.int64), []
        training = self.network.training
        self.step.set_train(False)
        try:
            for batch in self.source.epoch(figures["epoch"]):
                loss, pred = self.evaluate(ms.Tensor(batch.image), ms.Tensor(batch.label))
                losses.append(float(loss.asnumpy()))
                counts += class_counts(pred.asnumpy(), batch.label, len(self.class_names))
        finally:
            self.network.set_train(training)
        parts = self.ranks.gather([counts.tolist(), float(np.mean(losses))])
        counts = np.sum([theirs for theirs, _ in parts], 0)
        dice = pooled_dice(counts[1:])
        known = dice[np.isfinite(dice)]
        mean = float(known.mean()) if known.size else 0.0
        kept = self.state.ema
        self.state.ema = mean if kept is None else EMA_KEPT * kept + (1 - EMA_KEPT) * mean
        figures |= {
            "val_loss": float(np.mean([loss for _, loss in parts])),
            "val_patch_dice": mean,
            "val_patch_dice_ema": self.state.ema,
        }
        figures["val_patch_seconds"] = time.perf_counter() - start
        figures["val_patch_dice_by_class"] = dict(zip(self.class_names[1:], dice.tolist(), strict=True))


def class_counts(pred: np.ndarray, truth: np.ndarray, num_classes: int) -> np.ndarray:
    """(K, 3): TP, FP and FN of each class over two arrays of class numbers; truth below 0 is background."""
    pairs = pred.astype(np.int64) * num_classes + np.maximum(truth, 0)
    table = np.bincount(pairs.ravel(), minlength=num_classes**2).reshape(num_classes, num_classes)
    both = np.diag(table)
    return np.stack([both, table.sum(1) - both, table.sum(0) - both], 1)


def pooled_dice(counts: np.ndarray) -> np.ndarray:
    """(K, 3) of TP, FP, FN -> (K,) 2TP / (2TP + FP + FN); NaN where a class is in neither."""
    tp, fp, fn = counts.T
    total = 2 * tp + fp + fn
    return np.where(total > 0, 2 * tp / np.maximum(total, 1), np.nan)
