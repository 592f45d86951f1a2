"""How many separate lesions were found, whatever their size.

A lesion is a component of voxels that touch by face, edge or corner (26 neighbours). One of the truth counts as found
where a single voxel of the prediction lies in it; one of the prediction is false where none of its voxels lies in the
truth. This is the rule of ISLES 2022 (Hernandez Petzsche et al. 2022) and of the MS lesion challenge's detection
rates (Carass et al. 2017); a stricter one would ask for an overlap of some size.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mindvoxel.metrics.overlap import foreground_box, require_masks

_NAN = float("nan")


@dataclass(frozen=True)
class Lesions:
    """Numbers of lesions: of the truth found (tp) and missed (fn), of the prediction outside the truth (fp).

    num_pred: components of the prediction; several may lie in one lesion of the truth, and one in several.
    """

    tp: int
    fp: int
    fn: int
    num_pred: int

    @property
    def num_truth(self) -> int:
        return self.tp + self.fn

    def f1(self) -> float:
        """2 tp / (2 tp + fp + fn): 0 to 1, 1 is best. No lesion in either: NaN; in one alone: 0."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else _NAN

    def sensitivity(self) -> float:
        """Share of the truth's lesions that were found: 0 to 1. No lesion in either: NaN; in one alone: 0."""
        return self._share(self.num_truth)

    def precision(self) -> float:
        """tp / (tp + fp): 0 to 1, 1 is best. No lesion in either: NaN; in one alone: 0."""
        return self._share(self.tp + self.fp)

    def _share(self, whole: int) -> float:
        if not self.num_pred and not self.num_truth:
            return _NAN
        return self.tp / whole if whole else 0.0


def count_lesions(pred: np.ndarray, truth: np.ndarray) -> Lesions:
    """Lesions of two bool (D, H, W) masks."""
    require_masks(pred, truth)
    box = foreground_box(pred | truth)
    pred, truth = pred[box], truth[box]
    num_truth, found = _components(truth, pred)
    num_pred, right = _components(pred, truth)
    return Lesions(found, num_pred - right, num_truth - found, num_pred)


def _components(mask: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """How many components `mask` has, and how many of them hold a voxel of `other`."""
    labels, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    return count, int(np.count_nonzero(np.bincount(labels[other & mask], minlength=1)))
