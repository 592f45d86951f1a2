"""Top-1 and top-5 of a classifier: how high the network ranks the true class."""

import numpy as np


def ranks_of_truth(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, K) logits, (N,) labels -> (N,) ranks of the true class, 0 the best to K − 1.

    A class with the same logit counts as ranked above the true one: a network that says nothing is never right by the
    order of its classes. Raises ValueError for NaN, shapes that do not fit, and labels outside 0 to K − 1.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"logits (N, K) and labels (N,) are needed, got {logits.shape} and {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers, got {labels.dtype}")
    if np.isnan(logits).any():
        raise ValueError(f"logits hold {np.isnan(logits).sum()} NaN; the network is broken, or its input was")
    if len(labels) and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(f"labels must be 0 to {logits.shape[1] - 1}, got {labels.min()} to {labels.max()}")
    truth = np.take_along_axis(logits, labels[:, None].astype(np.intp), axis=1)
    return (logits >= truth).sum(axis=1) - 1
