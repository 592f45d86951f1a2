"""What happens to the previous stage's prediction on its way to the next network, so that it learns to correct it."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

OPERATIONS = ("dilate", "erode", "close", "open")


def class_channels(classes: np.ndarray, num_classes: int) -> np.ndarray:
    """Classes (…) -> (K − 1, …) float32, 1 where each foreground class is."""
    numbers = np.arange(1, num_classes).reshape(-1, *(1,) * classes.ndim)
    return (classes == numbers).astype(np.float32)


@dataclass(frozen=True)
class PreviousToChannels:
    """A label (2, D, H, W) whose second part is the previous stage's classes -> one channel more a foreground class,
    1 where the class is, and the label alone, (1, D, H, W)."""

    num_classes: int

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict:
        return {}

    def apply(self, image, label):
        return np.concatenate([image, class_channels(label[1], self.num_classes)]), label[:1]


@dataclass(frozen=True)
class RandomMorphology:
    """Dilate, erode, close or open a class with a ball; voxels that it gains are taken from the other classes.

    The last `num_channels` channels are the classes, in random order. radius: voxels, uniform.
    """

    num_channels: int
    probability: float = 0.4
    per_class: float = 0.5
    radius: tuple[int, int] = (1, 8)

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict | None:
        if rng.uniform() >= self.probability:
            return None
        chosen = [int(k) for k in rng.permutation(self.num_channels) if rng.uniform() < self.per_class]
        radii = rng.integers(*self.radius, size=len(chosen), endpoint=True).tolist()
        names = [OPERATIONS[k] for k in rng.integers(len(OPERATIONS), size=len(chosen))]
        return {"changes": tuple(zip(chosen, names, radii, strict=True))}

    def apply(self, image, label, *, changes):
        classes = image[-self.num_channels :]
        for k, operation, radius in changes:
            changed = morphology(classes[k] > 0, operation, radius)
            classes[:, changed & (classes[k] == 0)] = 0
            classes[k] = changed
        return image, label


def morphology(mask: np.ndarray, operation: str, radius: int) -> np.ndarray:
    """A bool (D, H, W) changed with a ball of `radius` voxels; the border neither grows nor eats anything."""
    for step in {"dilate": "d", "erode": "e", "close": "de", "open": "ed"}[operation]:
        mask = _within(mask, radius) if step == "d" else ~_within(~mask, radius)
    return mask


def _within(mask: np.ndarray, radius: int) -> np.ndarray:
    """Voxels whose centres lie within `radius` voxels of one of the mask."""
    if not mask.any():
        return mask
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    distances = sitk.SignedMaurerDistanceMap(image, squaredDistance=True, useImageSpacing=False)
    return mask | (sitk.GetArrayFromImage(distances) <= radius**2)


@dataclass(frozen=True)
class RandomRemoval:
    """Remove one component of a class that is smaller than `largest` of the patch; voxels that share a corner are one.

    The last `num_channels` channels are the classes.
    """

    num_channels: int
    probability: float = 0.2
    per_class: float = 0.5
    largest: float = 0.15

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict | None:
        if rng.uniform() >= self.probability:
            return None
        chosen = rng.uniform(size=self.num_channels) < self.per_class
        return {"picks": tuple(float(rng.uniform()) if yes else None for yes in chosen)}

    def apply(self, image, label, *, picks):
        for channel, pick in zip(image[-self.num_channels :], picks, strict=True):
            if pick is None:
                continue
            components, _ = ndimage.label(channel > 0, np.ones((3, 3, 3)))
            sizes = np.bincount(components.ravel())[1:]
            small = np.flatnonzero(sizes < self.largest * channel.size) + 1
            if small.size:
                channel[components == small[int(pick * small.size)]] = 0
        return image, label
