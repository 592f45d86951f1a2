"""From a prepared case to a mask on the grid of its scan, for any callable from window to probability."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from mindvoxel.data.postprocess import largest_component
from mindvoxel.data.prepare import Prepared
from mindvoxel.volume import Volume

Shape = tuple[int, int, int]


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """First voxels of evenly spread windows that cover one axis; the last ends with the axis."""
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must be in [0, 1), got {overlap}")
    if window > size:
        raise ValueError(f"window {window} exceeds axis length {size}; pad the volume first")
    step = max(int(window * (1 - overlap)), 1)
    count = -(-(size - window) // step) + 1
    return np.linspace(0, size - window, count).round().astype(int).tolist()


def windows(shape: Shape, window: Shape, overlap: float) -> list[tuple[slice, slice, slice]]:
    """Boxes of shape `window` that cover an array of `shape` (D, H, W), in (z, y, x) order."""
    starts = [window_starts(n, w, overlap) for n, w in zip(shape, window, strict=True)]
    return [tuple(slice(a, a + w) for a, w in zip(start, window, strict=True)) for start in product(*starts)]


def blend_weight(window: Shape, blend: str) -> np.ndarray:
    """Weight of each voxel of a window, float32, above 0.

    `gaussian`: deviation 1/8 of the axis, peak 1, at least 1e-3, as in nnU-Net; `constant`: 1.
    """
    if blend == "constant":
        return np.ones(window, np.float32)
    if blend != "gaussian":
        raise ValueError(f"blend must be gaussian or constant, got {blend!r}")
    axes = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) for n in window]
    weight = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]
    return np.maximum(weight / weight.max(), 1e-3).astype(np.float32)


def sliding_window(
    image: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    *,
    window: Shape,
    overlap: float = 0.5,
    blend: str = "gaussian",
    mirror_axes: tuple[int, ...] = (),
) -> np.ndarray:
    """Weighted mean of `predict` over windows that cover `image`.

    image: (D, H, W), at least as large as `window`.  predict: (D, H, W) of shape `window` -> foreground probability
    of the same shape.  mirror_axes: each of these axes (0 z, 1 y, 2 x) is also predicted mirrored, in all
    combinations, and averaged.  Returns (D, H, W) float32.
    """
    weight = blend_weight(window, blend)
    total = np.zeros(image.shape, np.float32)
    norm = np.zeros(image.shape, np.float32)
    flips = list(_flips(mirror_axes))
    for box in windows(image.shape, window, overlap):
        patch = image[box]
        mean = sum(np.flip(predict(np.flip(patch, axes)), axes) for axes in flips) / len(flips)
        total[box] += weight * mean
        norm[box] += weight
    return total / norm


def _flips(axes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for chosen in product((False, True), repeat=len(axes)):
        yield tuple(axis for axis, on in zip(axes, chosen, strict=True) if on)


def segment_case(
    case: Prepared,
    predict: Callable[[np.ndarray], np.ndarray],
    *,
    window: Shape,
    overlap: float,
    blend: str,
    mirror_axes: tuple[int, ...],
    restore_order: str,
    keep_largest: bool,
) -> Volume:
    """The mask of a case as bool voxels on the grid of its scan: windows, way back, cut at 0.5, largest component."""
    probability = sliding_window(
        case.image, predict, window=window, overlap=overlap, blend=blend, mirror_axes=mirror_axes
    )
    mask = case.restore(probability, restore_order).voxels >= 0.5
    return case.source.with_voxels(largest_component(mask) if keep_largest else mask)
