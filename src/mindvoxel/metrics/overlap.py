"""Metrics of how many voxels two masks share.

Both masks empty: NaN, so that the case is left out of a mean, and counted. One of them empty: the worst value.
"""

from dataclasses import dataclass
from math import prod

import numpy as np


def require_masks(pred: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, ...] | None = None) -> None:
    """Raise ValueError unless both are bool arrays of one shape, with a spacing for each axis."""
    if pred.dtype != bool or truth.dtype != bool:
        raise ValueError(f"pred and truth must be bool masks, got {pred.dtype} and {truth.dtype}; compare to a label")
    if pred.shape != truth.shape:
        raise ValueError(f"pred and truth must have one shape, got {pred.shape} and {truth.shape}; resample one")
    if spacing_mm is not None and len(spacing_mm) != truth.ndim:
        raise ValueError(f"spacing_mm must have {truth.ndim} values, got {spacing_mm}")


def foreground_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds a bool mask's voxels; of no voxels where it is empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        on = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(on[0]), int(on[-1]) + 1) if len(on) else slice(0, 0))
        mask = mask[(*[slice(None)] * axis, box[-1])]  # the next axis looks at what is left
    return tuple(box)


@dataclass(frozen=True)
class Overlap:
    """Voxels of a pair of masks: in both (tp), in the prediction only (fp), in the truth only (fn), in neither (tn)."""

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def of(cls, pred: np.ndarray, truth: np.ndarray) -> "Overlap":
        """Counts of two bool masks of one shape."""
        require_masks(pred, truth)
        num_pred, num_truth, tp = (int(np.count_nonzero(mask)) for mask in (pred, truth, pred & truth))
        return cls(tp, num_pred - tp, num_truth - tp, truth.size - num_pred - num_truth + tp)

    @property
    def num_pred(self) -> int:
        return self.tp + self.fp

    @property
    def num_truth(self) -> int:
        return self.tp + self.fn

    @property
    def empty(self) -> bool:
        """Whether both masks are."""
        return self.num_pred == self.num_truth == 0

    def dice(self) -> float:
        """Twice the shared voxels by the sum of both masks: 0 to 1, 1 is best. Both empty: NaN; one empty: 0."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    def iou(self) -> float:
        """Intersection over union (Jaccard index): 0 to 1, 1 is best. Both empty: NaN; one empty: 0."""
        return _share(self.tp, self.tp + self.fp + self.fn)

    def sensitivity(self) -> float:
        """Share of the truth that was found (recall): 0 to 1, 1 is best. Both empty: NaN; one empty: 0."""
        return float("nan") if self.empty else _share(self.tp, self.num_truth, none=0.0)

    def precision(self) -> float:
        """Share of the prediction that is right: 0 to 1, 1 is best. Both empty: NaN; one empty: 0."""
        return float("nan") if self.empty else _share(self.tp, self.num_pred, none=0.0)

    def volume_difference(self, spacing_mm: tuple[float, ...]) -> tuple[float, float]:
        """As the function of this name."""
        if self.empty:
            return float("nan"), float("nan")
        difference, total = self.fp - self.fn, self.num_pred + self.num_truth
        return difference * prod(spacing_mm) / 1000, 200 * difference / total


def _share(part: int, whole: int, none: float = float("nan")) -> float:
    return part / whole if whole else none


def dice(pred: np.ndarray, truth: np.ndarray) -> float:
    """Dice coefficient of two bool (D, H, W) masks: 0 to 1, 1 is best. Both empty: NaN; one empty: 0."""
    return Overlap.of(pred, truth).dice()


def volume_ml(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> float:
    """Volume of a bool (D, H, W) mask in ml; 0 where it is empty."""
    return int(np.count_nonzero(mask)) * prod(spacing_mm) / 1000


def volume_difference(pred: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, ...]) -> tuple[float, float]:
    """Volume of pred less that of truth, in ml and in percent of the mean of both; 0 is best, above 0 is too large.

    pred, truth: bool (D, H, W); spacing_mm along (z, y, x). Both empty: NaN, NaN. Pred empty: -200 %, truth
    empty: +200 %, the worst there is: in percent of the truth, one case far too large would outweigh a missed one.
    """
    require_masks(pred, truth, spacing_mm)
    return Overlap.of(pred, truth).volume_difference(spacing_mm)
