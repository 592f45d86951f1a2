"""Augmentations: draw first, apply second, with the generator as an argument; image and label get the same draw."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mindvoxel.data.sampling import draw_patch_centre
from mindvoxel.volume import Vector

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class RandomAffinePatch:
    """Cut a patch out of a rotated, scaled case in one interpolation; outside the case lies its smallest value.

    spacing_mm: of the case, (z, y, x), so that a rotation turns the anatomy and does not shear it.
    rotation_deg: largest angle about (z, y, x).  scale: smallest and largest zoom.  All 0 and (1, 1): a plain crop,
    voxel for voxel.
    """

    patch_size: Shape
    spacing_mm: Vector
    foreground_fraction: float = 0.5
    rotation_deg: tuple[float, float, float] = (15.0, 5.0, 5.0)
    scale: tuple[float, float] = (0.85, 1.2)

    def draw(self, rng: np.random.Generator, label: np.ndarray) -> dict:
        centre = draw_patch_centre(label, self.patch_size, rng, self.foreground_fraction)
        angles = rng.uniform(-1, 1, 3) * self.rotation_deg
        return {"centre": centre, "angles_deg": tuple(angles), "scale": float(rng.uniform(*self.scale))}

    def apply(self, image, label, *, centre, angles_deg, scale):
        if not any(angles_deg) and scale == 1:
            return self._crop(image, label, centre)
        # array axes are (z, y, x): the rotation about z turns the last two
        matrix = Rotation.from_euler("zyx", angles_deg, degrees=True).as_matrix()[::-1, ::-1] / scale
        matrix = matrix * np.array(self.spacing_mm) / np.array(self.spacing_mm)[:, None]  # voxels to mm and back
        offset = np.array(centre) - matrix @ ((np.array(self.patch_size) - 1) / 2)
        same = {"offset": offset, "output_shape": self.patch_size, "order": 1}
        patch = ndimage.affine_transform(image, matrix, cval=float(image.min()), **same)
        mask = ndimage.affine_transform(label.astype(np.float32), matrix, cval=0.0, **same)
        return patch, (mask > 0.5).astype(label.dtype)

    def _crop(self, image, label, centre):
        start = [round(c - (n - 1) / 2 + 1e-6) for c, n in zip(centre, self.patch_size, strict=True)]
        box = tuple(slice(max(a, 0), max(a, 0) + n) for a, n in zip(start, self.patch_size, strict=True))
        return image[box].copy(), label[box].copy()


@dataclass(frozen=True)
class RandomFlip:
    """Mirror each axis (z, y, x) with its own probability; a prostate is symmetric left to right only."""

    probability: tuple[float, float, float] = (0.0, 0.0, 0.5)

    def draw(self, rng: np.random.Generator, label: np.ndarray) -> dict:
        return {"axes": tuple(axis for axis in range(3) if rng.uniform() < self.probability[axis])}

    def apply(self, image, label, *, axes):
        return np.flip(image, axes).copy(), np.flip(label, axes).copy()


@dataclass(frozen=True)
class RandomContrast:
    """x · factor + shift of a z-scored image; the label is untouched."""

    factor: tuple[float, float] = (0.75, 1.25)
    shift: tuple[float, float] = (-0.3, 0.3)

    def draw(self, rng: np.random.Generator, label: np.ndarray) -> dict:
        return {"factor": np.float32(rng.uniform(*self.factor)), "shift": np.float32(rng.uniform(*self.shift))}

    def apply(self, image, label, *, factor, shift):
        return image * factor + shift, label


@dataclass(frozen=True)
class RandomGamma:
    """Raise the image, brought to [0, 1], to a random power and bring it back; the label is untouched."""

    low: float = 0.7
    high: float = 1.5
    probability: float = 0.3

    def draw(self, rng: np.random.Generator, label: np.ndarray) -> dict:
        gamma = float(rng.uniform(self.low, self.high))
        return {"gamma": gamma if rng.uniform() < self.probability else 1.0}

    def apply(self, image, label, *, gamma):
        low, span = image.min(), np.ptp(image)
        if gamma == 1.0 or span == 0:
            return image, label
        return (((image - low) / span) ** np.float32(gamma)) * span + low, label


@dataclass(frozen=True)
class RandomNoise:
    """Add Gaussian noise, its deviation uniform in [0, highest]; the label is untouched."""

    highest: float = 0.1
    probability: float = 0.15

    def draw(self, rng: np.random.Generator, label: np.ndarray) -> dict:
        deviation = float(rng.uniform(0, self.highest))
        return {"deviation": deviation if rng.uniform() < self.probability else 0.0, "seed": int(rng.integers(2**31))}

    def apply(self, image, label, *, deviation, seed):
        if deviation == 0:
            return image, label
        noise = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
        return image + np.float32(deviation) * noise, label


def augmentations(patch_size: Shape, spacing_mm: Vector, augment: bool, foreground_fraction: float) -> list:
    """What a training case goes through: the whole set, or a patch cut without any change."""
    if not augment:
        return [
            RandomAffinePatch(patch_size, spacing_mm, foreground_fraction, rotation_deg=(0, 0, 0), scale=(1.0, 1.0))
        ]
    patch = RandomAffinePatch(patch_size, spacing_mm, foreground_fraction)
    return [patch, RandomFlip(), RandomContrast(), RandomGamma(), RandomNoise()]


def augment_case(image: np.ndarray, label: np.ndarray, rng: np.random.Generator, *, transforms: list):
    """Run a case (D, H, W) through `transforms`; every number comes from `rng`."""
    for transform in transforms:
        image, label = transform.apply(image, label, **transform.draw(rng, label))
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(label)
