"""Which windows cover an image, how much each of their voxels counts, and their mirror images."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from mindvoxel.data.crop import Shape

BLENDS = ("gaussian", "nnunet", "nvidia", "constant")


def window_starts(size: int, window: int, overlap: float, *, spread: bool = True) -> list[int]:
    """First voxels of the windows that cover one axis; the last ends with the axis.

    spread: evenly, with a step of at most window · (1 - overlap) (nnU-Net). Otherwise exactly that step, cut to a whole
    number, and the last window moved back to end with the axis (NVIDIA's sliding_window.py, MLPerf's inference.py).
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must be in [0, 1), got {overlap}")
    if window > size:
        raise ValueError(f"window {window} exceeds axis length {size}; pad the volume first")
    step = max(window * (1 - overlap), 1)
    if not spread:
        return [*range(0, size - window, int(step)), size - window]
    count = int(np.ceil((size - window) / step)) + 1
    return np.linspace(0, size - window, count).round().astype(int).tolist()


def windows(shape: Shape, window: Shape, overlap: float, *, spread: bool = True) -> list[tuple[slice, slice, slice]]:
    """Boxes of shape `window` that cover an array of `shape` (D, H, W), in (z, y, x) order."""
    starts = [window_starts(n, w, overlap, spread=spread) for n, w in zip(shape, window, strict=True)]
    return [tuple(slice(a, a + w) for a, w in zip(start, window, strict=True)) for start in product(*starts)]


def blend_weight(window: Shape, blend: str) -> np.ndarray:
    """Weight of each voxel of a window, float32, above 0; its largest is 1.

    `gaussian`: deviation 1/8 of the axis around its middle, at least 1e-3 (this project's V-Net).
    `nnunet`: deviation 1/8 of the axis around voxel n // 2; zeros become the smallest weight that is none.
    `nvidia`: the cube root of a Gaussian, deviation 1/8 of the axis around its middle (NVIDIA's nnU-Net, MLPerf).
    `constant`: 1.
    """
    if blend not in BLENDS:
        raise ValueError(f"blend must be one of {', '.join(BLENDS)}, got {blend!r}")
    if blend == "constant":
        return np.ones(window, np.float32)
    middles = [n // 2 if blend == "nnunet" else (n - 1) / 2 for n in window]
    power = 1 / 3 if blend == "nvidia" else 1
    z, y, x = (
        np.exp(-0.5 * power * ((np.arange(n) - middle) / (n / 8)) ** 2)
        for n, middle in zip(window, middles, strict=True)
    )
    weight = z[:, None, None] * y[None, :, None] * x[None, None, :]
    weight = (weight / weight.max()).astype(np.float32)
    least = 1e-3 if blend == "gaussian" else weight[weight > 0].min()
    return np.maximum(weight, np.float32(least))


def flips(axes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All combinations of mirrored axes, the unmirrored image first."""
    for chosen in product((False, True), repeat=len(axes)):
        yield tuple(axis for axis, on in zip(axes, chosen, strict=True) if on)
