"""What an augmentation is, and how a row of them is run."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Transform(Protocol):
    """One augmentation of an image (…, D, H, W) float32 and its label (…, D, H, W), whose axes agree.

    draw: every random number of this patch, as the keywords of `apply`; None: the patch stays as it is.
    apply: image and label anew, or the same arrays changed in place; a patch is nobody else's.
    """

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict | None: ...

    def apply(self, image: np.ndarray, label: np.ndarray, **drawn) -> tuple[np.ndarray, np.ndarray]: ...


def augment_case(image: np.ndarray, label: np.ndarray, rng: np.random.Generator, *, transforms: Sequence[Transform]):
    """Run image and label through `transforms`; every number comes from `rng`."""
    for transform in transforms:
        drawn = transform.draw(rng, image, label)
        if drawn is not None:
            image, label = transform.apply(image, label, **drawn)
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(label)


def draw_factor(rng: np.random.Generator, low: float, high: float) -> np.float32:
    """Half the draws in [low, 1], half in [1, high] (nnU-Net's brightness, contrast and gamma)."""
    below = rng.uniform() < 0.5
    return np.float32(rng.uniform(low, 1) if below else rng.uniform(1, high))
