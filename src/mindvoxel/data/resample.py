"""Resampling in world coordinates, through SimpleITK."""

from math import ceil, prod

import numpy as np
import SimpleITK as sitk

from mindvoxel.volume import Vector, Volume

_INTERPOLATORS = {"nearest": sitk.sitkNearestNeighbor, "linear": sitk.sitkLinear}
# No scan comes near: what would be larger has its spacing in the wrong unit, and would take all memory.
_MOST_VOXELS = 2**30


def resample_to_spacing(
    volume: Volume,
    spacing_mm: Vector,
    *,
    min_shape: tuple[int, int, int] = (1, 1, 1),
    cover: bool = True,
    order: str = "linear",
) -> Volume:
    """The same origin and direction at another spacing (z, y, x); outside the image lies 0.

    cover: each axis reaches the centre of the scan's last voxel, or past it. Otherwise it gets floor(size · old / new)
    voxels, which may end before: the rule of the published V-Net (research/cv/vnet of the MindSpore model zoo,
    data_manager), to its order of operations, which decides where the quotient is a whole number. Either way at least
    `min_shape` (D, H, W), what is added lying at the far end. Raises ValueError above 2**30 voxels.
    """
    shape = [
        max(ceil((n - 1) * old / new - 1e-6) + 1 if cover else int(n * (old / new)), least)
        for n, old, new, least in zip(volume.voxels.shape, volume.spacing_mm, spacing_mm, min_shape, strict=True)
    ]
    if prod(shape) > _MOST_VOXELS:
        raise ValueError(
            f"{prod(shape)} voxels at {spacing_mm} mm are more than {_MOST_VOXELS}; is its spacing "
            f"{volume.spacing_mm} mm right?"
        )
    return _resample(volume, shape, spacing_mm, volume, order)


def resample_like(volume: Volume, reference: Volume, *, order: str = "linear") -> Volume:
    """`volume` on the grid of `reference`; outside the volume lies 0."""
    return _resample(volume, reference.voxels.shape, reference.spacing_mm, reference, order)


def _resample(volume: Volume, shape, spacing_mm: Vector, frame: Volume, order: str) -> Volume:
    if order not in _INTERPOLATORS:
        raise ValueError(f"order must be one of {', '.join(_INTERPOLATORS)}, got {order!r}")
    voxels = volume.voxels if volume.voxels.dtype != bool else volume.voxels.astype(np.float32)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in shape][::-1])
    resampler.SetOutputSpacing(spacing_mm[::-1])
    resampler.SetOutputOrigin(frame.origin_mm)
    resampler.SetOutputDirection(frame.direction)
    resampler.SetInterpolator(_INTERPOLATORS[order])
    resampler.SetDefaultPixelValue(0.0)
    return Volume.from_image(resampler.Execute(volume.with_voxels(voxels).to_image()))
