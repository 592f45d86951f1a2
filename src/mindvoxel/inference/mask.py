"""V-Net's way: from a prepared case to a mask on the grid of its scan, for a callable from window to probability."""

from collections.abc import Callable

import numpy as np

from mindvoxel.data.crop import Shape
from mindvoxel.data.postprocess import largest_component
from mindvoxel.data.prepare import Prepared
from mindvoxel.inference.stream import Sliding, stream_planes
from mindvoxel.volume import Volume


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
    sliding = Sliding(window, overlap, blend, mirror_axes=mirror_axes)
    found = np.empty(image.shape, np.float32)
    planes = stream_planes(image[None], [lambda patch: predict(patch[0])[None]], 1, sliding)
    for z, plane in enumerate(planes):
        found[z] = plane[0]
    return found


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
