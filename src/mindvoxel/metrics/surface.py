"""Metrics of how far two masks lie apart, in mm.

Both masks empty: NaN, so that the case is left out of a mean, and counted. One of them empty: the worst value, which
for a distance is the diagonal of the image.

Nearest voxels are found by a k-d tree of border voxels: on a CT its memory grows with the organ's surface, where a
distance transform would need some 50 bytes for every voxel between the organ and a stray speck.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from mindvoxel.metrics.overlap import require_masks

_ROUNDING_MM = 1e-6  # 3 voxels of 0.1 mm are 0.30000000000000004 mm apart, and still within 0.3 mm


@dataclass(frozen=True)
class BorderDistances:
    """Distances between the borders of a prediction and of a truth, each way; computed once for HD95, ASSD and NSD.

    pred_to_truth_mm: (P,) from every border voxel of pred to the nearest one of truth; empty where pred is.
    truth_to_pred_mm: (T,) the other way; empty where truth is.
    diagonal_mm: length of the image's diagonal, the distance where one of the masks is empty.
    """

    pred_to_truth_mm: np.ndarray
    truth_to_pred_mm: np.ndarray
    diagonal_mm: float

    def pooled_mm(self) -> np.ndarray:
        """(P + T,) the distances of both directions."""
        return np.concatenate([self.pred_to_truth_mm, self.truth_to_pred_mm])


def hausdorff(pred: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, ...]) -> float:
    """Hausdorff distance in mm, from 0: how far a voxel of one mask can lie from the other mask at most.

    The distance of the two sets of voxels, as of ITK's HausdorffDistanceImageFilter and the published V-Net
    evaluation: a voxel inside the other mask has the distance 0, so the border of a hole counts only where it is
    filled. pred, truth: bool (D, H, W); spacing_mm along (z, y, x). Both empty: NaN; one empty: the image diagonal.
    """
    require_masks(pred, truth, spacing_mm)
    if not pred.any() or not truth.any():
        return _one_sided(pred.any() or truth.any(), _diagonal_mm(truth.shape, spacing_mm))
    there = _nearest_mm(_points_mm(pred & ~truth, spacing_mm), _points_mm(_border(truth), spacing_mm))
    back = _nearest_mm(_points_mm(truth & ~pred, spacing_mm), _points_mm(_border(pred), spacing_mm))
    return float(max(there.max(initial=0), back.max(initial=0)))


def border_distances(pred: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, ...]) -> BorderDistances:
    """Distances in mm between the border voxels of two masks, each way.

    A border voxel is one of the mask with at least one of its six face neighbours outside; the outside of the array
    counts as such. pred, truth: bool (D, H, W); spacing_mm along (z, y, x). One empty: the other's border voxels get
    the image diagonal.
    """
    require_masks(pred, truth, spacing_mm)
    diagonal_mm = _diagonal_mm(truth.shape, spacing_mm)
    pred_mm, truth_mm = (_points_mm(_border(mask), spacing_mm) for mask in (pred, truth))
    if len(pred_mm) and len(truth_mm):
        return BorderDistances(_nearest_mm(pred_mm, truth_mm), _nearest_mm(truth_mm, pred_mm), diagonal_mm)
    return BorderDistances(np.full(len(pred_mm), diagonal_mm), np.full(len(truth_mm), diagonal_mm), diagonal_mm)


def hd95(distances: BorderDistances) -> float:
    """95 % Hausdorff distance in mm, from 0: the larger of the two directed 95th percentiles of border distances.

    Percentiles interpolate linearly. (Some tools take one percentile of the pooled distances: those are smaller.)
    Both empty: NaN; one empty: the image diagonal.
    """
    directed = [d for d in (distances.pred_to_truth_mm, distances.truth_to_pred_mm) if len(d)]
    return max((float(np.percentile(d, 95)) for d in directed), default=float("nan"))


def assd(distances: BorderDistances) -> float:
    """Average symmetric surface distance in mm, from 0: the mean over the border voxels of both masks, pooled.

    Both empty: NaN; one empty: the image diagonal.
    """
    pooled = distances.pooled_mm()
    return float(pooled.mean()) if len(pooled) else float("nan")


def nsd(distances: BorderDistances, tolerance_mm: float) -> float:
    """Normalised surface Dice, 0 to 1, 1 is best: the share of both borders within `tolerance_mm` of the other one.

    Counts border voxels (Nikolov et al. 2018 weigh them by surface area). Both empty: NaN; one empty: 0.
    """
    if not tolerance_mm >= 0:
        raise ValueError(f"tolerance_mm must be 0 or more, got {tolerance_mm}")
    if not len(distances.pred_to_truth_mm) or not len(distances.truth_to_pred_mm):
        return _one_sided(len(distances.pooled_mm()) > 0, 0.0)
    return float((distances.pooled_mm() <= tolerance_mm + _ROUNDING_MM).mean())


def _one_sided(any_foreground: bool, worst: float) -> float:
    return worst if any_foreground else float("nan")


def _diagonal_mm(shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> float:
    return float(np.linalg.norm(np.multiply(shape, spacing_mm)))


def _border(mask: np.ndarray) -> np.ndarray:
    """Border voxels of a mask as a mask; only the box that holds the foreground is looked at."""
    border = np.zeros_like(mask)
    for box in ndimage.find_objects(mask.view(np.uint8)):  # one box, or none where the mask is empty
        border[box] = mask[box] & ~ndimage.binary_erosion(mask[box])
    return border


def _points_mm(mask: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """(N, 3) positions of the mask's voxels in mm, from voxel (0, 0, 0), axes (z, y, x)."""
    return np.argwhere(mask) * np.asarray(spacing_mm)


def _nearest_mm(points_mm: np.ndarray, targets_mm: np.ndarray) -> np.ndarray:
    """(N,) distance of each point to the nearest target."""
    return cKDTree(targets_mm).query(points_mm)[0]
