"""Made-up photographs in ImageNet's layout, whose classes differ by colour and stripes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk


def a_photo(label: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 of class `label`: a colour of its own under stripes of its own direction, place and noise.

    size: (H, W).
    """
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    turn = 0.7 + label * 2.4  # the golden angle: neighbours differ
    wave = np.sin((y * np.cos(turn) + x * np.sin(turn)) * 0.4 + rng.uniform(0, 6))
    colour = 128 + 70 * np.cos(turn + np.array([0.0, 2.1, 4.2], np.float32))
    pixels = colour + 35 * wave[..., None] + rng.normal(0, 12, (*size, 3))
    return pixels.clip(0, 255).astype(np.uint8)


def write_photo(path: Path, pixels: np.ndarray) -> Path:
    """(H, W, 3), or (H, W) grey, uint8, as JPEG or PNG by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=pixels.ndim == 3), str(path))
    return path


def make_photos(
    root: Path, classes: Sequence[str] = ("ant", "bee", "cow"), count: int = 4, size: int = 40, seed: int = 0
) -> Path:
    """ROOT/train/CLASS and ROOT/val/CLASS with `count` JPEG photos each, about size×size pixels; the same for a seed.

    Sides vary by up to a quarter.  classes: in the order of their names, which is that of their labels.
    """
    for split, number in (("train", 0), ("val", 1)):
        rng = np.random.default_rng([seed, number])
        for label, name in enumerate(sorted(classes)):
            for i in range(count):
                sides = tuple(size + rng.integers(0, size // 4 + 1, 2))
                write_photo(root / split / name / f"{name}_{split}_{i}.JPEG", a_photo(label, sides, rng))
    return root
