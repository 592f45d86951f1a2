"""Intensity rules."""

import numpy as np

from mindvoxel.data.plan import SCHEMES, Intensity

_LEAST_SD = 1e-8  # nnU-Net's: a constant image becomes 0 and not NaN


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


def normalize(
    voxels: np.ndarray, scheme: str, *, intensity: Intensity | None = None, mask: np.ndarray | None = None
) -> np.ndarray:
    """One channel (D, H, W) by one of plan.SCHEMES, float32.

    intensity: of the channel's foreground over the training cases, for ct.  mask: where zscore_mask looks.
    Raises ValueError where rgb meets a value that is not in [0, 255].
    """
    if scheme == "ct":
        return score_ct(voxels, intensity)
    if scheme == "zscore":
        return zscore(voxels)
    if scheme == "zscore_mask":
        return zscore_mask(voxels, mask)
    if scheme == "rescale":
        return rescale(voxels)
    if scheme == "rgb":
        return rescale_rgb(voxels)
    if scheme == "none":
        return voxels.astype(np.float32)
    raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}, got {scheme!r}")


def score_ct(voxels: np.ndarray, intensity: Intensity) -> np.ndarray:
    """Clip to the 0.5 and 99.5 foreground percentiles (HU), subtract the foreground's mean, divide by its deviation."""
    result = np.clip(voxels, intensity.percentile_00_5, intensity.percentile_99_5, dtype=np.float32)
    result -= np.float32(intensity.mean)
    result /= np.float32(max(intensity.sd, _LEAST_SD))
    return result


def zscore(voxels: np.ndarray) -> np.ndarray:
    """(x − mean) / deviation over all voxels; a constant image becomes 0."""
    return _scored(voxels, *mean_and_deviation(voxels))


def zscore_mask(voxels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(x − mean) / deviation with both taken inside the bool `mask`; 0 outside it."""
    if not mask.any():
        return np.zeros(voxels.shape, np.float32)
    result = _scored(voxels, *mean_and_deviation(voxels[mask]))
    result[~mask] = 0
    return result


def _scored(voxels: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    result = voxels.astype(np.float32)
    result -= np.float32(mean)
    result /= np.float32(max(deviation, _LEAST_SD))
    return result


def rescale(voxels: np.ndarray) -> np.ndarray:
    """Linear to [0, 1] by the smallest and the largest value; a constant image becomes 0."""
    result = voxels.astype(np.float32)
    result -= result.min()
    result /= max(result.max(), np.float32(_LEAST_SD))
    return result


def rescale_rgb(voxels: np.ndarray) -> np.ndarray:
    """Divide by 255; raises ValueError for a value that is not in [0, 255]."""
    low, high = voxels.min(), voxels.max()
    if low < 0 or high > 255:
        raise ValueError(
            f"values from {low:g} to {high:g}; a colour channel holds 0 to 255, name the channel otherwise"
        )
    return voxels.astype(np.float32) / np.float32(255)


def mean_and_deviation(voxels: np.ndarray) -> tuple[float, float]:
    """Of all voxels, summed in float64 a piece at a time: no digit is lost, and no second array of that size needed."""
    pieces = np.array_split(voxels.ravel(), max(1, voxels.size >> 20))
    mean = sum(float(piece.sum(dtype=np.float64)) for piece in pieces) / voxels.size
    squares = 0.0
    for piece in pieces:
        apart = piece.astype(np.float64) - mean
        squares += float(apart @ apart)
    return mean, (squares / voxels.size) ** 0.5
