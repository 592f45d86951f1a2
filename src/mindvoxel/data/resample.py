"""Resampling through SimpleITK: in world coordinates, and from one number of voxels to another."""

from functools import lru_cache
from math import ceil, prod

import numpy as np
import SimpleITK as sitk

from mindvoxel.data.crop import Shape
from mindvoxel.volume import Vector, Volume

_INTERPOLATORS = {"nearest": sitk.sitkNearestNeighbor, "linear": sitk.sitkLinear}
# No scan comes near: what would be larger has its spacing in the wrong unit, and would take all memory.
_MOST_VOXELS = 2**30
_BY_ORDER = {1: sitk.sitkLinear, 3: sitk.sitkBSpline}
# Voxels of the edge repeated before ITK's spline, whose own border is a mirror: 8 of them leave 0.27^8 of that, 3e-5 of
# a step at the border, and less than a float32 resolves of anything smaller.
_EDGE = 12
_BLOCK = 32  # voxels of the result that share a band of weights
_NOTHING = 1e-9  # weights below are left out: 0.27^16


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


def resize(voxels: np.ndarray, shape: Shape, *, order: int, anisotropic_axis: int | None = None) -> np.ndarray:
    """(…, D, H, W) -> (…, *shape) over the same extent: voxel o of n takes the place (o + 0.5) · size / n − 0.5.

    order: 0 nearest, 1 linear, 3 cubic B-spline. Beyond its edge an image goes on as its edge is. A spline's result is
    cut to the range of the input. anisotropic_axis: 0, 1 or 2 of the last three axes: every slice across it is resized
    and cut by itself, and along it the nearest slice is taken (nnU-Net's "separate z"). Orders 1 and 3 give float32.

    The conventions are those of skimage.transform.resize(mode="edge", anti_aliasing=False), and of nnU-Net, which calls
    it; both agree to 1e-6 of the image's range, borders as well as inside. The weights along an axis are ITK's own
    (what itk::ResampleImageFilter makes of unit vectors, the spline with 12 voxels of the edge added on either side),
    and since linear and B-spline interpolation are products of their axes, one ITK resampling of the whole image gives
    the same numbers to float32 rounding. Memory: the result and one more array of at most its size and the input's.
    """
    if order not in (0, 1, 3):
        raise ValueError(f"order must be 0, 1 or 3, got {order}")
    if len(shape) != 3 or min(shape) < 1 or voxels.ndim < 3 or min(voxels.shape[-3:]) < 1:
        raise ValueError(f"(…, D, H, W) with at least one voxel an axis is needed, got {voxels.shape} to {shape}")
    axes = [axis - 3 for axis in range(3)]
    picked = None
    if order == 0:
        for axis, size in zip(axes, shape, strict=True):
            voxels = _take_nearest(voxels, size, axis)
        return voxels
    if anisotropic_axis is not None:
        across = axes.pop(anisotropic_axis)
        used, picked = np.unique(nearest_voxels(voxels.shape[across], shape[across]), return_inverse=True)
        voxels = voxels if len(used) == voxels.shape[across] else np.take(voxels, used, across)
    voxels = _resize_smoothly(voxels.astype(np.float32, copy=False), shape, order, axes)
    if picked is None or len(picked) == voxels.shape[across]:
        return voxels
    return np.take(voxels, picked, across)


def resize_label(label: np.ndarray, shape: Shape, *, anisotropic_axis: int | None = None) -> np.ndarray:
    """(D, H, W) whole numbers -> `shape`, same type: each value's mask is resized linearly, and where it reaches 0.5
    the value stands; at a tie the larger value wins, and where no value reaches 0.5 stands 0.

    The rule of nnU-Net v1 and NVIDIA (v2 with batchgenerators 0.25.5 takes the
    largest share instead, and settles ties by the nearest voxel). Only the
    box of a value is resized. anisotropic_axis: as in `resize`.
    """
    if label.shape == tuple(shape):
        return label
    result = np.zeros(shape, label.dtype)
    weights = [
        _nearest_weights(size, new) if axis == anisotropic_axis else axis_weights(size, new, 1)
        for axis, (size, new) in enumerate(zip(label.shape, shape, strict=True))
    ]
    values, boxes = _boxes(label)
    for value, box in zip(values, boxes, strict=True):
        bands = [w[:, part] for w, part in zip(weights, box, strict=True)]
        # a product of three weights reaches 0.5 only where each of them does
        reached = [np.flatnonzero(band.sum(1) >= 0.499) for band in bands]
        if min(map(len, reached)) == 0:
            continue
        target = tuple(slice(rows[0], rows[-1] + 1) for rows in reached)
        mask = (label[box] == value).astype(np.float32)
        for axis, (band, rows) in enumerate(zip(bands, target, strict=True)):
            mask = _along(np.ascontiguousarray(band[rows]), mask, axis - 3)
        result[target][mask >= 0.5 - 1e-6] = value  # 1e-6: a tie is one, whatever the rounding of its weights
    return result


def nearest_voxels(size: int, new_size: int) -> np.ndarray:
    """(new_size,) the voxel of `size` that lies nearest each voxel of `new_size`; the later of two."""
    return ((2 * np.arange(new_size) + 1) * size) // (2 * new_size)


@lru_cache(maxsize=8)  # those of a case and its label: each of a picture of 4000 voxels takes 64 MB
def axis_weights(size: int, new_size: int, order: int) -> np.ndarray:
    """(new_size, size) float32: what each voxel of an axis contributes to each voxel of the resized axis.

    ITK's own: a unit vector a column, resampled. order: 1 or 3.
    """
    edge = _EDGE if order == 3 else 0
    columns = max(size, 4)  # ITK's spline needs 4 of them
    units = np.pad(np.eye(size, columns), ((edge, edge), (0, 0)), mode="edge")
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([columns, new_size])
    step = size / new_size
    resampler.SetOutputSpacing([1.0, step])
    resampler.SetOutputOrigin([0.0, 0.5 * step - 0.5 + edge])
    resampler.SetInterpolator(_BY_ORDER[order])
    weights = sitk.GetArrayFromImage(resampler.Execute(sitk.GetImageFromArray(units)))[:, :size]
    weights[np.abs(weights) < _NOTHING] = 0
    weights = weights.astype(np.float32)
    weights.flags.writeable = False  # it is shared
    return weights


def _nearest_weights(size: int, new_size: int) -> np.ndarray:
    return np.eye(size, dtype=np.float32)[nearest_voxels(size, new_size)]


def _take_nearest(voxels: np.ndarray, size: int, axis: int) -> np.ndarray:
    return voxels if voxels.shape[axis] == size else np.take(voxels, nearest_voxels(voxels.shape[axis], size), axis)


def _resize_smoothly(voxels: np.ndarray, shape: Shape, order: int, axes: list[int]) -> np.ndarray:
    """Axes that keep their size are left alone; the one that shrinks most goes first, so that least is computed."""
    changed = [axis for axis in axes if voxels.shape[axis] != shape[axis]]
    if not changed:
        return voxels
    limits = None
    if order == 3:
        limits = [pick(voxels, axis=tuple(axes), keepdims=True) for pick in (np.min, np.max)]
    for axis in sorted(changed, key=lambda axis: shape[axis] / voxels.shape[axis]):
        voxels = _along(axis_weights(voxels.shape[axis], shape[axis], order), voxels, axis)
    if limits:
        np.clip(voxels, *limits, out=voxels)
    return voxels


def _along(weights: np.ndarray, voxels: np.ndarray, axis: int) -> np.ndarray:
    """(…, size, …) -> (…, new_size, …) along `axis` (−3, −2 or −1), band by band of the weights."""
    *lead, size = voxels.shape[: axis + len(voxels.shape) + 1]
    inner = voxels.shape[len(lead) + 1 :]
    flat = voxels.reshape(-1, size) if axis == -1 else voxels.reshape(*lead, size, -1)
    new_size = len(weights)
    result = np.empty((*flat.shape[:-1], new_size) if axis == -1 else (*lead, new_size, flat.shape[-1]), np.float32)
    for block in range(ceil(new_size / _BLOCK)):
        rows = slice(block * _BLOCK, min((block + 1) * _BLOCK, new_size))
        used = np.flatnonzero(weights[rows].any(0))
        band = slice(used[0], used[-1] + 1) if len(used) else slice(0, 1)
        part = weights[rows, band]
        if axis == -1:
            np.matmul(flat[:, band], part.T, out=result[:, rows])
        else:
            np.matmul(part, flat[..., band, :], out=result[..., rows, :])
    return result.reshape(*lead, new_size, *inner)


def _boxes(label: np.ndarray) -> tuple[list[int], list[tuple[slice, ...]]]:
    """The values of a label in ascending order, without a lone 0, and the box of each."""
    values = [int(v) for v in np.unique(label)]
    if values[0] >= 0:
        values = [v for v in values if v]  # the result starts as 0
    boxes = []
    for value in values:
        mask = label == value
        box = []
        for axis in range(3):
            found = np.flatnonzero(mask.any(tuple(a for a in range(3) if a != axis)))
            box.append(slice(int(found[0]), int(found[-1]) + 1))
        boxes.append(tuple(box))
    return values, boxes
