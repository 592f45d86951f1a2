"""V-Net's augmentations, of one channel (D, H, W) and a label of one structure."""

from dataclasses import dataclass

import numpy as np

from mindvoxel.data.augment.intensity import RandomNoise
from mindvoxel.data.augment.spatial import RandomFlip, Shape, affine_matrix, cut_box, turn_image, turn_label
from mindvoxel.data.augment.transform import Transform
from mindvoxel.data.sampling import draw_patch_centre
from mindvoxel.volume import Vector


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

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict:
        centre = draw_patch_centre(label, self.patch_size, rng, self.foreground_fraction)
        angles = rng.uniform(-1, 1, 3) * self.rotation_deg
        return {"centre": centre, "angles_deg": tuple(angles), "scale": float(rng.uniform(*self.scale))}

    def apply(self, image, label, *, centre, angles_deg, scale):
        outside, size = float(image.min()), self.patch_size
        if any(angles_deg) or scale != 1:
            matrix = affine_matrix(angles_deg, (scale,) * 3, self.spacing_mm)
            return turn_image(image, centre, matrix, size, outside), turn_label(label, centre, matrix, size, 0)
        start = [round(c - (n - 1) / 2 + 1e-6) for c, n in zip(centre, size, strict=True)]
        return cut_box(image, start, size, outside), cut_box(label, start, size, 0)


@dataclass(frozen=True)
class RandomContrast:
    """x · factor + shift of a z-scored image; the label is untouched."""

    factor: tuple[float, float] = (0.75, 1.25)
    shift: tuple[float, float] = (-0.3, 0.3)

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict:
        return {"factor": np.float32(rng.uniform(*self.factor)), "shift": np.float32(rng.uniform(*self.shift))}

    def apply(self, image, label, *, factor, shift):
        return image * factor + shift, label


@dataclass(frozen=True)
class RandomGamma:
    """Raise the image, brought to [0, 1], to a random power and bring it back; the label is untouched."""

    low: float = 0.7
    high: float = 1.5
    probability: float = 0.3

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict:
        gamma = float(rng.uniform(self.low, self.high))
        return {"gamma": gamma if rng.uniform() < self.probability else 1.0}

    def apply(self, image, label, *, gamma):
        low, span = image.min(), np.ptp(image)
        if gamma == 1.0 or span == 0:
            return image, label
        return (((image - low) / span) ** np.float32(gamma)) * span + low, label


def augmentations(patch_size: Shape, spacing_mm: Vector, augment: bool, foreground_fraction: float) -> list[Transform]:
    """What a training case goes through: the whole set, or a patch cut without any change."""
    if not augment:
        return [
            RandomAffinePatch(patch_size, spacing_mm, foreground_fraction, rotation_deg=(0, 0, 0), scale=(1.0, 1.0))
        ]
    patch = RandomAffinePatch(patch_size, spacing_mm, foreground_fraction)
    # a prostate is symmetric left to right only
    return [patch, RandomFlip((0.0, 0.0, 0.5)), RandomContrast(), RandomGamma(), RandomNoise()]
