"""A made photo without anybody in it, to compare two programs on all that lies before a classifier.

Its sides are odd, so that both are resized; large blobs and fine ones of every colour lie over each other.
"""

import numpy as np
from scipy import ndimage

SEED = 8
_SCALES = (3, 12, 60)  # blobs of a third to a sixtieth of the shorter side


def made_photo(short_side: int) -> np.ndarray:
    """(H, W, 3) uint8 whose shorter side has about 5/4 of short_side pixels."""
    height, width = (5 * short_side) // 4 | 1, (7 * short_side) // 4 | 1
    noise = np.random.default_rng(SEED).standard_normal((len(_SCALES), height, width, 3))
    layers = [
        _spread(ndimage.gaussian_filter(one, (height / k, height / k, 0)))
        for one, k in zip(noise, _SCALES, strict=True)
    ]
    return np.rint(255 * _spread(sum(layers))).astype(np.uint8)


def _spread(values: np.ndarray) -> np.ndarray:
    """Each colour from 0 to 1."""
    low, high = values.min((0, 1)), values.max((0, 1))
    return (values - low) / (high - low)
