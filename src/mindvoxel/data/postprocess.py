"""From a probability to a mask, and what is left of a mask when only its largest part stays."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

_ALL_NEIGHBOURS = np.ones((3, 3, 3), bool)


def largest_component(mask: np.ndarray, *, corners: bool = False) -> np.ndarray:
    """The largest component of a bool (D, H, W) mask, the first of equals; an empty mask stays empty.

    corners: voxels that share an edge or a corner are connected, too (26 neighbours); else those that share a face.
    """
    labels, count = ndimage.label(mask, _ALL_NEIGHBOURS if corners else None)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def keep_largest(labels: np.ndarray, groups: Sequence[Sequence[int]], background: int = 0) -> np.ndarray:
    """Of each group of label values in turn, taken together, only the largest component stays.

    labels: (D, H, W) whole numbers; what goes becomes `background`. Returns a new array. Voxels that share a corner are
    one component, as in nnU-Net v2: a thin slanted structure stays whole. Groups are what nnU-Net's postprocessing
    chooses on a cross-validation: all foreground as one, then single classes.
    """
    labels = labels.copy()
    for group in groups:
        mask = np.isin(labels, group)
        for box in ndimage.find_objects(mask.view(np.uint8)):  # none, or the one that holds the whole group
            part = mask[box]
            labels[box][part & ~largest_component(part, corners=True)] = background
    return labels
