"""Metrics of how far two masks lie apart, in mm.

Both masks empty: NaN, so that the case is left out of a mean, and counted. One of them empty: the worst value, which
for a distance is the diagonal of the image.

Nearest voxels are found by a k-d tree of border voxels: on a CT its memory grows with the organ's surface, where a
distance transform would need some 50 bytes for every voxel between the organ and a stray speck.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from mindvoxel.metrics.overlap import foreground_box, require_masks

_ROUNDING_MM = 1e-6  # 3 voxels of 0.1 mm are 0.30000000000000004 mm apart, and still within 0.3 mm
_CELL = 4  # voxels along each axis of the cells whose distance is bounded together


@dataclass(frozen=True)
class BorderDistances:
    """How far a prediction and a truth lie apart; computed once for HD, HD95, ASSD and NSD.

    pred_to_truth_mm: (P,) from every border voxel of pred to the nearest one of truth; empty where pred is.
    truth_to_pred_mm: (T,) the other way; empty where truth is.
    hausdorff_mm: the Hausdorff distance of the two sets of voxels, see `hausdorff`.
    """

    pred_to_truth_mm: np.ndarray
    truth_to_pred_mm: np.ndarray
    hausdorff_mm: float

    def pooled_mm(self) -> np.ndarray:
        """(P + T,) the distances of both directions."""
        return np.concatenate([self.pred_to_truth_mm, self.truth_to_pred_mm])


def border_distances(
    pred: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, ...], num_threads: int = 1
) -> BorderDistances:
    """Distances in mm between the border voxels of two masks, each way, and of the farthest voxel of either.

    A border voxel is one of the mask with at least one of its six face neighbours outside; the outside of the array
    counts as such. pred, truth: bool (D, H, W); spacing_mm along (z, y, x). One empty: every distance is the image
    diagonal. num_threads: of the search; it changes no value.
    """
    require_masks(pred, truth, spacing_mm)
    box = foreground_box(pred | truth)
    sides = [_Side(np.ascontiguousarray(mask[box]), np.asarray(spacing_mm)) for mask in (pred, truth)]
    if all(len(side.border_vox) for side in sides):
        there = _nearest_mm(sides[0], sides[1], num_threads)
        back = _nearest_mm(sides[1], sides[0], num_threads)
        farthest = _farthest_mm(sides[0], sides[1], there, num_threads)
        return BorderDistances(there, back, max(farthest, _farthest_mm(sides[1], sides[0], back, num_threads)))
    diagonal = float(np.linalg.norm(np.multiply(truth.shape, spacing_mm)))
    there, back = (np.full(len(side.border_vox), diagonal) for side in sides)
    return BorderDistances(there, back, _one_sided(len(there) + len(back) > 0, diagonal))


def hausdorff(pred: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, ...]) -> float:
    """Hausdorff distance in mm, from 0: how far a voxel of one mask can lie from the other mask at most.

    The distance of the two sets of voxels, as of ITK's HausdorffDistanceImageFilter and the published V-Net
    evaluation: a voxel inside the other mask has the distance 0, so the border of a hole counts only where it is
    filled. pred, truth: bool (D, H, W); spacing_mm along (z, y, x). Both empty: NaN; one empty: the image diagonal.
    """
    return border_distances(pred, truth, spacing_mm).hausdorff_mm


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


class _Side:
    """One mask of a pair, cut to their common box: its border voxels, and a tree of them."""

    def __init__(self, mask: np.ndarray, spacing_mm: np.ndarray):
        self.mask = mask
        self.spacing_mm = spacing_mm
        self.border = _border(mask)
        self.border_vox = np.flatnonzero(self.border)
        # Built in a third of the time without balance, and searched as fast: borders are spread evenly.
        points = self.points_mm(self.border_vox)
        self.tree = cKDTree(points, compact_nodes=False, balanced_tree=False)

    def points_mm(self, flat_vox: np.ndarray) -> np.ndarray:
        """(N, 3) positions in mm of voxels given by their flat index (N,)."""
        return np.stack(np.unravel_index(flat_vox, self.mask.shape), axis=1) * self.spacing_mm


def _border(mask: np.ndarray) -> np.ndarray:
    """Border voxels of a mask as a mask."""
    border, middle = mask.copy(), (slice(1, -1),) * mask.ndim
    inner = mask[middle].copy()
    for axis in range(mask.ndim):
        for neighbours in (slice(None, -2), slice(2, None)):
            inner &= mask[(*middle[:axis], neighbours, *middle[axis + 1 :])]
    border[middle] &= ~inner
    return border


def _nearest_mm(start: _Side, end: _Side, num_threads: int) -> np.ndarray:
    """(N,) distances in mm from the border voxels of `start` to the nearest one of `end`."""
    apart = ~end.border.ravel()[start.border_vox]
    distances = np.zeros(len(apart))
    distances[apart] = end.tree.query(start.points_mm(start.border_vox[apart]), workers=num_threads)[0]
    return distances


def _farthest_mm(start: _Side, end: _Side, border_mm: np.ndarray, num_threads: int) -> float:
    """Largest distance in mm of a voxel of `start` from the voxels of `end`; 0 where it lies among them.

    border_mm: distances of the border voxels of `start`. The other voxels are looked at where a bound on the distance
    of all voxels of a small cell allows a larger one: few are left.
    """
    outside = ~end.mask.ravel()[start.border_vox]
    known = float(border_mm[outside].max(initial=0))
    inner = start.mask & ~start.border & ~end.mask
    occupied = _any_in_cell(inner)
    cells = np.argwhere(occupied)
    if not len(cells):
        return known
    middle_mm = end.tree.query((cells * _CELL + (_CELL - 1) / 2) * start.spacing_mm, workers=num_threads)[0]
    reach = float(np.linalg.norm((_CELL - 1) / 2 * start.spacing_mm)) + _ROUNDING_MM
    occupied[occupied] = middle_mm + reach > max(known, float(middle_mm.max()) - reach)
    box = foreground_box(occupied)
    left = inner[tuple(slice(part.start * _CELL, part.stop * _CELL) for part in box)]
    chosen = np.kron(occupied[box], np.ones((_CELL,) * inner.ndim, bool))[tuple(map(slice, left.shape))]
    first_vox = np.array([part.start * _CELL for part in box])
    left_mm = (np.argwhere(left & chosen) + first_vox) * start.spacing_mm
    return max(known, float(end.tree.query(left_mm, workers=num_threads)[0].max(initial=0)))


def _any_in_cell(mask: np.ndarray) -> np.ndarray:
    """For each cell of _CELL voxels along every axis, the last ones cut off by the edge, whether it has a voxel."""
    for axis in range(mask.ndim):
        along = mask.swapaxes(0, axis)
        cells = along[::_CELL].copy()
        for k in range(1, _CELL):
            part = along[k::_CELL]
            cells[: len(part)] |= part
        mask = cells.swapaxes(0, axis)
    return mask
