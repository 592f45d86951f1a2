"""Which voxels a training patch shows."""

import numpy as np

Shape = tuple[int, int, int]


def draw_patch_centre(
    label: np.ndarray, patch_size: Shape, rng: np.random.Generator, foreground_fraction: float
) -> tuple[float, float, float]:
    """Centre (z, y, x) of a patch, in voxels: with probability `foreground_fraction` a random foreground voxel, else
    uniform; kept so that the patch lies inside the array (D, H, W) wherever the axis is long enough."""
    shape = np.array(label.shape)
    half = (np.array(patch_size) - 1) / 2
    low, high = np.minimum(half, (shape - 1) / 2), np.maximum(shape - 1 - half, (shape - 1) / 2)
    centre = rng.uniform(low, high)
    if rng.uniform() < foreground_fraction:
        voxels = np.flatnonzero(label)
        if voxels.size:
            centre = np.array(np.unravel_index(voxels[rng.integers(voxels.size)], label.shape), float)
    return tuple(float(c) for c in np.clip(centre, low, high))
