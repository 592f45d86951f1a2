"""From a probability to a mask."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest face-connected component of a bool (D, H, W) mask; an empty mask stays empty."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def keep_largest(labels: np.ndarray, groups: Sequence[Sequence[int]], background: int = 0) -> np.ndarray:
    """Of each group of label values in turn, taken together, only the largest face-connected component stays.

    labels: (D, H, W) whole numbers; what goes becomes `background`. Returns a new array. Groups are what nnU-Net's
    postprocessing chooses on a cross-validation: all foreground as one, then single classes.
    """
    labels = labels.copy()
    for group in groups:
        mask = np.isin(labels, group)
        labels[mask & ~largest_component(mask)] = background
    return labels
