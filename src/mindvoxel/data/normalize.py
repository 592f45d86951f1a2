"""Intensity rules."""

import numpy as np


def rescale_unit(voxels: np.ndarray) -> np.ndarray:
    """Linear to [0, 1] by the smallest and the largest value, float32; raises ValueError for a constant array."""
    low, high = float(voxels.min()), float(voxels.max())
    if low == high:
        raise ValueError(f"constant image, every voxel is {low:g}; an image with some contrast is needed")
    return ((voxels.astype(np.float64) - low) / (high - low)).astype(np.float32)  # float32 alone loses large integers


def zscore_positive(voxels: np.ndarray) -> np.ndarray:
    """(x - mean) / deviation, with both taken over the voxels above 0 and applied to all; float32."""
    positive = voxels[voxels > 0]
    deviation = float(positive.std(dtype=np.float64)) if positive.size else 0.0
    if deviation == 0:
        raise ValueError("constant image, no contrast among its voxels above 0; an image with some contrast is needed")
    return ((voxels - positive.mean(dtype=np.float64)) / deviation).astype(np.float32)
