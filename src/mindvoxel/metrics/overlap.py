"""Metrics of how many voxels two masks share.

Both masks empty: NaN, so that the case is left out of a mean, and counted. One of them empty: the worst value.
"""

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


def dice(pred: np.ndarray, truth: np.ndarray) -> float:
    """Dice coefficient, twice the shared voxels by the sum of both: 0 to 1, 1 is best.

    pred, truth: bool (D, H, W). Both empty: NaN; one empty: 0.
    """
    require_masks(pred, truth)
    total = int(pred.sum()) + int(truth.sum())
    return 2 * int((pred & truth).sum()) / total if total else float("nan")


def volume_ml(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> float:
    """Volume of a bool (D, H, W) mask in ml; 0 where it is empty."""
    return int(mask.sum()) * prod(spacing_mm) / 1000


def volume_difference(pred: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, ...]) -> tuple[float, float]:
    """Volume of pred less that of truth, in ml and in percent of the mean of both; 0 is best, above 0 is too large.

    pred, truth: bool (D, H, W); spacing_mm along (z, y, x). Both empty: NaN, NaN. Pred empty: -200 %, truth
    empty: +200 %, the worst there is: in percent of the truth, one case far too large would outweigh a missed one.
    """
    require_masks(pred, truth, spacing_mm)
    pred_ml, truth_ml = volume_ml(pred, spacing_mm), volume_ml(truth, spacing_mm)
    if pred_ml == truth_ml == 0:
        return float("nan"), float("nan")
    return pred_ml - truth_ml, 200 * (pred_ml - truth_ml) / (pred_ml + truth_ml)
